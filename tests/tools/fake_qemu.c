/* SPDX-License-Identifier: MIT */
/*
 * Stands in for QEMU in tests of the command: takes the same channels from its arguments, answers
 * QMP, and plays the script in the file FAKE_SCRIPT, a step a line:
 *
 *   console|monitor|command|qmp|stderr TEXT   write TEXT; \n, \\ and \xHH are understood
 *   flood CHANNEL N    write N lines of 64 bytes
 *   echo               send input of the command line back, until its end
 *   await-stats        wait until statistics are asked for: a line on the monitor, then an NMI by
 * QMP stop-umbra, continue-umbra   what comes between reaches the command in one piece sleep MS and
 * "stubborn": SIGTERM does nothing from now on hang               for ever exit N
 *
 * Its arguments are written to the file FAKE_ARGV, its process id to FAKE_PID, and what it can read
 * from the last file that it was given as a descriptor (/proc/self/fd/N) to FAKE_FILE, if these are
 * set.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
	CONSOLE,
	MONITOR,
	COMMAND,
	QMP,
	STANDARD_ERROR,
	N_CHANNELS,
};

static const char *const channel_names[N_CHANNELS] = {
	"console", "monitor", "command", "qmp", "stderr"};

struct fake {
	int from[N_CHANNELS]; /* we read */
	int to[N_CHANNELS];
};

static _Noreturn void give_up(const char *why)
{
	fprintf(stderr, "fake qemu: %s\n", why);
	_exit(99);
}

static unsigned number_of(const char *name)
{
	for (unsigned i = 0; i < N_CHANNELS; i++)
		if (strcmp(name, channel_names[i]) == 0)
			return i;
	give_up("the script names a channel that there is not");
}

static void sleep_ms(long ms)
{
	nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

/* Whatever the real one writes is in the socket before it does the next thing; a short wait if it
 * is full. */
static void write_all(int fd, const char *bytes, size_t n_bytes)
{
	while (n_bytes > 0) {
		ssize_t n_written = write(fd, bytes, n_bytes);

		if (n_written < 0 && errno == EAGAIN)
			sleep_ms(1);
		else if (n_written < 0)
			_exit(98);
		else {
			bytes += n_written;
			n_bytes -= (size_t)n_written;
		}
	}
}

static void write_escaped(int fd, const char *text)
{
	char bytes[8192];
	size_t n_bytes = 0;

	while (*text && n_bytes < sizeof(bytes)) {
		if (text[0] == '\\' && text[1] == 'n') {
			bytes[n_bytes++] = '\n';
			text += 2;
		} else if (text[0] == '\\' && text[1] == 'x') {
			char digits[3] = {text[2], text[3], '\0'};

			bytes[n_bytes++] = (char)strtoul(digits, NULL, 16);
			text += 4;
		} else {
			text += text[0] == '\\';
			bytes[n_bytes++] = *text++;
		}
	}
	write_all(fd, bytes, n_bytes);
}

/* Reads up to and with @last; fails the test if that does not come. */
static void read_until(int fd, const char *last)
{
	char seen[4096];
	size_t n_bytes = 0;

	while (n_bytes < sizeof(seen) - 1) {
		if (read(fd, seen + n_bytes, 1) != 1)
			give_up("a channel was closed while waiting");
		seen[++n_bytes] = '\0';
		if (n_bytes >= strlen(last) && strcmp(seen + n_bytes - strlen(last), last) == 0)
			return;
	}
	give_up("something else came than was waited for");
}

static void await_stats(const struct fake *fake)
{
	read_until(fake->from[QMP], "{\"execute\":\"query-status\",\"id\":\"query-status\"}\n");
	read_until(fake->from[MONITOR],
		"stats\n"); /* there already, or this hangs and the test with it */
	write_escaped(fake->to[QMP], "{\"return\":{},\"id\":\"query-status\"}\\n");
	read_until(fake->from[QMP], "{\"execute\":\"inject-nmi\",\"id\":\"inject-nmi\"}\n");
	write_escaped(fake->to[QMP], "{\"return\":{},\"id\":\"inject-nmi\"}\\n");
}

/* Sends everything back as it came, so in its escaped form, but the mark of the end. */
static void echo(const struct fake *fake)
{
	bool escaped = false;
	char byte;

	while (read(fake->from[COMMAND], &byte, 1) == 1) {
		if (escaped && byte == '\x04')
			return;
		if (byte != '\x01')
			write_all(fake->to[COMMAND], &byte, 1);
		else if (escaped)
			write_all(fake->to[COMMAND], "\x01\x01", 2);
		escaped = !escaped && byte == '\x01';
	}
	give_up("input ended without the mark of its end");
}

/* In large writes, so that much fits into a socket's buffer. */
static void flood(int fd, unsigned long n_lines)
{
	char lines[64 * 64 + 1];
	size_t n_bytes = 0;

	for (unsigned long i = 0; i < n_lines; i++) {
		n_bytes +=
			(size_t)snprintf(lines + n_bytes, sizeof(lines) - n_bytes, "%063lu\n", i);
		if (n_bytes == sizeof(lines) - 1 || i == n_lines - 1) {
			write_all(fd, lines, n_bytes);
			n_bytes = 0;
		}
	}
}

static void play_step(const struct fake *fake, char *step)
{
	char *rest = strchr(step, ' ');

	if (rest)
		*rest++ = '\0';
	else
		rest = step + strlen(step);
	if (strcmp(step, "flood") == 0) {
		char *count = strchr(rest, ' ');

		*count++ = '\0';
		flood(fake->to[number_of(rest)], strtoul(count, NULL, 10));
	} else if (strcmp(step, "echo") == 0) {
		echo(fake);
	} else if (strcmp(step, "await-stats") == 0) {
		await_stats(fake);
	} else if (strcmp(step, "sleep") == 0) {
		sleep_ms(atol(rest));
	} else if (strcmp(step, "stubborn") == 0) {
		signal(SIGTERM, SIG_IGN);
	} else if (strcmp(step, "stop-umbra") == 0) {
		kill(getppid(), SIGSTOP);
	} else if (strcmp(step, "continue-umbra") == 0) {
		kill(getppid(), SIGCONT);
	} else if (strcmp(step, "hang") == 0) {
		for (;;)
			pause();
	} else if (strcmp(step, "exit") == 0) {
		_exit(atoi(rest));
	} else {
		write_escaped(fake->to[number_of(step)], rest);
	}
}

static void write_file(const char *path, char *const *lines, int count)
{
	FILE *file = path ? fopen(path, "w") : NULL;

	for (int i = 0; file && i < count; i++)
		fprintf(file, "%s\n", lines[i]);
	if (file)
		fclose(file);
}

/* Copies the file that the end of an argument names. */
static void copy_last_descriptor(const char *path, int argc, char *const *argv)
{
	const char *name = NULL;
	char bytes[65536];
	FILE *from;
	FILE *to;

	for (int i = 1; i < argc; i++)
		if (strstr(argv[i], "/proc/self/fd/"))
			name = strstr(argv[i], "/proc/self/fd/");
	from = name ? fopen(name, "r") : NULL;
	to = path ? fopen(path, "w") : NULL;
	if (from && to)
		fwrite(bytes, 1, fread(bytes, 1, sizeof(bytes), from), to);
	if (from)
		fclose(from);
	if (to)
		fclose(to);
}

/* A doubled comma stands for one inside a value. */
static void undouble_commas(char *text)
{
	char *to = text;

	for (; *text; text++) {
		*to++ = *text;
		if (text[0] == ',' && text[1] == ',')
			text++;
	}
	*to = '\0';
}

/* "pipe,id=NAME,path=P" with the FIFOs P.in and P.out, or "socket,id=NAME,fd=N". */
static void find_channels(struct fake *fake, int argc, char *const *argv)
{
	char name[32];
	char path[256];
	char fifo[300];
	int fd;

	fake->to[STANDARD_ERROR] = STDERR_FILENO;
	for (int i = 1; i < argc; i++) {
		if (sscanf(argv[i], "socket,id=%31[^,],fd=%d", name, &fd) == 2) {
			fake->from[number_of(name)] = fake->to[number_of(name)] = fd;
		} else if (sscanf(argv[i], "pipe,id=%31[^,],path=%255s", name, path) == 2) {
			undouble_commas(path);
			snprintf(fifo, sizeof(fifo), "%s.in", path);
			fake->from[number_of(name)] = open(fifo, O_RDWR);
			snprintf(fifo, sizeof(fifo), "%s.out", path);
			fake->to[number_of(name)] = open(fifo, O_RDWR);
		}
	}
}

int main(int argc, char **argv)
{
	struct fake fake = {{0}, {0}};
	const char *path = getenv("FAKE_SCRIPT");
	FILE *script = path ? fopen(path, "r") : NULL;
	char step[8192];
	char pid[16];

	if (!script)
		give_up("no FAKE_SCRIPT");
	snprintf(pid, sizeof(pid), "%d", getpid());
	write_file(getenv("FAKE_ARGV"), argv, argc);
	copy_last_descriptor(getenv("FAKE_FILE"), argc, argv);
	find_channels(&fake, argc, argv);
	if (fgets(step, sizeof(step), script) && strcmp(step, "refuse\n") == 0) {
		fputs("fake qemu: such a machine cannot be\n", stderr);
		return 1;
	}
	rewind(script);
	write_escaped(fake.to[QMP],
		"{\"QMP\":{\"version\":{\"qemu\":{\"micro\":2,\"minor\":1,\"major\":9}}}}\\n");
	read_until(
		fake.to[QMP], "{\"execute\":\"qmp_capabilities\",\"id\":\"qmp_capabilities\"}\n");
	write_escaped(fake.to[QMP], "{\"return\":{},\"id\":\"qmp_capabilities\"}\\n");
	write_file(getenv("FAKE_PID"), (char *[]){pid}, 1);
	while (fgets(step, sizeof(step), script)) {
		step[strcspn(step, "\n")] = '\0';
		play_step(&fake, step);
	}
	return 0;
}
