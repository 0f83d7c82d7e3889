/* SPDX-License-Identifier: MIT */
/*
 * Stores that the host makes for the guest into last-level tables, of any size at any place: each
 * entry that they touch has a shadow as if it had just been read, whatever part of it was written,
 * no other has changed, and no shadow page goes for it. What is expected of an entry is restated
 * here from the manual: SDM 3A "Paging".
 */
#include <string.h>

#include "lab/rng.h"
#include "tests/unit/mmu_host.h"

#define GVA 0x40000000ull

/* ---- two last-level tables in frames side by side, which map two ranges side by side ---- */

struct world {
	struct host *h;
	bool narrow;
	enum host_mode mode;
	uint64_t table; /* the first frame */
	unsigned entry_bytes;
	unsigned entries; /* of each table */
	struct rng rng;
};

static uint8_t *world_bytes(const struct world *w)
{
	return (uint8_t *)host_words(w->h, w->table);
}

static uint64_t world_gpte(const struct world *w, unsigned i)
{
	uint64_t gpte = 0;

	memcpy(&gpte, world_bytes(w) + i * w->entry_bytes, w->entry_bytes);
	return gpte;
}

static uint64_t world_spte(const struct world *w, unsigned i)
{
	return host_spte(w->h, GVA + i * X86_PAGE_SIZE, 1);
}

static struct world world_new(enum host_mode mode, enum umbra_oos oos)
{
	struct host_config config = {.policy = host_plain_policy(), .pool_pages = 256};
	struct world w = {.mode = mode, .narrow = mode == HOST_2LEVEL, .rng = rng_seed(1)};
	struct host *h;

	config.policy.oos = oos;
	config.policy.write = oos ? UMBRA_WRITE_UNSYNC : UMBRA_WRITE_EMULATE;
	w.h = h = host_new(&config);
	h->unchecked = true;
	h->levels = mode == HOST_PAE ? 3 : mode == HOST_5LEVEL ? 5 : 4;
	w.entry_bytes = w.narrow ? 4 : 8;
	w.entries = X86_PAGE_SIZE / w.entry_bytes;
	w.table = host_new_table(h);
	assert_int_equal(host_new_table(h), w.table + 1);
	for (unsigned i = 0; i < 2; i++) {
		umbra_gva gva = GVA + i * w.entries * X86_PAGE_SIZE;
		uint64_t link = gpte_of(w.table + i, GPTE_RW | X86_PTE_A);

		if (w.narrow)
			host_map32(h, h->root, gva, 2, link);
		else
			host_map(h, h->root, gva, 2, link);
	}
	host_start_mode(h, mode, h->root);
	/* A shadow for each part. */
	for (unsigned i = 0; i < 2 * w.entries; i += ENTRIES) {
		const uint64_t gpte = gpte_of(DATA_GFN, GPTE_RW);

		memcpy(world_bytes(&w) + i * w.entry_bytes, &gpte, w.entry_bytes);
		host_read_gfn(h, GVA + i * X86_PAGE_SIZE);
	}
	assert_int_equal(host_shadows(h, w.table), w.narrow ? 2 : 1);
	assert_int_equal(host_shadows(h, w.table + 1), w.narrow ? 2 : 1);
	assert_int_equal(host_is_unsync(h, w.table), oos != UMBRA_OOS_OFF);
	return w;
}

/* ---- what an entry has to be ---- */

static uint64_t backing(struct host *h, uint64_t gfn, bool *writable)
{
	*writable = false;
	if (gfn - RAM_GFN < RAM_FRAMES) {
		*writable = !host_shadows(h, gfn) || host_is_unsync(h, gfn);
		return gfn - RAM_GFN + RAM_HFN;
	}
	if (gfn - DEVICE_GFN < DEVICE_FRAMES) {
		*writable = true;
		return gfn - DEVICE_GFN + DEVICE_HFN;
	}
	if (gfn - ROM_GFN < ROM_FRAMES)
		return gfn - ROM_GFN + ROM_HFN;
	return ABSENT_HPA >> X86_PAGE_SHIFT;
}

/* What must not be told apart: the processor's own bits and the library's. */
#define ANY (X86_PTE_A | X86_PTE_D | 1ull << 9)

static uint64_t expected(const struct world *w, uint64_t gpte)
{
	uint64_t reserved = w->narrow             ? 0
			    : w->mode == HOST_PAE ? 0x7fffff0000000000
						  : 0x000fff0000000000;
	uint64_t copied = X86_PTE_P | X86_PTE_U | X86_PTE_NX | X86_PTE_PWT | X86_PTE_PCD |
			  1ull << 7 | X86_PTE_G | (w->mode >= HOST_4LEVEL ? X86_PTE_PK : 0);
	bool writable;
	uint64_t hfn;

	if (!(gpte & X86_PTE_P) || !(gpte & X86_PTE_A) || (gpte & reserved))
		return 0;
	hfn = backing(w->h, (gpte & 0xfffffffffffff) >> X86_PAGE_SHIFT, &writable);
	if (writable && (gpte & X86_PTE_D))
		copied |= X86_PTE_W;
	return hfn << X86_PAGE_SHIFT | (gpte & copied);
}

/* ---- what is stored ---- */

static uint64_t random_word(struct world *w)
{
	return rng_u64(&w->rng) >> 16;
}

static unsigned below(struct world *w, unsigned n)
{
	return rng_below(&w->rng, n);
}

static uint64_t random_gpte(struct world *w)
{
	uint64_t r = random_word(w);
	uint64_t gpte = GPTE_RW | GPTE_AD;

	switch (r & 15) {
	case 0:
		return 0;
	case 1:
		return random_word(w) << 17 ^ random_word(w);
	case 2:
		gpte |= gpte_of(ROM_GFN + (r >> 8 & 1), 0);
		break;
	case 3:
		gpte |= gpte_of(DEVICE_GFN + (r >> 8 & 1), 0);
		break;
	case 4:
		gpte |= gpte_of(ABSENT_GFN, 0);
		break;
	case 5:
		gpte |= gpte_of(w->table + (r >> 8 & 1), 0);
		break;
	default:
		gpte |= gpte_of(r >> 8 & (RAM_FRAMES - 1), 0);
	}
	r >>= 24;
	if (!(r & 7))
		gpte ^= X86_PTE_W;
	if (!(r & 0x70))
		gpte ^= X86_PTE_A;
	if (!(r & 0x700))
		gpte ^= X86_PTE_D;
	if (!(r & 0x7000))
		gpte ^= 1ull << (r >> 15 & 63);
	return gpte;
}

/* Store @n_bytes of random entries at @offset of the two tables, and look at all that is near. */
static void store_and_look(struct world *w, unsigned offset, unsigned n_bytes)
{
	const struct umbra_stats *stats = umbra_stats(w->h->vm);
	const struct umbra_stats was = *stats;
	unsigned end = 2 * X86_PAGE_SIZE;
	unsigned first = offset / w->entry_bytes;
	unsigned last = (offset + n_bytes - 1) / w->entry_bytes;
	unsigned from = first < 3 ? 0 : first - 3;
	unsigned to = last + 4 > 2 * w->entries ? 2 * w->entries : last + 4;
	uint64_t sptes[2 * 1024];
	uint8_t bytes[2 * X86_PAGE_SIZE], memory[2 * X86_PAGE_SIZE];

	for (unsigned i = 0; i < 2 * w->entries; i++) {
		uint64_t gpte = random_gpte(w);

		memcpy(bytes + i * w->entry_bytes, &gpte, w->entry_bytes);
	}
	for (unsigned i = from; i < to; i++)
		sptes[i] = world_spte(w, i);
	memcpy(memory, world_bytes(w), end);
	memcpy(memory + offset, bytes + offset, n_bytes);
	host_reset_flushes(w->h);
	assert_true(umbra_guest_write(
		w->h->vcpu, (w->table << X86_PAGE_SHIFT) + offset, bytes + offset, n_bytes));
	assert_memory_equal(world_bytes(w), memory, end);
	for (unsigned i = from; i < to; i++) {
		uint64_t now = world_spte(w, i);
		bool touched = i >= first && i <= last;

		if (touched ? (now & ~ANY) != (expected(w, world_gpte(w, i)) & ~ANY)
			    : now != sptes[i])
			fail_msg("mode %d, %u bytes at %#x, entry %u, %#llx: shadow %#llx, was "
				 "%#llx",
				w->mode, n_bytes, offset, i, (unsigned long long)world_gpte(w, i),
				(unsigned long long)now, (unsigned long long)sptes[i]);
	}
	assert_int_equal(stats->mmu_shadow_zapped, was.mmu_shadow_zapped);
	assert_int_equal(stats->mmu_shadow_created, was.mmu_shadow_created);
	assert_int_equal(stats->mmu_unshadow, 0);
	assert_int_equal(stats->mmu_pte_write,
		was.mmu_pte_write + 1 +
			(offset / X86_PAGE_SIZE != (offset + n_bytes - 1) / X86_PAGE_SIZE));
	/* The flush is the guest's. */
	assert_int_equal(host_flushes(w->h) + w->h->flush_gva, 0);
}

static void check(struct world *w)
{
	w->h->unchecked = false;
	host_check(w->h);
	w->h->unchecked = true;
}

/* (mode) x (synced, unsync). */
static void in_each_world(void (*test)(struct world *w))
{
	for (enum host_mode mode = HOST_2LEVEL; mode <= HOST_5LEVEL; mode++) {
		for (unsigned oos = UMBRA_OOS_OFF; oos <= UMBRA_OOS_ALL; oos += UMBRA_OOS_ALL) {
			struct world w = world_new(mode, oos);

			print_message("  mode %d, oos %u\n", mode, oos);
			test(&w);
			check(&w);
			host_free(w.h);
		}
	}
}

/* ---- last-level tables ---- */

static void small_stores(struct world *w)
{
	for (unsigned n = 1; n <= 64; n++) {
		for (unsigned phase = 0; phase < 16; phase++)
			store_and_look(w, (below(w, 2 * X86_PAGE_SIZE - 80) & ~15u) + phase, n);
		for (unsigned before = 1; before < n; before++)
			store_and_look(w, X86_PAGE_SIZE - before, n);
		check(w);
	}
}

static void each_entry_that_a_small_store_touches_is_as_if_it_were_read(void **state)
{
	(void)state;
	in_each_world(small_stores);
}

static void stores_of_up_to_a_page(struct world *w)
{
	for (unsigned i = 0; i < 40; i++) {
		unsigned n = 1 + below(w, X86_PAGE_SIZE);

		store_and_look(w, below(w, 2 * X86_PAGE_SIZE - n + 1), n);
	}
	for (unsigned i = 0; i < 2; i++)
		store_and_look(w, i * X86_PAGE_SIZE, X86_PAGE_SIZE);
	for (unsigned offset = 1; offset < X86_PAGE_SIZE; offset *= 2)
		store_and_look(w, offset, X86_PAGE_SIZE);
}

static void and_so_is_each_of_a_large_one(void **state)
{
	(void)state;
	in_each_world(stores_of_up_to_a_page);
}

/* What a scan for used pages does: a byte of an entry, and its rights stay. */
static void an_accessed_bit_is_cleared_by_a_byte(struct world *w)
{
	umbra_gpa gpa = (w->table << X86_PAGE_SHIFT) + 5 * w->entry_bytes;
	umbra_gva gva = GVA + 5 * X86_PAGE_SIZE;
	const uint64_t gpte = gpte_of(DATA_GFN, GPTE_RW | GPTE_AD);
	uint8_t low = (uint8_t)(gpte & ~X86_PTE_A);

	host_write(w->h, gpa, &gpte, w->entry_bytes);
	assert_int_equal(host_access(w->h, gva, X86_PF_W).faults, 0);
	host_write(w->h, gpa, &low, 1);
	assert_int_equal(world_gpte(w, 5), gpte & ~X86_PTE_A);
	assert_int_equal(world_spte(w, 5), 0);
	/* The next access sets it again. */
	assert_int_equal(host_access(w->h, gva, 0).faults, 1);
	assert_int_equal(world_gpte(w, 5), gpte);
	/* Now only D: readable as before, and the next store sets it again. */
	low = (uint8_t)(gpte & ~X86_PTE_D);
	host_write(w->h, gpa, &low, 1);
	assert_int_equal(host_access(w->h, gva, 0).faults, 0);
	assert_int_equal(host_access(w->h, gva, X86_PF_W).faults, 1);
	assert_int_equal(world_gpte(w, 5), gpte);
	assert_int_equal(umbra_stats(w->h->vm)->mmu_shadow_zapped, 0);
}

static void a_byte_takes_accessed_and_dirty_bits(void **state)
{
	(void)state;
	in_each_world(an_accessed_bit_is_cleared_by_a_byte);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_entry_that_a_small_store_touches_is_as_if_it_were_read),
		cmocka_unit_test(and_so_is_each_of_a_large_one),
		cmocka_unit_test(a_byte_takes_accessed_and_dirty_bits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
