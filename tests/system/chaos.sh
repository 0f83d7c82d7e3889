#!/bin/sh
# SPDX-License-Identifier: MIT
# A guest that fights its own page tables and the hypervisor: tests/system/chaos.
# Usage: chaos.sh BUILD-DIRECTORY
set -u
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

WELL=43 # LEAVE_WELL

rule='what is forbidden cannot be done'
for paging in shadow npt; do
	chaos 'chaos=forbidden seed=1' --paging $paging
	expect_status $WELL
	expect_out 'chaos: nothing forbidden was done'
done

# A string store into the tables that it goes through itself may end in two ways: no seed here has
# one.
rule='every access ends as with the tables of the processor'
for seed in 2 3 4 5; do
	chaos "chaos=orderly seed=$seed rounds=6000" --paging npt
	expect_status $WELL
	grep -Eq '^chaos: done [1-9][0-9]{2,} faults [1-9][0-9]{2,} sum' "$work/out" ||
		fail 'nothing was done'
	cp "$work/out" "$work/wanted.$seed"
done
# same SEED WORD...: so too under shadow paging with WORD...
same()
{
	seed=$1
	shift
	chaos "chaos=orderly seed=$seed rounds=6000" "$@"
	expect_status $WELL
	cmp -s "$work/wanted.$seed" "$work/out" ||
		fail "seed $seed $*: not \"$(cat "$work/wanted.$seed")\" as with nested paging"
}
same 5
same 2
same 3 --policy pool=64
same 4 --policy pool=64,replace=fifo,sticky=0
same 5 --policy cache=off
same 2 --policy oos=off
same 3 --policy write=unsync
same 4 --policy write=zap,prefetch=0
same 5 --policy write=emulate,large=off

rule='with five levels and protection keys too'
for seed in 2 3; do
	chaos "chaos=orderly seed=$seed rounds=6000 levels=5" --cpu max --paging npt
	expect_status $WELL
	grep -Eq '^chaos: done [1-9][0-9]{2,} faults [1-9][0-9]{2,} sum' "$work/out" ||
		fail 'nothing was done'
	cp "$work/out" "$work/wanted.five.$seed"
	for policy in pool=0 oos=all,pool=64; do
		chaos "chaos=orderly seed=$seed rounds=6000 levels=5" --cpu max --policy $policy
		expect_status $WELL
		cmp -s "$work/wanted.five.$seed" "$work/out" ||
			fail "seed $seed $policy: not as with nested paging"
	done
done

rule='every mode is as the manual says, and back: 16- and 32-bit code, with and without paging'
chaos 'chaos=trip rounds=2' --paging npt
expect_status $WELL
expect_out 'chaos: came back'
for policy in pool=0 write=emulate cache=off,write=zap audit=on,oos=all,pool=64; do
	chaos 'chaos=trip strict=1 rounds=2' --policy $policy
	expect_status $WELL
	expect_out 'chaos: came back'
done

rule='a wild guest harms only itself'
for variant in '1 pool=0' '2 write=unsync' '3 pool=64,oos=all,replace=fifo' \
	'4 cache=off,write=zap' '5 oos=off' '7 write=emulate'; do
	chaos "chaos=wild seed=${variant%% *} rounds=30000" --policy "${variant#* }"
	expect_status $WELL
	expect_out 'chaos: survived 30000 rounds'
done
chaos 'chaos=wild seed=6 rounds=30000 levels=5' --cpu max --policy oos=all
expect_status $WELL
expect_out 'chaos: survived 30000 rounds'

rule='no invariant breaks, whatever the guest does: the audit after every event would panic'
chaos 'chaos=orderly seed=7 rounds=400' --policy audit=on,pool=64
expect_status $WELL
for oos in leaf all; do
	chaos 'chaos=wild seed=6 rounds=500' --policy audit=on,pool=64,oos=$oos
	expect_status $WELL
	expect_out 'chaos: survived 500 rounds'
done

rule='a guest that destroys itself is dead, and the hypervisor is not'
for way in random-root root-in-hypervisor root-nowhere no-handlers stack-in-hypervisor \
	unknown-store; do
	chaos "chaos=$way seed=1"
	expect_status 71
	expect_out ''
	case $way in
	*hypervisor) expect_says 'the guest died: ' ;;
	unknown-store) expect_says 'by an instruction that is not emulated' ;;
	*) expect_says 'the guest died: triple fault' ;;
	esac
done

finish
