#!/bin/sh
# SPDX-License-Identifier: MIT
# The umbra command from outside: what it says, what it exits with, what it leaves behind. QEMU is
# played by fake_qemu, a step a line of the script.
# Usage: test_command.sh UMBRA FAKE_QEMU
set -u

umbra=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
UMBRA_QEMU=$2
UMBRA_DATA=$work/data
FAKE_SCRIPT=$work/script
FAKE_ARGV=$work/argv
FAKE_PID=$work/pid
FAKE_FILE=$work/file
TMPDIR=$work/tmp,dir
mkdir "$TMPDIR"
export TMPDIR UMBRA_QEMU UMBRA_DATA FAKE_SCRIPT FAKE_ARGV FAKE_PID FAKE_FILE
failures=0

fail()
{
	failures=$((failures + 1))
	echo "FAILED: $rule: $*"
	sed 's/^/  stdout: /' "$work/out" | head -20
	sed 's/^/  stderr: /' "$work/err" | head -20
}

# script TEXT: what the fake QEMU does next.
script()
{
	printf '%s\n' "$1" > "$work/script"
}

# run WORD...: the command with nothing to read; its status in $status.
run()
{
	timeout -s KILL 20 "$umbra" "$@" > "$work/out" 2> "$work/err" < /dev/null
	status=$?
}

expect_status()
{
	[ "$status" -eq "$1" ] || fail "status $status, not $1"
}

# expect_out TEXT: all of standard output.
expect_out()
{
	printf '%s' "$1" | cmp -s - "$work/out" || fail "standard output is not \"$1\""
}

# expect_says WORDS: somewhere on standard error.
expect_says()
{
	grep -qF -- "$1" "$work/err" || fail "standard error does not say \"$1\""
}

expect_silent()
{
	[ ! -s "$work/err" ] || fail "standard error is not empty"
}

expect_argument()
{
	grep -qxF -- "$1" "$work/argv" ||
		fail "QEMU was not given \"$1\" but $(tr '\n' ' ' < "$work/argv")"
}

# bzimage XLOADFLAGS: a file that begins like one: pref_address 16 MiB, init_size 32 MiB.
bzimage()
{
	head -c 510 /dev/zero
	printf '\125\252\0\0HdrS\017\002'
	head -c 46 /dev/zero
	# shellcheck disable=SC2059
	printf "$1"
	head -c 33 /dev/zero
	printf '\0\0\0\001\0\0\0\0\0\0\0\002'
	head -c 4096 /dev/zero
}

make_data()
{
	mkdir -p "$work/data/guest"
	bzimage '\001' > "$work/data/guest/vmlinuz"
	printf 'initrd' > "$work/data/guest/initrd.cpio.gz"
	printf 'program' > "$work/data/guest/bootclock"
	printf 'hypervisor' > "$work/data/umbra-hv.bin"
	{
		printf '\177ELF\001\0\0\0\002\260\255\033\0\0\0\0\376\117\122\344'
		head -c 100 /dev/zero
	} > "$work/multiboot"
}

opened='command \x01UMBRA\x02\n'
counts='"exits":{"pf":10,"cr3":2,"total":12}'
counts=$counts',"mmu":{"pf_taken":9,"pf_fixed":7,"pf_guest":2,"mmu_unsync":3,"shadow_pages":5}'
stats_line="{\"type\":\"stats\",\"reason\":\"poweroff\",$counts,\"guest_ns\":77}"

make_data

rule='wrong usage ends with 64 and says what to do'
for words in '' 'frobnicate' 'run --nonsense' 'run --mem' 'run --mem 12x' \
	'run --mem 0' 'run --paging ept' 'run --icount=1' 'run word' 'run --' 'run --smp 2' \
	'run --policy nonsense=on' 'run --icount --accel kvm' 'bench --rows none,vax' 'bench --rows npt:oos=off' 'bench --rows shadow:oos=x' 'bench -- x' \
	'bench --repeat 0' 'help nonsense'; do
	# Word splitting is meant.
	# shellcheck disable=SC2086
	run $words
	expect_status 64
	expect_says 'umbra: '
	expect_out ''
done

rule='help and version go to standard output'
for words in 'help' '--help' 'run --help' 'bench --help' 'help run' '--version'; do
	# shellcheck disable=SC2086
	run $words
	expect_status 0
	expect_silent
	grep -q umbra "$work/out" || fail "no help for: $words"
done
run run --help
grep -q 'cache=on|off' "$work/out" || fail 'the policy keys are not in the help'

rule='a missing file ends with 66, a file of another kind with 65, too little memory with 78'
script 'exit 0'
run run --kernel "$work/nothing" -- true
expect_status 66
expect_says "$work/nothing (No such file"
run run --initrd "$work/nothing" -- true
expect_status 66
run run --kernel "$0" -- true
expect_status 65
expect_says 'is no kernel'
run run --mem 72 -- true
expect_status 78
expect_says '--mem 73'
run run --kernel "$work/multiboot" -- true
expect_status 64
run run --log "$work/no/where" -- true
expect_status 74
run run --stats "$work/no/where" -- true
expect_status 74
UMBRA_QEMU=$work/nothing run run -- true
expect_status 69
expect_says 'apt install'
UMBRA_DATA=$work/nothing run run -- true
expect_status 66
expect_says 'run make, or'
run run --kernel i686 -- true
expect_status 66
expect_says 'run make guests'
run run --kernel i687 -- true
expect_status 66
expect_says 'give --kernel a file, or one of amd64, i686-pae, i686'

run bench --against "$work/nothing"
expect_status 66
expect_says "check the name given with --against"
run bench --against "$0"
expect_status 65
expect_says "is not what umbra bench --json writes"

rule='the output and status of the command are ours, and nothing else is printed'
script "console boot messages\\n
monitor {\"type\":\"hello\",\"version\":\"1\"}\\n
${opened}one\\x01\\x01\\ntwo
monitor $stats_line\\n
command \\x01EXIT 7\\n
exit 0"
run run -- anything
expect_status 7
expect_out "one$(printf '\001')
two"
expect_silent

rule='QEMU gets the machine that was asked for'
ln "$work/data/guest/initrd.cpio.gz" "$work/a module,x"
run run --mem 2032 --policy oos=off,cache=off --append 'a=1,2 b' --cpu Model --qemu-arg -extra \
	-- anything
expect_argument "$work/data/umbra-hv.bin"
expect_argument 'paging=shadow reserve=55 policy=oos=off,cache=off monitor=0x2f8'
expect_argument 2087M
expect_argument Model
expect_argument -extra
linux='console=ttyS0 nokaslr panic=-1 umbra.clock'
grep -q "^$work/data/guest/vmlinuz $linux=ns umbra.marks=0 a=1,,2 b,/proc/self/fd/[0-9]*$" \
	"$work/argv" || fail "modules: $(grep vmlinuz "$work/argv")"
run run --paging none --icount --initrd "$work/a module,x" --initrd "$work/a module,x" \
	--append 'a=1,2' -- two 'w  ords'
printf 'initrd\0\0initrd\0\0' | cmp -n 16 - "$work/file" || fail 'the archives are not joined'
words=$(tail -c +17 "$work/file" | cpio --quiet -i --to-stdout umbra/argv | tr '\0' '|')
[ "$words" = 'two|w  ords|' ] || fail "the command's words became $words"
expect_argument "$work/data/guest/vmlinuz"
expect_argument "$linux=tsc umbra.marks=0 a=1,2"
expect_argument 512M
expect_argument 'shift=0,sleep=off'
run run --kernel "$work/multiboot" --initrd "$work/multiboot" --initrd "$work/a module,x" \
	--append 'words'
grep -q "^$work/multiboot words,$work/multiboot,/proc/self/fd/[0-9]*$" "$work/argv" ||
	fail "modules: $(grep multiboot "$work/argv")"
cmp "$work/a module,x" "$work/file" || fail 'QEMU cannot read a module whose name has a space'
run run --kernel "$work/multiboot" --initrd "$work/multiboot some, words"
grep -q "^$work/multiboot ,$work/multiboot some,, words$" "$work/argv" ||
	fail "a module's words: $(grep multiboot "$work/argv")"
run run --kernel "$work/multiboot" --initrd "$work/nothing some words"
expect_status 66
expect_says "cannot read $work/nothing (No such file"

rule='a 32-bit kernel, by its name or as a file, gets the 32-bit initial file system'
bzimage '\004' > "$work/data/guest/vmlinuz-i686"
ln "$work/data/guest/vmlinuz-i686" "$work/data/guest/vmlinuz-i686-pae"
printf '32-bit' > "$work/data/guest/initrd-i686.cpio.gz"
script "${opened}\\x01EXIT 0\\n
exit 0"
for kernel in i686 i686-pae "$work/data/guest/vmlinuz-i686"; do
	run run --kernel "$kernel" -- two
	expect_status 0
	head -c 6 "$work/file" | grep -qx 32-bit || fail "$kernel does not get it"
done
expect_argument 'paging=shadow reserve=44 monitor=0x2f8'
grep -q "^$work/data/guest/vmlinuz-i686 $linux" "$work/argv" || fail 'it is not the kernel'
run run --kernel amd64 -- two
head -c 6 "$work/file" | grep -qx initrd || fail 'the 64-bit kernel has another'

rule='and the program that reads the clock of its boot is a 32-bit one'
printf 'program32' > "$work/data/guest/bootclock-i686"
for kernel in i686 amd64; do
	run bench --icount --rows none --ops boot --kernel $kernel
	tail -c +9 "$work/file" | cpio --quiet -i --to-stdout umbra/bootclock \
		> "$work/program.$kernel"
done
[ "$(cat "$work/program.i686")" = program32 ] || fail 'it is not for i686'
[ "$(cat "$work/program.amd64")" = program ] || fail 'it is not for amd64'

rule='standard input reaches the command whole, with its end'
script "$opened
echo
command \\x01EXIT 0\\n
exit 0"
head -c 300000 /dev/urandom > "$work/random"
timeout -s KILL 20 "$umbra" run -- cat < "$work/random" > "$work/out" 2> "$work/err"
status=$?
expect_status 0
cmp "$work/random" "$work/out" || fail 'what came back is not what was sent'

rule='a slow reader gets everything, is waited for, and the monitor is read meanwhile'
script "$opened
flood command 60000
flood monitor 60000
flood command 60000
monitor $stats_line\\n
command \\x01EXIT 3\\n
exit 0"
{
	timeout -s KILL 60 "$umbra" run --stats "$work/stats" -- anything 2> "$work/err"
	echo $? > "$work/status"
} | {
	sleep 2
	ls -d "/proc/$(cat "$work/pid")" > "$work/waits" 2>&1
	wc -c > "$work/out"
}
status=$(cat "$work/status")
expect_status 3
grep -qx '/proc/[0-9]*' "$work/waits" || fail 'output is taken in without limit'
[ "$(cat "$work/out")" -eq 7680000 ] || fail "$(cat "$work/out") bytes came, not 7680000"
tr -d ' \n' < "$work/stats" | grep -qF "{$counts,\"guest_ns\":77}" ||
	fail "statistics: $(cat "$work/stats")"

rule='the end of our reader ends the machine'
script "$opened
flood command 100000
hang"
{
	timeout -s KILL 20 "$umbra" run -- anything 2> "$work/err"
	echo $? > "$work/status"
} | head -1 > "$work/out"
status=$(cat "$work/status")
expect_status 141

rule='a panic of the hypervisor is reported and ends with 70'
script 'monitor {"type":"panic","text":"assertion failed","file":"x.c","line":5}\n
monitor {"type":"panic","text":"registers","rax":16}\n
exit 71'
run run --kernel "$work/data/guest/vmlinuz" -- true
expect_status 70
expect_says 'assertion failed file="x.c" line=5'
expect_says 'registers rax=16'

rule='a configuration that the hypervisor refuses ends with 78 and its words'
script 'monitor {"type":"error","text":"this CPU has no SVM; Umbra needs it; choose --cpu EPYC"}\n
exit 65'
run run -- true
expect_status 78
expect_says 'this CPU has no SVM; Umbra needs it; choose --cpu EPYC'

rule='a QEMU that refuses the machine ends with 78 and its words'
script refuse
run run -- true
expect_status 78
expect_says 'such a machine cannot be'

rule='a guest that dies ends with 71 and the tail of its console'
script 'console Kernel panic - not syncing\n
qmp {"event":"SHUTDOWN","data":{"guest":true,"reason":"guest-reset"}}\n
exit 0'
run run --log "$work/log" -- true
expect_status 71
expect_says '| Kernel panic - not syncing'
expect_says 'reset the machine'
grep -qx 'Kernel panic - not syncing' "$work/log" || fail 'the log lacks the console'
script "monitor {\"type\":\"stats\",\"reason\":\"shutdown\",$counts,\"guest_ns\":1}\\n
exit 67"
run run -- true
expect_status 71
expect_says 'triple-faulted'

rule='broken framing ends with 71'
script "$opened\\x01WHAT\\n
hang"
run run -- true
expect_status 71
expect_says framing

rule="a multiboot kernel's own exit code is ours, its console our output"
script 'console hello from a kernel\n
exit 33'
run run --kernel "$work/multiboot"
expect_status 33
expect_out 'hello from a kernel
'
for code in 65 67 71; do
	script "monitor {\"type\":\"stats\",\"reason\":\"debug-exit\",$counts,\"guest_ns\":1}\\n
exit $code"
	run run --kernel "$work/multiboot"
	expect_status $code
	expect_silent
done

rule='a time-out ends with 124, even if QEMU does not want to end'
script 'stubborn
console still here\n
hang'
run run --timeout 1 -- true
expect_status 124
expect_says 'still here'
[ ! -e "/proc/$(cat "$work/pid")" ] || fail 'QEMU is still there'

# start: the command in the background; in $job, once the fake QEMU runs.
start()
{
	rm -f "$work/pid"
	"$umbra" run -- anything > "$work/out" 2> "$work/err" < /dev/null &
	job=$!
	until [ -s "$work/pid" ]; do
		sleep 0.05
	done
}

rule='a signal ends the machine and us'
for signal in TERM:143 HUP:129 INT:130; do
	script hang
	# Of an asynchronous shell job SIGINT is ignored from birth; ours must not be.
	start
	kill "-${signal%:*}" "$job"
	wait "$job"
	status=$?
	expect_status "${signal#*:}"
	[ ! -e "/proc/$(cat "$work/pid")" ] || fail 'QEMU is still there'
done

rule='QEMU does not outlive us when we are killed'
script hang
start
sleep 0.3
kill -KILL "$job"
wait "$job" 2> /dev/null
sleep 0.2
state=$(sed -n 's/^State:[[:space:]]*//p' "/proc/$(cat "$work/pid")/status" 2> /dev/null)
case $state in
'' | Z*) ;;
*) fail "QEMU is still there: $state" ;;
esac

rule='what lies in the lines when QEMU has ended is not lost'
script "stop-umbra
$opened
flood command 1200
command \\x01EXIT 9\\n
exit 0"
start
sleep 0.3
kill -CONT "$job"
wait "$job"
status=$?
expect_status 9
[ "$(wc -l < "$work/out")" -eq 1200 ] || fail "$(wc -l < "$work/out") lines came, not 1200"

rule='SIGUSR1 shows statistics, asked for in the right order'
script "$opened
await-stats
monitor {\"type\":\"stats\",\"reason\":\"request\",$counts,\"guest_ns\":5000000000}\\n
sleep 200
command \\x01EXIT 0\\n
exit 0"
start
kill -USR1 "$job"
wait "$job"
status=$?
expect_status 0
expect_says '5.0 s of guest time'
expect_says 'pf 10, cr3 2'
expect_says 'fixed 7, guest 2'

rule='statistics are asked for before a machine is stopped'
script "$opened
await-stats
monitor {\"type\":\"stats\",\"reason\":\"request\",$counts,\"guest_ns\":5}\\n
hang"
run run --timeout 1 --stats "$work/stats" -- true
expect_status 124
tr -d ' \n' < "$work/stats" | grep -qF '"guest_ns":5' || fail "statistics: $(cat "$work/stats")"

rule='without terminal and command the demonstration runs, and statistics follow'
script "${opened}demonstration\\n
monitor $stats_line\\n
command \\x01EXIT 0\\n
exit 0"
run run
expect_status 0
expect_out 'demonstration
'
expect_says 'pf 10, cr3 2'

mark()
{
	printf 'monitor {"type":"mark","id":%u,' "$1"
	printf '"exits":{"pf":%u,"cr3":%u,"total":%u},"mmu":{},"tsc":1}\\n\n' "$2" "$3" "$4"
}

rule='bench counts the exits between marks and divides them'
script "$opened
command boot 1000 instructions\\n
stop-umbra
flood monitor 1200
$(mark 4 100 10 110)
$(mark 5 120 14 134)
$(mark 4 200 14 214)
$(mark 5 210 15 225)
command fork_exit 150.5 instructions\\n# fork_exit ops=10\\n
continue-umbra
command something else\\n
command getpid 3.0 instructions\\n# getpid ops=1000\\n
command \\x01EXIT 0\\n
exit 0"
run bench --icount --ops boot,fork_exit,getpid --rows none,shadow --json "$work/json"
expect_status 0
expect_says 'shadow: fork_exit 150.5 instructions'
expect_says 'the guest says: something else'
grep -Eq '^fork_exit +150.5 +150.5 +1.00 +3.50  pf 3.00, cr3 0.50$' "$work/out" ||
	fail 'the line of fork_exit'
grep -Eq '^boot +1000.0 +1000.0 +1.00 +-$' "$work/out" || fail 'the line of boot'
grep -Eq '^getpid +3.0 +3.0 +1.00 +-$' "$work/out" || fail 'the line of getpid'
grep -q '"qemu": "9.1.2"' "$work/json" || fail 'the JSON file lacks the version of QEMU'
grep -q 'umbra.clock=tsc umbra.marks=1' "$work/argv" ||
	fail 'the guest was not told of clock and marks'

rule='bench knows whose exits they are when the next operation has begun already'
script "$opened
stop-umbra
$(mark 4 100 10 110)
$(mark 5 120 14 134)
command fork_exit 150.5 instructions\\n# fork_exit ops=10\\n
$(mark 6 120 14 134)
$(mark 7 160 14 174)
continue-umbra
command getpid 3.0 instructions\\n# getpid ops=20\\n
command \\x01EXIT 0\\n
exit 0"
run bench --icount --ops fork_exit,getpid --rows shadow
expect_status 0
grep -Eq '^fork_exit +150.5 +- +2.40 ' "$work/out" || fail 'the line of fork_exit'
grep -Eq '^getpid +3.0 +- +2.00 ' "$work/out" || fail 'the line of getpid'

rule='bench boots the guest without a kernel for the operations that it has'
cp "$work/multiboot" "$work/data/guest/paging-test.elf"
script "qmp {\"QMP\":{\"version\":{\"qemu\":{\"major\":9,\"minor\":1,\"micro\":2}}}}\\n
stop-umbra
$(mark 4 100 10 110)
$(mark 5 120 14 134)
console highpte_scan_pae 15.0 instructions\\n# highpte_scan_pae ops=10\\n
continue-umbra
exit 0"
run bench --icount --ops highpte_scan_pae --rows shadow
expect_status 0
expect_says 'shadow-bare: highpte_scan_pae 15.0 instructions'
grep -Eq '^highpte_scan_pae +15.0 +- +2.40 ' "$work/out" || fail 'the line of highpte_scan_pae'
grep -q 'bench=highpte_scan_pae clock=tsc marks' "$work/argv" || fail 'the guest was not told'
rm "$work/data/guest/paging-test.elf"
run bench --ops highpte_scan_pae --rows none
expect_status 66
expect_says 'row none-bare failed'

rule='bench measures the same machine under several policies'
script "$opened
command getpid 3.0 instructions\\n
command \\x01EXIT 0\\n
exit 0"
run bench --icount --ops getpid --rows none,shadow:oos=off+sticky=0 --policy prefetch=0
expect_status 0
expect_says 'shadow:oos=off+sticky=0: getpid 3.0 instructions'
grep -Eq '^getpid +3.0 +3.0 +1.00 +-$' "$work/out" || fail 'the line of getpid'
grep -q 'policy=prefetch=0,oos=off,sticky=0' "$work/argv" || fail 'the policy was not told'

rule='bench goes on after a row that fails, and ends with its code'
script "${opened}command not found\\n\\x01EXIT 127\\n
exit 0"
run bench --ops getpid --rows none,npt
expect_status 127
expect_says 'row none failed'
expect_says 'row npt failed'

rule='nothing is left behind'
[ -z "$(ls "$TMPDIR")" ] || fail "there is still $(ls "$TMPDIR")"

[ "$failures" -eq 0 ] && echo 'the umbra command: all rules hold'
[ "$failures" -eq 0 ]
