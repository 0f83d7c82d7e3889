/* SPDX-License-Identifier: MIT */
/*
 * What the command says to its user, and the exit codes it may end with.
 *
 * An error sentence says what failed, why, and what to do about it. Everything goes to standard
 * error: standard output belongs to the guest.
 */
#ifndef TOOLS_SAY_H
#define TOOLS_SAY_H

/* Codes from 64 on are those of sysexits.h where one fits. A guest command's own status may be any
 * of these too, as with ssh: the sentence on standard error tells them apart. */
enum exit_code {
	EXIT_OK = 0,
	EXIT_ROW_FAILED =
		1,       /* bench: no row could be measured to its end, for reasons already said */
	EXIT_USAGE = 64, /* wrong options */
	EXIT_BAD_FILE = 65,   /* an input file is not what it should be */
	EXIT_NO_FILE = 66,    /* an input file is missing or cannot be read */
	EXIT_NO_QEMU = 69,    /* QEMU, or KVM if asked for, is not there */
	EXIT_PANIC = 70,      /* the hypervisor panicked */
	EXIT_GUEST_DIED = 71, /* the guest stopped before its work was done */
	EXIT_CANNOT_WRITE = 74,
	EXIT_CONFIG = 78, /* QEMU or the hypervisor cannot work with this configuration */
	EXIT_TIMED_OUT = 124,
	EXIT_BY_SIGNAL = 128, /* plus the signal's number */
};

/* "umbra: ...": something went wrong. */
void say_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The same form for what is good to know but no failure. */
void say_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
