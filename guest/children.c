/* SPDX-License-Identifier: MIT */
/*
 * Owns the signals of the first process: the end of children, and requests to end the machine.
 */
#include "guest/children.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

/* What busybox's commands send to process 1. */
enum {
	SIGNAL_HALT = SIGUSR1,
	SIGNAL_POWER_OFF = SIGUSR2,
	SIGNAL_REBOOT = SIGTERM,
};

static sigset_t watched_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGNAL_HALT);
	sigaddset(&set, SIGNAL_POWER_OFF);
	sigaddset(&set, SIGNAL_REBOOT);
	return set;
}

static _Noreturn void end_machine(int how)
{
	sync();
	reboot(how);
	/* Only where the kernel cannot switch the machine off. */
	for (;;)
		pause();
}

void machine_power_off(void)
{
	end_machine(RB_POWER_OFF);
}

void machine_fail(const char *what, const char *why)
{
	fprintf(stderr, "init: %s: %s\n", what, why);
	machine_power_off();
}

int children_watch(void)
{
	sigset_t set = watched_signals();
	int fd;

	signal(SIGPIPE, SIG_IGN);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC);
	if (fd < 0)
		machine_fail("signalfd", strerror(errno));
	return fd;
}

pid_t children_fork(void)
{
	sigset_t set = watched_signals();
	pid_t pid = fork();

	if (pid < 0)
		machine_fail("fork", strerror(errno));
	if (pid == 0) {
		signal(SIGPIPE, SIG_DFL);
		sigprocmask(SIG_UNBLOCK, &set, NULL);
		setsid();
	}
	return pid;
}

static void obey(uint32_t signal_number)
{
	if (signal_number == SIGNAL_HALT || signal_number == SIGNAL_POWER_OFF)
		end_machine(RB_POWER_OFF);
	if (signal_number == SIGNAL_REBOOT)
		end_machine(RB_AUTOBOOT);
}

bool children_check(int watch, pid_t child, int *status)
{
	struct signalfd_siginfo news;
	bool ended = false;
	pid_t pid;
	int how;

	if (read(watch, &news, sizeof(news)) == (ssize_t)sizeof(news))
		obey(news.ssi_signo);
	while ((pid = waitpid(-1, &how, WNOHANG)) > 0) {
		if (pid != child)
			continue;
		ended = true;
		*status = WIFSIGNALED(how) ? 128 + WTERMSIG(how) : WEXITSTATUS(how);
	}
	return ended;
}
