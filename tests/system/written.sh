#!/bin/sh
# SPDX-License-Identifier: MIT
# What becomes of tables that the guest writes: bits cleared in live entries, tables that are not
# used any more, tables that are. By operations of the bare guest (tests/guest/bench_ops.c).
# Usage: written.sh BUILD-DIRECTORY
set -u
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

# measure OP WORD...: the operation in its modes, under shadow paging.
measure()
{
	op=$1
	shift
	run --kernel paging-test --append "bench=$op" --stats "$work/stats" "$@" < /dev/null
	expect_status 0
	[ "$(grep -c "^${op}_[a-z0-9]* [0-9.]* instructions" "$work/out")" -eq 2 ] ||
		fail 'it was not measured in both modes'
}

# number NAME: of the statistics.
number()
{
	sed -n "s/^ *\"$1\": \([0-9]*\).*/\1/p" "$work/stats" | head -1
}

# Of the statistics: NAME, and a bound.
at_least()
{
	[ "$(number "$1")" -ge "$2" ] || fail "$1 is $(number "$1"), less than $2"
}

at_most()
{
	[ "$(number "$1")" -le "$2" ] || fail "$1 is $(number "$1"), more than $2"
}

# The operations make 1,024 rounds of 8 stores in each mode. Without them there are 26 shadow pages.
for policy in write=auto oos=off; do
	rule="a table that is written and not used is given up, with $policy"
	measure idle_table --policy $policy
	given_up=$(($(number mmu_flooded) + $(number mmu_unshadow)))
	[ $given_up -ge 2 ] || fail "only $given_up"
	[ $policy = oos=off ] || at_least mmu_flooded 2
	at_most mmu_shadow_created 40
	at_most mmu_sync_changed 400
	at_most mmu_pte_write 400

	rule="a table that is written and used stays one, with $policy"
	measure busy_table --policy $policy
	at_most mmu_flooded 0
	at_most mmu_unshadow 8
	at_most mmu_shadow_created 40
	changed=$(($(number mmu_sync_changed) + $(number mmu_pte_write)))
	[ $changed -ge 16000 ] || fail "only $changed stores were followed"

	# It is used 128 times in each mode, 64 stores apart: each could cost a shadow page. But a
	# table is given up after 16 stores of the host's, or 16 flushes that find 8 changes, if not
	# for the first few times.
	rule="what is given up and used again is given up more and more seldom, with $policy"
	measure flapping_table --policy $policy
	seldom=$(($(number mmu_pte_write) / 16 + $(number mmu_sync_changed) / 8 / 16))
	at_most mmu_shadow_created $((40 + seldom))
done

rule='exits of a bit cleared in a live entry, and of a scan through a window'
n_runs=$((n_runs + 1))
timeout "$SECONDS_MAX" "$umbra" bench --icount --rows none,shadow --json "$work/json" \
	--ops clear_bit_pte,highpte_scan > "$work/out" 2> "$work/err" < /dev/null
status=$?
expect_status 0
# exits OP: per operation.
exits()
{
	sed -n "/\"op\": \"$1\"/,/}/s/^ *\"exits\": \([0-9.]*\).*/\1/p" "$work/json"
}
for mode in pae 4level; do
	awk "BEGIN { exit !($(exits clear_bit_pte_$mode) <= 1.2) }" || fail "clear_bit_pte_$mode"
	awk "BEGIN { exit !($(exits highpte_scan_$mode) <= 1.02) }" || fail "highpte_scan_$mode"
done

finish
