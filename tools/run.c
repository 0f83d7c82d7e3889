/* SPDX-License-Identifier: MIT */
/*
 * `umbra run`: one machine for the user, with a console, a command or the demonstration.
 * Must not know how bytes travel (machine.c) or what an end means (outcome.c).
 */
#include "tools/commands.h"
#include "tools/frame.h"
#include "tools/outcome.h"
#include "tools/paths.h"
#include "tools/stats.h"
#include "tools/terminal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* After its command has ended a guest has this long to switch the machine off. */
#define POWER_OFF_SECONDS 30u

enum run_mode {
	RUN_TERMINAL, /* the guest's console is the user's terminal */
	RUN_CONSOLE,  /* the guest's console is standard input and output */
	RUN_COMMAND,
	RUN_DEMO, /* a command of ours, to show what there is */
};

struct run {
	struct machine_config config;
	const char *stats_path;
	FILE *stats;
	enum run_mode mode;
	struct machine machine;
	struct outcome outcome;
	struct frame frame;
	struct terminal_keys keys;
};

static const struct option_row run_options[] = {
	{.name = "paging",
		.kind = OPTION_CHOICE,
		.offset = offsetof(struct run, config.paging),
		.argument = "MODE",
		.choices = paging_names,
		.help = "shadow (default), npt (nested paging) or none (no hypervisor)"},
	{.name = "stats",
		.kind = OPTION_TEXT,
		.offset = offsetof(struct run, stats_path),
		.argument = "FILE",
		.help = "write the hypervisor's statistics here at the end, as JSON"},
	{.name = NULL},
};

static void print_help(const struct option_table *tables)
{
	puts("umbra run [options] [-- COMMAND [WORD...]]\n"
	     "\n"
	     "Boot a guest under Umbra in QEMU. With a command, run it in the guest as if it\n"
	     "ran here: standard input, output and exit status are the command's. Without one\n"
	     "the guest's console is the terminal; with no terminal either, a short\n"
	     "demonstration runs.\n"
	     "\n"
	     "Options:");
	options_help(tables);
	config_policy_help();
	puts("\n"
	     "Keys of the console: " TERMINAL_KEYS_HELP ".\n"
	     "\n"
	     "Signals: SIGUSR1 prints the hypervisor's statistics on standard error; SIGINT,\n"
	     "SIGTERM and SIGHUP stop the machine.\n"
	     "\n"
	     "Environment: UMBRA_DATA (directory of Umbra's files), UMBRA_QEMU (the QEMU to run).\n"
	     "\n"
	     "Exit status: the command's own; or 64 wrong usage, 65 a file that is no kernel,\n"
	     "66 a missing file, 69 no QEMU, 70 the hypervisor panicked, 71 the guest died,\n"
	     "74 a file cannot be written, 78 QEMU or the hypervisor cannot work with these\n"
	     "options, 124 time-out, 128+N signal N came. A multiboot kernel's exit code V on\n"
	     "port 0xf4 becomes V*2+1.");
}

/* ---- hooks ---- */

static void print_output(void *who, const char *bytes, size_t n_bytes)
{
	struct run *run = who;

	machine_print(&run->machine, bytes, n_bytes);
}

static void on_console(void *who, const char *bytes, size_t n_bytes)
{
	struct run *run = who;

	outcome_console(&run->outcome, bytes, n_bytes);
	if (run->outcome.console_shown)
		machine_print(&run->machine, bytes, n_bytes);
}

static void on_command(void *who, const char *bytes, size_t n_bytes)
{
	struct run *run = who;
	enum frame_state before = run->frame.state;

	frame_feed(&run->frame, bytes, n_bytes, print_output, run);
	if (run->frame.state == before)
		return;
	if (run->frame.state == FRAME_ENDED) {
		machine_limit(&run->machine, POWER_OFF_SECONDS);
	} else if (run->frame.state == FRAME_BROKEN) {
		say_error("the guest broke the framing of its command's output on the third serial "
			  "port "
			  "(ttyS2); nothing else in the guest may write there");
		machine_stop(&run->machine);
	}
}

static void on_monitor(void *who, const struct monitor_event *event)
{
	struct run *run = who;

	terminal_speak();
	outcome_monitor(&run->outcome, event);
	if (event->kind == MONITOR_STATS && strcmp(event->reason, "request") == 0 &&
		!run->machine.stats_awaited)
		stats_print(stderr, &run->config, event->object, machine_age_ns(&run->machine));
	terminal_spoken();
}

static void on_wish(void *who, enum terminal_wish wish, const char *bytes, size_t n_bytes)
{
	struct run *run = who;

	if (wish != TERMINAL_SEND)
		terminal_speak();
	switch (wish) {
	case TERMINAL_SEND:
		machine_send(&run->machine, CHANNEL_CONSOLE, bytes, n_bytes);
		break;
	case TERMINAL_LEAVE:
		machine_stop(&run->machine);
		break;
	case TERMINAL_STATS:
		if (run->config.paging == PAGING_NONE)
			say_note("there is no hypervisor here, so there are no statistics");
		machine_ask_stats(&run->machine);
		break;
	case TERMINAL_HELP:
		say_note(TERMINAL_KEYS_HELP);
		break;
	}
	terminal_spoken();
}

static void on_input(void *who, const char *bytes, size_t n_bytes)
{
	struct run *run = who;

	if (run->mode == RUN_TERMINAL)
		terminal_feed(&run->keys, bytes, n_bytes, on_wish, run);
	else if (run->mode == RUN_CONSOLE)
		machine_send(&run->machine, CHANNEL_CONSOLE, bytes, n_bytes);
	else
		frame_encode_input(&run->machine.to_channel[CHANNEL_COMMAND], bytes, n_bytes);
}

static bool wants_input(void *who)
{
	struct run *run = who;

	if (run->mode == RUN_COMMAND)
		return run->frame.state == FRAME_OPEN &&
		       machine_room(&run->machine, CHANNEL_COMMAND);
	return run->mode != RUN_DEMO && machine_room(&run->machine, CHANNEL_CONSOLE);
}

static const struct machine_hooks run_hooks = {
	.console = on_console,
	.command = on_command,
	.monitor = on_monitor,
	.input = on_input,
	.wants_input = wants_input,
};

/* ---- one run ---- */

/* Is @kernel one of our Linux kernels? */
static bool has_demo(const char *kernel)
{
	return !kernel || (path_kernel_data(kernel) && strcmp(kernel, PATH_KERNEL_BARE) != 0);
}

/* A guest of the user's own is not asked for our demonstration. */
static enum run_mode choose_mode(const struct run *run, bool has_command)
{
	if (has_command)
		return RUN_COMMAND;
	if (terminal_present())
		return RUN_TERMINAL;
	if (run->config.initrds.count > 0)
		return RUN_CONSOLE;
	return has_demo(run->config.kernel) ? RUN_DEMO : RUN_CONSOLE;
}

static int finish(struct run *run)
{
	int command_status = OUTCOME_NO_COMMAND;
	int code;

	if (run->mode == RUN_COMMAND || run->mode == RUN_DEMO)
		command_status = run->frame.state == FRAME_ENDED ? run->frame.exit_status
								 : OUTCOME_UNFINISHED;
	code = outcome_code(&run->outcome, &run->machine, command_status);
	if (run->frame.state == FRAME_BROKEN && code == EXIT_OK)
		code = EXIT_GUEST_DIED;
	if (run->machine.stats_at_end && run->machine.qmp.ready)
		stats_print(stderr, &run->config, run->outcome.stats, run->machine.real_ns);
	if (run->stats) {
		int written = stats_write(
			run->stats, &run->config, run->outcome.stats, run->machine.real_ns);

		if (code == EXIT_OK)
			code = written;
	}
	return code;
}

static int run_image(struct run *run, const struct boot_image *image)
{
	int code;

	run->machine.config = &run->config;
	run->machine.hooks = &run_hooks;
	run->machine.who = run;
	run->machine.stats_at_end =
		run->stats || run->mode == RUN_TERMINAL || run->mode == RUN_DEMO;
	run->outcome.console_shown = run->mode == RUN_TERMINAL || run->mode == RUN_CONSOLE;
	if (run->mode == RUN_TERMINAL || run->mode == RUN_DEMO)
		say_note("booting a guest of %u MiB, paging %s%s", run->config.mem_mib,
			paging_names[run->config.paging],
			run->mode == RUN_TERMINAL ? "; Ctrl-A x leaves, Ctrl-A h shows all keys"
						  : "; no terminal, so this is a demonstration");
	if (run->mode == RUN_TERMINAL)
		terminal_raw();
	code = machine_run(&run->machine, image);
	terminal_restore();
	if (code == EXIT_OK)
		code = finish(run);
	machine_free(&run->machine);
	return code;
}

static int prepare_and_run(struct run *run, char *const *command)
{
	struct bytes archive = {0};
	struct boot_image image;
	int code;

	if (command)
		image_command_archive(&archive, command);
	code = image_prepare(&image, &run->config, command ? &archive : NULL);
	bytes_free(&archive);
	if (code == EXIT_OK)
		code = outcome_begin(&run->outcome, &run->config);
	if (code == EXIT_OK && run->stats_path) {
		run->stats = fopen(run->stats_path, "we");
		if (!run->stats) {
			say_error("cannot write %s (%s); give another file with --stats",
				run->stats_path, strerror(errno));
			code = EXIT_CANNOT_WRITE;
		}
	}
	if (code == EXIT_OK)
		code = run_image(run, &image);
	if (run->stats)
		fclose(run->stats);
	outcome_end(&run->outcome);
	image_free(&image);
	return code;
}

int run_main(int argc, char **argv)
{
	static char demo[] = "/bin/demo";
	char *const demo_command[] = {demo, NULL};
	struct run run = {.stats_path = NULL};
	const struct option_table tables[] = {
		{run_options, &run}, {machine_options, &run.config}, {NULL, NULL}};
	struct option_rest rest;
	char *const *command = NULL;
	int code;

	config_defaults(&run.config);
	code = options_parse(tables, "run", argc, argv, &rest);
	if (code == EXIT_OK && rest.help) {
		print_help(tables);
	} else if (code == EXIT_OK && rest.has_command && !argv[rest.command]) {
		say_error("there is no command after --; write one, or leave out --");
		code = EXIT_USAGE;
	} else if (code == EXIT_OK) {
		code = config_check(&run.config);
		run.mode = choose_mode(&run, rest.has_command);
		if (rest.has_command)
			command = argv + rest.command;
		else if (run.mode == RUN_DEMO)
			command = demo_command;
		if (code == EXIT_OK)
			code = prepare_and_run(&run, command);
	}
	words_free(&run.config.initrds);
	words_free(&run.config.qemu_arguments);
	return code;
}
