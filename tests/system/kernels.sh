#!/bin/sh
# SPDX-License-Identifier: MIT
# Debian's kernels, each with page tables of its own kind: they boot, they compute what is right,
# and all of mmubench and stress run under shadow paging.
# Usage: kernels.sh BUILD-DIRECTORY amd64|5level|i686-pae|i686 [quick]
set -u
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

name=$2
extent=${3:-full}
kernel=$name
cpu=
bits=
case $name in
amd64)
	release=amd64
	machine=x86_64
	bits=47
	;;
5level)
	kernel=amd64
	# The others' CPU has no la57. Without what gives other numbers in each run.
	cpu='--cpu max,-rdrand,-rdseed'
	release=amd64
	machine=x86_64
	bits=56
	;;
i686-pae)
	release=686-pae
	machine=i686
	;;
i686)
	release='[0-9]-686'
	machine=i686
	;;
esac

# What a guest computes with many pages and processes, and we too.
# shellcheck disable=SC2016
compute='seq 1 60000 | sort -r | sed "s/\(.\)\(.*\)/\2\1/" | sort -n | md5sum
	i=0
	while [ $i -lt 40 ]; do
		(echo $((i * i))) &
		i=$((i + 1))
	done | sort -n | tail -1'

mkdir -p "$work/initrd/bin"
cp "$build/tests/system/wide-map" "$work/initrd/bin/"
(cd "$work/initrd" && find bin/wide-map | cpio --quiet -o -H newc) > "$work/wide-map.cpio"
initrd=$build/guest/initrd.cpio.gz
[ "$machine" = x86_64 ] || initrd=$build/guest/initrd-i686.cpio.gz

# guest PAGING TEXT: the shell in the guest runs TEXT.
guest()
{
	# Word splitting is meant.
	# shellcheck disable=SC2086
	run --kernel "$kernel" $cpu --paging "$1" --initrd "$initrd" \
		--initrd "$work/wide-map.cpio" -- sh -c "$2" < /dev/null
}

expect_line()
{
	grep -qx -- "$1" "$work/out" || fail "no line \"$1\""
}

# Operations of mmubench that gave no number.
expect_measured()
{
	mmubench_ops=$(sed -n 's/^\([a-z0-9_]*\) .*/\1/p' "$work/ops")
	for op in $mmubench_ops; do
		grep -Eq "^$op ([0-9.]+ ns|- unsupported)\$" "$work/out" || fail "mmubench: no $op"
	done
	[ "$(grep -c ' ns$' "$work/out")" -ge "$1" ] || fail "less than $1 operations"
}

if [ "$extent" = quick ]; then
	rows=shadow
else
	rows='none npt shadow'
fi
for paging in $rows; do
	rule="$name, paging=$paging: the kernel boots and computes what we do"
	guest "$paging" "uname -rm; $compute; [ -z '$bits' ] || wide-map"
	expect_status 0
	expect_silent
	expect_line "[0-9.]*-.*$release $machine"
	[ -z "$bits" ] || expect_line "wide: $bits bits"
	sh -c "$compute" > "$work/computed"
	while read -r line; do
		expect_line "$line"
	done < "$work/computed"

	[ "$extent" = full ] || continue
	if [ "$paging" = shadow ]; then
		rule="$name, paging=$paging: all of mmubench runs"
		guest "$paging" 'mmubench --list'
		cp "$work/out" "$work/ops"
		SECONDS_MAX=400
		guest "$paging" mmubench
		SECONDS_MAX=60
		expect_status 0
		expect_measured 20

		rule="$name, paging=$paging: nothing is wrong under stress"
		SECONDS_MAX=200
		guest "$paging" 'stress --seconds 20'
		SECONDS_MAX=60
		expect_status 0
	else
		rule="$name, paging=$paging: mmubench runs"
		printf '%s \n' getpid fork_exit cow_fault > "$work/ops"
		guest "$paging" 'mmubench --ops getpid,fork_exit,cow_fault'
		expect_status 0
		expect_measured 3
	fi
done

finish
