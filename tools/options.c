/* SPDX-License-Identifier: MIT */
/* The option parser. Must not know any option. */
#include "tools/options.h"

#include "tools/bytes.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct option_row *find_row(
	const struct option_table *tables, const char *name, size_t n_name, void **value)
{
	for (; tables->rows; tables++) {
		for (const struct option_row *row = tables->rows; row->name; row++) {
			if (strlen(row->name) == n_name && memcmp(row->name, name, n_name) == 0) {
				*value = (char *)tables->target + row->offset;
				return row;
			}
		}
	}
	return NULL;
}

static bool set_number(const struct option_row *row, unsigned *value, const char *text)
{
	char *rest;
	unsigned long number;

	errno = 0;
	number = strtoul(text, &rest, 10);
	if (errno || !isdigit((unsigned char)text[0]) || *rest || number < row->minimum ||
		number > row->maximum) {
		say_error("--%s %s: not a whole number from %u to %u; give one in this range",
			row->name, text, row->minimum, row->maximum);
		return false;
	}
	*value = (unsigned)number;
	return true;
}

static bool set_choice(const struct option_row *row, unsigned *value, const char *text)
{
	struct bytes names = {0};

	for (unsigned i = 0; row->choices[i]; i++) {
		if (strcmp(row->choices[i], text) == 0) {
			*value = i;
			bytes_free(&names);
			return true;
		}
		bytes_add_text(&names, i ? ", " : "");
		bytes_add_text(&names, row->choices[i]);
	}
	bytes_add(&names, "", 1);
	say_error("--%s %s: there is no such choice; give one of: %s", row->name, text,
		bytes_front(&names));
	bytes_free(&names);
	return false;
}

static bool set_value(const struct option_row *row, void *value, const char *text)
{
	switch (row->kind) {
	case OPTION_FLAG:
		*(bool *)value = true;
		return true;
	case OPTION_TEXT:
		*(const char **)value = text;
		return true;
	case OPTION_LIST:
		words_add(value, text);
		return true;
	case OPTION_NUMBER:
		return set_number(row, value, text);
	case OPTION_CHOICE:
		return set_choice(row, value, text);
	}
	return false;
}

/* Reads the option argv[*at], and its value if that is the next word. */
static int parse_one(
	const struct option_table *tables, const char *subcommand, char *const *argv, int *at)
{
	const char *name = argv[*at] + 2;
	const char *text = strchr(name, '=');
	size_t n_name = text ? (size_t)(text - name) : strlen(name);
	void *value = NULL;
	const struct option_row *row = find_row(tables, name, n_name, &value);

	if (!row) {
		say_error("unknown option --%.*s; see `umbra %s --help` for those there are",
			(int)n_name, name, subcommand);
		return EXIT_USAGE;
	}
	if (text)
		text++;
	if (row->kind == OPTION_FLAG && text) {
		say_error("--%s takes no value; leave out \"=%s\"", row->name, text);
		return EXIT_USAGE;
	}
	if (row->kind != OPTION_FLAG && !text) {
		text = argv[*at + 1];
		if (!text) {
			say_error("--%s lacks its value; write --%s %s", row->name, row->name,
				row->argument);
			return EXIT_USAGE;
		}
		*at += 1;
	}
	return set_value(row, value, text) ? EXIT_OK : EXIT_USAGE;
}

int options_parse(const struct option_table *tables, const char *subcommand, int argc,
	char *const *argv, struct option_rest *rest)
{
	*rest = (struct option_rest){0};
	for (int i = 1; i < argc; i++) {
		const char *word = argv[i];
		int code;

		if (strcmp(word, "--") == 0) {
			rest->has_command = true;
			rest->command = i + 1;
			return EXIT_OK;
		}
		if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
			rest->help = true;
			return EXIT_OK;
		}
		if (strncmp(word, "--", 2) != 0) {
			say_error("\"%s\" is no option of umbra %s; options begin with -- (see "
				  "`umbra %s "
				  "--help`), and a command for the guest follows after a lone --",
				word, subcommand, subcommand);
			return EXIT_USAGE;
		}
		code = parse_one(tables, subcommand, argv, &i);
		if (code != EXIT_OK)
			return code;
	}
	return EXIT_OK;
}

static void print_row(const struct option_row *row)
{
	char *left = make_text("--%s%s%s", row->name, row->argument ? " " : "",
		row->argument ? row->argument : "");
	const char *line = row->help;

	printf("  %-24s", left);
	if (strlen(left) > 23)
		printf("\n  %-24s", "");
	for (const char *newline = strchr(line, '\n'); newline; newline = strchr(line, '\n')) {
		printf("%.*s\n  %-24s", (int)(newline - line), line, "");
		line = newline + 1;
	}
	printf("%s\n", line);
	free(left);
}

void options_help(const struct option_table *tables)
{
	for (; tables->rows; tables++)
		for (const struct option_row *row = tables->rows; row->name; row++)
			print_row(row);
}
