/* SPDX-License-Identifier: MIT */
/*
 * Owns the way between a command's pipes and a serial line.
 *
 * No byte is lost and nothing can deadlock: the line has no flow control towards us, so it is
 * always read, into a queue without a bound; the command is read only while the line has taken all
 * before. Nothing here blocks but poll(), until the command has ended.
 */
#include "guest/relay.h"

#include "guest/children.h"
#include "guest/frame.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

enum {
	CHUNK_BYTES = 4096,
	STATUS_NOT_EXECUTABLE = 126,
	STATUS_NOT_FOUND = 127,
};

/* File descriptors are -1 once closed, which poll() passes over. */
struct relay {
	int line;
	int command_input;
	int command_output;
	struct queue input;  /* for the command */
	struct queue output; /* for the line, framed */
	struct frame_input decoder;
};

static void set_blocking(int fd, bool blocking)
{
	int flags = fcntl(fd, F_GETFL);

	fcntl(fd, F_SETFL, blocking ? flags & ~O_NONBLOCK : flags | O_NONBLOCK);
}

static int line_open(const char *path)
{
	int fd = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	struct termios raw;

	/* A port without hardware behind it can be opened, but not configured. */
	if (fd < 0 || tcgetattr(fd, &raw) != 0)
		machine_fail(path, "no such serial port; the command's output has nowhere to go");
	cfmakeraw(&raw);
	cfsetspeed(&raw, B115200);
	raw.c_cflag |= CLOCAL | CREAD;
	tcsetattr(fd, TCSANOW, &raw);
	return fd;
}

static _Noreturn void command_exec(char **argv, const int input[2], const int output[2])
{
	int error;

	dup2(input[0], STDIN_FILENO);
	dup2(output[1], STDOUT_FILENO);
	dup2(output[1], STDERR_FILENO);
	execvp(argv[0], argv);
	error = errno;
	dprintf(STDERR_FILENO, "umbra: %s: %s\n", argv[0],
		error == ENOENT ? "command not found in the guest" : strerror(error));
	_exit(error == ENOENT ? STATUS_NOT_FOUND : STATUS_NOT_EXECUTABLE);
}

static pid_t command_start(struct relay *r, char **argv)
{
	int input[2];
	int output[2];
	pid_t pid;

	if (pipe2(input, O_CLOEXEC) != 0 || pipe2(output, O_CLOEXEC) != 0)
		machine_fail("pipe", strerror(errno));
	pid = children_fork();
	if (pid == 0)
		command_exec(argv, input, output);
	close(input[0]);
	close(output[1]);
	r->command_input = input[1];
	r->command_output = output[0];
	set_blocking(r->command_input, false);
	set_blocking(r->command_output, false);
	return pid;
}

static void must_queue(bool done)
{
	if (!done)
		machine_fail("serial line", "out of memory for what the command has not read yet");
}

static void close_once(int *fd)
{
	close(*fd);
	*fd = -1;
}

static void line_write(struct relay *r)
{
	if (!queue_write(&r->output, r->line))
		machine_fail("write to the serial line", strerror(errno));
}

static void line_read(struct relay *r)
{
	char bytes[CHUNK_BYTES];
	ssize_t n = read(r->line, bytes, sizeof(bytes));

	if (n > 0)
		must_queue(frame_put_input(&r->decoder, &r->input, bytes, (size_t)n));
}

/* A command that has closed its input is no error: the rest is not for it. */
static void command_feed(struct relay *r)
{
	if (r->command_input < 0) {
		r->input.head = r->input.tail;
		return;
	}
	if (!queue_write(&r->input, r->command_input))
		close_once(&r->command_input);
	else if (r->decoder.ended && queue_len(&r->input) == 0)
		close_once(&r->command_input);
}

/* Returns how many bytes there were. */
static size_t command_read(struct relay *r)
{
	char bytes[CHUNK_BYTES];
	ssize_t n = read(r->command_output, bytes, sizeof(bytes));

	if (n > 0)
		must_queue(frame_put_output(&r->output, bytes, (size_t)n));
	if (n == 0)
		close_once(&r->command_output);
	return n > 0 ? (size_t)n : 0;
}

/* What is in the pipe now was written by a command that has ended; what a process it left behind
 * may add is not waited for. */
static void command_drain(struct relay *r)
{
	size_t done = 0;
	int left;

	if (r->command_output < 0 || ioctl(r->command_output, FIONREAD, &left) != 0)
		return;
	while (done < (size_t)left) {
		size_t n = command_read(r);

		if (n == 0)
			return;
		done += n;
	}
}

/* Returns when @command has ended; gives its status. */
static int relay_until_exit(struct relay *r, int watch, pid_t command)
{
	enum { LINE, OUTPUT, INPUT, WATCH, N_POLLED };
	struct pollfd polled[N_POLLED];
	int status;

	for (;;) {
		bool to_write = queue_len(&r->output) > 0;
		bool to_feed = queue_len(&r->input) > 0;

		polled[LINE] = (struct pollfd){
			.fd = r->line, .events = (short)(to_write ? POLLIN | POLLOUT : POLLIN)};
		polled[OUTPUT] =
			(struct pollfd){.fd = to_write ? -1 : r->command_output, .events = POLLIN};
		polled[INPUT] =
			(struct pollfd){.fd = to_feed ? r->command_input : -1, .events = POLLOUT};
		polled[WATCH] = (struct pollfd){.fd = watch, .events = POLLIN};
		if (poll(polled, N_POLLED, -1) < 0)
			continue;
		if (polled[LINE].revents & POLLIN)
			line_read(r);
		if (polled[OUTPUT].revents)
			command_read(r);
		command_feed(r);
		line_write(r);
		if (polled[WATCH].revents && children_check(watch, command, &status))
			return status;
	}
}

void relay_run(char **argv, const char *path, int watch)
{
	struct relay r = {.line = line_open(path)};
	pid_t command;
	int status;

	must_queue(queue_put(&r.output, FRAME_OPEN, sizeof(FRAME_OPEN) - 1));
	line_write(&r);
	command = command_start(&r, argv);
	status = relay_until_exit(&r, watch, command);
	command_drain(&r);
	must_queue(frame_put_exit(&r.output, status));
	set_blocking(r.line, true);
	line_write(&r);
	tcdrain(r.line);
}
