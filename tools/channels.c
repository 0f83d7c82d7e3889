/* SPDX-License-Identifier: MIT */
/* Makes the lines to QEMU. Must not know what travels on them. */
#include "tools/channels.h"

#include "tools/say.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define N_SERIAL   CHANNEL_QMP
#define FIFO_BYTES (1 << 20)

static const char *const channel_names[CHANNEL_COUNT] = {
	[CHANNEL_CONSOLE] = "console",
	[CHANNEL_MONITOR] = "monitor",
	[CHANNEL_COMMAND] = "command",
	[CHANNEL_QMP] = "qmp",
};

/* What QEMU's pipe device adds to a path for its input and its output. */
static const char *const fifo_suffixes[] = {"in", "out"};

static char *fifo_path(const struct channels *channels, unsigned channel, unsigned direction)
{
	return make_text(
		"%s/%s.%s", channels->directory, channel_names[channel], fifo_suffixes[direction]);
}

/* Open for both directions, so that it has a reader and a writer whatever QEMU does. */
static int open_fifo(const struct channels *channels, unsigned channel, unsigned direction)
{
	char *path = fifo_path(channels, channel, direction);
	int fd = -1;

	if (mkfifo(path, 0600) == 0)
		fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd >= 0)
		fcntl(fd, F_SETPIPE_SZ, FIFO_BYTES); /* if not, it is as large as it is */
	free(path);
	return fd;
}

static bool open_all(struct channels *channels)
{
	int pair[2];

	for (unsigned i = 0; i < N_SERIAL; i++) {
		channels->to[i] = open_fifo(channels, i, 0);
		channels->from[i] = open_fifo(channels, i, 1);
		if (channels->to[i] < 0 || channels->from[i] < 0)
			return false;
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
		return false;
	channels->from[CHANNEL_QMP] = channels->to[CHANNEL_QMP] = pair[0];
	channels->far_qmp = pair[1];
	fcntl(pair[0], F_SETFL, O_NONBLOCK);
	return true;
}

int channels_open(struct channels *channels)
{
	const char *parent = getenv("TMPDIR");

	*channels = (struct channels){.far_qmp = -1};
	for (unsigned i = 0; i < CHANNEL_COUNT; i++)
		channels->from[i] = channels->to[i] = -1;
	channels->directory = make_text("%s/umbra-XXXXXX", parent ? parent : "/tmp");
	if (!mkdtemp(channels->directory)) {
		say_error("cannot make a directory like %s (%s); set TMPDIR to one that can be "
			  "written",
			channels->directory, strerror(errno));
		free(channels->directory);
		channels->directory = NULL;
		return EXIT_CANNOT_WRITE;
	}
	if (open_all(channels))
		return EXIT_OK;
	say_error("cannot make the lines to QEMU in %s (%s); set TMPDIR to a directory of another "
		  "file system, or raise ulimit -n",
		channels->directory, strerror(errno));
	return EXIT_CANNOT_WRITE;
}

void channels_escape(struct bytes *list, const char *text)
{
	for (; *text; text++) {
		if (*text == ',')
			bytes_add(list, text, 1);
		bytes_add(list, text, 1);
	}
}

static void add_option(struct words *argv, const char *option, struct bytes *value)
{
	bytes_add(value, "", 1);
	words_add(argv, option);
	words_add(argv, bytes_front(value));
	bytes_free(value);
}

void channels_arguments(const struct channels *channels, struct words *argv)
{
	char *qmp = make_text("socket,id=%s,fd=%d", channel_names[CHANNEL_QMP], channels->far_qmp);
	struct bytes value = {0};

	for (unsigned i = 0; i < N_SERIAL; i++) {
		bytes_add_text(&value, "pipe,id=");
		bytes_add_text(&value, channel_names[i]);
		bytes_add_text(&value, ",path=");
		channels_escape(&value, channels->directory);
		bytes_add_text(&value, "/");
		bytes_add_text(&value, channel_names[i]);
		add_option(argv, "-chardev", &value);
		bytes_add_text(&value, "chardev:");
		bytes_add_text(&value, channel_names[i]);
		add_option(argv, "-serial", &value);
	}
	bytes_add_text(&value, qmp);
	add_option(argv, "-chardev", &value);
	bytes_add_text(&value, "chardev=qmp,mode=control");
	add_option(argv, "-mon", &value);
	free(qmp);
}

void channels_hide(struct channels *channels)
{
	if (!channels->directory)
		return;
	for (unsigned i = 0; i < N_SERIAL; i++) {
		for (unsigned direction = 0; direction < 2; direction++) {
			char *path = fifo_path(channels, i, direction);

			unlink(path);
			free(path);
		}
	}
	rmdir(channels->directory);
	free(channels->directory);
	channels->directory = NULL;
}

void channels_close(struct channels *channels)
{
	channels_hide(channels);
	for (unsigned i = 0; i < CHANNEL_COUNT; i++) {
		if (channels->from[i] >= 0)
			close(channels->from[i]);
		if (channels->to[i] >= 0 && channels->to[i] != channels->from[i])
			close(channels->to[i]);
	}
	if (channels->far_qmp >= 0)
		close(channels->far_qmp);
}
