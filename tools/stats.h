/* SPDX-License-Identifier: MIT */
/*
 * Statistics of the hypervisor, for people and for programs.
 */
#ifndef TOOLS_STATS_H
#define TOOLS_STATS_H

#include "tools/config.h"

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>

/*
 * What the MMU did, on @to: exits by kind, faults by kind, shadow pages, time. @stats is a
 * statistics line of the monitor, NULL if none came.
 */
void stats_print(
	FILE *to, const struct machine_config *config, const json_t *stats, uint64_t real_ns);

/*
 * {"exits":{...},"mmu":{...},"guest_ns":n} to @to. Without a hypervisor both are empty and guest_ns
 * is the real time. Returns EXIT_OK, or EXIT_CANNOT_WRITE after saying why.
 */
int stats_write(
	FILE *to, const struct machine_config *config, const json_t *stats, uint64_t real_ns);

#endif
