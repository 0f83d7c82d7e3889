#!/bin/sh
# SPDX-License-Identifier: MIT
# Linux boots under the hypervisor, and `umbra run` is the command that runs in it.
# Usage: boot.sh BUILD-DIRECTORY
set -u
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

rule='the output and the exit status of the command are ours'
for paging in shadow npt; do
	run --paging $paging -- sh -c 'echo out; echo more; printf "%s\n.%s" "$@"; exit 7' sh \
		'two  words' '' < /dev/null
	expect_status 7
	expect_silent
	expect_out 'out
more
two  words
.'
	grep -q "\"paging\":\"$paging\"" "$work/log" ||
		fail "the hypervisor did not say paging=$paging"
done

rule='standard input is the command'\''s, every byte of it; statistics are written'
i=0
while [ $i -lt 256 ]; do
	# shellcheck disable=SC2059
	printf "$(printf '\\%03o' $i)"
	i=$((i + 1))
done > "$work/bytes"
run --stats "$work/stats" -- sh -c 'cat; kill -TERM $$' < "$work/bytes"
expect_status 143
cmp -s "$work/bytes" "$work/out" || fail 'what came back is not what was sent'
for key in exits pf cr0 cr3 cr4 invlpg cpuid msr io vmmcall svm_insn nmi smi intr npf shutdown \
	task_switch other total mmu pf_taken pf_fixed pf_guest pf_emulate pf_spurious mmu_pte_write mmu_unsync \
	mmu_shadow_zapped shadow_pages guest_ns; do
	grep -Eq "\"$key\": ?[0-9{]" "$work/stats" || fail "no number \"$key\" in the statistics"
done
grep -Eq '"pf_fixed": ?[1-9][0-9]{2}' "$work/stats" ||
	fail 'no faults were fixed: was it shadow paging?'

rule='a command that is not there ends with 127'
run -- no-such-command < /dev/null
expect_status 127
expect_out 'umbra: no-such-command: command not found in the guest'

rule='the demonstration ends well and shows statistics'
# Without a terminal: no controlling one either.
run < /dev/null
expect_status 0
grep -q '^fork_exit [0-9]' "$work/out" || fail 'the demonstration did not measure fork_exit'
expect_says 'no terminal, so this is a demonstration'
expect_says 'page faults '

rule='a time-out ends with 124'
SECONDS_MAX=2
run -- sleep 1000 < /dev/null
expect_status 124
expect_says 'stopped after 2 s'
SECONDS_MAX=60

rule='SIGINT ends the machine and leaves nothing behind'
mkfifo "$work/started"
# A background job of a shell ignores SIGINT from birth; what env starts does not.
env --default-signal=INT "$umbra" run --timeout 60 -- sh -c 'echo started; sleep 1000' \
	> "$work/started" 2> "$work/err" < /dev/null &
job=$!
read -r line < "$work/started"
[ "$line" = started ] || fail "the command said \"$line\""
qemu=$(cat "/proc/$job/task/$job/children")
kill -0 "${qemu% }" 2> /dev/null || fail "no QEMU: \"$qemu\""
kill -INT $job
wait $job
status=$?
expect_status 130
[ ! -e "/proc/${qemu% }" ] || fail 'QEMU is still there'
expect_nothing_left

finish
