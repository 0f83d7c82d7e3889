/* SPDX-License-Identifier: MIT */
/*
 * /init, the first process of the guest: mounts what a command expects, runs the one command it was
 * given (on the second serial line, see relay.h) or an interactive shell (on the console), and
 * switches the machine off when that has ended.
 *
 * The command comes as a file, /umbra/argv, in an archive added to the initrd: the words of the
 * command, each ended by a NUL.
 */
#include "guest/children.h"
#include "guest/relay.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <unistd.h>

static const char console_path[] = "/dev/ttyS0";
static const char command_line_path[] = "/dev/ttyS2";
static const char argv_path[] = "/umbra/argv";

struct mount_point {
	const char *type;
	const char *where;
};

static const struct mount_point mount_points[] = {
	{.type = "proc", .where = "/proc"},
	{.type = "sysfs", .where = "/sys"},
	{.type = "devtmpfs", .where = "/dev"},
	{.type = "tmpfs", .where = "/tmp"},
};

static void mount_all(void)
{
	for (size_t i = 0; i < sizeof(mount_points) / sizeof(mount_points[0]); i++) {
		const struct mount_point *m = &mount_points[i];

		if (mount(m->type, m->where, m->type, 0, NULL) != 0)
			fprintf(stderr, "init: cannot mount %s: %s\n", m->where, strerror(errno));
	}
}

static void set_environment(void)
{
	setenv("PATH", "/bin", 1);
	setenv("HOME", "/root", 1);
	setenv("PS1", "\\h:\\w\\$ ", 1);
	sethostname("guest", strlen("guest"));
}

/* Gives the whole file, ended by a NUL, and its length without that; NULL when there is none. */
static char *read_file(const char *path, size_t *len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *bytes = NULL;
	ssize_t n;

	*len = 0;
	if (fd < 0)
		return NULL;
	do {
		bytes = realloc(bytes, *len + BUFSIZ + 1);
		if (!bytes)
			machine_fail(path, "too long for the guest's memory");
		n = read(fd, bytes + *len, BUFSIZ);
		*len += n > 0 ? (size_t)n : 0;
	} while (n > 0);
	if (n < 0)
		machine_fail(path, strerror(errno));
	bytes[*len] = '\0';
	close(fd);
	return bytes;
}

/* Gives the words, NULL-terminated; they stay in @bytes. */
static char **split_words(char *bytes, size_t len)
{
	char *end = bytes + len;
	char **words = calloc(len + 2, sizeof(*words));
	size_t n = 0;

	if (!words)
		machine_fail(argv_path, "too long for the guest's memory");
	for (char *word = bytes; word < end; word += strlen(word) + 1)
		words[n++] = word;
	if (n == 0)
		machine_fail(argv_path, "is empty: no command to run");
	return words;
}

static const char welcome[] =
	"\nThis shell runs in the guest: try demo, mmubench --list. exit ends it.\n";

static _Noreturn void shell_exec(void)
{
	char *argv[] = {"-sh", NULL};
	int fd = open(console_path, O_RDWR);

	if (fd < 0)
		fprintf(stderr, "init: %s: %s; no job control\n", console_path, strerror(errno));
	else if (ioctl(fd, TIOCSCTTY, 0) != 0)
		fprintf(stderr, "init: %s: %s; no job control\n", console_path, strerror(errno));
	for (int std = 0; fd >= 0 && std <= STDERR_FILENO; std++)
		dup2(fd, std);
	if (fd > STDERR_FILENO)
		close(fd);
	if (chdir(getenv("HOME")) != 0)
		fprintf(stderr, "init: %s: %s\n", getenv("HOME"), strerror(errno));
	dprintf(STDOUT_FILENO, "%s", welcome);
	execv("/bin/sh", argv);
	fprintf(stderr, "init: /bin/sh: %s\n", strerror(errno));
	_exit(127);
}

static void shell_run(int watch)
{
	pid_t shell = children_fork();
	int status;

	if (shell == 0)
		shell_exec();
	while (!children_check(watch, shell, &status))
		continue;
}

int main(void)
{
	size_t len;
	char *bytes;
	int watch;

	mount_all();
	set_environment();
	watch = children_watch();
	bytes = read_file(argv_path, &len);
	if (bytes)
		relay_run(split_words(bytes, len), command_line_path, watch);
	else
		shell_run(watch);
	machine_power_off();
}
