/* SPDX-License-Identifier: MIT */
/*
 * Known instructions: what is learnt of them, and when it is no longer believed.
 */
#include "tests/unit/exit_world.h"
#include "tests/unit/hv_fake.h"

/* Every REX prefix, or none, with every ModRM: what is learnt is what the decoder says. */
static unsigned learn_all(enum site_kind kind, uint8_t opcode)
{
	unsigned n_learnt = 0;

	for (unsigned rex = 0x3f; rex <= 0x4f; rex++) {
		for (unsigned modrm = 0; modrm < 256; modrm++) {
			uint8_t bytes[X86_INSN_MAX + 1] = {
				(uint8_t)rex, 0x0f, opcode, (uint8_t)modrm, 0x24, 0x11};
			const uint8_t *from = rex < 0x40 ? bytes + 1 : bytes;
			struct insn_site *site = site_place(vcpu.sites, kind, RIP);
			struct x86_insn insn;

			world_store_code(CODE, from, 8);
			if (!site_learn(&vcpu, site, kind, RIP))
				continue;
			n_learnt++;
			assert_true(site_holds(site, ROOT, RIP));
			assert_int_equal(
				x86_decode(&insn, X86_CODE_64, from, X86_INSN_MAX), X86_DECODE_OK);
			assert_int_equal(site->length, insn.length);
			if (kind == SITE_INVLPG) {
				assert_int_equal(insn.op, X86_OP_INVLPG);
				assert_ptr_equal(
					site->operand, vendor_gpr_home(&vcpu, (unsigned)insn.base));
				assert_int_equal(insn.index, X86_NO_REGISTER);
				assert_int_equal(insn.displacement, 0);
				assert_false(insn.rip_relative);
			} else {
				assert_int_equal(insn.op, X86_OP_MOV_CR);
				assert_int_equal(insn.reg, 3);
				assert_ptr_equal(site->operand, vendor_gpr_home(&vcpu, insn.rm));
			}
		}
	}
	return n_learnt;
}

static void a_site_is_what_the_decoder_says(void **state)
{
	(void)state;
	/* MOV: 4 values of mod that do not count; of 8 and 16 registers 2 and 6 are out of reach.
	 * REX.R is another register; 4 values of W and X, with and without B. */
	assert_int_equal(learn_all(SITE_CR3_WRITE, 0x22), 4 * (6 + 4 * 6 + 4 * 4));
	assert_int_equal(learn_all(SITE_CR3_READ, 0x20), 4 * (6 + 4 * 6 + 4 * 4));
	/* INVLPG: RSP and R12 have a SIB byte. 8 values of W, R, X. */
	assert_int_equal(learn_all(SITE_INVLPG, 0x01), 5 + 8 * 5 + 8 * 4);
}

/* Any bit of any entry on the way, or of the code, is enough not to believe the site any longer;
 * nothing else is. */
static void a_site_holds_as_long_as_its_way_and_its_bytes(void **state)
{
	struct insn_site *site = site_place(vcpu.sites, SITE_INVLPG, RIP);
	uint64_t *ways[] = {world_entry(ROOT, 39), world_entry(ROOT + 0x1000, 30),
		world_entry(ROOT + 0x2000, 21), world_entry(ROOT + 0x3000, 12)};
	uint8_t *code = (uint8_t *)phys_to_virt(CODE) + RIP % X86_PAGE_SIZE;

	(void)state;
	world_store_code(CODE, (const uint8_t *)"\x41\x0f\x01\x38\xc3", 5);
	assert_true(site_learn(&vcpu, site, SITE_INVLPG, RIP));
	assert_true(site_holds(site, ROOT, RIP));
	assert_true(site_holds(site, ROOT_2, RIP));
	assert_false(site_holds(site, ROOT, RIP + 16 * SITES));
	for (unsigned level = 0; level < N(ways); level++) {
		for (unsigned bit = 0; bit < 64; bit++) {
			*ways[level] ^= 1ull << bit;
			assert_false(site_holds(site, ROOT, RIP));
			assert_int_equal(site_holds(site, ROOT_2, RIP), level == 0);
			*ways[level] ^= 1ull << bit;
		}
	}
	for (unsigned bit = 0; bit < 32; bit++) {
		code[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_false(site_holds(site, ROOT, RIP));
		code[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	code[4] ^= 0xff;
	assert_true(site_holds(site, ROOT, RIP));
	sites_forget(&vcpu);
	assert_false(site_holds(site, ROOT, RIP));
}

static void other_code_at_the_same_place_is_seen(void **state)
{
	(void)state;
	assert_int_equal(world_execute(SVM_EXIT_INVLPG, "\x0f\x01\x3e"), VMCB_PHYS);
	assert_int_equal(world.gva, 0x1000 * (X86_RSI + 1));
	/* Mapped there now: another register, and longer. */
	*world_entry(ROOT + 0x3000, 12) = CODE_2 | PRESENT;
	world_store_code(CODE_2, (const uint8_t *)"\x41\x0f\x01\x38", 4);
	vmcb->save.rip = RIP;
	assert_int_equal(svm_fast(&vcpu, &arch), VMCB_PHYS);
	assert_int_equal(world.gva, 0x1000 * (8 + 1));
	assert_true(vmcb->save.rip == RIP + 4);
	/* Written there now. */
	world_store_code(CODE_2, (const uint8_t *)"\x0f\x01\x39\x90", 4);
	vmcb->save.rip = RIP;
	assert_int_equal(svm_fast(&vcpu, &arch), VMCB_PHYS);
	assert_int_equal(world.gva, 0x1000 * (X86_RCX + 1));
	/* Not mapped any longer. */
	*world_entry(ROOT + 0x2000, 21) = 0;
	vmcb->save.rip = RIP;
	assert_int_equal(svm_fast(&vcpu, &arch), SVM_GENERAL);
	assert_int_equal(world.n_calls, 3);
}

/* A 2M page, a 1G page, and the last bytes of a small one. */
static void sites_lie_in_pages_of_every_size(void **state)
{
	static const unsigned shifts[] = {21, 30};
	struct insn_site *site = site_place(vcpu.sites, SITE_INVLPG, RIP);

	for (unsigned i = 0; i < N(shifts); i++) {
		umbra_hpa table = ROOT + (shifts[i] == 21 ? 0x2000 : 0x1000);
		uint64_t offset = RIP & ((1ull << shifts[i]) - 1);

		world_reset(state);
		*world_entry(table, shifts[i]) = PRESENT | X86_PTE_PS;
		memcpy(phys_to_virt(offset), "\x0f\x01\x3f", 3);
		assert_true(site_learn(&vcpu, site, SITE_INVLPG, RIP));
		assert_true(site_holds(site, ROOT, RIP));
		assert_ptr_equal(site->code.at, phys_to_virt(offset));
		*world_entry(table, shifts[i]) = 0;
		assert_false(site_holds(site, ROOT, RIP));
		assert_false(site_learn(&vcpu, site, SITE_INVLPG, RIP));
	}
	world_reset(state);
	memcpy((uint8_t *)phys_to_virt(CODE) + 0xffc, "\x0f\x01\x3f\x0f", 4);
	assert_true(site_learn(&vcpu, site, SITE_INVLPG, (RIP & ~0xfffull) + 0xffc));
	memcpy((uint8_t *)phys_to_virt(CODE) + 0xffd, "\x0f\x01\x3f", 3);
	assert_false(site_learn(&vcpu, site, SITE_INVLPG, (RIP & ~0xfffull) + 0xffd));
	/* RAM that is not in the direct map. */
	*world_entry(ROOT + 0x3000, 12) = 1ull << 40 | PRESENT;
	assert_false(site_learn(&vcpu, site, SITE_INVLPG, RIP));
}

#define T(test) cmocka_unit_test_setup(test, world_reset)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_site_is_what_the_decoder_says),
		T(a_site_holds_as_long_as_its_way_and_its_bytes),
		T(other_code_at_the_same_place_is_seen),
		T(sites_lie_in_pages_of_every_size),
	};

	return cmocka_run_group_tests(tests, world_map_memory, NULL);
}
