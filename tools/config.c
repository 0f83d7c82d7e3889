/* SPDX-License-Identifier: MIT */
/* Options of a machine. Must not know files, QEMU's syntax or the monitor. */
#include "tools/config.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "umbra/policy.h"

const char *const paging_names[] = {
	[PAGING_SHADOW] = "shadow",
	[PAGING_NPT] = "npt",
	[PAGING_NONE] = "none",
	NULL,
};

const char *const accel_names[] = {
	[ACCEL_TCG] = "tcg",
	[ACCEL_KVM] = "kvm",
	NULL,
};

#define FIELD(member) .offset = offsetof(struct machine_config, member)

const struct option_row machine_options[] = {
	{.name = "kernel",
		.kind = OPTION_TEXT,
		FIELD(kernel),
		.argument = "KERNEL",
		.help = "the file of a Linux bzImage or multiboot1 kernel, or the name of one of\n"
			"the build's: amd64 (default), paging-test (no Linux: the bare guest\n"
			"of the tests), and after make guests i686-pae and i686"},
	{.name = "initrd",
		.kind = OPTION_LIST,
		FIELD(initrds),
		.argument = "FILE",
		.help = "initial file system (default: the build's, 32-bit for a 32-bit kernel);\n"
			"repeatable: archives are joined, a multiboot kernel gets each as a\n"
			"module, with what follows a space as its words"},
	{.name = "append",
		.kind = OPTION_TEXT,
		FIELD(append),
		.argument = "TEXT",
		.help = "more words for a Linux kernel's command line; all of a multiboot "
			"kernel's,\n"
			"after its name"},
	{.name = "mem",
		.kind = OPTION_NUMBER,
		FIELD(mem_mib),
		.argument = "MIB",
		.minimum = 1,
		.maximum = 1u << 20,
		.help = "the guest's memory (default 512)"},
	{.name = "reserve",
		.kind = OPTION_NUMBER,
		FIELD(reserve_mib),
		.argument = "MIB",
		.minimum = 8,
		.maximum = 2048,
		.help = "memory for the hypervisor and its shadow pages, beside the guest's\n"
			"(default 40 and 1/128 of --mem)"},
	{.name = "smp",
		.kind = OPTION_NUMBER,
		FIELD(n_cpus),
		.argument = "N",
		.minimum = 1,
		.maximum = 256,
		.help = "CPUs; only 1 for now"},
	{.name = "policy",
		.kind = OPTION_TEXT,
		FIELD(policy),
		.argument = "K=V,...",
		.help = "switch parts of the shadow MMU; the keys are below"},
	{.name = "cpu",
		.kind = OPTION_TEXT,
		FIELD(cpu),
		.argument = "MODEL",
		.help = "QEMU's CPU model (default EPYC,+svm,+npt,-rdrand,-rdseed; host for kvm)"},
	{.name = "accel",
		.kind = OPTION_CHOICE,
		FIELD(accel),
		.argument = "tcg|kvm",
		.choices = accel_names,
		.help = "pure emulation (default), or KVM with nested virtualization (untested)"},
	{.name = "icount",
		.kind = OPTION_FLAG,
		FIELD(icount),
		.help = "deterministic: 1 ns of guest time is 1 instruction, the hypervisor's too"},
	{.name = "measure",
		.kind = OPTION_FLAG,
		FIELD(measure),
		.help = "time the hypervisor's exits: \"exit_cost\" in the statistics, in "
			"instructions\n"
			"with --icount"},
	{.name = "log",
		.kind = OPTION_TEXT,
		FIELD(log),
		.argument = "FILE",
		.help = "write the guest's console and the hypervisor's messages here\n"
			"(bench: to FILE.ROW and FILE.ROW-bare)"},
	{.name = "timeout",
		.kind = OPTION_NUMBER,
		FIELD(timeout_s),
		.argument = "SECONDS",
		.minimum = 1,
		.maximum = 1u << 20,
		.help = "stop the machine after this time, exit code 124"},
	{.name = "qemu-arg",
		.kind = OPTION_LIST,
		FIELD(qemu_arguments),
		.argument = "ARG",
		.help = "one more argument for QEMU, as it is; repeatable"},
	{.name = NULL},
};

void config_defaults(struct machine_config *config)
{
	*config = (struct machine_config){
		.n_cpus = 1,
		.mem_mib = 512,
		.policy = "",
		.append = "",
	};
}

int config_check_policy(const char *text)
{
	struct umbra_policy policy = umbra_policy_default;
	char why[256];

	if (strchr(text, ' ')) {
		say_error("--policy \"%s\": keys are divided by commas, without spaces; write "
			  "k=v,k=v",
			text);
		return EXIT_USAGE;
	}
	if (umbra_policy_parse(&policy, text, why, sizeof(why)) == UMBRA_OK)
		return EXIT_OK;
	say_error("--policy %s: %s; see `umbra run --help` for the keys", text, why);
	return EXIT_USAGE;
}

int config_check(const struct machine_config *config)
{
	if (config->n_cpus != 1) {
		say_error("--smp %u: guests have one CPU for now, more are not supported yet; "
			  "leave out --smp",
			config->n_cpus);
		return EXIT_USAGE;
	}
	if (config->accel == ACCEL_KVM && config->icount) {
		say_error("--icount counts instructions, which only emulation can; leave out "
			  "--accel kvm");
		return EXIT_USAGE;
	}
	if (config->accel == ACCEL_KVM && access("/dev/kvm", R_OK | W_OK) != 0) {
		say_error("--accel kvm: /dev/kvm cannot be opened (%m); load the kvm module and "
			  "join the kvm "
			  "group, or leave out --accel");
		return EXIT_NO_QEMU;
	}
	return config_check_policy(config->policy);
}

unsigned config_reserve_mib(const struct machine_config *config)
{
	if (config->paging == PAGING_NONE)
		return 0;
	return config->reserve_mib ? config->reserve_mib : 40 + config->mem_mib / 128;
}

const char *config_cpu(const struct machine_config *config)
{
	if (config->cpu)
		return config->cpu;
	return config->accel == ACCEL_KVM ? "host" : "EPYC,+svm,+npt,-rdrand,-rdseed";
}

void config_policy_help(void)
{
	puts("\nPolicy keys:");
	for (unsigned i = 0; umbra_policy_help(i); i++)
		printf("  %s\n", umbra_policy_help(i));
}
