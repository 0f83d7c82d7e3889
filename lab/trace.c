/* SPDX-License-Identifier: MIT */
/* Traces in memory and as files. */
#include "lab/run.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_BYTES 1024u

void trace_add(struct trace *trace, const struct step *step)
{
	if (trace->n_steps == trace->room) {
		trace->room = trace->room ? trace->room * 2 : 1024;
		trace->steps = realloc(trace->steps, trace->room * sizeof(*step));
		if (!trace->steps) {
			fprintf(stderr, "umbra-lab: out of memory (%zu steps)\n", trace->room);
			exit(1);
		}
	}
	trace->steps[trace->n_steps++] = *step;
}

void trace_free(struct trace *trace)
{
	free(trace->steps);
	memset(trace, 0, sizeof(*trace));
}

static bool read_line(
	struct trace *trace, const char *line, bool *configured, char *why, size_t why_bytes)
{
	const char *reason;
	struct step step;

	if (line[0] == '#' || line[0] == '\0')
		return true;
	if (strncmp(line, "run ", 4) == 0) {
		*configured = true;
		return lab_config_parse(&trace->config, line + 4, why, why_bytes);
	}
	if (!*configured) {
		snprintf(why, why_bytes, "a line \"run CONFIG\" must come before the first step");
		return false;
	}
	if (!step_parse(&step, line, &reason)) {
		snprintf(why, why_bytes, "%s", reason);
		return false;
	}
	if (step.vcpu >= trace->config.vcpus) {
		snprintf(why, why_bytes, "vCPU %u, but the run has %u", step.vcpu,
			trace->config.vcpus);
		return false;
	}
	trace_add(trace, &step);
	return true;
}

bool trace_read(struct trace *trace, const char *path, char *why, size_t why_bytes)
{
	FILE *file = fopen(path, "r");
	char line[LINE_BYTES];
	char reason[256];
	bool configured = false;
	bool good = true;

	memset(trace, 0, sizeof(*trace));
	trace->config = lab_config_default;
	if (!file) {
		snprintf(why, why_bytes, "cannot read %s: %s", path, strerror(errno));
		return false;
	}
	for (unsigned number = 1; good && fgets(line, sizeof(line), file); number++) {
		line[strcspn(line, "\n")] = '\0';
		good = read_line(trace, line, &configured, reason, sizeof(reason));
		if (!good)
			snprintf(why, why_bytes, "%s:%u: %s", path, number, reason);
	}
	fclose(file);
	if (good && !configured) {
		snprintf(why, why_bytes, "%s is no trace: it has no line \"run CONFIG\"", path);
		good = false;
	}
	if (!good)
		trace_free(trace);
	return good;
}

bool trace_write(const struct trace *trace, const char *path, const char *comment, char *why,
	size_t why_bytes)
{
	FILE *file = fopen(path, "w");
	char text[LAB_CONFIG_BYTES];
	char line[STEP_TEXT_BYTES];
	bool good = file != NULL;

	if (good) {
		lab_config_print(&trace->config, text);
		fprintf(file, "# %s\nrun %s\n", comment, text);
		for (size_t i = 0; i < trace->n_steps; i++) {
			step_print(&trace->steps[i], line);
			fprintf(file, "%s\n", line);
		}
		good = !ferror(file);
		if (fclose(file) != 0)
			good = false;
	}
	if (!good)
		snprintf(why, why_bytes, "cannot write %s: %s", path, strerror(errno));
	return good;
}
