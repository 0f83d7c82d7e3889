#!/bin/sh
# SPDX-License-Identifier: MIT
# memtest86+ tests 64 MiB of guest memory once, under shadow paging, and finds no error.
# Usage: memtest.sh BUILD-DIRECTORY x64|ia32
set -u
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

variant=$2
n_runs=1
fade=
SECONDS_MAX=1200

# The last "Pass: N ... Errors: M" on its screen, as "N M". It may be half written.
progress()
{
	tail -c 4000 "$work/out" | tr '\033' '\n' |
		sed -n 's/.*Pass: *\([0-9][0-9]*\) .*Errors: *\([0-9][0-9]*\) .*/\1 \2/p' | tail -1
}

rule="memtest86+ $variant comes to the end of its first pass without an error"
: > "$work/err"
# A background job of a shell ignores SIGINT from birth; what env starts does not.
env --default-signal=INT "$umbra" run --kernel "$build/guest/memtest86+$variant.bin" --mem 64 \
	--append console=ttyS0,115200 --timeout $SECONDS_MAX --log "$work/log" \
	> "$work/out" 2> "$work/err" < /dev/null &
job=$!
seen='0 0'
while [ "$seen" = '0 0' ] && kill -0 $job 2> /dev/null; do
	sleep 1
	seen=$(progress)
	seen=${seen:-0 0}
done
kill -INT $job 2> /dev/null
wait $job
status=$?
# The last of its ten, which takes minutes on any machine.
grep -aq '#10 \[Bit fade test' "$work/out" && fade=seen
tail -c 1500 "$work/out" | tr '\033' '\n' > "$work/screen"
mv "$work/screen" "$work/out"
expect_status 130
expect_silent
[ "$fade" = seen ] || fail 'its last test was not seen'
[ "$seen" = '1 0' ] || fail "passes and errors: $seen"

finish
