/* SPDX-License-Identifier: MIT */
/*
 * Accepted differences: see zydis_makers.h. An instruction is excused by its mnemonic and the thing
 * that differs, never altogether.
 *
 * Two more things are settled before anything is compared, in zydis_view.c: Zydis is asked for
 * AMD's near branches, which a 66 prefix makes 16 bits wide in 64-bit code (Intel's stay 32 bits
 * wide); and a mistake in its SIB bytes is mended.
 */
#include "tests/x86/zydis_makers.h"

#include <string.h>

struct excuse {
	ZydisMnemonic mnemonic;
	uint8_t operand_width; /* 0: any */
	const char *difference;
	const char *reason;
};

static const struct excuse excuses[] = {
	{ZYDIS_MNEMONIC_MOVSXD, 16, "register",
		"with a 66 prefix the source has 16 bits on Intel's processors, 32 on AMD's"},
	{ZYDIS_MNEMONIC_MOVSXD, 16, "width of memory operand", "the same"},
	{ZYDIS_MNEMONIC_MONTMUL, 0, "not accepted", "VIA only"},
	{ZYDIS_MNEMONIC_XCRYPT_CBC, 0, "not accepted", "VIA only"},
	{ZYDIS_MNEMONIC_XCRYPT_CFB, 0, "not accepted", "VIA only"},
	{ZYDIS_MNEMONIC_XCRYPT_CTR, 0, "not accepted", "VIA only"},
	{ZYDIS_MNEMONIC_XCRYPT_ECB, 0, "not accepted", "VIA only"},
	{ZYDIS_MNEMONIC_XCRYPT_OFB, 0, "not accepted", "VIA only"},
	{ZYDIS_MNEMONIC_XSHA1, 0, "not accepted", "VIA only"},
	{ZYDIS_MNEMONIC_XSHA256, 0, "not accepted", "VIA only"},
	{ZYDIS_MNEMONIC_XSTORE, 0, "not accepted", "VIA only"},
};

const char *zydis_excuse(const struct zydis_view *view, const char *difference)
{
	for (size_t i = 0; i < sizeof(excuses) / sizeof(excuses[0]); i++) {
		const struct excuse *excuse = &excuses[i];

		if (excuse->mnemonic == view->insn.mnemonic &&
			(excuse->operand_width == 0 ||
				excuse->operand_width == view->insn.operand_width) &&
			!strcmp(excuse->difference, difference))
			return excuse->reason;
	}
	return NULL;
}
