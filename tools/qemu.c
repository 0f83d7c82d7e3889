/* SPDX-License-Identifier: MIT */
/*
 * Starts QEMU. The lines to it are socket pairs, not files: nothing to remove, nobody else can
 * connect. Must not know what travels on them.
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
#include <sys/socket.h>
#include <unistd.h>

static const char *const channel_names[CHANNEL_COUNT] = {
	[CHANNEL_CONSOLE] = "console",
	[CHANNEL_MONITOR] = "monitor",
	[CHANNEL_COMMAND] = "command",
	[CHANNEL_QMP] = "qmp",
};

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

static void add_channels(struct words *argv, const int *fds)
{
	for (unsigned i = 0; i < CHANNEL_COUNT; i++)
		add_pair(argv, "-chardev",
			make_text("socket,id=%s,fd=%d", channel_names[i], fds[i]));
	for (unsigned i = CHANNEL_CONSOLE; i <= CHANNEL_COMMAND; i++)
		add_pair(argv, "-serial", make_text("chardev:%s", channel_names[i]));
	add_pair(argv, "-mon", make_text("chardev=%s,mode=control", channel_names[CHANNEL_QMP]));
}

/* Commas divide modules in -initrd; one inside a name or an argument is doubled. */
static void add_escaped(struct bytes *list, const char *text)
{
	for (; *text; text++) {
		if (*text == ',')
			bytes_add(list, text, 1);
		bytes_add(list, text, 1);
	}
}

static char *guest_command_line(const struct machine_config *config, const struct boot_image *image)
{
	if (image->kernel.kind != KERNEL_LINUX)
		return copy_text(config->append);
	return make_text("console=ttyS0 nokaslr panic=-1 umbra.clock=%s umbra.marks=%d%s%s",
		config->icount ? "tsc" : "ns", config->marks ? 1 : 0, config->append[0] ? " " : "",
		config->append);
}

/* -initrd: with the hypervisor the guest's kernel and its command line are its first module. */
static void add_modules(
	struct words *argv, const struct boot_image *image, const char *command_line)
{
	struct bytes list = {0};

	if (image->hypervisor) {
		add_escaped(&list, image->kernel_name);
		bytes_add_text(&list, " ");
		add_escaped(&list, command_line);
	}
	for (size_t i = 0; i < image->modules.count; i++) {
		if (bytes_count(&list) > 0)
			bytes_add_text(&list, ",");
		add_escaped(&list, image->modules.word[i]);
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
			make_text("paging=%s reserve=%u%s%s monitor=0x2f8",
				paging_names[config->paging], config_reserve_mib(config),
				config->policy[0] ? " policy=" : "", config->policy));
	} else {
		add_pair(argv, "-kernel", copy_text(image->kernel_name));
		add_pair(argv, "-append", copy_text(command_line));
	}
	add_modules(argv, image, command_line);
	free(command_line);
}

void qemu_arguments(struct words *argv, const char *program, const struct machine_config *config,
	const struct boot_image *image, const int *fds)
{
	words_add(argv, program);
	add_all(argv, fixed_arguments);
	add_pair(argv, "-accel", copy_text(accel_names[config->accel]));
	add_pair(argv, "-cpu", copy_text(config_cpu(config)));
	add_pair(argv, "-m", make_text("%uM", config->mem_mib + config_reserve_mib(config)));
	if (config->icount)
		add_all(argv, icount_arguments);
	add_channels(argv, fds);
	add_boot(argv, config, image);
	for (size_t i = 0; i < config->qemu_arguments.count; i++)
		words_add(argv, config->qemu_arguments.word[i]);
}

/* In the child: become QEMU. Only the first error matters, so none is checked but the last. */
static _Noreturn void become_qemu(
	char *const *argv, const struct boot_image *image, const int *fds, int errors, pid_t parent)
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
	for (unsigned i = 0; i < CHANNEL_COUNT; i++)
		fcntl(fds[i], F_SETFD, 0);
	for (unsigned i = 0; i < image->n_inherited; i++)
		fcntl(image->inherited[i], F_SETFD, 0);
	execv(argv[0], argv);
	dprintf(STDERR_FILENO, "cannot execute %s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

static bool open_channels(struct qemu *qemu, int *fds, int *errors)
{
	int pair[2];

	for (unsigned i = 0; i < CHANNEL_COUNT; i++) {
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
			return false;
		qemu->channel[i] = pair[0];
		fds[i] = pair[1];
		fcntl(pair[0], F_SETFL, O_NONBLOCK);
	}
	if (pipe2(pair, O_CLOEXEC) != 0)
		return false;
	qemu->errors = pair[0];
	*errors = pair[1];
	fcntl(pair[0], F_SETFL, O_NONBLOCK);
	return true;
}

int qemu_start(
	struct qemu *qemu, const struct machine_config *config, const struct boot_image *image)
{
	char *program = path_qemu();
	pid_t parent = getpid();
	struct words argv = {0};
	int fds[CHANNEL_COUNT];
	int errors;

	if (!program) {
		say_error("QEMU is missing: there is no qemu-system-x86_64 in the PATH and none at "
			  "UMBRA_QEMU; "
			  "install it (Debian: apt install qemu-system-x86)");
		return EXIT_NO_QEMU;
	}
	if (!open_channels(qemu, fds, &errors)) {
		say_error(
			"cannot make the lines to QEMU (%m); close some files or raise ulimit -n");
		free(program);
		return EXIT_NO_QEMU;
	}
	qemu_arguments(&argv, program, config, image, fds);
	qemu->pid = fork();
	if (qemu->pid == 0)
		become_qemu(argv.word, image, fds, errors, parent);
	for (unsigned i = 0; i < CHANNEL_COUNT; i++)
		close(fds[i]);
	close(errors);
	words_free(&argv);
	free(program);
	if (qemu->pid > 0)
		return EXIT_OK;
	say_error("cannot start QEMU (%m); end some processes and try again");
	qemu_close(qemu);
	return EXIT_NO_QEMU;
}

void qemu_close(struct qemu *qemu)
{
	for (unsigned i = 0; i < CHANNEL_COUNT; i++)
		close(qemu->channel[i]);
	close(qemu->errors);
}
