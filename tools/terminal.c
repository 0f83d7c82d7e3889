/* SPDX-License-Identifier: MIT */
/* Terminal modes and keys. Must not know what the wishes lead to. */
#include "tools/terminal.h"

#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#define CTRL_A '\x01'

/* The terminal is the process's, and exit() has no argument: this is state of the process. */
static struct termios terminal_before;
static bool terminal_is_raw;

bool terminal_present(void)
{
	return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
}

void terminal_restore(void)
{
	if (terminal_is_raw)
		tcsetattr(STDIN_FILENO, TCSADRAIN, &terminal_before);
	terminal_is_raw = false;
}

void terminal_raw(void)
{
	struct termios raw;

	if (tcgetattr(STDIN_FILENO, &terminal_before) != 0)
		return;
	raw = terminal_before;
	cfmakeraw(&raw);
	atexit(terminal_restore);
	terminal_is_raw = tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) == 0;
}

/* Whether LF alone begins a new line; a full-screen program of the guest's needs it not to. */
static void process_output(bool on)
{
	struct termios mode;

	if (!terminal_is_raw || tcgetattr(STDIN_FILENO, &mode) != 0)
		return;
	if (on)
		mode.c_oflag |= terminal_before.c_oflag & OPOST;
	else
		mode.c_oflag &= ~(tcflag_t)OPOST;
	tcsetattr(STDIN_FILENO, TCSADRAIN, &mode);
}

void terminal_speak(void)
{
	process_output(true);
}

void terminal_spoken(void)
{
	process_output(false);
}

static void feed_wish(char key, terminal_sink sink, void *who)
{
	switch (key) {
	case CTRL_A:
		sink(who, TERMINAL_SEND, &key, 1);
		break;
	case 'x':
		sink(who, TERMINAL_LEAVE, NULL, 0);
		break;
	case 's':
		sink(who, TERMINAL_STATS, NULL, 0);
		break;
	case 'h':
	case '?':
		sink(who, TERMINAL_HELP, NULL, 0);
		break;
	default:
		break;
	}
}

void terminal_feed(struct terminal_keys *keys, const char *bytes, size_t n_bytes,
	terminal_sink sink, void *who)
{
	const char *end = bytes + n_bytes;

	while (bytes < end) {
		const char *run = bytes;

		if (keys->escaped) {
			keys->escaped = false;
			feed_wish(*bytes++, sink, who);
			continue;
		}
		while (bytes < end && *bytes != CTRL_A)
			bytes++;
		if (bytes > run)
			sink(who, TERMINAL_SEND, run, (size_t)(bytes - run));
		if (bytes < end) {
			keys->escaped = true;
			bytes++;
		}
	}
}
