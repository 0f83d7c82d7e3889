/* SPDX-License-Identifier: MIT */
/*
 * The user's terminal while it is the guest's console: raw mode, and Ctrl-A as the way out.
 */
#ifndef TOOLS_TERMINAL_H
#define TOOLS_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>

/* Both standard input and standard output are terminals. */
bool terminal_present(void);

/* Every key goes to the guest from now on. Restored by terminal_restore(), and by exit() if that
 * comes first. */
void terminal_raw(void);
void terminal_restore(void);
/* Around our own messages: line ends as usual, then raw again. Nothing if the terminal is not raw.
 */
void terminal_speak(void);
void terminal_spoken(void);

/* What the user wants after Ctrl-A. */
enum terminal_wish {
	TERMINAL_SEND,  /* bytes for the guest */
	TERMINAL_LEAVE, /* x */
	TERMINAL_STATS, /* s */
	TERMINAL_HELP,  /* h, ? */
};

/* All zero at the beginning. */
struct terminal_keys {
	bool escaped; /* the last key was Ctrl-A */
};

#define TERMINAL_KEYS_HELP                                                                         \
	"Ctrl-A x leave, Ctrl-A s statistics, Ctrl-A h help, Ctrl-A Ctrl-A is Ctrl-A"

typedef void (*terminal_sink)(
	void *who, enum terminal_wish wish, const char *bytes, size_t n_bytes);

/* Divide what was typed into bytes for the guest and wishes. An unknown key after Ctrl-A is
 * dropped. */
void terminal_feed(struct terminal_keys *keys, const char *bytes, size_t n_bytes,
	terminal_sink sink, void *who);

#endif
