#!/bin/sh
# SPDX-License-Identifier: MIT
# What cannot work: an exit status of its own, and words that say what is wrong and what to do.
# (hv_errors.sh asks the hypervisor itself for more of these.)
# Usage: bad_input.sh BUILD-DIRECTORY
set -u
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

# reject STATUS WORDS WORD...: umbra run with WORD... ends like that.
reject()
{
	wanted=$1
	rule=$2
	shift 2
	run "$@" < /dev/null
	expect_status "$wanted"
	expect_says 'umbra: '
	expect_says "$rule"
}

echo 'This is no kernel.' > "$work/text"
: > "$work/empty"
head -c 2000000 "$build/guest/vmlinuz" > "$work/short"
# A header, and a size of what it is for that cannot be: init_size at 0x260.
{
	head -c 608 "$build/guest/vmlinuz"
	printf '\001\0\0\0'
	tail -c +613 "$build/guest/vmlinuz"
} > "$work/damaged"

reject 65 'is no kernel' --kernel "$work/text" -- true
reject 65 'is no kernel' --kernel "$work/empty" -- true
reject 66 'No such file' --kernel "$work/nothing" -- true
reject 66 'No such file' --initrd "$work/nothing" -- true
reject 64 'frobnicate' --frobnicate -- true
reject 64 'frobnicate' --policy frobnicate=on -- true
reject 64 'cache' --policy cache=maybe -- true
reject 78 'too little memory' --mem 40 -- true
reject 78 'it is cut short' --kernel "$work/short" -- true
reject 78 'contradicts itself' --kernel "$work/damaged" -- true
reject 78 'no SVM' --cpu qemu64,-svm -- true
reject 78 'no SVM' --cpu qemu64,-svm --paging npt -- true
reject 78 'no-such-model' --cpu no-such-model -- true
reject 78 'not enough memory for shadow tables' --reserve 8 --mem 8000 -- true

finish
