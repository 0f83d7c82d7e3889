/* SPDX-License-Identifier: MIT */
/* Judges a machine's end. Must not know whether it was a user's run or a benchmark's. */
#include "tools/outcome.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define TAIL_LINES 30u

/* What the hypervisor writes to the isa-debug-exit port, as QEMU's exit status. */
enum {
	QEMU_STATUS_REFUSED = 65,
	QEMU_STATUS_SHUTDOWN = 67,
	QEMU_STATUS_PANIC = 71,
};

int outcome_begin(struct outcome *outcome, const struct machine_config *config)
{
	*outcome = (struct outcome){0};
	if (!config->log)
		return EXIT_OK;
	outcome->log = fopen(config->log, "we");
	if (outcome->log) {
		setvbuf(outcome->log, NULL, _IOLBF, 0); /* so that it can be followed */
		return EXIT_OK;
	}
	say_error("cannot write the log %s (%s); give another file with --log", config->log,
		strerror(errno));
	return EXIT_CANNOT_WRITE;
}

void outcome_end(struct outcome *outcome)
{
	if (outcome->log)
		fclose(outcome->log);
	tail_free(&outcome->console);
	json_decref(outcome->stats);
	free(outcome->stopped);
}

void outcome_console(struct outcome *outcome, const char *bytes, size_t n_bytes)
{
	tail_add(&outcome->console, bytes, n_bytes);
	if (outcome->log)
		fwrite(bytes, 1, n_bytes, outcome->log);
}

/* A line of the hypervisor's among those of the console. */
static void keep_line(struct outcome *outcome, const char *text)
{
	char *line = make_text("[umbra-hv] %s\n", text);

	outcome_console(outcome, line, strlen(line));
	free(line);
}

static void keep_object(struct outcome *outcome, const json_t *object)
{
	char *text = json_dumps(object, JSON_COMPACT);

	if (text)
		keep_line(outcome, text);
	free(text);
}

/* The hypervisor's message before it stops a guest begins so; then comes why. */
static const char stopped_mark[] = "the guest was stopped: ";

static void keep_reason(struct outcome *outcome, const char *text)
{
	size_t n_bytes = strlen(stopped_mark);

	if (strncmp(text, stopped_mark, n_bytes) != 0)
		return;
	free(outcome->stopped);
	outcome->stopped = copy_text(text + n_bytes);
}

/* "text name=value name=value": whatever the hypervisor put into the line. */
static void print_panic(const struct monitor_event *event)
{
	const char *name;
	json_t *value;

	fprintf(stderr, "  %s", event->text);
	json_object_foreach((json_t *)event->object, name, value)
	{
		char *text;

		if (strcmp(name, "type") == 0 || strcmp(name, "text") == 0)
			continue;
		text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
		fprintf(stderr, " %s=%s", name, text ? text : "?");
		free(text);
	}
	fputc('\n', stderr);
}

void outcome_monitor(struct outcome *outcome, const struct monitor_event *event)
{
	switch (event->kind) {
	case MONITOR_MARK:
		break;
	case MONITOR_HELLO:
		keep_object(outcome, event->object);
		break;
	case MONITOR_STATS:
		keep_object(outcome, event->object);
		json_decref(outcome->stats);
		outcome->stats = json_incref((json_t *)event->object);
		break;
	case MONITOR_LOG:
		keep_reason(outcome, event->text);
		keep_line(outcome, event->text);
		break;
	case MONITOR_GARBAGE:
		keep_line(outcome, event->text);
		break;
	case MONITOR_ERROR:
		keep_line(outcome, event->text);
		outcome->refused = true;
		say_error("the hypervisor cannot start this: %s", event->text);
		break;
	case MONITOR_PANIC:
		keep_object(outcome, event->object);
		if (!outcome->panicked)
			say_error("the hypervisor panicked, a defect in it; please report it with "
				  "all of this:");
		outcome->panicked = true;
		print_panic(event);
		break;
	}
}

static void show_tail(const struct outcome *outcome)
{
	if (outcome->console_shown || bytes_count(&outcome->console.kept) == 0)
		return;
	fputs("  the console's last lines were:\n", stderr);
	tail_print(&outcome->console, stderr, "  | ", TAIL_LINES);
}

static int exit_status(const struct machine *machine)
{
	return WIFEXITED(machine->qemu_status) ? WEXITSTATUS(machine->qemu_status) : -1;
}

/* QEMU gave up before or while the guest ran, for its own reasons. */
static int qemu_failed(const struct machine *machine)
{
	if (WIFSIGNALED(machine->qemu_status))
		say_error("QEMU was killed by signal %d (%s); if that was not you, see the host's "
			  "log",
			WTERMSIG(machine->qemu_status), strsignal(WTERMSIG(machine->qemu_status)));
	else
		say_error("QEMU could not run this machine (its exit status is %d); check --cpu, "
			  "--mem and "
			  "--qemu-arg against what it said:",
			exit_status(machine));
	tail_print(&machine->errors, stderr, "  | ", TAIL_LINES);
	return EXIT_CONFIG;
}

static const char *death_of(const struct outcome *outcome, const struct machine *machine)
{
	const char *reason = json_string_value(json_object_get(outcome->stats, "reason"));

	if (outcome->stopped)
		return outcome->stopped;
	if (exit_status(machine) == QEMU_STATUS_SHUTDOWN ||
		(reason && strcmp(reason, "shutdown") == 0))
		return "it triple-faulted";
	if (strcmp(machine->qmp.shutdown, "guest-reset") == 0)
		return "it reset the machine (a kernel panic, a triple fault, or a reboot command)";
	return "it switched the machine off";
}

/* Did the guest write to the isa-debug-exit port itself? The hypervisor said so. */
static bool guests_own_code(const struct outcome *outcome)
{
	const char *reason = json_string_value(json_object_get(outcome->stats, "reason"));

	return reason && strcmp(reason, "debug-exit") == 0;
}

/* The guest ended by itself, in whatever way. */
static int guest_code(
	const struct outcome *outcome, const struct machine *machine, int command_status)
{
	bool hypervisors = machine->config->paging != PAGING_NONE && !guests_own_code(outcome);
	bool reset = strcmp(machine->qmp.shutdown, "guest-reset") == 0;
	int status = exit_status(machine);

	if (command_status >= 0)
		return command_status;
	if (status < 0 || !machine->qmp.ready)
		return qemu_failed(machine);
	if (hypervisors && status == QEMU_STATUS_PANIC) {
		say_error(
			"the hypervisor panicked without a report; please report this as a defect");
		show_tail(outcome);
		return EXIT_PANIC;
	}
	if (command_status == OUTCOME_NO_COMMAND && !reset &&
		!(hypervisors && status == QEMU_STATUS_SHUTDOWN))
		return status;
	say_error("the guest died%s: %s; see --log FILE for its whole console",
		command_status == OUTCOME_UNFINISHED ? " before its command had ended" : "",
		death_of(outcome, machine));
	show_tail(outcome);
	return EXIT_GUEST_DIED;
}

int outcome_code(const struct outcome *outcome, const struct machine *machine, int command_status)
{
	if (outcome->panicked)
		return EXIT_PANIC;
	if (outcome->refused)
		return EXIT_CONFIG;
	switch (machine->end) {
	case MACHINE_GUEST_ENDED:
		return guest_code(outcome, machine, command_status);
	case MACHINE_USER_LEFT:
		return command_status >= 0 ? command_status : EXIT_OK;
	case MACHINE_TIMED_OUT:
		if (command_status >= 0)
			return command_status;
		say_error("stopped after %u s, as --timeout says; give it more time, or see where "
			  "it hangs",
			machine->config->timeout_s);
		show_tail(outcome);
		return EXIT_TIMED_OUT;
	case MACHINE_SIGNALLED:
		return EXIT_BY_SIGNAL + machine->signal;
	case MACHINE_OUTPUT_GONE:
		return EXIT_BY_SIGNAL + SIGPIPE;
	}
	return EXIT_GUEST_DIED;
}
