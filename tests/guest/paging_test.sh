#!/bin/sh
# SPDX-License-Identifier: MIT
# The bare paging-test guest in every row, on the emulator's processors: one with what AMD's have,
# and one with 5-level tables and protection keys too; and under policies with optimisations off.
# Usage: paging_test.sh BUILD-DIRECTORY
set -u

build=$1
kernel=$build/guest/paging-test.elf
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

# The longest that one machine may take, on a slow and busy host.
SECONDS_MAX=60

failures=0
n_runs=0
n_passed=0

# MiB, and what else the guest is told.
mem=128
words=

# run ROW CPU WORD...: every test under umbra run --paging ROW with WORDs.
run()
{
	row=$1
	cpu=$2
	shift 2
	n_runs=$((n_runs + 1))
	timeout -s KILL $((SECONDS_MAX + 10)) "$build/umbra" run --timeout $SECONDS_MAX \
		--paging "$row" --cpu "$cpu" --kernel "$kernel" --mem $mem \
		--append "row=$row $words" "$@" < /dev/null > "$work/out" 2> "$work/err"
	status=$?
	# The status alone would also be that of a machine which was switched off too early.
	last=$(tr -d '\r' < "$work/out" | tail -n 1)
	case $last in
	'paging-test: '[1-9]*' passed, 0 failed, '*' skipped') ;;
	*) status=1 ;;
	esac
	if [ "$status" -ne 0 ]; then
		failures=$((failures + 1))
		echo "FAILED: row $row, cpu $cpu, $*"
		grep -av '^ok\|^skip' "$work/out" | tail -n 30 | sed 's/^/  stdout: /'
		tail -n 20 "$work/err" | sed 's/^/  stderr: /'
		return
	fi
	passed=${last#paging-test: }
	n_passed=$((n_passed + ${passed%% *}))
}

for cpu in EPYC,+svm,+npt max,+svm,+npt; do
	for row in none npt shadow; do
		run $row "$cpu"
	done
done
# More chance, and memory above 4 GiB, which 4M pages reach too.
words='seed=2 rounds=8000'
run shadow max,+svm,+npt --policy write=unsync,pool=64,sticky=0
mem=6144
run shadow max,+svm,+npt --policy write=emulate
run shadow max,+svm,+npt --policy oos=off
run shadow max,+svm,+npt --policy write=zap,cache=off,prefetch=0,large=off

# The emulator switches tasks behind the hypervisor's back, which stops the guest when it sees that.
for mode in unpaged 2level pae; do
	n_runs=$((n_runs + 1))
	timeout -s KILL $((SECONDS_MAX + 10)) "$build/umbra" run --timeout $SECONDS_MAX \
		--kernel "$kernel" --mem 128 --append "row=none only=$mode.task_jmp" \
		< /dev/null > "$work/out" 2> "$work/err"
	status=$?
	if [ "$status" -ne 71 ] || ! grep -q 'the guest died: a task switch' "$work/err"; then
		failures=$((failures + 1))
		echo "FAILED: a task switch in mode $mode: status $status"
		tail -n 20 "$work/err" | sed 's/^/  stderr: /'
	fi
done

[ "$failures" -eq 0 ] || exit 1
echo "paging_test: $n_passed tests passed, in $n_runs runs"
