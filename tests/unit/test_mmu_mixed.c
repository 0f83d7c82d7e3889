/* SPDX-License-Identifier: MIT */
/*
 * One frame as a table of several kinds at once: entries of 4 and of 8 bytes, of the last level and
 * above it. Whatever is stored into it, by whom, in pieces of whatever size, each shadow says what
 * its own view of the memory says.
 */
#include "tests/unit/mmu_walk_root.h"

#include <string.h>

#include "mmu/src/slot.h"

#define GVA    0x40000000ull
#define LARGER (2 * GVA) /* where the table is a level higher */
#define WINDOW 0xffbff000ull
#define LEAF   (GPTE_RW | GPTE_AD)
#define N_DATA 16u

/* A table at GVA, at LARGER one level above, and mapped as data at WINDOW: in five ways. */
struct views {
	struct host *h;
	uint64_t table;
	uint64_t root[HOST_5LEVEL + 1]; /* HOST_UNPAGED: 2-level, with the table as directory */
	uint64_t random;
};

static uint64_t random_word(struct views *v)
{
	v->random ^= v->random << 13;
	v->random ^= v->random >> 7;
	v->random ^= v->random << 17;
	return v->random * 0x2545f4914f6cdd1dull >> 16;
}

static void enter(struct views *v, unsigned view)
{
	host_start_mode(v->h, view == HOST_UNPAGED ? HOST_2LEVEL : view, v->root[view]);
}

static void add_wide_view(struct views *v, unsigned mode)
{
	uint64_t root = v->root[mode];

	v->h->levels = mode == HOST_PAE ? 3 : mode == HOST_4LEVEL ? 4 : 5;
	host_map(v->h, root, GVA, 2, gpte_of(v->table, GPTE_RW));
	host_map(v->h, root, LARGER, 3, gpte_of(v->table, mode == HOST_PAE ? X86_PTE_P : GPTE_RW));
	host_map(v->h, root, WINDOW, 1, gpte_of(v->table, LEAF));
}

static void views_new(struct views *v, const struct umbra_policy *policy, bool caches)
{
	struct host *h = host_new(&(struct host_config){
		.policy = *policy, .caches = caches, .flush_tag = true, .tags = caches ? 3 : 1});

	*v = (struct views){.h = h, .table = host_new_table(h), .random = 88172645463325252ull};
	v->root[HOST_UNPAGED] = v->table;
	for (unsigned mode = HOST_2LEVEL; mode <= HOST_5LEVEL; mode++)
		v->root[mode] = host_new_table(h);
	host_map32(h, v->root[HOST_2LEVEL], GVA, 2, gpte_of(v->table, GPTE_RW));
	host_map32(h, v->root[HOST_2LEVEL], WINDOW, 1, gpte_of(v->table, LEAF));
	for (unsigned mode = HOST_PAE; mode <= HOST_5LEVEL; mode++)
		add_wide_view(v, mode);
	/* What it links to as tables: pages of the same frames. */
	for (unsigned i = 0; i < N_DATA * ENTRIES; i++)
		host_words(h, DATA_GFN)[i] =
			gpte_of(DATA_GFN + i % N_DATA, LEAF) |
			(i % 3 ? gpte_of(DATA_GFN + i % 7, LEAF & ~X86_PTE_W) << 32 : 0);
}

/* Bits that make sense as an entry, or as two; now and then bits that do not. */
static uint64_t random_gpte(struct views *v)
{
	static const uint64_t frames[] = {ABSENT_GFN, DEVICE_GFN, ROM_GFN, 0};
	uint64_t r = random_word(v);
	uint64_t gfn = r % 8 ? DATA_GFN + r / 8 % N_DATA : frames[r / 8 % 4];
	uint64_t bits = r >> 16 & 0xff; /* P to PS */

	if (r >> 24 & 3)
		bits |= GPTE_RO;
	if (r >> 26 & 1)
		bits |= LEAF;
	if (r >> 27 & 3)
		bits &= ~X86_PTE_PS;
	if (!(r >> 29 & 15))
		bits |= 1ull << (r >> 33) % 64;
	return gpte_of(gfn, bits);
}

/* ---- the comparison ---- */

/* Where a RESUME, EMULATE or MMIO outcome for the guest frame @gfn goes. */
static void assert_goes_to(const struct host_result *result, uint64_t gfn, umbra_gva gva)
{
	uint64_t hfn = ABSENT_HPA >> X86_PAGE_SHIFT;

	if (result->outcome != UMBRA_RESUME) {
		assert_int_equal(result->exit.gpa, gfn << X86_PAGE_SHIFT | gva % X86_PAGE_SIZE);
		return;
	}
	if (gfn - RAM_GFN < RAM_FRAMES)
		hfn = gfn - RAM_GFN + RAM_HFN;
	else if (gfn - DEVICE_GFN < DEVICE_FRAMES)
		hfn = gfn - DEVICE_GFN + DEVICE_HFN;
	else if (gfn - ROM_GFN < ROM_FRAMES)
		hfn = gfn - ROM_GFN + ROM_HFN;
	assert_int_equal(result->hpa >> X86_PAGE_SHIFT, hfn);
}

/* The processor's access against a walk of the guest's memory alone. */
static void compare(struct views *v, umbra_gva gva)
{
	static const access_bits accesses[] = {0, X86_PF_W, X86_PF_U, X86_PF_U | X86_PF_W};
	access_bits access = accesses[random_word(v) % 4];
	struct host_result result;
	struct walk walk;
	bool allowed;

	allowed = walk_from_root(v->h, gva, access, &walk) == ALLOWED;
	result = host_access(v->h, gva, access);
	if (allowed) {
		assert_int_not_equal(result.outcome, UMBRA_INJECT);
		assert_goes_to(&result, walk.gfn, gva);
	} else {
		assert_int_equal(result.outcome, UMBRA_INJECT);
		assert_int_equal(result.exit.error_code, walk.error_code);
	}
}

/* Addresses that a byte of the table decides about, in @view. */
static void compare_at(struct views *v, unsigned view, unsigned offset)
{
	uint64_t within = random_word(v) % 1024 << X86_PAGE_SHIFT | (offset & 0xff8);

	if (view == HOST_UNPAGED)
		compare(v, (umbra_gva)(offset / 4) << 22 | within);
	else if (view == HOST_2LEVEL)
		compare(v, GVA + (umbra_gva)(offset / 4) * X86_PAGE_SIZE);
	else if (offset & 1)
		compare(v, GVA + (umbra_gva)(offset / 8) * X86_PAGE_SIZE);
	else
		compare(v, LARGER + ((umbra_gva)(offset / 8) << 21) + (within & 0x1fffff));
}

/* ---- stores ---- */

struct store {
	unsigned offset, n_bytes;
	uint64_t bytes;
};

static struct store random_store(struct views *v)
{
	static const unsigned sizes[] = {1, 2, 4, 8};
	struct store s = {.n_bytes = sizes[random_word(v) % 4], .bytes = random_gpte(v)};
	uint64_t r = random_word(v);

	/* Few entries, so that they are met again; mostly whole ones. */
	s.offset = (unsigned)(r % 24 * 8 + (r >> 8) % 4 * 1024);
	if (s.n_bytes < 8 || r >> 10 & 1)
		s.offset += r >> 16 & 1 ? 4 : 0;
	if (!(r >> 18 & 3) || s.n_bytes < 4)
		s.offset += r >> 24 & 7;
	if (s.n_bytes < 4)
		s.bytes >>= s.offset % 4 * 8;
	if (s.offset + s.n_bytes > X86_PAGE_SIZE)
		s.offset = X86_PAGE_SIZE - s.n_bytes;
	return s;
}

/* Several entries at once, by the embedder, and each byte of them is seen. */
static void store_many(struct views *v, unsigned view)
{
	uint64_t gptes[4] = {random_gpte(v), random_gpte(v), random_gpte(v), random_gpte(v)};
	unsigned n = 9 + (unsigned)(random_word(v) % 24);
	unsigned offset = random_store(v).offset;

	if (offset + n > X86_PAGE_SIZE)
		offset = X86_PAGE_SIZE - n;
	host_write(v->h, (v->table << 12) + offset, gptes, n);
	for (unsigned at = offset; at < offset + n; at++)
		compare_at(v, view, at);
}

static void each_store_of_the_embedder_is_seen_by_every_shadow(void **state)
{
	static const struct {
		unsigned prefetch;
		bool large;
	} cases[] = {{0, true}, {8, true}, {0, false}};

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		struct umbra_policy policy = host_plain_policy();
		struct views v;
		unsigned view = HOST_PAE;

		policy.prefetch = cases[i].prefetch;
		policy.large = cases[i].large;
		views_new(&v, &policy, false);
		enter(&v, view);
		for (unsigned n = 0; n < 600; n++) {
			struct store s = random_store(&v);

			if (n % 8 == 7) {
				view = (unsigned)(random_word(&v) % 5);
				enter(&v, view);
			}
			host_write(v.h, (v.table << 12) + s.offset, &s.bytes, s.n_bytes);
			compare_at(&v, view, s.offset);
			compare_at(&v, view, s.offset + s.n_bytes - 1);
			compare_at(&v, view, random_store(&v).offset);
			if (n % 25 == 0)
				store_many(&v, view);
		}
		assert_true(host_shadows(v.h, v.table) > 7);
		host_free(v.h);
	}
}

/* The guest's own stores, without exits once the table is unsync: each is seen after a flush. */
static void stores_of_the_guest_are_seen_by_every_shadow_after_a_flush(void **state)
{
	(void)state;
	for (enum umbra_oos oos = UMBRA_OOS_OFF; oos <= UMBRA_OOS_ALL; oos++) {
		struct umbra_policy policy = host_plain_policy();
		unsigned view = HOST_PAE;
		unsigned unsync = 0;
		struct views v;

		policy.oos = oos;
		policy.prefetch = 8;
		policy.sticky = 2;
		views_new(&v, &policy, true);
		for (unsigned n = 0; n < 150; n++) {
			struct store stores[4];

			view = HOST_2LEVEL + (unsigned)(random_word(&v) % 4);
			enter(&v, view);
			for (unsigned i = 0; i < 4; i++) {
				struct host_result result;

				stores[i] = random_store(&v);
				result = host_access(v.h, WINDOW + stores[i].offset, X86_PF_W);
				if (result.outcome == UMBRA_EMULATE)
					host_write(v.h, result.exit.gpa, &stores[i].bytes,
						stores[i].n_bytes);
				else
					memcpy((uint8_t *)host_words(v.h, v.table) +
							stores[i].offset,
						&stores[i].bytes, stores[i].n_bytes);
				assert_true(result.outcome == UMBRA_EMULATE ||
					    result.outcome == UMBRA_RESUME);
			}
			unsync += host_is_unsync(v.h, v.table);
			view = (unsigned)(random_word(&v) % 5);
			enter(&v, view);
			for (unsigned i = 0; i < 4; i++)
				compare_at(&v, view, stores[i].offset);
		}
		/* With oos=leaf only until it is protected for the first time: then it is a table
		 * above the last level too. */
		assert_true(unsync >= (oos == UMBRA_OOS_ALL ? 100 : oos == UMBRA_OOS_LEAF));
		assert_true(unsync < 50 || oos == UMBRA_OOS_ALL);
		host_free(v.h);
	}
}

/* ---- A and D of one view are address bits of another ---- */

static void add_device(struct host *h, uint64_t gfn, uint64_t hfn)
{
	const struct umbra_slot slot = {
		.kind = UMBRA_SLOT_DEVICE, .gfn = {gfn}, .hfn = {hfn}, .n_frames = 1};

	assert_int_equal(umbra_add_slot(h->vm, &slot), UMBRA_OK);
}

static void a_and_d_of_the_second_of_two_narrow_entries_move_the_wide_one(void **state)
{
	struct umbra_policy policy = host_plain_policy();

	(void)state;
	for (unsigned write = 0; write < 2; write++) {
		struct views v;
		uint64_t *word;

		views_new(&v, &policy, false);
		add_device(v.h, 0x0700800, 0xb0000);
		add_device(v.h, 0x2700800, 0xb0001);
		add_device(v.h, 0x6700800, 0xb0002);
		/* As 8 bytes a page of frame 0x700800; as twice 4 bytes nothing, and DATA_GFN. */
		word = host_words(v.h, v.table);
		*word = 0x0080000700800027;
		enter(&v, HOST_4LEVEL);
		assert_int_equal(host_access(v.h, GVA, 0).hpa, 0xb0000000);
		enter(&v, HOST_2LEVEL);
		assert_int_equal(
			host_access(v.h, GVA + 4096, write ? X86_PF_W : 0).outcome, UMBRA_RESUME);
		assert_int_equal(*word, write ? 0x0080006700800027 : 0x0080002700800027);
		enter(&v, HOST_4LEVEL);
		assert_int_equal(host_access(v.h, GVA, 0).hpa, write ? 0xb0002000 : 0xb0001000);
		host_free(v.h);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_store_of_the_embedder_is_seen_by_every_shadow),
		cmocka_unit_test(stores_of_the_guest_are_seen_by_every_shadow_after_a_flush),
		cmocka_unit_test(a_and_d_of_the_second_of_two_narrow_entries_move_the_wide_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
