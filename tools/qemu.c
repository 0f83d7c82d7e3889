/* SPDX-License-Identifier: MIT */
/*
 * Starts QEMU. Must not know what travels on the lines to it.
 */
#include "tools/qemu.h"

#include "tools/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

/* Always there, so that the guest sees the same machine in every row. */
static const char *const fixed_arguments[] = {"-no-user-config", "-nodefaults", "-display", "none",
	"-no-reboot", "-machine", "pc", "-device", "isa-debug-exit,iobase=0xf4,iosize=0x04", NULL};

/* Deterministic to the bit: no clock but the instruction count, no random seed but this one. */
static const char *const icount_arguments[] = {"-icount", "shift=0,sleep=off", "-rtc",
	"base=2026-01-01T00:00:00,clock=vm", "-seed", "1", NULL};

static void add_all(struct words *argv, const char *const *arguments)
{
	for (; *arguments; arguments++)
		words_add(argv, *arguments);
}

/* Takes @value. */
static void add_pair(struct words *argv, const char *option, char *value)
{
	words_add(argv, option);
	words_add(argv, value);
	free(value);
}

static char *guest_command_line(const struct machine_config *config, const struct boot_image *image)
{
	if (image->kernel.kind != KERNEL_LINUX)
		return copy_text(config->append);
	return make_text("console=ttyS0 nokaslr panic=-1 umbra.clock=%s umbra.marks=%d%s%s",
		config->icount ? "tsc" : "ns", config->marks ? 1 : 0, config->append[0] ? " " : "",
		config->append);
}

/* -initrd, a list divided by commas: with the hypervisor the guest's kernel and its command line
 * are its first module. */
static void add_modules(
	struct words *argv, const struct boot_image *image, const char *command_line)
{
	struct bytes list = {0};

	if (image->hypervisor) {
		channels_escape(&list, image->kernel_name);
		bytes_add_text(&list, " ");
		channels_escape(&list, command_line);
	}
	for (size_t i = 0; i < image->modules.count; i++) {
		if (bytes_count(&list) > 0)
			bytes_add_text(&list, ",");
		channels_escape(&list, image->modules.word[i]);
	}
	bytes_add(&list, "", 1);
	if (bytes_count(&list) > 1) {
		words_add(argv, "-initrd");
		words_add(argv, bytes_front(&list));
	}
	bytes_free(&list);
}

static void add_boot(
	struct words *argv, const struct machine_config *config, const struct boot_image *image)
{
	char *command_line = guest_command_line(config, image);

	if (image->hypervisor) {
		add_pair(argv, "-kernel", copy_text(image->hypervisor));
		add_pair(argv, "-append",
			make_text("paging=%s reserve=%u%s%s%s monitor=0x2f8",
				paging_names[config->paging], config_reserve_mib(config),
				config->policy[0] ? " policy=" : "", config->policy,
				config->measure ? " measure=1" : ""));
	} else {
		add_pair(argv, "-kernel", copy_text(image->kernel_name));
		add_pair(argv, "-append", copy_text(command_line));
	}
	add_modules(argv, image, command_line);
	free(command_line);
}

void qemu_arguments(struct words *argv, const char *program, const struct machine_config *config,
	const struct boot_image *image, const struct channels *channels)
{
	words_add(argv, program);
	add_all(argv, fixed_arguments);
	add_pair(argv, "-accel", copy_text(accel_names[config->accel]));
	add_pair(argv, "-cpu", copy_text(config_cpu(config)));
	add_pair(argv, "-m", make_text("%uM", config->mem_mib + config_reserve_mib(config)));
	if (config->icount)
		add_all(argv, icount_arguments);
	channels_arguments(channels, argv);
	add_boot(argv, config, image);
	for (size_t i = 0; i < config->qemu_arguments.count; i++)
		words_add(argv, config->qemu_arguments.word[i]);
}

/* In the child: become QEMU. Only the first error matters, so none is checked but the last. */
static _Noreturn void become_qemu(
	char *const *argv, const struct boot_image *image, int far_qmp, int errors, pid_t parent)
{
	sigset_t none;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(127);
	setpgid(0, 0);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	dup2(open("/dev/null", O_RDWR | O_CLOEXEC), STDIN_FILENO);
	dup2(errors, STDOUT_FILENO);
	dup2(errors, STDERR_FILENO);
	fcntl(far_qmp, F_SETFD, 0);
	for (unsigned i = 0; i < image->n_inherited; i++)
		fcntl(image->inherited[i], F_SETFD, 0);
	execv(argv[0], argv);
	dprintf(STDERR_FILENO, "cannot execute %s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

/* With everything else there. Returns false if there is no new process. */
static bool launch(struct qemu *qemu, const char *program, const struct machine_config *config,
	const struct boot_image *image)
{
	struct words argv = {0};
	pid_t parent = getpid();
	int errors[2];

	if (pipe2(errors, O_CLOEXEC) != 0)
		return false;
	fcntl(errors[0], F_SETFL, O_NONBLOCK);
	qemu->errors = errors[0];
	qemu_arguments(&argv, program, config, image, &qemu->channels);
	qemu->pid = fork();
	if (qemu->pid == 0)
		become_qemu(argv.word, image, qemu->channels.far_qmp, errors[1], parent);
	close(errors[1]);
	words_free(&argv);
	return qemu->pid > 0;
}

int qemu_start(
	struct qemu *qemu, const struct machine_config *config, const struct boot_image *image)
{
	char *program = path_qemu();
	int code;

	*qemu = (struct qemu){.errors = -1};
	if (!program) {
		say_error("QEMU is missing: there is no qemu-system-x86_64 in the PATH and none at "
			  "UMBRA_QEMU; install it (Debian: apt install qemu-system-x86)");
		return EXIT_NO_QEMU;
	}
	code = channels_open(&qemu->channels);
	if (code == EXIT_OK && !launch(qemu, program, config, image)) {
		say_error("cannot start QEMU (%s); end some processes and try again",
			strerror(errno));
		code = EXIT_NO_QEMU;
	}
	free(program);
	if (code != EXIT_OK)
		qemu_close(qemu);
	return code;
}

void qemu_close(struct qemu *qemu)
{
	channels_close(&qemu->channels);
	if (qemu->errors >= 0)
		close(qemu->errors);
}
