/* SPDX-License-Identifier: MIT */
/*
 * The poll loop. Whoever reads too slowly slows the other side down and nobody else: a full queue
 * towards our standard output stops our reading from the guest, a full queue towards the guest
 * stops our reading of standard input, and the monitor is read always.
 */
#include "tools/machine.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define OUTPUT_LIMIT_BYTES  ((size_t)1 << 20)
#define CHANNEL_LIMIT_BYTES ((size_t)64 << 10)
/* A pipe that polls writable takes this much without blocking: POSIX's PIPE_BUF on Linux. */
#define OUTPUT_CHUNK_BYTES ((size_t)4096)
#define READ_CHUNK_BYTES   ((size_t)64 << 10)
#define SECOND_NS          1000000000ull

/* Stopping a machine: each stage has so many seconds before the next one begins. */
enum stop_stage {
	STOP_NOT,
	STOP_STATS, /* statistics were asked for */
	STOP_TERM,  /* QEMU got SIGTERM: it ends as if switched off */
	STOP_KILL,
	STOP_FLUSH, /* QEMU has ended: our reader may still take what is queued */
	STOP_GIVE_UP,
};

static const unsigned stop_seconds[] = {
	[STOP_STATS] = 2,
	[STOP_TERM] = 3,
	[STOP_FLUSH] = 1,
	[STOP_GIVE_UP] = 0,
};

/* What the loop waits for; the channels' numbers come first and stand for reading from them. */
enum {
	POLL_WRITING = CHANNEL_COUNT,
	POLL_ERRORS = 2 * CHANNEL_COUNT,
	POLL_SIGNALS,
	POLL_INPUT,
	POLL_OUTPUT,
	POLL_COUNT,
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

/* ---- stopping ---- */

static void enter_stage(struct machine *machine, enum stop_stage stage)
{
	machine->stop_stage = stage;
	machine->stop_deadline_ns =
		stop_seconds[stage] ? now_ns() + stop_seconds[stage] * SECOND_NS : 0;
	machine->stats_awaited = stage == STOP_STATS;
	if (stage == STOP_STATS)
		machine_ask_stats(machine);
	else if (stage == STOP_TERM)
		kill(machine->qemu.pid, SIGTERM);
	else if (stage == STOP_KILL)
		kill(machine->qemu.pid, SIGKILL);
	else if (stage == STOP_GIVE_UP)
		bytes_free(&machine->to_output);
}

static void begin_stop(struct machine *machine, enum machine_end end)
{
	if (machine->stop_stage != STOP_NOT)
		return;
	machine->end = end;
	if (machine->qemu_ended)
		enter_stage(machine, STOP_GIVE_UP);
	else if (machine->stats_at_end && machine->qmp.ready &&
		 machine->config->paging != PAGING_NONE)
		enter_stage(machine, STOP_STATS);
	else
		enter_stage(machine, STOP_TERM);
}

/* ---- reading ---- */

static void handle_monitor(void *who, const struct monitor_event *event)
{
	struct machine *machine = who;

	if (machine->hooks->monitor)
		machine->hooks->monitor(machine->who, event);
	if (event->kind == MONITOR_STATS && machine->stats_awaited)
		enter_stage(machine, STOP_TERM);
}

static void handle_monitor_line(void *who, char *line)
{
	monitor_line(line, handle_monitor, who);
}

static void handle_qmp_line(void *who, char *line)
{
	struct machine *machine = who;

	qmp_line(&machine->qmp, line);
	if (machine->qmp.ready)
		channels_hide(&machine->qemu.channels);
}

static void deliver(
	struct machine *machine, enum channel channel, const char *bytes, size_t n_bytes)
{
	switch (channel) {
	case CHANNEL_CONSOLE:
		if (machine->hooks->console)
			machine->hooks->console(machine->who, bytes, n_bytes);
		break;
	case CHANNEL_MONITOR:
		lines_feed(&machine->monitor_lines, bytes, n_bytes, handle_monitor_line, machine);
		break;
	case CHANNEL_COMMAND:
		if (machine->hooks->command)
			machine->hooks->command(machine->who, bytes, n_bytes);
		break;
	case CHANNEL_QMP:
		lines_feed(&machine->qmp_lines, bytes, n_bytes, handle_qmp_line, machine);
		break;
	case CHANNEL_COUNT:
		break;
	}
}

/* Returns the bytes read; 0 if there are none now or never again. */
static size_t read_some(int fd, char *chunk)
{
	ssize_t n_bytes = read(fd, chunk, READ_CHUNK_BYTES);

	return n_bytes > 0 ? (size_t)n_bytes : 0;
}

static void drain_monitor(struct machine *machine)
{
	char chunk[READ_CHUNK_BYTES];
	size_t n_bytes;

	while ((n_bytes = read_some(machine->qemu.channels.from[CHANNEL_MONITOR], chunk)) > 0)
		deliver(machine, CHANNEL_MONITOR, chunk, n_bytes);
}

/*
 * Read once from @channel and deliver. Before bytes of the guest everything from the monitor is
 * delivered: QEMU wrote whatever the hypervisor said before those bytes before them, so it is there
 * by now. Returns false if there was nothing.
 */
static bool read_channel(struct machine *machine, enum channel channel)
{
	char chunk[READ_CHUNK_BYTES];
	size_t n_bytes = read_some(machine->qemu.channels.from[channel], chunk);

	if (n_bytes == 0)
		return false;
	if (channel == CHANNEL_COMMAND || channel == CHANNEL_CONSOLE)
		drain_monitor(machine);
	deliver(machine, channel, chunk, n_bytes);
	return true;
}

static bool read_errors(struct machine *machine)
{
	char chunk[READ_CHUNK_BYTES];
	size_t n_bytes = read_some(machine->qemu.errors, chunk);

	tail_add(&machine->errors, chunk, n_bytes);
	return n_bytes > 0;
}

static void read_input(struct machine *machine)
{
	char chunk[4096];
	ssize_t n_bytes = read(STDIN_FILENO, chunk, sizeof(chunk));

	if (n_bytes < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n_bytes <= 0)
		machine->input_ended = true;
	machine->hooks->input(machine->who, chunk, n_bytes > 0 ? (size_t)n_bytes : 0);
}

/* QEMU has ended: whatever it still wrote lies in the lines. */
static void drain_all(struct machine *machine)
{
	while (read_errors(machine))
		;
	drain_monitor(machine);
	for (unsigned channel = 0; channel < CHANNEL_COUNT; channel++)
		while (read_channel(machine, channel))
			;
	lines_end(&machine->monitor_lines, handle_monitor_line, machine);
}

static void check_child(struct machine *machine)
{
	if (machine->qemu_ended ||
		waitpid(machine->qemu.pid, &machine->qemu_status, WNOHANG) != machine->qemu.pid)
		return;
	machine->qemu_ended = true;
	machine->real_ns = machine_age_ns(machine);
	drain_all(machine);
	if (machine->stop_stage != STOP_NOT)
		enter_stage(machine, STOP_FLUSH);
}

static void read_signals(struct machine *machine)
{
	struct signalfd_siginfo info;

	while (read(machine->signals, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGUSR1) {
			machine_ask_stats(machine);
		} else if (info.ssi_signo == SIGCHLD) {
			check_child(machine);
		} else if (machine->stop_stage == STOP_NOT) {
			machine->signal = (int)info.ssi_signo;
			begin_stop(machine, MACHINE_SIGNALLED);
		} else if (machine->stop_stage < STOP_KILL) {
			enter_stage(machine, STOP_KILL); /* the user has no patience */
		}
	}
}

/* ---- writing ---- */

static void write_channel(struct machine *machine, enum channel channel)
{
	struct bytes *queue = &machine->to_channel[channel];
	ssize_t n_bytes =
		write(machine->qemu.channels.to[channel], bytes_front(queue), bytes_count(queue));

	if (n_bytes > 0)
		bytes_drop(queue, (size_t)n_bytes);
	else if (errno != EAGAIN && errno != EINTR)
		bytes_free(queue);
}

static void write_output(struct machine *machine)
{
	size_t count = bytes_count(&machine->to_output);
	ssize_t n_bytes = write(STDOUT_FILENO, bytes_front(&machine->to_output),
		count < OUTPUT_CHUNK_BYTES ? count : OUTPUT_CHUNK_BYTES);

	if (n_bytes >= 0) {
		bytes_drop(&machine->to_output, (size_t)n_bytes);
	} else if (errno != EAGAIN && errno != EINTR) {
		bytes_free(&machine->to_output);
		begin_stop(machine, MACHINE_OUTPUT_GONE);
	}
}

/* ---- the loop ---- */

static void watch(struct pollfd *at, int fd, short events, bool wanted)
{
	*at = (struct pollfd){.fd = wanted ? fd : -1, .events = events};
}

static void watch_all(struct machine *machine, struct pollfd *polled)
{
	const struct machine_hooks *hooks = machine->hooks;
	bool alive = !machine->qemu_ended;
	bool output_room = bytes_count(&machine->to_output) < OUTPUT_LIMIT_BYTES;

	for (unsigned i = 0; i < CHANNEL_COUNT; i++) {
		bool to_output = i == CHANNEL_CONSOLE || i == CHANNEL_COMMAND;

		watch(&polled[i], machine->qemu.channels.from[i], POLLIN,
			alive && (output_room || !to_output));
		watch(&polled[POLL_WRITING + i], machine->qemu.channels.to[i], POLLOUT,
			alive && bytes_count(&machine->to_channel[i]) > 0);
	}
	watch(&polled[POLL_ERRORS], machine->qemu.errors, POLLIN, alive);
	watch(&polled[POLL_SIGNALS], machine->signals, POLLIN, true);
	watch(&polled[POLL_INPUT], STDIN_FILENO, POLLIN,
		alive && hooks->input && !machine->input_ended && hooks->wants_input(machine->who));
	watch(&polled[POLL_OUTPUT], STDOUT_FILENO, POLLOUT, bytes_count(&machine->to_output) > 0);
}

/* Milliseconds for poll() up to the next deadline, -1 for none; deadlines that are over are acted
 * on. */
static int check_deadlines(struct machine *machine)
{
	uint64_t now = now_ns();
	uint64_t next = UINT64_MAX;

	if (machine->deadline_ns && now >= machine->deadline_ns) {
		machine->deadline_ns = 0;
		begin_stop(machine, MACHINE_TIMED_OUT);
	}
	if (machine->stop_deadline_ns && now >= machine->stop_deadline_ns)
		enter_stage(machine, machine->stop_stage + 1);
	if (machine->deadline_ns)
		next = machine->deadline_ns;
	if (machine->stop_deadline_ns && machine->stop_deadline_ns < next)
		next = machine->stop_deadline_ns;
	if (next == UINT64_MAX)
		return -1;
	return next <= now ? 0 : (int)((next - now) / 1000000) + 1;
}

static void serve(struct machine *machine, const struct pollfd *polled)
{
	if (polled[POLL_OUTPUT].revents)
		write_output(machine);
	for (unsigned i = 0; i < CHANNEL_COUNT; i++) {
		if (polled[POLL_WRITING + i].revents)
			write_channel(machine, i);
		if (polled[i].revents)
			read_channel(machine, i);
	}
	if (polled[POLL_ERRORS].revents)
		read_errors(machine);
	if (polled[POLL_INPUT].revents)
		read_input(machine);
	if (polled[POLL_SIGNALS].revents)
		read_signals(machine);
}

static void loop(struct machine *machine)
{
	struct pollfd polled[POLL_COUNT];

	while (!machine->qemu_ended || bytes_count(&machine->to_output) > 0) {
		int timeout_ms = check_deadlines(machine);

		watch_all(machine, polled);
		if (poll(polled, POLL_COUNT, timeout_ms) > 0)
			serve(machine, polled);
	}
}

int machine_run(struct machine *machine, const struct boot_image *image)
{
	int code;
	sigset_t handled;
	sigset_t before;

	sigemptyset(&handled);
	sigaddset(&handled, SIGINT);
	sigaddset(&handled, SIGTERM);
	sigaddset(&handled, SIGHUP);
	sigaddset(&handled, SIGUSR1);
	sigaddset(&handled, SIGCHLD);
	sigprocmask(SIG_BLOCK, &handled, &before);
	machine->qmp.line = &machine->to_channel[CHANNEL_QMP];
	machine->started_ns = now_ns();
	if (machine->config->timeout_s)
		machine_limit(machine, machine->config->timeout_s);
	machine->signals = signalfd(-1, &handled, SFD_NONBLOCK | SFD_CLOEXEC);
	code = qemu_start(&machine->qemu, machine->config, image);
	if (code == EXIT_OK) {
		machine->qmp.serial = machine->qemu.channels.to[CHANNEL_MONITOR];
		loop(machine);
		qemu_close(&machine->qemu);
	}
	close(machine->signals);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return code;
}

void machine_free(struct machine *machine)
{
	for (unsigned i = 0; i < CHANNEL_COUNT; i++)
		bytes_free(&machine->to_channel[i]);
	bytes_free(&machine->to_output);
	bytes_free(&machine->monitor_lines.unfinished);
	bytes_free(&machine->qmp_lines.unfinished);
	tail_free(&machine->errors);
}

void machine_send(struct machine *machine, enum channel channel, const char *bytes, size_t n_bytes)
{
	bytes_add(&machine->to_channel[channel], bytes, n_bytes);
}

void machine_print(struct machine *machine, const char *bytes, size_t n_bytes)
{
	bytes_add(&machine->to_output, bytes, n_bytes);
}

bool machine_room(const struct machine *machine, enum channel channel)
{
	return bytes_count(&machine->to_channel[channel]) < CHANNEL_LIMIT_BYTES;
}

void machine_ask_stats(struct machine *machine)
{
	if (machine->config->paging == PAGING_NONE)
		return;
	/* Written at once: the NMI comes after what is on the line by then. */
	machine_send(machine, CHANNEL_MONITOR, "stats\n", 6);
	write_channel(machine, CHANNEL_MONITOR);
	qmp_inject_nmi(&machine->qmp);
}

void machine_stop(struct machine *machine)
{
	begin_stop(machine, MACHINE_USER_LEFT);
}

void machine_limit(struct machine *machine, unsigned seconds)
{
	uint64_t deadline_ns = now_ns() + seconds * SECOND_NS;

	if (machine->deadline_ns == 0 || deadline_ns < machine->deadline_ns)
		machine->deadline_ns = deadline_ns;
}

uint64_t machine_age_ns(const struct machine *machine)
{
	return now_ns() - machine->started_ns;
}
