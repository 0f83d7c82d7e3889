/* SPDX-License-Identifier: MIT */
/*
 * Tracked frames that are more than memory: a device's, which only who tracks it writes, and guest
 * tables, which keep their shadows and never go out of sync.
 */
#include "tests/unit/mmu_guest.h"
#include "tests/unit/mmu_patchwork.h"
#include "tests/unit/mmu_teller.h"

#include "mmu/src/page.h"
#include "mmu/src/slot.h"

#define DEVICE     (DEVICE_GFN + 5)
#define DEVICE_GPA (DEVICE << X86_PAGE_SHIFT)
#define FAR        (GVA + (1ull << 30))
#define ONES       0x1111111111111111ull

static int setup(void **state)
{
	struct host_config config = {.policy = umbra_policy_default};

	*state = guest_new(&config);
	return 0;
}

/* ---- devices ---- */

static void stores_to_a_device_are_told_and_made_by_nobody_else(void **state)
{
	struct host *h = *state;
	struct teller before, after;
	uint64_t value = ONES;

	assert_false(umbra_guest_write(h->vcpu, DEVICE_GPA, &value, 8));
	teller_begin(h, &after, UMBRA_TRACK_AFTER, DEVICE);
	teller_begin(h, &before, UMBRA_TRACK_BEFORE, DEVICE);
	for (unsigned n = 1; n <= 8; n++) {
		host_write(h, DEVICE_GPA + 3, &value, n);
		teller_was_told(&before, n, DEVICE_GPA + 3, &value, n);
		teller_was_told(&after, n, DEVICE_GPA + 3, &value, n);
		assert_true(before.order < after.order);
	}
	before.answer = UMBRA_TRACK_DROP;
	host_write(h, DEVICE_GPA, &value, 8);
	assert_int_equal(before.n, 9);
	assert_int_equal(after.n, 8);
	/* Other frames of it are not written by the host. */
	assert_false(umbra_guest_write(h->vcpu, DEVICE_GPA + X86_PAGE_SIZE, &value, 8));
	assert_false(umbra_guest_write(h->vcpu, DEVICE_GPA + X86_PAGE_SIZE - 4, &value, 8));
	/* What was there nobody here can know. */
	assert_int_equal(umbra_guest_exchange(h->vcpu, DEVICE_GPA, &value, &value, 8),
		UMBRA_EXCHANGE_REFUSED);
	assert_int_equal(before.n, 9);
	assert_false(umbra_unshadow(h->vcpu, DEVICE_GPA));
	before.answer = UMBRA_TRACK_STOP;
	after.answer = UMBRA_TRACK_STOP;
	host_write(h, DEVICE_GPA, &value, 8);
	assert_int_equal(before.n, 10);
	assert_int_equal(after.n, 9);
	assert_false(umbra_guest_write(h->vcpu, DEVICE_GPA, &value, 8));
}

/* From memory to a device and back, with it tracked and not. */
static void a_store_may_cross_to_a_tracked_device(void **state)
{
	static struct patchwork patches;
	struct umbra_policy policy = umbra_policy_default;
	struct host *h = host_new_policy(&policy);
	umbra_gpa device = (PATCH_GFN + PATCH_DEVICE) << X86_PAGE_SHIFT;
	struct teller t;
	const uint64_t value = 0x8877665544332211;

	(void)state;
	patchwork_add(h, &patches);
	assert_false(umbra_guest_write(h->vcpu, device - 3, &value, 8));
	assert_false(umbra_guest_write(h->vcpu, device + X86_PAGE_SIZE - 3, &value, 8));
	teller_begin(h, &t, UMBRA_TRACK_BEFORE, PATCH_GFN + PATCH_DEVICE);
	host_write(h, device - 3, &value, 8);
	teller_was_told(&t, 1, device, (const uint8_t *)&value + 3, 5);
	assert_memory_equal(
		patch_bytes(&patches, PATCH_RAM_BESIDE_ROM) + X86_PAGE_SIZE - 3, &value, 3);
	host_write(h, device + X86_PAGE_SIZE - 3, &value, 8);
	teller_was_told(&t, 2, device + X86_PAGE_SIZE - 3, &value, 3);
	assert_memory_equal(
		patch_bytes(&patches, PATCH_RAM_BESIDE_DEVICE), (const uint8_t *)&value + 3, 5);
	host_free(h);
}

/* GVA on maps the first frames of the device, FAR 2M of it by one entry. */
static void map_device(struct host *h)
{
	for (unsigned i = 0; i < 16; i++)
		host_map(h, h->root, GVA + i * X86_PAGE_SIZE, 1, gpte_of(DEVICE_GFN + i, LEAF));
	host_map(h, h->root, FAR, 2, gpte_of(DEVICE_GFN, LEAF | X86_PTE_PS));
	host_map(h, h->root, FAR + (2ull << 20), 2,
		gpte_of(DEVICE_GFN + LARGE_FRAMES, LEAF | X86_PTE_PS));
}

static enum umbra_outcome writes(struct host *h, umbra_gva gva)
{
	struct host_result result = host_access(h, gva + 8, X86_PF_W);

	if (result.outcome == UMBRA_EMULATE)
		assert_int_equal(result.exit.gpa, DEVICE_GPA + 8);
	return result.outcome;
}

/* Nothing is looked for any more, and the large page comes back, when the other 2M are tracked. */
static void the_other_half_is_tracked(struct host *h)
{
	struct teller u;

	assert_int_equal(slot_find(h->vm, DEVICE)->n_tracked, 0);
	teller_begin(h, &u, UMBRA_TRACK_BEFORE, DEVICE_GFN + DEVICE_FRAMES - 1);
	assert_int_equal(writes(h, FAR), UMBRA_RESUME);
	assert_true(host_spte(h, FAR, 2) & X86_PTE_PS);
	assert_int_equal(host_access(h, FAR + (2ull << 20), X86_PF_W).outcome, UMBRA_RESUME);
	assert_false(host_spte(h, FAR + (2ull << 20), 2) & X86_PTE_PS);
	teller_end(&u);
}

/* (mapped before, or only then) x (what the processor keeps). */
static void no_mapping_lets_stores_to_it_by(void **state)
{
	(void)state;
	for (unsigned before = 0; before < 2; before++) {
		struct host *h = guest_new_cached(UMBRA_OOS_ALL, 20);
		struct teller t, u;

		h->vm->policy.prefetch = 8;
		map_device(h);
		host_cr3(h, h->root);
		for (unsigned i = 0; before && i < 16; i++) {
			assert_int_equal(writes(h, GVA + i * X86_PAGE_SIZE), UMBRA_RESUME);
			assert_int_equal(writes(h, FAR + i * X86_PAGE_SIZE), UMBRA_RESUME);
			assert_true(host_spte(h, FAR, 2) & X86_PTE_PS);
		}
		host_reset_flushes(h);
		teller_begin(h, &t, UMBRA_TRACK_BEFORE, DEVICE);
		if (before)
			assert_true(h->flush_all > 0);
		for (unsigned round = 0; round < 3; round++) {
			for (unsigned i = 0; i < 16; i++) {
				enum umbra_outcome expect = i == 5 ? UMBRA_EMULATE : UMBRA_RESUME;

				assert_int_equal(writes(h, GVA + i * X86_PAGE_SIZE), expect);
				assert_int_equal(writes(h, FAR + i * X86_PAGE_SIZE), expect);
			}
			assert_int_equal(host_read_gfn(h, GVA + 5 * X86_PAGE_SIZE), DEVICE);
			assert_int_equal(host_read_gfn(h, FAR + 5 * X86_PAGE_SIZE), DEVICE);
			host_cr3(h, h->root);
		}
		assert_false(host_spte(h, FAR, 2) & X86_PTE_PS);
		/* The next 2M are none of it. */
		assert_int_equal(writes(h, FAR + (2ull << 20)), UMBRA_RESUME);
		assert_true(host_spte(h, FAR + (2ull << 20), 2) & X86_PTE_PS);
		/* Two: then one goes. */
		teller_begin(h, &u, UMBRA_TRACK_BEFORE, DEVICE_GFN + DEVICE_FRAMES - 1);
		assert_int_equal(writes(h, GVA), UMBRA_RESUME);
		teller_end(&u);
		assert_int_equal(writes(h, GVA + 5 * X86_PAGE_SIZE), UMBRA_EMULATE);
		teller_end(&t);
		assert_int_equal(writes(h, GVA + 5 * X86_PAGE_SIZE), UMBRA_RESUME);
		assert_int_equal(writes(h, FAR + 5 * X86_PAGE_SIZE), UMBRA_RESUME);
		assert_int_equal(writes(h, GVA + 5 * X86_PAGE_SIZE), UMBRA_RESUME);
		assert_int_equal(t.n, 0);
		the_other_half_is_tracked(h);
		host_free(h);
	}
}

/* What is foreseen, at a fault beside it, an INVLPG or a load of CR3, gives no right either. */
static void nothing_that_is_foreseen_lets_them_by(void **state)
{
	struct host *h = *state;
	umbra_gva gva = GVA + 5 * X86_PAGE_SIZE;
	uint64_t *entry;
	struct teller t;

	map_device(h);
	entry = host_gpte(h, h->root, gva, 1);
	teller_begin(h, &t, UMBRA_TRACK_BEFORE, DEVICE);
	assert_int_equal(host_access(h, GVA + 6 * X86_PAGE_SIZE, X86_PF_W).outcome, UMBRA_RESUME);
	assert_true(host_spte(h, gva, 1));
	for (unsigned round = 0; round < 3; round++) {
		assert_int_equal(writes(h, gva), UMBRA_EMULATE);
		guest_sets(h, entry, gpte_of(DEVICE, GPTE_RO | GPTE_AD));
		round & 1 ? host_invlpg(h, gva) : host_cr3(h, h->root);
		assert_int_equal(host_access(h, gva, X86_PF_W).outcome, UMBRA_INJECT);
		/* The rights of the leaf that stays. */
		assert_true(host_spte(h, gva, 1));
		guest_sets(h, entry, gpte_of(DEVICE, LEAF));
		round & 1 ? host_invlpg(h, gva) : host_cr3(h, h->root);
		assert_int_equal(writes(h, gva), UMBRA_EMULATE);
		/* A new leaf. */
		guest_sets(h, entry, 0);
		host_invlpg(h, gva);
		guest_sets(h, entry, gpte_of(DEVICE, LEAF));
		host_invlpg(h, gva);
		assert_true(host_spte(h, gva, 1));
	}
	for (unsigned how = UMBRA_WRITE_AUTO; how <= UMBRA_WRITE_ZAP; how++) {
		h->vm->policy.write = how;
		assert_int_equal(writes(h, gva), UMBRA_EMULATE);
	}
	/* A supervisor's store to what is read-only, with CR0.WP=0, and the long way. */
	guest_sets(h, entry, gpte_of(DEVICE, GPTE_RO | GPTE_AD));
	host_regs(h, 0, 0);
	assert_int_equal(writes(h, gva), UMBRA_EMULATE);
	host_regs(h, X86_CR0_WP, X86_CR4_PKE);
	assert_int_equal(writes(h, FAR + 5 * X86_PAGE_SIZE), UMBRA_EMULATE);
	assert_int_equal(t.n, 0);
}

/* ---- tables ---- */

/* The guest's own store to an entry, which is emulated. */
static void emulated(struct host *h, uint64_t *entry, uint64_t gpte, access_bits access)
{
	struct host_result result = host_access(h, guest_window(h, entry), X86_PF_W | access);

	assert_int_equal(result.outcome, UMBRA_EMULATE);
	host_write_word(h, result.exit.gpa, gpte);
	assert_int_equal(*entry, gpte);
}

/* Which of the policies, and is it a table before it is tracked? */
static void a_table_that_is_tracked_is_in_sync(void **state)
{
	(void)state;
	for (unsigned how = UMBRA_WRITE_AUTO; how <= UMBRA_WRITE_ZAP; how++) {
		for (unsigned before = 0; before < 2; before++) {
			struct host *h = guest_new_cached(UMBRA_OOS_ALL, 0);
			uint64_t table = host_map(h, h->root, GVA, 1, 0);
			uint64_t *entry = host_gpte(h, h->root, GVA, 1);
			uint64_t unshadowed;
			struct teller t;

			h->vm->policy.write = how;
			if (before)
				guest_uses(h, h->root, GVA, 0);
			/* Written without an exit, where it may be, when it begins. */
			(void)host_store(h, guest_window(h, entry), gpte_of(DATA_GFN + 1, LEAF));
			teller_begin(h, &t, UMBRA_TRACK_AFTER, table);
			assert_false(host_is_unsync(h, table));
			unshadowed = umbra_stats(h->vm)->mmu_unshadow;
			host_invlpg(h, GVA);
			for (uint64_t i = 2; i < 30; i++) {
				uint64_t gpte = gpte_of(DATA_GFN + i, LEAF);

				assert_int_equal(host_read_gfn(h, GVA), DATA_GFN + i - 1);
				emulated(h, entry, gpte, 0);
				teller_was_told(&t, (unsigned)i - 1, host_gpa(h, entry), &gpte, 8);
				host_invlpg(h, GVA);
				if (i % 5 == 0)
					host_cr3(h, h->root);
				assert_int_equal(host_shadows(h, table), 1);
				assert_false(host_is_unsync(h, table));
			}
			assert_int_equal(umbra_stats(h->vm)->mmu_unshadow, unshadowed);
			teller_end(&t);
			/* It goes on as one that nobody tracks. */
			for (uint64_t i = 1; i < 9; i++) {
				(void)host_store(
					h, guest_window(h, entry), gpte_of(DATA_GFN + i, LEAF));
				host_invlpg(h, GVA);
				assert_int_equal(host_read_gfn(h, GVA), DATA_GFN + i);
			}
			assert_int_equal(t.n, 28);
			host_free(h);
		}
	}
}

/* Nor is it given up: not to users, not unused, not flooded, not when the host cannot emulate. */
static void it_is_never_given_up_for_its_stores(void **state)
{
	struct host *h = *state;
	uint64_t *entry = guest_uses(h, h->root, GVA, 0);
	uint64_t table = guest_table_of(h, entry);
	struct teller t;

	h->vm->policy.oos = UMBRA_OOS_OFF;
	host_map(h, h->root, FAR, 1, gpte_of(table, LEAF));
	teller_begin(h, &t, UMBRA_TRACK_BEFORE, table);
	for (unsigned i = 0; i < 600; i++) {
		struct host_result result = host_access(h, FAR, X86_PF_W | (i & 1 ? X86_PF_U : 0));

		assert_int_equal(result.outcome, UMBRA_EMULATE);
		host_write_word(h, table << X86_PAGE_SHIFT | 8 * (i % 100), 0);
		h->unchecked = i % 50;
		if (i % 10 == 0)
			assert_false(umbra_unshadow(h->vcpu, table << X86_PAGE_SHIFT));
	}
	assert_int_equal(t.n, 600);
	assert_int_equal(host_shadows(h, table), 1);
	assert_int_equal(umbra_stats(h->vm)->mmu_flooded, 0);
	assert_int_equal(umbra_stats(h->vm)->mmu_unshadow, 0);
	assert_int_equal(umbra_stats(h->vm)->mmu_unsync, 0);
}

/* The root that the vCPU runs on; A and D, which the processor sets, are told to nobody. */
static void accessed_and_dirty_bits_are_not_told(void **state)
{
	struct host *h = *state;
	struct teller t[4];
	uint64_t tables[4];
	const uint64_t none = 0;

	host_map(h, h->root, GVA, 1, gpte_of(DATA_GFN, GPTE_RW));
	for (unsigned level = 1; level <= 4; level++) {
		tables[level - 1] = guest_table_of(h, host_gpte(h, h->root, GVA, level));
		teller_begin(h, &t[level - 1], UMBRA_TRACK_AFTER, tables[level - 1]);
	}
	assert_int_equal(host_access(h, GVA, X86_PF_W).outcome, UMBRA_RESUME);
	for (unsigned level = 1; level <= 4; level++) {
		assert_true(*host_gpte(h, h->root, GVA, level) & X86_PTE_A);
		assert_int_equal(t[level - 1].n, 0);
		assert_int_equal(host_shadows(h, tables[level - 1]), 1);
		assert_false(host_is_unsync(h, tables[level - 1]));
	}
	emulated(h, host_gpte(h, h->root, GVA, 4), none, 0);
	teller_was_told(&t[3], 1, h->root << X86_PAGE_SHIFT, &none, 8);
	assert_int_equal(host_access(h, GVA, 0).outcome, UMBRA_INJECT);
}

/* Its shadows may go, and others come: (untracked while it is a table, after that). */
static void a_table_may_end_while_it_is_tracked(void **state)
{
	for (unsigned late = 0; late < 2; late++) {
		struct host *h = *state;
		uint64_t *entry = guest_uses(h, h->root, GVA, 0);
		uint64_t *link = host_gpte(h, h->root, GVA, 2);
		uint64_t table = guest_table_of(h, entry), was = *link;
		struct teller t;

		teller_begin(h, &t, UMBRA_TRACK_BEFORE, table);
		emulated(h, entry, 0, 0);
		guest_sets(h, link, 0);
		host_cr3(h, h->root);
		assert_int_equal(host_shadows(h, table), 0);
		/* It is tracked as before. */
		emulated(h, entry, gpte_of(DATA_GFN + 3, LEAF), 0);
		assert_int_equal(t.n, 2);
		guest_sets(h, link, was);
		host_cr3(h, h->root);
		assert_int_equal(host_read_gfn(h, GVA), DATA_GFN + 3);
		assert_int_equal(host_shadows(h, table), 1);
		if (!late)
			teller_end(&t);
		guest_sets(h, link, 0);
		host_cr3(h, h->root);
		assert_int_equal(host_shadows(h, table), 0);
		if (late)
			teller_end(&t);
		assert_int_equal(
			host_access(h, guest_window(h, entry), X86_PF_W).outcome, UMBRA_RESUME);
		assert_int_equal(t.n, 2);
		guest_sets(h, link, was);
		host_cr3(h, h->root);
	}
}

/* A frame that was given up as a table before: it is free when nobody tracks it. */
static void what_was_a_table_once_is_only_memory(void **state)
{
	struct host *h = *state;
	uint64_t *entry = guest_uses(h, h->root, GVA, 0);
	uint64_t table = guest_table_of(h, entry);
	uint64_t writes;
	struct teller t;

	assert_true(umbra_unshadow(h->vcpu, table << X86_PAGE_SHIFT));
	guest_sets(h, host_gpte(h, h->root, GVA, 2), 0);
	host_cr3(h, h->root);
	h->vm->policy.write = UMBRA_WRITE_EMULATE;
	teller_begin(h, &t, UMBRA_TRACK_AFTER, table);
	emulated(h, entry, 0, 0);
	teller_end(&t);
	writes = umbra_stats(h->vm)->pf_write_table;
	guest_sets(h, entry, ONES);
	assert_int_equal(umbra_stats(h->vm)->pf_write_table, writes);
	assert_int_equal(t.n, 1);
}

static void a_store_that_is_dropped_leaves_the_shadow(void **state)
{
	struct host *h = *state;
	uint64_t *entry = guest_uses(h, h->root, GVA, 0);
	uint64_t was = *entry, other = gpte_of(DATA_GFN + 9, LEAF);
	struct teller t;

	teller_begin(h, &t, UMBRA_TRACK_BEFORE, guest_table_of(h, entry));
	t.answer = UMBRA_TRACK_DROP;
	host_write_word(h, host_gpa(h, entry), 0);
	assert_int_equal(*entry, was);
	assert_int_equal(host_access(h, GVA, X86_PF_W).faults, 0);
	assert_int_equal(umbra_stats(h->vm)->mmu_pte_write, 0);
	/* As asked for, it is done. */
	assert_int_equal(umbra_guest_exchange(h->vcpu, host_gpa(h, entry), &was, &other, 8),
		UMBRA_EXCHANGE_DONE);
	assert_int_equal(*entry, was);
	teller_was_told(&t, 2, host_gpa(h, entry), &other, 8);
}

static void an_exchange_is_told_if_it_is_made(void **state)
{
	struct host *h = *state;
	struct teller before, after;
	umbra_gpa gpa = (DATA_GFN << X86_PAGE_SHIFT) + 32;

	teller_begin(h, &before, UMBRA_TRACK_BEFORE, DATA_GFN);
	teller_begin(h, &after, UMBRA_TRACK_AFTER, DATA_GFN);
	for (size_t n = 1; n <= 16; n *= 2) {
		uint8_t was[16], bytes[16];
		unsigned told = before.n;

		memcpy(was, (uint8_t *)host_words(h, DATA_GFN) + 32, sizeof(was));
		memset(bytes, (int)n, sizeof(bytes));
		for (size_t i = 0; i < n; i++) {
			was[i] ^= 0x40;
			assert_int_equal(umbra_guest_exchange(h->vcpu, gpa, was, bytes, n),
				UMBRA_EXCHANGE_DIFFERS);
			was[i] ^= 0x40;
		}
		assert_int_equal(before.n, told);
		assert_int_equal(after.n, told);
		assert_int_equal(
			umbra_guest_exchange(h->vcpu, gpa, was, bytes, n), UMBRA_EXCHANGE_DONE);
		host_check(h);
		teller_was_told(&before, told + 1, gpa, bytes, n);
		teller_was_told(&after, told + 1, gpa, bytes, n);
		assert_memory_equal(before.memory, was, n);
		assert_memory_equal(after.memory, bytes, n);
		assert_true(before.order < after.order);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, host_teardown)
		T(stores_to_a_device_are_told_and_made_by_nobody_else),
		cmocka_unit_test(a_store_may_cross_to_a_tracked_device),
		cmocka_unit_test(no_mapping_lets_stores_to_it_by),
		T(nothing_that_is_foreseen_lets_them_by),
		cmocka_unit_test(a_table_that_is_tracked_is_in_sync),
		T(it_is_never_given_up_for_its_stores),
		T(accessed_and_dirty_bits_are_not_told),
		T(a_table_may_end_while_it_is_tracked),
		T(what_was_a_table_once_is_only_memory),
		T(a_store_that_is_dropped_leaves_the_shadow),
		T(an_exchange_is_told_if_it_is_made),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
