#!/bin/sh
# SPDX-License-Identifier: MIT
#
# What the hypervisor says, before any guest runs, to configurations that cannot work: one "error"
# line on its monitor with what is wrong and what to do, and QEMU's exit status 65.
#
# usage: hv_errors.sh HYPERVISOR BZIMAGE
set -u

hv=$1
kernel=$2
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
failed=0

# expect TEXT QEMU-ARGUMENT...: the error line contains TEXT.
expect() {
	text=$1
	shift
	timeout 60 qemu-system-x86_64 -accel tcg -display none -no-reboot -nic none \
		-serial null -serial stdio -device isa-debug-exit,iobase=0xf4,iosize=4 \
		-kernel "$hv" "$@" </dev/null >"$dir/out" 2>"$dir/err"
	status=$?
	if [ $status -eq 65 ] && [ "$(wc -l <"$dir/out")" -eq 1 ] &&
		grep -q '^{"type":"error","text":".*"}$' "$dir/out" &&
		grep -qF -- "$text" "$dir/out"; then
		printf 'ok: %s\n' "$text"
		return
	fi
	printf 'FAILED (status %s, expected 65 and "%s"): %s\n' "$status" "$text" "$*"
	cat "$dir/out" "$dir/err"
	failed=1
}

# reject TEXT MIB OPTIONS MODULES: the same on a processor that could run it.
reject() {
	expect "$1" -cpu EPYC,+svm -m "$2" -append "$3" -initrd "$4"
}

head -c 2000000 "$kernel" >"$dir/short"
head -c 60000000 /dev/zero >"$dir/large"
echo 'no kernel' >"$dir/text"

expect 'no 64-bit mode' -cpu qemu32 -m 128 -initrd "$kernel"
expect 'no guest kernel: start with -initrd' -cpu EPYC,+svm -m 128
reject 'neither a Linux bzImage nor a multiboot 1 kernel' 128 '' "$dir/text"
reject 'it is cut short' 128 '' "$dir/short"
reject 'no room for the hypervisor: it needs 40 MiB' 48 '' "$kernel"
reject 'no room for the hypervisor: it needs 2047 MiB' 128 reserve=2047 "$kernel"
reject 'too little memory for the guest kernel' 48 reserve=8 "$kernel"
reject "guest's initrd: it has 58 MiB" 136 reserve=16 "$kernel,$dir/large"
reject '3 boot modules; a Linux guest takes two' 128 '' "$kernel,$dir/text,$dir/text"
reject 'command line has 2100 bytes' 128 '' "$kernel $(printf %02100d 0)"
reject "unknown option 'pagin=npt'" 128 'pagin=npt reserve=8' "$kernel"
reject 'option reserve=many' 128 reserve=many "$kernel"
# What the user wrote comes back as JSON, whatever it is.
reject 'unknown option '\''\"\\\u00e4\u0009'\' 128 "\"\\$(printf '\344\t')" "$kernel"
exit $failed
