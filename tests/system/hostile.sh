#!/bin/sh
# SPDX-License-Identifier: MIT
# A root user of Linux against the hypervisor, and a Linux that kills itself.
# Usage: hostile.sh BUILD-DIRECTORY
set -u
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

mkdir -p "$work/initrd/bin"
cp "$build/tests/system/attack-mem" "$build/tests/system/attack-apic" "$work/initrd/bin/"
(cd "$work/initrd" && find bin/* | cpio --quiet -o -H newc) > "$work/attack.cpio"

# number NAME: of the hypervisor's greeting in the log.
number()
{
	sed -n "s/.*\"$1\":\([0-9]*\).*/\1/p" "$work/log" | head -1
}

rule="root finds nothing in the hypervisor's memory and changes nothing there"
# Where that is depends on the machine's memory alone: ask one that does not boot.
chaos chaos=nothing --mem 512
base=$(number reserve_base)
for paging in shadow npt; do
	run --paging $paging --initrd "$build/guest/initrd.cpio.gz" --initrd "$work/attack.cpio" -- \
		sh -c 'attack-mem "$@" && ls / > /dev/null && grep -c Reserved /proc/iomem' sh "$base" \
		$((44 << 20)) < /dev/null
	expect_status 0
	expect_silent
	[ "$base" = "$(number reserve_base)" ] ||
		fail "the hypervisor is at $(number reserve_base), not $base"
	[ "$(number reserve_bytes)" -eq $((44 << 20)) ] ||
		fail "it has $(number reserve_bytes) bytes"
	grep -qx 'nothing to see, nothing changed' "$work/out" || fail 'the program found something'
done

rule='root cannot reset the processor through the local APIC, and may send himself an NMI'
run --append iomem=relaxed --initrd "$build/guest/initrd.cpio.gz" --initrd "$work/attack.cpio" -- \
	sh -c "attack-apic && grep NMI /proc/interrupts | tr -s ' '" < /dev/null
expect_status 0
expect_out 'alive
NMI: 1 Non-maskable interrupts'

rule='a triple fault of Linux is the end of the guest, and is told'
run --append reboot=t -- reboot -f < /dev/null
expect_status 71
expect_says 'before its command had ended: triple fault, at or after rip ffffffff'

finish
