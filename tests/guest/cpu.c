/* SPDX-License-Identifier: MIT */
/* What the processor has. SDM 2 "CPUID"; APM 3 appendix "Obtaining Processor Information". */
#include "tests/guest/cpu.h"

struct cpu cpu;

static bool bit(uint32_t word32, unsigned n)
{
	return word32 >> n & 1;
}

void cpu_detect(void)
{
	uint32_t max = cpuid(0, 0).eax;
	uint32_t max_extended = cpuid(0x80000000, 0).eax;
	struct cpuid basic = cpuid(1, 0);

	cpu.maxphyaddr = bit(basic.edx, 17) ? 36 : 32;
	cpu.pse = bit(basic.edx, 3);
	cpu.pae = bit(basic.edx, 6);
	cpu.pge = bit(basic.edx, 13);
	cpu.pat = bit(basic.edx, 16);
	cpu.pse36 = bit(basic.edx, 17);
	cpu.cx16 = bit(basic.ecx, 13);
	cpu.pcid = bit(basic.ecx, 17);
	cpu.xsave = bit(basic.ecx, 26);
	cpu.avx = bit(basic.ecx, 28);
	if (max >= 7) {
		struct cpuid more = cpuid(7, 0);

		cpu.smep = bit(more.ebx, 7);
		cpu.invpcid = bit(more.ebx, 10);
		cpu.smap = bit(more.ebx, 20);
		cpu.umip = bit(more.ecx, 2);
		cpu.pku = bit(more.ecx, 3);
		cpu.la57 = bit(more.ecx, 16);
		cpu.pks = bit(more.ecx, 31);
	}
	if (max_extended >= 0x80000001) {
		struct cpuid more = cpuid(0x80000001, 0);

		cpu.nx = bit(more.edx, 20);
		cpu.gb_pages = bit(more.edx, 26);
		cpu.long_mode = bit(more.edx, 29);
	}
	if (max_extended >= 0x80000008)
		cpu.maxphyaddr = cpuid(0x80000008, 0).eax & 0xff;
}
