#!/bin/sh
# SPDX-License-Identifier: MIT
# Counted in instructions, two runs are the same run.
# Usage: repeat.sh BUILD-DIRECTORY
set -u
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

rule='Linux boots twice in the same number of instructions'
for n in 1 2; do
	n_runs=$n
	timeout "$SECONDS_MAX" "$umbra" bench --icount --rows shadow --ops boot --json "$work/json.$n" \
		> "$work/out" 2> "$work/err" < /dev/null
	status=$?
	expect_status 0
done
grep -Eq '"value": [1-9][0-9]{8}' "$work/json.1" || fail 'there is no figure'
cmp -s "$work/json.1" "$work/json.2" ||
	fail "$(grep -h '"value"' "$work/json.1" "$work/json.2" | tr '\n' ' ')"

finish
