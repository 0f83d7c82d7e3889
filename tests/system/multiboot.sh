#!/bin/sh
# SPDX-License-Identifier: MIT
# Multiboot kernels: told.elf says how it was entered and what it was told, the same in every row;
# and what cannot be one says why.
# Usage: multiboot.sh BUILD-DIRECTORY
set -u
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

# told PAGING KERNEL WORD...
told()
{
	paging=$1
	kernel=$2
	shift 2
	run --paging "$paging" --kernel "$kernel" --mem 64 "$@" < /dev/null
}

# The sum that told.elf makes of a file.
sum()
{
	od -An -v -tu1 "$1" | awk '{ for (i = 1; i <= NF; i++) n = (n * 31 + $i) % 4294967296 }
		END { printf "%x\n", n }'
}

elf=$build/tests/system/told.elf
head -c 5000 /dev/urandom > "$work/one"
head -c 3000000 /dev/urandom > "$work/two files"
sum_one=$(sum "$work/one")
sum_two=$(sum "$work/two files")

for paging in none npt shadow; do
	for kernel in "$elf" "$build/tests/system/told.bin"; do
		rule="paging=$paging: $(basename "$kernel") is entered as the specification says"
		told "$paging" "$kernel" --append 'a, b  c exit=33' --initrd "$work/one" \
			--initrd "$work/two files" --initrd "$work/one with its  words"
		expect_status 67
		expect_silent
		grep -qx 'state eax=2badb002 pe=1 pg=0 cr4=0 vm=0 if=0 bss=1 data=600dda7a a20=1' \
			"$work/out" || fail 'its state is another'

		rule="paging=$paging: $(basename "$kernel") gets its words and modules"
		grep -q '^told flags=4d lower=27f ' "$work/out" || fail 'it is not told all'
		grep -q "modules=3 line=$kernel a, b  c exit=33\$" "$work/out" ||
			fail 'its words are others'
		grep -qx "module bytes=1388 sum=$sum_one aligned=1 text=$work/one" "$work/out" ||
			fail 'the first module is another'
		grep -q "^module bytes=2dc6c0 sum=$sum_two aligned=1 text=" "$work/out" ||
			fail 'the second module is another'
		grep -qx "module bytes=1388 sum=$sum_one aligned=1 text=$work/one with its  words" \
			"$work/out" || fail 'the third module is another'
	done
	cp "$work/out" "$work/out.$paging"
done

rule='its memory is what --mem says, and the hypervisor is not in it'
told shadow "$elf"
expect_status 1
# What the firmware keeps at the end may move over a page boundary.
awk '$1 == "memory" && $4 == "type=1" {
		sub("size=", "", $3)
		print $3
	}' "$work/out" > "$work/sizes"
total=0
while read -r size; do
	total=$((total + 0x$size))
done < "$work/sizes"
[ $((64 * 1048576 - total)) -ge 0 ] || fail "it has $total bytes"
[ $((64 * 1048576 - total)) -lt 1048576 ] || fail "it has $total bytes only"
base=$(sed -n 's/.*"reserve_base":\([0-9]*\).*/\1/p' "$work/log")
grep -qx "memory base=$(printf %x "$base") size=2800000 type=2" "$work/out" ||
	fail "the hypervisor's $base is not reserved"

rule='a 64-bit ELF file works under the hypervisor; without, the command says what to do'
told shadow "$build/tests/system/told64.elf" --append exit=4
expect_status 9
told none "$build/tests/system/told64.elf"
expect_status 65
expect_says 'objcopy -O elf32-i386'

# refuse RULE WORDS: the hypervisor refuses $work/bad.
refuse()
{
	rule=$1
	told shadow "$work/bad"
	expect_status 78
	expect_says "$1"
}

# patch OFFSET BYTES: $work/bad is told.elf with BYTES (as printf takes them) there.
patch()
{
	cp "$elf" "$work/bad"
	# shellcheck disable=SC2059
	printf "$2" | dd of="$work/bad" bs=1 seek="$1" conv=notrunc status=none
}

# The ELF header, then its first program header at 52: offset, addresses, sizes.
head -c 4200 "$elf" > "$work/bad"
refuse 'it is cut short: the file is smaller than its ELF headers say'
patch 4 '\003'
refuse 'it is no ELF file for x86'
patch 44 '\000\377'
refuse 'program headers lie behind its end'
patch 64 '\000\000\000\004'
refuse 'of RAM at 4000000, and the guest has none there'
patch 72 '\000\000\000\020'
refuse 'the guest kernel needs 262144 KiB of RAM at 100000'
patch 64 '\000\000\360\377'
refuse 'and the guest has none there'
patch 64 '\000\360\377\377'
refuse 'not below 4 GiB'

rule='modules that do not fit are named'
head -c 40000000 /dev/zero > "$work/large"
told shadow "$elf" --initrd "$work/large" --initrd "$work/large"
expect_status 78
expect_says 'no room for the hypervisor'

finish
