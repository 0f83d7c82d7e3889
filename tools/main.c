/* SPDX-License-Identifier: MIT */
/* `umbra`: which subcommand it is. */
#include "umbra/umbra.h"
#include "tools/commands.h"
#include "tools/say.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct {
	const char *name;
	int (*main)(int argc, char **argv);
} subcommands[] = {
	{"run", run_main},
	{"bench", bench_main},
};

static int print_help(void)
{
	puts("umbra virtualizes the x86 MMU in software (shadow paging), and shows what that "
	     "does.\n"
	     "\n"
	     "  umbra run [options] [-- COMMAND...]  boot a guest under Umbra; a shell, or one "
	     "command\n"
	     "  umbra bench [options]                measure what memory virtualization costs\n"
	     "  umbra help [run|bench]               this help, or that of a subcommand\n"
	     "  umbra --version                      the version\n"
	     "\n"
	     "umbra run --help and umbra bench --help list the options.");
	return EXIT_OK;
}

static int find_and_run(const char *name, int argc, char **argv)
{
	for (size_t i = 0; i < sizeof(subcommands) / sizeof(subcommands[0]); i++)
		if (strcmp(name, subcommands[i].name) == 0)
			return subcommands[i].main(argc, argv);
	say_error("there is no subcommand \"%s\"; see `umbra help` for those there are", name);
	return EXIT_USAGE;
}

static int dispatch(int argc, char **argv)
{
	static char help_option[] = "--help";

	if (argc < 2) {
		say_error("a subcommand is missing; write `umbra run`, or see `umbra help`");
		return EXIT_USAGE;
	}
	if (strcmp(argv[1], "--version") == 0) {
		puts("umbra " UMBRA_VERSION);
		return EXIT_OK;
	}
	if (strcmp(argv[1], "help") != 0 && strcmp(argv[1], "--help") != 0 &&
		strcmp(argv[1], "-h") != 0)
		return find_and_run(argv[1], argc - 1, argv + 1);
	if (argc < 3)
		return print_help();
	return find_and_run(argv[2], 2, (char *[]){argv[2], help_option, NULL});
}

int main(int argc, char **argv)
{
	int fd;
	int code;

	/* With one of 0, 1 and 2 closed, a file of ours would become standard input or output. */
	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	close(fd);
	signal(SIGPIPE, SIG_IGN);
	code = dispatch(argc, argv);
	if (fflush(stdout) != 0 && code == EXIT_OK) {
		say_error("cannot write standard output (%m); is its disk full?");
		code = EXIT_CANNOT_WRITE;
	}
	return code;
}
