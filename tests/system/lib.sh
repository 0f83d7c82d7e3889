# SPDX-License-Identifier: MIT
# What the system tests share; sourced. $1 of every test is the build directory.
#
# A test sets $rule, runs the command by run or chaos, and says what it expects of it. A failed
# expectation is printed with both outputs and counted; finish makes that the exit status.
# shellcheck shell=sh disable=SC2034

build=$1
umbra=$build/umbra
chaos_kernel=$build/tests/system/chaos.bin
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
# So that what is left behind is seen.
TMPDIR=$work/tmp
mkdir "$TMPDIR"
: > "$work/log"
export TMPDIR
rule=
failures=0
n_runs=0

# The longest that one machine may take, on a slow and busy host.
SECONDS_MAX=60

fail()
{
	failures=$((failures + 1))
	echo "FAILED: $rule: $*"
	sed 's/^/  stdout: /' "$work/out" | tail -20
	sed 's/^/  stderr: /' "$work/err" | tail -20
	grep -a umbra-hv "$work/log" | cut -c 1-200 | tail -12 | sed 's/^/  log: /'
}

# run WORD...: umbra run, reading standard input; its status in $status. A guest that hangs has
# 124, and 137 if the command itself hangs.
run()
{
	n_runs=$((n_runs + 1))
	: > "$work/log"
	timeout -s KILL $((SECONDS_MAX + 10)) "$umbra" run --timeout $SECONDS_MAX --log "$work/log" \
		"$@" > "$work/out" 2> "$work/err"
	status=$?
}

# chaos WORDS WORD...: the hostile guest with WORDS on its command line.
chaos()
{
	words=$1
	shift
	run --kernel "$chaos_kernel" --mem 80 --append "$words" "$@" < /dev/null
}

expect_status()
{
	[ "$status" -eq "$1" ] || fail "status $status, not $1"
}

# expect_out TEXT: all of standard output, without the last line end.
expect_out()
{
	[ "$(cat "$work/out")" = "$1" ] || fail "standard output is not \"$1\""
}

expect_says()
{
	grep -qF -- "$1" "$work/err" || fail "standard error does not say \"$1\""
}

expect_silent()
{
	[ ! -s "$work/err" ] || fail 'standard error is not empty'
}

expect_nothing_left()
{
	[ -z "$(ls "$TMPDIR")" ] || fail "there is still $(ls "$TMPDIR")"
}

finish()
{
	expect_nothing_left
	[ "$failures" -eq 0 ] || exit 1
	echo "$(basename "$0" .sh): all rules hold, in $n_runs runs"
}
