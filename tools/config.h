/* SPDX-License-Identifier: MIT */
/*
 * What machine the user asked for: the options that `umbra run` and `umbra bench` share, their
 * defaults, and the checks that need no file and no QEMU.
 */
#ifndef TOOLS_CONFIG_H
#define TOOLS_CONFIG_H

#include "tools/bytes.h"
#include "tools/options.h"

#include <stdbool.h>

enum paging {
	PAGING_SHADOW,
	PAGING_NPT,
	PAGING_NONE, /* the same guest without a hypervisor */
};

enum accel {
	ACCEL_TCG,
	ACCEL_KVM,
};

/* Their names, NULL-terminated, by number. */
extern const char *const paging_names[];
extern const char *const accel_names[];

struct machine_config {
	unsigned paging; /* enum paging */
	unsigned accel;  /* enum accel */
	unsigned n_cpus;
	unsigned mem_mib;     /* the guest's, without what the hypervisor reserves */
	unsigned reserve_mib; /* the hypervisor's; 0 means as much as mem_mib usually needs */
	unsigned timeout_s;   /* of real time; 0 means none */
	bool icount;
	bool measure;         /* the hypervisor times its exits */
	bool marks;           /* the guest may call the hypervisor to mark points in time */
	const char *policy;   /* "" means the library's default */
	const char *cpu;      /* NULL means a default that fits accel */
	const char *kernel;   /* NULL means the one made by the build */
	const char *append;   /* "" means nothing more */
	const char *log;      /* file for the guest's console; NULL means none */
	struct words initrds; /* none means the one made by the build, unless kernel is multiboot */
	struct words qemu_arguments;
};

/* The shared rows; their target is a struct machine_config. */
extern const struct option_row machine_options[];

void config_defaults(struct machine_config *config);
/* Returns EXIT_OK, or EXIT_USAGE, EXIT_CONFIG or EXIT_NO_QEMU after saying what cannot work. */
int config_check(const struct machine_config *config);
/* Returns EXIT_OK, or EXIT_USAGE after saying what is wrong with the policy. */
int config_check_policy(const char *text);
/* MiB that the hypervisor takes for itself, on top of the guest's memory. */
unsigned config_reserve_mib(const struct machine_config *config);
/* The CPU model for QEMU. */
const char *config_cpu(const struct machine_config *config);
/* The policy keys and what they accept, on standard output. */
void config_policy_help(void);

#endif
