/* SPDX-License-Identifier: MIT */
/*
 * What the first process owes the others: reaping them all, and carrying out the requests that
 * poweroff(8), halt(8) and reboot(8) of busybox send it as signals.
 */
#ifndef GUEST_CHILDREN_H
#define GUEST_CHILDREN_H

#include <stdbool.h>
#include <sys/types.h>

/* Call once, before the first child. Gives a file descriptor that is readable when
 * children_check() has something to do; never closed. */
int children_watch(void);

/* fork(), with a session of its own and ordinary signals for the child. Ends the machine on
 * failure. */
pid_t children_fork(void);

/* Wait on @watch for news, then reap whoever has ended. A request to power off or reboot is carried
 * out here, without return. Returns true when @child was among them, with its status as a shell
 * would say it: 128 + N when signal N killed it. */
bool children_check(int watch, pid_t child, int *status);

/* End the machine; everything written is on its way out already. */
_Noreturn void machine_power_off(void);

/* "init: @what: @why" on the console, then power off: there is nobody to return an error to. */
_Noreturn void machine_fail(const char *what, const char *why);

#endif
