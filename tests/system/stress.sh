#!/bin/sh
# SPDX-License-Identifier: MIT
# Linux does to its page tables all that it can, in parallel, and checks what it sees; the library
# audits itself meanwhile.
# Usage: stress.sh BUILD-DIRECTORY SECONDS [POLICY]
set -u
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

seconds=$2
policy=${3:-audit=50}
# Its last rounds take some time: minutes, when every event is audited.
SECONDS_MAX=$((seconds + 400))

# Two memory nodes, so that the kernel balances between them: as much as the machine has.
mem=512
reserve=44
half=$(((mem + reserve) / 2))

mkdir -p "$work/initrd/lib/stress"
swap=no
if [ -e "$build/guest/modules/.made" ]; then
	cp "$build"/guest/modules/*.ko "$work/initrd/lib/stress/"
	swap=yes
fi
(cd "$work/initrd" && find lib | cpio --quiet -o -H newc) > "$work/modules.cpio"

# number NAME: of the statistics.
number()
{
	sed -n "s/^ *\"$1\": \([0-9]*\).*/\1/p" "$work/stats" | head -1
}

rule="nothing is wrong after $seconds seconds with --policy $policy"
run --policy "$policy" --mem $mem --reserve $reserve --stats "$work/stats" \
	--qemu-arg -object --qemu-arg memory-backend-ram,id=m0,size=${half}M \
	--qemu-arg -object --qemu-arg memory-backend-ram,id=m1,size=${half}M \
	--qemu-arg -numa --qemu-arg node,nodeid=0,cpus=0,memdev=m0 \
	--qemu-arg -numa --qemu-arg node,nodeid=1,memdev=m1 \
	--initrd "$build/guest/initrd.cpio.gz" --initrd "$work/modules.cpio" \
	-- stress --seconds "$seconds" < /dev/null
expect_status 0
grep -Eq '^stress: 0 wrong, 0 complaints of the kernel, [1-9][0-9]* checks' "$work/out" ||
	fail 'it did not come to its end'
[ "$(grep -c ' rounds ' "$work/out")" -eq 15 ] || fail 'not every worker is told of'
case $policy in
*audit=*)
	[ "$(number audits)" -gt 0 ] || fail 'nothing was audited'
	;;
esac

rule='it makes use of all that the kernel has'
has="swap=$swap ksm=yes huge-pages=yes numa-balancing=yes"
grep -qx "stress: the kernel has $has" "$work/out" ||
	fail 'not everything could be switched on'
if [ "$seconds" -ge 120 ]; then
	! grep -E ' rounds .* 0 [a-z]' "$work/out" | grep -v 'not possible' ||
		fail 'a worker did nothing'
	grep -E ' rounds |^stress: [0-9]* wrong' "$work/out"
	for name in audit_events audits pf_taken invlpg mmu_unsync mmu_sync mmu_sync_changed \
		mmu_shadow_created mmu_recycled tlb_flush; do
		echo "$name $(number $name)"
	done
fi

finish
