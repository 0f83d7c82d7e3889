/* SPDX-License-Identifier: MIT */
/*
 * The reference walker, rule by rule: a row bends a straight path in some mode and says what an
 * access must give. Rows are test cases of their own, named by their rule.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/oracle_world.h"

static const struct row rows[] = {
	/* Translation in each mode. */
	{"unpaged: identity of 32 bits, no rights", 0, .kind = WR, .user = true},
	{"32bit.4k: ok", 2, .kind = WR, .user = true},
	{"32bit.4m: ok", 2, .leaf = 2, .cr4 = PSE, .kind = WR, .user = true},
	{"pae.4k: ok", 3, .kind = WR, .user = true},
	{"pae.2m: ok", 3, .leaf = 2, .kind = WR, .user = true},
	{"4level.4k: ok", 4, .kind = WR, .user = true},
	{"4level.2m: ok", 4, .leaf = 2, .kind = WR, .user = true},
	{"4level.1g: ok", 4, .leaf = 3, .has_1g = true, .kind = WR, .user = true},
	{"5level.4k: ok", 5, .kind = WR, .user = true},
	{"5level.1g: ok", 5, .leaf = 3, .has_1g = true, .kind = FE, .user = true},

	/* Not present: P=0 whatever else is wrong, and the other bits tell of the access. */
	{"pte.p=0 read -> 0", 4, .clear = {[1] = P}, .outcome = PF},
	{"pte.p=0 user write -> W U", 4, .clear = {[1] = P}, .kind = WR, .user = true,
		.outcome = PF, .code = W | U},
	{"pte.p=0 fetch, no nx, no smep -> 0", 4, .clear = {[1] = P}, .kind = FE, .outcome = PF},
	{"pte.p=0 fetch, nxe -> I", 4, .efer = NXE, .clear = {[1] = P}, .kind = FE, .outcome = PF,
		.code = I},
	{"pte.p=0 fetch, smep -> I", 4, .cr4 = SMEP, .clear = {[1] = P}, .kind = FE, .outcome = PF,
		.code = I},
	{"32bit: pte.p=0 fetch, nxe alone -> 0", 2, .efer = NXE, .clear = {[1] = P}, .kind = FE,
		.outcome = PF},
	{"32bit: pte.p=0 fetch, smep -> I", 2, .cr4 = SMEP, .clear = {[1] = P}, .kind = FE,
		.outcome = PF, .code = I},
	{"pte.p=0 with reserved bits -> 0", 4, .set = {[1] = BIT(50)}, .clear = {[1] = P},
		.outcome = PF},
	{"pml4e.p=0 -> 0", 4, .clear = {[4] = P}, .outcome = PF},
	{"pml5e.p=0 -> 0", 5, .clear = {[5] = P}, .outcome = PF},
	{"pdpte register.p=0 -> 0", 3, .clear = {[3] = P}, .user = true, .outcome = PF, .code = U},
	{"pde without rights, pte.p=0 -> no P", 4, .cr0 = WP, .clear = {[2] = ORACLE_W, [1] = P},
		.kind = WR, .outcome = PF, .code = W},
	{"pte.p=0, key denies -> no PK", 4, .cr4 = PKE, .pkru = 3, .clear = {[1] = P},
		.outcome = PF},
	{"implicit access at cpl 3 -> no U", 4, .clear = {[1] = P}, .user = true, .implicit = true,
		.outcome = PF},

	/* Reserved bits: P and RSVD, before any right. */
	{"pte.bit 46, maxphyaddr 46 -> P RSVD", 4, .set = {[1] = BIT(46)}, .outcome = PF,
		.code = P | RSVD},
	{"pte.bit 51 -> P RSVD", 4, .set = {[1] = BIT(51)}, .outcome = PF, .code = P | RSVD},
	{"pte.bit 45, maxphyaddr 45 -> P RSVD", 4, .width = 45, .set = {[1] = BIT(45)},
		.outcome = PF, .code = P | RSVD},
	{"pte.bits 58:52 are free in long mode", 4, .set = {[1] = 0x7full << 52}},
	{"pte.bits 62:59 are free without keys", 4, .pkru = ~0u, .set = {[1] = KEY(15)}},
	{"pml4e.rsvd user write -> P W U RSVD", 4, .set = {[4] = BIT(47)}, .kind = WR, .user = true,
		.outcome = PF, .code = P | W | U | RSVD},
	{"rsvd before rights", 4, .cr0 = WP, .set = {[1] = BIT(46)},
		.clear = {[1] = ORACLE_W | ORACLE_U}, .kind = WR, .user = true, .outcome = PF,
		.code = P | W | U | RSVD},
	{"upper rsvd before lower p=0", 4, .set = {[3] = BIT(46)}, .clear = {[1] = P},
		.outcome = PF, .code = P | RSVD},
	{"upper p=0 before lower rsvd", 4, .set = {[1] = BIT(46)}, .clear = {[3] = P},
		.outcome = PF},
	{"pte.nx without nxe -> P RSVD", 4, .set = {[1] = ORACLE_NX}, .outcome = PF,
		.code = P | RSVD},
	{"pml4e.nx without nxe -> P RSVD", 4, .set = {[4] = ORACLE_NX}, .outcome = PF,
		.code = P | RSVD},
	{"pml4e.ps -> P RSVD", 4, .has_1g = true, .set = {[4] = ORACLE_PS}, .outcome = PF,
		.code = P | RSVD},
	{"pml5e.ps -> P RSVD", 5, .has_1g = true, .set = {[5] = ORACLE_PS}, .outcome = PF,
		.code = P | RSVD},
	{"pdpte.ps without 1g pages -> P RSVD", 4, .leaf = 3, .outcome = PF, .code = P | RSVD},
	{"pdpte.ps of a table without 1g pages -> P RSVD", 4, .set = {[3] = ORACLE_PS},
		.outcome = PF, .code = P | RSVD},
	{"1g leaf.bit 29 -> P RSVD", 4, .leaf = 3, .has_1g = true, .set = {[3] = BIT(29)},
		.outcome = PF, .code = P | RSVD},
	{"1g leaf.bit 13 -> P RSVD", 4, .leaf = 3, .has_1g = true, .set = {[3] = BIT(13)},
		.outcome = PF, .code = P | RSVD},
	{"1g leaf.bit 12 is pat", 4, .leaf = 3, .has_1g = true, .set = {[3] = BIT(12)}},
	{"2m leaf.bit 20 -> P RSVD", 4, .leaf = 2, .set = {[2] = BIT(20)}, .outcome = PF,
		.code = P | RSVD},
	{"2m leaf.bit 13 -> P RSVD", 4, .leaf = 2, .set = {[2] = BIT(13)}, .outcome = PF,
		.code = P | RSVD},
	{"2m leaf.bit 12 is pat", 4, .leaf = 2, .set = {[2] = BIT(12)}},
	{"pml4e.bit 8 is free on intel", 4, .set = {[4] = BIT(8)}},
	{"pml4e.bit 8 on amd -> P RSVD", 4, .amd = true, .set = {[4] = BIT(8)}, .outcome = PF,
		.code = P | RSVD},
	{"pml5e.bit 8 on amd -> P RSVD", 5, .amd = true, .set = {[5] = BIT(8)}, .outcome = PF,
		.code = P | RSVD},
	{"pdpte.bit 8 is free on amd too", 4, .amd = true, .set = {[3] = BIT(8)}},
	{"pae: pte.bit 52 -> P RSVD", 3, .set = {[1] = BIT(52)}, .outcome = PF, .code = P | RSVD},
	{"pae: pde.bit 62 -> P RSVD", 3, .set = {[2] = BIT(62)}, .outcome = PF, .code = P | RSVD},
	{"pae: pte.bit 46 -> P RSVD", 3, .set = {[1] = BIT(46)}, .outcome = PF, .code = P | RSVD},
	{"pae: pte.nx without nxe -> P RSVD", 3, .set = {[1] = ORACLE_NX}, .outcome = PF,
		.code = P | RSVD},
	{"pae: 2m leaf.bit 13 -> P RSVD", 3, .leaf = 2, .set = {[2] = BIT(13)}, .outcome = PF,
		.code = P | RSVD},
	{"32bit: 4m leaf.bit 21 -> P RSVD", 2, .leaf = 2, .cr4 = PSE, .pse36 = true, .width = 40,
		.set = {[2] = BIT(21)}, .outcome = PF, .code = P | RSVD},
	{"32bit: 4m leaf.bit 13, no pse36 -> P RSVD", 2, .leaf = 2, .cr4 = PSE,
		.set = {[2] = BIT(13)}, .outcome = PF, .code = P | RSVD},
	{"32bit: 4m leaf.bit 17, maxphyaddr 36 -> P RSVD", 2, .leaf = 2, .cr4 = PSE, .pse36 = true,
		.width = 36, .set = {[2] = BIT(17)}, .outcome = PF, .code = P | RSVD},
	{"32bit: 4m leaf.bit 12 is pat", 2, .leaf = 2, .cr4 = PSE, .set = {[2] = BIT(12)}},
	{"32bit: pde.ps without pse is ignored", 2, .set = {[2] = ORACLE_PS}},
	{"32bit: pte has no reserved bits", 2, .set = {[1] = 0xff8}},

	/* User and supervisor, read and write, CR0.WP. */
	{"pte.us=0 user read -> P U", 4, .clear = {[1] = ORACLE_U}, .user = true, .outcome = PF,
		.code = P | U},
	{"pml4e.us=0 user read -> P U", 4, .clear = {[4] = ORACLE_U}, .user = true, .outcome = PF,
		.code = P | U},
	{"pte.us=0 supervisor write -> ok", 4, .cr0 = WP, .clear = {[1] = ORACLE_U}, .kind = WR},
	{"pte.us=0 implicit access at cpl 3 -> ok", 4, .clear = {[1] = ORACLE_U}, .user = true,
		.implicit = true},
	{"pte.rw=0 user write wp=0 -> P W U", 4, .clear = {[1] = ORACLE_W}, .kind = WR,
		.user = true, .outcome = PF, .code = P | W | U},
	{"pte.rw=0 supervisor write wp=1 -> P W", 4, .cr0 = WP, .clear = {[1] = ORACLE_W},
		.kind = WR, .outcome = PF, .code = P | W},
	{"pte.rw=0 supervisor write wp=0 -> ok", 4, .clear = {[1] = ORACLE_W}, .kind = WR},
	{"pde.rw=0 supervisor write wp=1 -> P W", 2, .cr0 = WP, .clear = {[2] = ORACLE_W},
		.kind = WR, .outcome = PF, .code = P | W},
	{"pte.rw=0 user read -> ok", 4, .cr0 = WP, .clear = {[1] = ORACLE_W}, .user = true},
	{"pae: pdpte registers grant all", 3, .cr0 = WP, .kind = WR, .user = true},

	/* NX. */
	{"pte.nx fetch -> P I", 4, .efer = NXE, .set = {[1] = ORACLE_NX}, .kind = FE, .outcome = PF,
		.code = P | I},
	{"pml4e.nx user fetch -> P U I", 4, .efer = NXE, .set = {[4] = ORACLE_NX}, .kind = FE,
		.user = true, .outcome = PF, .code = P | U | I},
	{"pte.nx read -> ok", 4, .efer = NXE, .set = {[1] = ORACLE_NX}},
	{"pae: pde.nx fetch -> P I", 3, .efer = NXE, .set = {[2] = ORACLE_NX}, .kind = FE,
		.outcome = PF, .code = P | I},
	{"user fetch of supervisor page, no nxe -> P U", 4, .clear = {[1] = ORACLE_U}, .kind = FE,
		.user = true, .outcome = PF, .code = P | U},

	/* SMEP, SMAP. */
	{"smep: supervisor fetch of user page -> P I", 4, .cr4 = SMEP, .kind = FE, .outcome = PF,
		.code = P | I},
	{"smep: supervisor fetch of supervisor page -> ok", 4, .cr4 = SMEP,
		.clear = {[2] = ORACLE_U}, .kind = FE},
	{"smep: user fetch of user page -> ok", 4, .cr4 = SMEP, .kind = FE, .user = true},
	{"smep: supervisor read of user page -> ok", 4, .cr4 = SMEP},
	{"no smep: supervisor fetch of user page -> ok", 4, .efer = NXE, .kind = FE},
	{"smap: supervisor read of user page -> P", 4, .cr4 = SMAP, .outcome = PF, .code = P},
	{"smap: supervisor write of user page -> P W", 4, .cr4 = SMAP, .kind = WR, .outcome = PF,
		.code = P | W},
	{"smap: ac=1 -> ok", 4, .cr4 = SMAP, .ac = true, .kind = WR},
	{"smap: implicit, ac=1 -> P", 4, .cr4 = SMAP, .ac = true, .implicit = true, .outcome = PF,
		.code = P},
	{"smap: implicit at cpl 3, ac=1 -> P, no U", 4, .cr4 = SMAP, .ac = true, .user = true,
		.implicit = true, .outcome = PF, .code = P},
	{"smap: supervisor page -> ok", 4, .cr4 = SMAP, .clear = {[3] = ORACLE_U}},
	{"smap: fetch is smep's matter -> ok", 4, .cr4 = SMAP, .kind = FE},
	{"smap: user read -> ok", 4, .cr4 = SMAP, .user = true},
	{"smap: ac=1 does not give W", 4, .cr0 = WP, .cr4 = SMAP, .ac = true,
		.clear = {[1] = ORACLE_W}, .kind = WR, .outcome = PF, .code = P | W},
	{"smap holds with wp=0", 4, .cr4 = SMAP, .clear = {[1] = ORACLE_W}, .kind = WR,
		.outcome = PF, .code = P | W},
	{"32bit: smap counts", 2, .cr4 = SMAP, .outcome = PF, .code = P},

	/* Protection keys. */
	{"pku: ad read -> P U PK", 4, .cr4 = PKE, .pkru = 1u << 10, .set = {[1] = KEY(5)},
		.user = true, .outcome = PF, .code = P | U | PK},
	{"pku: another key's ad -> ok", 4, .cr4 = PKE, .pkru = ~(3u << 10), .set = {[1] = KEY(5)},
		.user = true},
	{"pku: wd read -> ok", 4, .cr4 = PKE, .pkru = 2u << 10, .set = {[1] = KEY(5)},
		.user = true},
	{"pku: wd user write wp=0 -> P W U PK", 4, .cr4 = PKE, .pkru = 2u << 10,
		.set = {[1] = KEY(5)}, .kind = WR, .user = true, .outcome = PF,
		.code = P | W | U | PK},
	{"pku: wd supervisor write wp=1 -> P W PK", 4, .cr0 = WP, .cr4 = PKE, .pkru = 2u << 10,
		.set = {[1] = KEY(5)}, .kind = WR, .outcome = PF, .code = P | W | PK},
	{"pku: wd supervisor write wp=0 -> ok", 4, .cr4 = PKE, .pkru = 2u << 10,
		.set = {[1] = KEY(5)}, .kind = WR},
	{"pku: ad supervisor read of user page -> P PK", 4, .cr4 = PKE, .pkru = 1, .outcome = PF,
		.code = P | PK},
	{"pku: fetch -> ok", 4, .cr4 = PKE, .pkru = ~0u, .kind = FE, .user = true},
	{"pku: supervisor page -> ok", 4, .cr4 = PKE, .pkru = ~0u, .clear = {[1] = ORACLE_U}},
	{"pku: pke=0 -> ok", 4, .pkru = ~0u, .user = true},
	{"pku: key of a 2m leaf", 4, .leaf = 2, .cr4 = PKE, .pkru = 1u << 30,
		.set = {[2] = KEY(15)}, .user = true, .outcome = PF, .code = P | U | PK},
	{"pku: key of an upper entry is ignored", 4, .cr4 = PKE, .pkru = 1u << 30,
		.set = {[2] = KEY(15)}, .user = true},
	{"pku: PK comes with a missing W too", 4, .cr4 = PKE, .pkru = 1, .clear = {[1] = ORACLE_W},
		.kind = WR, .user = true, .outcome = PF, .code = P | W | U | PK},
	{"pku: 32-bit paging has no keys", 2, .cr4 = PKE, .pkru = ~0u, .user = true},
	{"pks: ad read of supervisor page -> P PK", 4, .cr4 = PKS, .pkrs = 1u << 4,
		.set = {[1] = KEY(2)}, .clear = {[1] = ORACLE_U}, .outcome = PF, .code = P | PK},
	{"pks: wd write wp=1 -> P W PK", 4, .cr0 = WP, .cr4 = PKS, .pkrs = 2u << 4,
		.set = {[1] = KEY(2)}, .clear = {[1] = ORACLE_U}, .kind = WR, .outcome = PF,
		.code = P | W | PK},
	{"pks: wd write wp=0 -> ok", 4, .cr4 = PKS, .pkrs = 2u << 4, .set = {[1] = KEY(2)},
		.clear = {[1] = ORACLE_U}, .kind = WR},
	{"pks: user page is pkru's -> ok", 4, .cr4 = PKS, .pkrs = ~0u},
	{"pks: user access to supervisor page -> P U", 4, .cr4 = PKS, .pkrs = ~0u,
		.clear = {[1] = ORACLE_U}, .user = true, .outcome = PF, .code = P | U},
	{"pks: pks=0 -> ok", 4, .pkrs = ~0u, .clear = {[1] = ORACLE_U}},
};

static void check_row(void **state)
{
	static const unsigned shifts[][4] = {
		[ORACLE_32BIT] = {0, 12, 22, 0},
		[ORACLE_PAE] = {0, 12, 21, 0},
		[ORACLE_4LEVEL] = {0, 12, 21, 30},
		[ORACLE_5LEVEL] = {0, 12, 21, 30},
	};
	const struct row *row = *state;
	struct oracle_result result;
	struct world world;
	uint64_t gva;

	set_up(&world, row);
	perform(&world, &result);
	assert_int_equal(result.outcome, row->outcome);
	if (row->outcome == PF) {
		assert_int_equal(result.error_code, row->code);
		return;
	}
	gva = oracle_linear(&world.cpu, GVA);
	if (row->mode == ORACLE_UNPAGED) {
		assert_int_equal(result.gpa, gva);
		return;
	}
	assert_int_equal(result.page_shift, shifts[row->mode][row->leaf ? row->leaf : 1]);
	/* No row that succeeds moves the page: the low bits set are attributes. */
	assert_int_equal(result.gpa, page_base(&world) | (gva & (BIT(result.page_shift) - 1)));
}

int main(void)
{
	static struct CMUnitTest tests[sizeof(rows) / sizeof(rows[0])];

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		tests[i].name = rows[i].rule;
		tests[i].test_func = check_row;
		tests[i].initial_state = (void *)(uintptr_t)&rows[i];
	}
	return cmocka_run_group_tests_name("oracle", tests, NULL, NULL);
}
