/* SPDX-License-Identifier: MIT */
/* The guest's course: command line, all modes of both worlds, the verdict. */
#include "tests/guest/guest.h"

#define LOADER_MAGIC     0x2badb002u
#define HAS_COMMAND_LINE 4u

/* The beginning of the multiboot information. */
struct multiboot_info {
	uint32_t flags;
	uint32_t mem_lower;
	uint32_t mem_upper;
	uint32_t boot_device;
	uint32_t command_line;
};

static struct shared shared_here;

void long_call(uint32_t cr3, uint32_t cr4, struct shared *argument);

void world64_call(enum mode_id id)
{
	shared->mode = id;
	long_call(mode_root(id), (uint32_t)modes[id].cr4 | X86_CR4_OSFXSR, shared);
}

/* If @word begins with @key, what follows; else NULL. */
static const char *after(const char *text, const char *key)
{
	while (*key) {
		if (*text++ != *key++)
			return NULL;
	}
	return text;
}

static bool word_is(const char *text, const char *other)
{
	const char *rest = after(text, other);

	return rest && (*rest == '\0' || *rest == ' ');
}

static uint32_t number(const char *text)
{
	uint32_t value = 0;

	while (*text >= '0' && *text <= '9')
		value = value * 10 + (uint32_t)(*text++ - '0');
	return value;
}

/* Copy the rest of a word into @to. */
static void keep(char *to, size_t n_bytes, const char *text)
{
	size_t n = 0;

	while (text[n] && text[n] != ' ' && n < n_bytes - 1) {
		to[n] = text[n];
		n++;
	}
}

static void take_word(const char *text)
{
	static const char *const rows[] = {
		[ROW_NONE] = "row=none", [ROW_NPT] = "row=npt", [ROW_SHADOW] = "row=shadow"};
	if (after(text, "seed="))
		shared->seed = number(after(text, "seed="));
	if (after(text, "rounds="))
		shared->rounds = number(after(text, "rounds="));
	if (after(text, "only="))
		keep(shared->only, sizeof(shared->only), after(text, "only="));
	if (after(text, "bench="))
		keep(shared->bench, sizeof(shared->bench), after(text, "bench="));
	if (word_is(text, "clock=ns"))
		shared->clock_ns = 1;
	if (word_is(text, "marks"))
		shared->marks = 1;
	if (word_is(text, "list"))
		shared->list = 1;
	for (uint32_t row = ROW_NONE; row <= ROW_SHADOW; row++) {
		if (word_is(text, rows[row]))
			shared->row = row;
	}
}

/* The first word may be the kernel's own name: it is none of ours and so does no harm. */
static void read_command_line(const char *at)
{
	while (*at) {
		take_word(at);
		while (*at && *at != ' ')
			at++;
		while (*at == ' ')
			at++;
	}
}

static void run_mode(enum mode_id id)
{
	bool bench = *shared->bench;

	if (shared->list || !mode_possible(id)) {
		if (!bench)
			run_none(id, "this processor does not have the mode");
	} else if (IN(id) & IN_LONG) {
		shared->job = bench ? JOB_BENCH : JOB_TESTS;
		world64_call(id);
	} else {
		mode_enter(id);
		if (bench)
			run_bench();
		else
			run_tests();
		mode_leave();
	}
}

/* Called from boot.S. */
_Noreturn void main(uint32_t magic, const struct multiboot_info *info);

void main(uint32_t magic, const struct multiboot_info *info)
{
	shared = &shared_here;
	console_begin();
	if (magic != LOADER_MAGIC) {
		print("paging-test: not started by a multiboot loader\n");
		leave(false);
	}
	if (info->flags & HAS_COMMAND_LINE)
		read_command_line((const char *)(uintptr_t)info->command_line);
	cpu_detect();
	descriptors_make();
	descriptors_load();
	mode_tables_make();
	for (unsigned id = UNPAGED; id < N_MODES; id++)
		run_mode((enum mode_id)id);
	if (*shared->bench)
		leave(shared->failed == 0);
	if (!shared->list) {
		print("paging-test: ");
		print_number(shared->probes);
		print(" probes\npaging-test: ");
		print_number(shared->passed);
		print(" passed, ");
		print_number(shared->failed);
		print(" failed, ");
		print_number(shared->skipped);
		print(" skipped\n");
	}
	leave(shared->failed == 0 && (shared->passed > 0 || shared->list));
}
