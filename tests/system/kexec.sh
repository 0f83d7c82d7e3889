#!/bin/sh
# SPDX-License-Identifier: MIT
# Linux is left by kexec for another Linux, which works: page tables of one kernel become memory of
# the next without a reset between them.
# Usage: kexec.sh BUILD-DIRECTORY [POLICY]
set -u
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

policy=${2:-audit=200}
SECONDS_MAX=300

# Its first process goes on in the frame that the first kernel's command has begun.
mkdir -p "$work/second" "$work/first/bin" "$work/first/boot"
cat > "$work/second/second" <<'EOF'
#!/bin/sh
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs tmpfs /tmp
stty raw < /dev/ttyS2
stress --seconds 5 > /dev/ttyS2 2>&1
printf '\001EXIT %d\n' $? > /dev/ttyS2
poweroff -f
EOF
chmod 755 "$work/second/second"
# Archives are joined at multiples of four bytes.
cp "$build/guest/initrd.cpio.gz" "$work/first/boot/initrd"
truncate -s %4 "$work/first/boot/initrd"
(cd "$work/second" && echo second | cpio --quiet -o -H newc) >> "$work/first/boot/initrd"
cp "$build/guest/vmlinuz" "$work/first/boot/"
cp "$build/tests/system/kexec" "$work/first/bin/"
(cd "$work/first" && find . | cpio --quiet -o -H newc) > "$work/first.cpio"

for paging in none shadow; do
	rule="paging=$paging: a second Linux takes over, and finds nothing wrong"
	# shellcheck disable=SC2016
	run --paging $paging --policy "$policy" --initrd "$build/guest/initrd.cpio.gz" \
		--initrd "$work/first.cpio" -- sh -c \
		'kexec /boot/vmlinuz /boot/initrd "$(cat /proc/cmdline) rdinit=/second"' < /dev/null
	expect_status 0
	expect_silent
	grep -Eq '^stress: 0 wrong, 0 complaints of the kernel, [1-9][0-9]* checks' "$work/out" ||
		fail 'stress did not come to its end'
	[ "$(grep -c 'Linux version' "$work/log")" -eq 2 ] || fail 'there were not two kernels'
done

finish
