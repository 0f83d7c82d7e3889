#!/bin/sh
# SPDX-License-Identifier: MIT
# With optimisations switched off Linux works all the same. (chaos.sh does more with them.)
# Usage: policies.sh BUILD-DIRECTORY
set -u
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

# Without the cache a boot takes three times as long.
SECONDS_MAX=200

md5sum < "$build/guest/busybox" > "$work/wanted"
# shellcheck disable=SC2016
work_of_guest='i=0
while [ $i -lt 25 ]; do
	md5sum < /bin/busybox | cat > /tmp/$i &
	i=$((i + 1))
done
wait
sort -u /tmp/*'

for policy in cache=off oos=off write=unsync,prefetch=0 write=emulate,large=off write=zap \
	pool=64,replace=fifo; do
	rule="Linux works with $policy"
	run --policy $policy -- sh -c "$work_of_guest" < /dev/null
	expect_status 0
	expect_silent
	expect_out "$(cat "$work/wanted")"
done

finish
