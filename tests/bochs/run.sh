#!/bin/sh
# SPDX-License-Identifier: MIT
# What QEMU's emulation cannot show, on Bochs: hardware task switches under shadow paging, and PDPTEs
# that the processor keeps. The tests of task switches first run without a hypervisor.
# Usage: run.sh BUILD-DIRECTORY
set -u

build=$1
here=$(dirname "$0")
work=$(mktemp -d) || exit 1
machine=
trap '[ -z "$machine" ] || kill -KILL "$machine" 2> /dev/null; rm -rf "$work"' EXIT

# Its display is a server on a TCP port, for which nobody looks: out of reach where that can be had.
isolate=
for way in 'unshare -n' 'unshare -rn'; do
	$way true 2> /dev/null && isolate=$way && break
done

# The longest that one machine may take, on a slow and busy host.
SECONDS_MAX=90
failures=0

# image LINE...: a disc that GRUB boots by these commands.
image()
{
	rm -rf "$work/disc"
	mkdir -p "$work/disc/boot/grub"
	cp "$build/umbra-hv.bin" "$build/guest/paging-test.elf" "$work/disc/boot"
	{
		printf '%s\n' 'set timeout=0' 'serial --unit=0' 'terminal_output serial' \
			'menuentry test {'
		printf '%s\n' "$@" boot '}'
	} > "$work/disc/boot/grub/grub.cfg"
	grub-mkrescue -o "$work/disc.iso" "$work/disc" > "$work/iso.log" 2>&1 || {
		cat "$work/iso.log" >&2
		exit 1
	}
}

# The last line of the guest; when it switches off its last letters may still be in the serial port.
last_line()
{
	tr -d '\r' < "$work/com1" | grep -a '^paging-test: [0-9]* passed, [0-9]* failed, ' | tail -n 1
}

# Let it run until the guest has said its last word: it switches off then, if all is well.
start()
{
	: > "$work/com1"
	: > "$work/com2"
	{
		cat "$here/bochsrc"
		printf '%s\n' "ata0-master: type=cdrom, path=$work/disc.iso, status=inserted" \
			"com1: enabled=1, mode=file, dev=$work/com1" \
			"com2: enabled=1, mode=file, dev=$work/com2" "log: $work/log"
	} > "$work/bochsrc"
	# Debian's has the debugger, which waits to be told.
	echo c > "$work/commands"
	# Word splitting is meant.
	# shellcheck disable=SC2086
	$isolate bochs -q -f "$work/bochsrc" -rc "$work/commands" > "$work/out" 2>&1 < /dev/null &
	machine=$!
	end=$(($(date +%s) + SECONDS_MAX))
	while kill -0 $machine 2> /dev/null && [ "$(date +%s)" -lt $end ] && [ -z "$(last_line)" ] &&
		! grep -aq '"panic"\|"stats"\|"error"' "$work/com2"; do
		sleep 0.5
	done
	kill -KILL $machine 2> /dev/null
	wait $machine 2> /dev/null
	machine=
}

# run WHAT LINE...: every test must pass.
run()
{
	what=$1
	shift
	image "$@"
	start
	case $(last_line) in
	'paging-test: '[1-9]*' passed, 0 failed, '*)
		echo "bochs, $what: $(last_line)"
		return
		;;
	esac
	failures=$((failures + 1))
	echo "FAILED: bochs, $what"
	grep -av '^ok' "$work/com1" | tail -n 20 | sed 's/^/  guest: /'
	tail -n 20 "$work/com2" | cut -c 1-200 | sed 's/^/  hypervisor: /'
	grep -a PANIC "$work/log" | tail -n 3 | sed 's/^/  bochs: /'
}

# under_umbra TESTS: under shadow paging.
under_umbra()
{
	run "shadow paging, $1" 'multiboot /boot/umbra-hv.bin reserve=16' \
		"module /boot/paging-test.elf paging-test.elf row=shadow only=$1"
}

run 'no hypervisor, task_*' 'multiboot /boot/paging-test.elf paging-test.elf only=task_*'
under_umbra 'task_*'
under_umbra 'pae.pdptes*'
[ "$failures" -eq 0 ] || exit 1
