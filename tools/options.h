/* SPDX-License-Identifier: MIT */
/*
 * Command line options as tables: one row says how an option is written, what it accepts, where its
 * value goes, and its help text. Knows nothing of what options mean.
 */
#ifndef TOOLS_OPTIONS_H
#define TOOLS_OPTIONS_H

#include "tools/say.h"

#include <stdbool.h>
#include <stddef.h>

enum option_kind {
	OPTION_FLAG,   /* bool: set to true */
	OPTION_TEXT,   /* const char *: borrows the argument */
	OPTION_LIST,   /* struct words: every use appends */
	OPTION_NUMBER, /* unsigned, minimum to maximum */
	OPTION_CHOICE, /* unsigned: index into choices */
};

struct option_row {
	const char *name; /* without the dashes; NULL ends a table */
	enum option_kind kind;
	size_t offset;              /* of the value in the table's target */
	const char *argument;       /* its name in the help; NULL for a flag */
	unsigned minimum, maximum;  /* OPTION_NUMBER */
	const char *const *choices; /* OPTION_CHOICE; NULL ends it */
	const char *help;           /* lines, divided by \n */
};

struct option_table {
	const struct option_row *rows;
	void *target;
};

struct option_rest {
	bool help;        /* --help was there: nothing else was checked after it */
	bool has_command; /* "--" was there */
	int command;      /* index of the first word after "--" */
};

/*
 * Read argv[1...] (argv[0] is the subcommand) by @tables (ended by one without rows); forms:
 * --name VALUE, --name=VALUE, --flag, and "--" before a command.
 * Returns EXIT_OK, or EXIT_USAGE after saying why. @subcommand is for these sentences.
 */
int options_parse(const struct option_table *tables, const char *subcommand, int argc,
	char *const *argv, struct option_rest *rest);

/* The options' help on standard output. */
void options_help(const struct option_table *tables);

#endif
