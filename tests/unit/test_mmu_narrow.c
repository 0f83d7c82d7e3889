/* SPDX-License-Identifier: MIT */
/*
 * 2-level paging as a guest walk sees it: 4-byte entries and their normal form, which entries of a
 * shadow page a store concerns, 4M pages, rights, A and D. Source of what is expected: SDM 3A
 * "32-Bit Paging".
 */
#include "tests/unit/mmu_walk_root.h"

#include "mmu/src/gpte.h"

#define GVA 0xc0a05000ull /* directory entry 0x302, its upper half; table entry 0x205 */
#define PSE X86_PTE_PS

static int setup(void **state)
{
	struct umbra_policy policy = host_plain_policy();
	struct host *h = host_new_policy(&policy);

	host_start_mode(h, HOST_2LEVEL, h->root);
	*state = h;
	return 0;
}

static int try_access(struct host *h, access_bits access)
{
	struct walk walk;

	return walk_from_root(h, GVA, access, &walk);
}

static uint32_t *gpte(struct host *h, unsigned level)
{
	return host_gpte32(h, h->root, GVA, level);
}

static void set_pse(struct host *h, bool on)
{
	struct umbra_paging_regs regs = host_mode_regs(HOST_2LEVEL, h->root);

	regs.cr4 = on ? X86_CR4_PSE : 0;
	host_set_regs(h, &regs);
}

static void map(struct host *h)
{
	host_map32(h, h->root, GVA, 1, gpte_of(DATA_GFN, GPTE_RW));
}

/* ---- the normal form ---- */

static void entries_of_the_last_level_are_as_they_are(void **state)
{
	(void)state;
	for (unsigned bit = 0; bit < 32; bit++) {
		for (unsigned pse = 0; pse < 2; pse++)
			assert_int_equal(gpte_widen(1u << bit, 1, pse, pse), 1u << bit);
	}
	assert_int_equal(gpte_widen(~0u, 1, true, true), 0xffffffff);
}

static void links_lose_only_ps_which_without_pse_means_nothing(void **state)
{
	(void)state;
	for (unsigned half = 0; half < 2; half++) {
		assert_int_equal(gpte_widen(~0u & ~PSE, 2, true, half), 0xffffff7f);
		assert_int_equal(gpte_widen(~0u, 2, false, half), 0xffffff7f);
		assert_int_equal(gpte_widen(0, 2, true, half), 0);
	}
}

/* Bits 31:22 are address bits 31:22, bits 20:13 are 39:32, bit 21 is reserved, bit 12 is PAT. */
static void a_4m_page_becomes_two_2m_pages(void **state)
{
	(void)state;
	for (unsigned bit = 0; bit < 32; bit++) {
		uint64_t expect = 1ull << bit;

		if (bit >= 13 && bit <= 20)
			expect = 1ull << (bit + 19);
		else if (bit == 21)
			expect = GPTE_RESERVED_4M;
		expect |= PSE;
		assert_int_equal(gpte_widen((uint32_t)PSE | 1u << bit, 2, true, false), expect);
		assert_int_equal(
			gpte_widen((uint32_t)PSE | 1u << bit, 2, true, true), expect | 1u << 21);
	}
}

/* ---- which entries a store concerns ---- */

/* Restated slowly: does @index of a page stand for a byte of the store? */
static bool concerned(unsigned level, bool narrow, unsigned quadrant, unsigned index,
	unsigned offset, unsigned n_bytes)
{
	unsigned bytes = narrow ? 4 : 8;
	unsigned of_ours = narrow && level == 2 ? 2 : 1; /* of our entries for one of the guest's */
	unsigned entry = ((narrow ? quadrant * ENTRIES : 0) + index) / of_ours;

	return entry * bytes < offset + n_bytes && offset < (entry + 1) * bytes;
}

/* (table) x (each offset) x (size): of one role of a page, all quadrants. */
static void check_stores(unsigned level, bool narrow, unsigned n_quadrants)
{
	static const unsigned sizes[] = {1, 2, 3, 4, 5, 8, 16, 4096};

	for (unsigned quadrant = 0; quadrant < n_quadrants; quadrant++) {
		struct shadow_page page = {.role = level | quadrant << ROLE_QUADRANT_SHIFT |
						   (narrow ? ROLE_NARROW : 0)};

		for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			for (unsigned offset = 0; offset + sizes[i] <= X86_PAGE_SIZE; offset++) {
				unsigned first, end, n = 0;

				page_entries_at(&page, offset, sizes[i], &first, &end);
				for (unsigned at = 0; at < ENTRIES; at++) {
					bool in = at >= first && at < end;

					n += in;
					if (in != concerned(level, narrow, quadrant, at, offset,
							  sizes[i]))
						fail_msg("level %u quadrant %u offset %u size %u: "
							 "entry %u",
							level, quadrant, offset, sizes[i], at);
				}
				assert_true(end <= ENTRIES);
				assert_int_equal(n, first < end ? end - first : 0);
			}
		}
	}
}

static void a_store_concerns_the_entries_it_touches_and_no_others(void **state)
{
	(void)state;
	for (unsigned level = 1; level <= 5; level++)
		check_stores(level, false, 1);
	check_stores(1, true, 2);
	check_stores(2, true, 4);
}

/* ---- the walk ---- */

static void each_entry_of_both_tables_is_found(void **state)
{
	struct host *h = *state;
	uint32_t *directory = (uint32_t *)(void *)host_words(h, h->root);
	uint64_t table = host_new_table(h);
	struct walk walk;

	for (unsigned i = 0; i < 1024; i++)
		((uint32_t *)(void *)host_words(h, table))[i] =
			(uint32_t)gpte_of(DATA_GFN + i, GPTE_RW);
	for (unsigned i = 0; i < 1024; i++) {
		umbra_gva gva = (umbra_gva)i << 22 | (umbra_gva)(1023 - i) << 12 | 0xabc;

		directory[i] = (uint32_t)gpte_of(table, GPTE_RW);
		assert_int_equal(walk_from_root(h, gva, X86_PF_W, &walk), ALLOWED);
		assert_int_equal(walk.gfn, DATA_GFN + 1023 - i);
		assert_int_equal(walk.leaf_level, 1);
		directory[i] = 0;
		assert_int_equal(walk_from_root(h, gva, X86_PF_W, &walk), X86_PF_W);
	}
}

static void rights_of_both_levels_together_decide(void **state)
{
	static const access_bits accesses[] = {0, X86_PF_W, X86_PF_U, X86_PF_U | X86_PF_W, X86_PF_I,
		X86_PF_I | X86_PF_U, ACCESS_AC};
	struct host *h = *state;

	map(h);
	for (unsigned bits = 0; bits < 64; bits++) {
		bool w = bits & 1, u = bits & 2, wp = bits & 4;
		bool smep = bits & 8, smap = bits & 16;
		unsigned level = bits & 32 ? 1 : 2;
		uint32_t old = *gpte(h, level);

		host_regs(h, wp ? X86_CR0_WP : 0,
			(smep ? X86_CR4_SMEP : 0) | (smap ? X86_CR4_SMAP : 0));
		*gpte(h, level) = (old & ~(uint32_t)(X86_PTE_W | X86_PTE_U)) |
				  (w ? (uint32_t)X86_PTE_W : 0) | (u ? (uint32_t)X86_PTE_U : 0);
		for (size_t i = 0; i < sizeof(accesses) / sizeof(accesses[0]); i++) {
			access_bits a = accesses[i];
			bool user = a & X86_PF_U, write = a & X86_PF_W, fetch = a & X86_PF_I;
			bool allowed = (!user || u) && (!write || w || (!user && !wp)) &&
				       (user || !u || (fetch ? !smep : !smap || a & ACCESS_AC));
			/* A fetch is told apart only with SMEP here: there is no NX. */
			uint32_t shown =
				(uint32_t)a & (X86_PF_U | X86_PF_W | (smep ? X86_PF_I : 0));

			assert_int_equal(
				try_access(h, a), allowed ? ALLOWED : (int)(shown | X86_PF_P));
		}
		*gpte(h, level) = old;
	}
}

static void absence_faults_without_p_and_nothing_else_is_looked_at(void **state)
{
	struct host *h = *state;

	map(h);
	for (unsigned level = 1; level <= 2; level++) {
		uint32_t old = *gpte(h, level);

		*gpte(h, level) = ~1u;
		assert_int_equal(try_access(h, X86_PF_W | X86_PF_U), X86_PF_W | X86_PF_U);
		*gpte(h, level) = old;
	}
	assert_int_equal(try_access(h, X86_PF_W | X86_PF_U), ALLOWED);
}

static void a_4m_page_is_one_only_with_pse(void **state)
{
	struct host *h = *state;
	struct walk walk;

	map(h);
	*gpte(h, 2) |= PSE;
	*gpte(h, 2) = (*gpte(h, 2) & 0xfff) | DATA_GFN << 12;
	assert_int_equal(walk_from_root(h, GVA, X86_PF_W, &walk), ALLOWED);
	assert_int_equal(walk.leaf_level, 2);
	assert_int_equal(walk.gfn, DATA_GFN + 512 + 5);
	assert_int_equal(walk_from_root(h, GVA - (512 << 12), X86_PF_W, &walk), ALLOWED);
	assert_int_equal(walk.gfn, DATA_GFN + 5);
	/* Without, it is the frame of a table, which is empty. */
	set_pse(h, false);
	assert_int_equal(walk_from_root(h, GVA, X86_PF_W, &walk), X86_PF_W);
	host_words(h, DATA_GFN)[0x102] = gpte_of(DATA_GFN + 7, GPTE_RW) << 32;
	assert_int_equal(walk_from_root(h, GVA, X86_PF_W, &walk), ALLOWED);
	assert_int_equal(walk.leaf_level, 1);
	assert_int_equal(walk.gfn, DATA_GFN + 7);
}

/* {MAXPHYADDR, bit of a 4M entry, what becomes of it} */
static void bits_of_a_4m_page_above_maxphyaddr_and_bit_21_are_reserved(void **state)
{
	static const unsigned widths[] = {32, 36, 40, 52};

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		struct host *h = host_new(&(struct host_config){
			.policy = host_plain_policy(), .maxphyaddr = widths[i]});

		host_start_mode(h, HOST_2LEVEL, h->root);
		for (unsigned bit = 12; bit < 32; bit++) {
			unsigned address_bit = bit >= 13 && bit <= 20 ? bit + 19 : bit;
			bool reserved = bit == 21 || address_bit >= widths[i];
			struct walk walk;
			int error;

			*gpte(h, 2) = (uint32_t)(GPTE_RW | PSE) | 1u << bit;
			error = walk_from_root(h, GVA, X86_PF_U, &walk);
			print_message("  maxphyaddr %u, bit %u\n", widths[i], bit);
			if (reserved) {
				assert_int_equal(error, X86_PF_P | X86_PF_RSVD | X86_PF_U);
				continue;
			}
			assert_int_equal(error, ALLOWED);
			assert_int_equal(
				walk.gfn, (bit == 12 ? 0 : 1ull << (address_bit - 12)) + 512 + 5);
		}
		host_free(h);
	}
}

/* No other bit is: neither without PSE, nor in a link, nor in the last table. */
static void nothing_else_is_reserved(void **state)
{
	struct host *h =
		host_new(&(struct host_config){.policy = host_plain_policy(), .maxphyaddr = 32});

	(void)state;
	host_start_mode(h, HOST_2LEVEL, h->root);
	map(h);
	for (unsigned pse = 0; pse < 2; pse++) {
		set_pse(h, pse);
		for (unsigned bit = 3; bit < 12; bit++) {
			for (unsigned level = 1; level <= 2; level++) {
				uint32_t old = *gpte(h, level);

				if (level == 1 || bit != 7 || !pse)
					*gpte(h, level) |= 1u << bit;
				assert_int_equal(try_access(h, X86_PF_W), ALLOWED);
				*gpte(h, level) = old;
			}
		}
		for (unsigned bit = 12; bit < 32; bit++) {
			*gpte(h, 1) ^= 1u << bit;
			assert_int_equal(try_access(h, X86_PF_W), ALLOWED);
			*gpte(h, 1) ^= 1u << bit;
		}
	}
	host_free(h);
}

/* ---- A and D ---- */

static void a_and_d_are_set_in_4_bytes_and_the_neighbour_stays(void **state)
{
	struct host *h = *state;

	for (unsigned large = 0; large < 2; large++) {
		for (unsigned odd = 0; odd < 2; odd++) {
			for (unsigned write = 0; write < 2; write++) {
				/* Entry 4 or 5 of the table; 0x302 or 0x303 of the directory. */
				umbra_gva gva = (0xc0800000ull + odd * 0x400000) | (4 + odd) << 12;
				uint32_t *top = host_gpte32(h, h->root, gva, 2);
				uint32_t *leaf = top;
				uint32_t before;
				struct walk walk;

				*top = (uint32_t)(gpte_of(DATA_GFN, GPTE_RW) | PSE);
				if (!large) {
					*top = 0;
					host_map32(h, h->root, gva, 1, gpte_of(DATA_GFN, GPTE_RW));
					leaf = host_gpte32(h, h->root, gva, 1);
				}
				*(leaf + 1 - 2 * odd) = 0x12345678;
				before = *leaf;
				assert_int_equal(
					walk_from_root(h, gva, write ? X86_PF_W : 0, &walk),
					ALLOWED);
				assert_int_equal(*leaf, before);
				assert_true(walk_set_ad(&walk, write ? X86_PF_W : 0));
				assert_int_equal(*leaf,
					before | X86_PTE_A | (write ? (uint32_t)X86_PTE_D : 0));
				assert_int_equal(walk.gpte[walk.leaf_level] & GPTE_AD,
					write ? GPTE_AD : X86_PTE_A);
				if (!large)
					assert_int_equal(*top & GPTE_AD, X86_PTE_A);
				assert_int_equal(*(leaf + 1 - 2 * odd), 0x12345678);
				*(leaf + 1 - 2 * odd) = 0;
				*leaf = *top = 0;
			}
		}
	}
}

/* The neighbour in the same 8 bytes is another entry: it may change. */
static void only_a_change_of_the_entry_itself_stops_the_update(void **state)
{
	struct host *h = *state;

	for (unsigned level = 1; level <= 2; level++) {
		struct walk walk;
		uint32_t *entry;

		map(h);
		entry = gpte(h, level);
		assert_int_equal(walk_from_root(h, GVA, X86_PF_W, &walk), ALLOWED);
		*(uint32_t *)((uintptr_t)entry ^ 4) = 0x600df00d;
		assert_true(walk_set_ad(&walk, X86_PF_W));
		assert_int_equal(*(uint32_t *)((uintptr_t)entry ^ 4), 0x600df00d);
		assert_true(*entry & X86_PTE_A);
		map(h);
		*entry &= ~(uint32_t)GPTE_AD;
		assert_int_equal(walk_from_root(h, GVA, X86_PF_W, &walk), ALLOWED);
		/* A bit that means nothing here counts as well: what was read is gone. */
		*entry ^= 0x200;
		assert_false(walk_set_ad(&walk, X86_PF_W));
		assert_int_equal(*entry & GPTE_AD, 0);
		*entry ^= 0x200;
	}
}

/* In a 4M entry the normal form moves bits: the store must be made of the entry as it is. */
static void a_pse36_entry_keeps_its_bits_when_a_and_d_are_set(void **state)
{
	struct host *h = *state;
	const uint32_t entry = (uint32_t)(GPTE_RW | PSE) | 0xffc00000 | 0x001ff000 | 0xf18;
	struct walk walk;

	*gpte(h, 2) = entry;
	assert_int_equal(walk_from_root(h, GVA, X86_PF_W, &walk), ALLOWED);
	assert_int_equal(walk.gfn, 0xffffc00 + 512 + 5);
	assert_true(walk_set_ad(&walk, X86_PF_W));
	assert_int_equal(*gpte(h, 2), entry | GPTE_AD);
}

static void a_table_that_cannot_be_written_loses_a_and_d_but_not_the_access(void **state)
{
	struct host *h = *state;
	struct walk walk;

	*gpte(h, 2) = (uint32_t)gpte_of(ROM_GFN, GPTE_RW);
	((uint32_t *)(void *)host_words(h, ROM_GFN))[0x205] = (uint32_t)gpte_of(DATA_GFN, GPTE_RW);
	assert_int_equal(walk_from_root(h, GVA, X86_PF_W, &walk), ALLOWED);
	assert_true(walk_set_ad(&walk, X86_PF_W));
	assert_int_equal(*gpte(h, 1), gpte_of(DATA_GFN, GPTE_RW));
	assert_int_equal(walk.gpte[1] & GPTE_AD, GPTE_AD);
	assert_true(*gpte(h, 2) & X86_PTE_A);
}

/* All ones: present, for users, writable, the last frame of 4 GiB; a 4M page with bit 21 set. */
static void tables_in_absent_memory_read_as_all_ones(void **state)
{
	struct host *h = *state;
	struct walk walk;

	*gpte(h, 2) = (uint32_t)gpte_of(ABSENT_GFN, GPTE_RW);
	assert_int_equal(walk_from_root(h, GVA, X86_PF_W | X86_PF_U, &walk), ALLOWED);
	assert_int_equal(walk.gfn, 0xfffff);
	assert_true(walk_set_ad(&walk, X86_PF_W));
	host_cr3(h, ABSENT_GFN);
	assert_int_equal(walk_from_root(h, GVA, 0, &walk), X86_PF_P | X86_PF_RSVD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, host_teardown)
		cmocka_unit_test(entries_of_the_last_level_are_as_they_are),
		cmocka_unit_test(links_lose_only_ps_which_without_pse_means_nothing),
		cmocka_unit_test(a_4m_page_becomes_two_2m_pages),
		cmocka_unit_test(a_store_concerns_the_entries_it_touches_and_no_others),
		T(each_entry_of_both_tables_is_found),
		T(rights_of_both_levels_together_decide),
		T(absence_faults_without_p_and_nothing_else_is_looked_at),
		T(a_4m_page_is_one_only_with_pse),
		cmocka_unit_test(bits_of_a_4m_page_above_maxphyaddr_and_bit_21_are_reserved),
		cmocka_unit_test(nothing_else_is_reserved),
		T(a_and_d_are_set_in_4_bytes_and_the_neighbour_stays),
		T(only_a_change_of_the_entry_itself_stops_the_update),
		T(a_pse36_entry_keeps_its_bits_when_a_and_d_are_set),
		T(a_table_that_cannot_be_written_loses_a_and_d_but_not_the_access),
		T(tables_in_absent_memory_read_as_all_ones),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
