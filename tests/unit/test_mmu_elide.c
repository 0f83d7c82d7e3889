/* SPDX-License-Identifier: MIT */
/*
 * Flushes that are not passed on, and those that must be (I8): on a processor that caches
 * everything and forgets nothing by itself.
 */
#include "tests/unit/mmu_guest.h"

#define LARGE (GVA + (1ull << 30)) /* a 2M page that is one leaf */
#define PARTS (GVA + (2ull << 30)) /* one that is mapped in parts */
#define FRAME DATA_GFN

/* The three pages, in the first root; and whatever is written or flushed at first is done with. */
static void map_pages(struct host *h)
{
	host_map(h, h->root, GVA, 1, gpte_of(FRAME, LEAF));
	host_map(h, h->root, LARGE, 2, gpte_of(FRAME + 512, LEAF | X86_PTE_PS));
	host_map(h, h->root, PARTS, 2, gpte_of(0, LEAF | X86_PTE_PS));
}

static void settle(struct host *h)
{
	for (unsigned i = 0; i < 3; i++) {
		host_access(h, GVA, X86_PF_W);
		host_access(h, LARGE, X86_PF_W);
		host_access(h, PARTS, X86_PF_W);
		host_cr3(h, h->vcpu->regs.cr3 >> X86_PAGE_SHIFT);
	}
	host_reset_flushes(h);
}

static int setup(void **state)
{
	struct host *h = guest_new_cached(UMBRA_OOS_ALL, 20);

	map_pages(h);
	settle(h);
	*state = h;
	return 0;
}

static unsigned all_flushes(const struct host *h)
{
	return host_flushes(h) + h->flush_gva;
}

/* ---- what needs none ---- */

static void a_reload_after_nothing_was_lost_flushes_nothing(void **state)
{
	struct host *h = *state;
	uint64_t elided = umbra_stats(h->vm)->tlb_elided;

	for (unsigned i = 0; i < 5; i++) {
		host_access(h, GVA, X86_PF_W);
		host_cr3(h, h->root);
	}
	assert_int_equal(all_flushes(h), 0);
	assert_int_equal(umbra_stats(h->vm)->tlb_elided, elided + 5);
}

static void an_invlpg_that_took_nothing_flushes_nothing(void **state)
{
	struct host *h = *state;
	struct umbra_invpcid descriptor = {.gva = LARGE};
	uint64_t elided = umbra_stats(h->vm)->tlb_elided;
	struct umbra_exit out;

	host_invlpg(h, GVA);
	host_invlpg(h, PARTS);
	for (uint64_t type = 0; type < 4; type++)
		assert_int_equal(umbra_invpcid(h->vcpu, type, &descriptor, &out), UMBRA_RESUME);
	assert_int_equal(all_flushes(h), 0);
	assert_int_equal(umbra_stats(h->vm)->tlb_elided, elided + 6);
}

/* New entries, and rights that are added. */
static void what_was_only_added_flushes_nothing(void **state)
{
	struct host *h = *state;
	uint64_t *entry = host_gpte(h, h->root, GVA, 1);

	host_write_word(h, host_gpa(h, entry + 1), gpte_of(FRAME + 1, GPTE_RO | X86_PTE_NX));
	host_access(h, GVA + 4096, 0);
	host_write_word(h, host_gpa(h, entry + 1), gpte_of(FRAME + 1, LEAF));
	host_access(h, GVA + 4096, X86_PF_W | X86_PF_U);
	host_cr3(h, h->root);
	host_invlpg(h, GVA + 4096);
	assert_int_equal(all_flushes(h), 0);
}

static void with_elide_off_each_load_and_invlpg_is_passed_on(void **state)
{
	struct host *h = *state;
	struct umbra_policy policy = h->vm->policy;

	policy.elide = false;
	assert_int_equal(umbra_set_policy(h->vm, &policy), UMBRA_OK);
	settle(h);
	for (unsigned i = 1; i <= 3; i++) {
		host_cr3(h, h->root);
		host_invlpg(h, GVA);
		assert_int_equal(h->flush_tag, i);
		assert_int_equal(h->flush_gva, i);
	}
}

/* ---- what is lost has to be flushed ---- */

struct loss {
	const char *what;
	umbra_gva gva;
	unsigned level;              /* of the entry that changes */
	uint64_t before_clear;       /* it never has these */
	uint64_t clear, set, frames; /* the change */
	access_bits access;          /* that is in the TLB before */
	enum umbra_outcome expect;   /* of that access after */
};

#define W X86_PF_W
#define U X86_PF_U
#define I X86_PF_I

static const struct loss losses[] = {
	{"removed", GVA, 1, 0, ~0ull, 0, 0, 0, UMBRA_INJECT},
	{"not present", GVA, 1, 0, X86_PTE_P, 0, 0, 0, UMBRA_INJECT},
	{"reserved", GVA, 1, 0, 0, 1ull << 50, 0, 0, UMBRA_INJECT},
	{"W lost", GVA, 1, 0, X86_PTE_W, 0, 0, W, UMBRA_INJECT},
	{"U lost", GVA, 1, 0, X86_PTE_U, 0, 0, U, UMBRA_INJECT},
	{"U gained, SMAP", GVA, 1, X86_PTE_U, 0, X86_PTE_U, 0, 0, UMBRA_INJECT},
	{"U gained, SMEP", GVA, 1, X86_PTE_U, 0, X86_PTE_U, 0, I, UMBRA_INJECT},
	{"NX gained", GVA, 1, 0, 0, X86_PTE_NX, 0, I | U, UMBRA_INJECT},
	{"key changed", GVA, 1, 0, 0, 3ull << X86_PTE_PK_SHIFT, 0, U, UMBRA_INJECT},
	{"frame changed", GVA, 1, 0, 0, 0, 5, U, UMBRA_RESUME},
	{"A cleared", GVA, 1, 0, X86_PTE_A, 0, 0, U, UMBRA_RESUME},
	{"D cleared", GVA, 1, 0, X86_PTE_D, 0, 0, U | W, UMBRA_RESUME},
	{"PCD", GVA, 1, 0, 0, X86_PTE_PCD, 0, U, UMBRA_RESUME},
	{"PWT", GVA, 1, 0, 0, X86_PTE_PWT, 0, U, UMBRA_RESUME},
	{"PAT", GVA, 1, 0, 0, X86_PTE_PAT_4K, 0, U, UMBRA_RESUME},
	{"G", GVA, 1, 0, 0, X86_PTE_G, 0, U, UMBRA_RESUME},

	{"large removed", LARGE, 2, 0, ~0ull, 0, 0, 0, UMBRA_INJECT},
	{"large W lost", LARGE, 2, 0, X86_PTE_W, 0, 0, W, UMBRA_INJECT},
	{"large U gained, SMAP", LARGE, 2, X86_PTE_U, 0, X86_PTE_U, 0, W, UMBRA_INJECT},
	{"large NX gained", LARGE, 2, 0, 0, X86_PTE_NX, 0, I | U, UMBRA_INJECT},
	{"large frame changed", LARGE, 2, 0, 0, 0, 512, U, UMBRA_RESUME},
	{"large PAT", LARGE, 2, 0, 0, X86_PTE_PAT_LARGE, 0, U, UMBRA_RESUME},
	{"large D cleared", LARGE, 2, 0, X86_PTE_D, 0, 0, U | W, UMBRA_RESUME},

	{"parts removed", PARTS, 2, 0, ~0ull, 0, 0, 0, UMBRA_INJECT},
	{"parts W lost", PARTS, 2, 0, X86_PTE_W, 0, 0, W, UMBRA_INJECT},
	{"parts U lost", PARTS, 2, 0, X86_PTE_U, 0, 0, U, UMBRA_INJECT},
	{"parts U gained, SMAP", PARTS, 2, X86_PTE_U, 0, X86_PTE_U, 0, 0, UMBRA_INJECT},
	{"parts NX gained", PARTS, 2, 0, 0, X86_PTE_NX, 0, I | U, UMBRA_INJECT},
	{"parts frame changed", PARTS, 2, 0, 0, 0, FRAME, U, UMBRA_RESUME},
	{"parts PCD", PARTS, 2, 0, 0, X86_PTE_PCD, 0, U, UMBRA_RESUME},
	{"parts A cleared", PARTS, 2, 0, X86_PTE_A, 0, 0, U, UMBRA_RESUME},

	{"table removed", GVA, 2, 0, ~0ull, 0, 0, 0, UMBRA_INJECT},
	{"table W lost", GVA, 2, 0, X86_PTE_W, 0, 0, W, UMBRA_INJECT},
	{"table U lost", GVA, 2, 0, X86_PTE_U, 0, 0, U, UMBRA_INJECT},
	{"table U gained, SMAP", GVA, 2, X86_PTE_U, 0, X86_PTE_U, 0, 0, UMBRA_INJECT},
	{"table NX gained", GVA, 2, 0, 0, X86_PTE_NX, 0, I | U, UMBRA_INJECT},
	{"table A cleared", GVA, 2, 0, X86_PTE_A, 0, 0, U, UMBRA_RESUME},
	{"third level removed", GVA, 3, 0, ~0ull, 0, 0, 0, UMBRA_INJECT},
	{"third level W lost", GVA, 3, 0, X86_PTE_W, 0, 0, W, UMBRA_INJECT},
	{"fourth level NX gained", GVA, 4, 0, 0, X86_PTE_NX, 0, I | U, UMBRA_INJECT},
	{"fourth level removed", GVA, 4, 0, ~0ull, 0, 0, 0, UMBRA_INJECT},
};

enum way { WRITE_LOAD, WRITE_INVLPG, WINDOW_LOAD, WINDOW_INVLPG, WAYS };

static struct host *before_loss(const struct loss *loss, uint64_t **entry)
{
	struct host *h = guest_new_cached(UMBRA_OOS_ALL, 20);

	map_pages(h);
	*entry = host_gpte(h, h->root, loss->gva, loss->level);
	**entry &= ~loss->before_clear;
	host_regs(h, X86_CR0_WP,
		X86_CR4_PKE | (loss->before_clear & X86_PTE_U ? X86_CR4_SMAP | X86_CR4_SMEP : 0));
	h->pkru = 3u << 2 * 3; /* key 3 is no good */
	host_access(h, guest_window(h, *entry), 0);
	settle(h);
	assert_int_equal(host_access(h, loss->gva, loss->access).outcome, UMBRA_RESUME);
	host_cr3(h, h->root);
	/* Nothing is owed now. */
	assert_int_equal(all_flushes(h), 0);
	return h;
}

static void lose(struct host *h, const struct loss *loss, uint64_t *entry, enum way way)
{
	uint64_t frames = loss->frames << X86_PAGE_SHIFT;
	uint64_t now = ((*entry & ~loss->clear) | loss->set) + frames;

	if (way == WRITE_LOAD || way == WRITE_INVLPG)
		host_write_word(h, host_gpa(h, entry), now);
	else
		guest_sets(h, entry, now);
	if (way == WRITE_LOAD || way == WINDOW_LOAD)
		host_cr3(h, h->root);
	else
		host_invlpg(h, loss->gva);
}

static void each_loss_is_flushed(void **state)
{
	(void)state;
	for (unsigned n = 0; n < WAYS * sizeof(losses) / sizeof(losses[0]); n++) {
		const struct loss *loss = &losses[n / WAYS];
		uint64_t *entry;
		struct host *h = before_loss(loss, &entry);
		umbra_hpa was = host_access(h, loss->gva, loss->access).hpa;
		struct host_result result;

		print_message("  %s, way %u\n", loss->what, n % WAYS);
		lose(h, loss, entry, n % WAYS);
		assert_true(all_flushes(h) > 0);
		result = host_access(h, loss->gva, loss->access);
		assert_int_equal(result.outcome, loss->expect);
		if (result.outcome == UMBRA_RESUME) {
			assert_int_equal(result.hpa - was, loss->frames << X86_PAGE_SHIFT);
			assert_true(*entry & X86_PTE_A);
			assert_true(!(loss->access & W) || (*entry & X86_PTE_D));
		}
		/* And once only. */
		host_cr3(h, h->root);
		host_cr3(h, h->root);
		host_reset_flushes(h);
		host_cr3(h, h->root);
		assert_int_equal(all_flushes(h), 0);
		host_free(h);
	}
}

/* ---- tags ---- */

/* A root in which GVA leads to FRAME + @n, by tables of its own. */
static uint64_t own_root(struct host *h, unsigned n)
{
	uint64_t root = guest_new_root(h);

	host_words(h, root)[gva_index(GVA, 4)] = 0;
	host_map(h, root, GVA, 1, gpte_of(FRAME + n, LEAF));
	return root;
}

/* Its last-level entry is read-only, or writable, from now on; the guest is elsewhere. */
static void set_writable(struct host *h, uint64_t root, bool writable)
{
	uint64_t *entry = host_gpte(h, root, GVA, 1);

	host_write_word(h, host_gpa(h, entry), writable ? *entry | X86_PTE_W : *entry & ~X86_PTE_W);
}

static void enter(struct host *h, uint64_t root, unsigned n)
{
	host_cr3(h, root);
	assert_int_equal(host_read_gfn(h, GVA), FRAME + n);
}

static void each_root_has_a_tag_while_there_are_enough(void **state)
{
	struct host *h = *state;
	uint64_t roots[4] = {h->root};
	unsigned tags[4];

	for (unsigned i = 1; i < 4; i++)
		roots[i] = own_root(h, i);
	for (unsigned round = 0; round < 4; round++) {
		for (unsigned i = 0; i < 4; i++) {
			enter(h, roots[i], i);
			if (round == 0)
				tags[i] = umbra_tag(h->vcpu);
			assert_int_equal(umbra_tag(h->vcpu), tags[i]);
			assert_true(tags[i] < 4);
		}
		/* The first rounds look at what was written to make them. */
		if (round == 2)
			host_reset_flushes(h);
	}
	assert_int_equal(all_flushes(h), 0);
	assert_int_equal(1u << tags[0] | 1u << tags[1] | 1u << tags[2] | 1u << tags[3], 15);
}

static void more_roots_than_tags_share_them(void **state)
{
	static const unsigned char order[] = {0, 1, 2, 3, 4, 0, 4, 3, 6, 1, 5, 2, 6, 0, 6, 5, 1, 3,
		4, 2, 0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 6, 4, 2, 0};
	struct host *h = *state;
	uint64_t roots[7] = {h->root};

	for (unsigned i = 1; i < 7; i++)
		roots[i] = own_root(h, i);
	for (unsigned n = 0; n < 3 * sizeof(order); n++) {
		unsigned i = order[n % sizeof(order)];

		enter(h, roots[i], i);
		assert_true(umbra_tag(h->vcpu) < 4);
	}
}

static void with_one_tag_another_root_is_a_flush(void **state)
{
	struct host_config config = {.policy = umbra_policy_default, .caches = true, .tags = 1};
	struct host *h = guest_new(&config);
	uint64_t second;

	(void)state;
	map_pages(h);
	second = own_root(h, 1);
	for (unsigned i = 0; i < 6; i++) {
		host_reset_flushes(h);
		enter(h, i % 2 ? second : h->root, i % 2);
		assert_int_equal(umbra_tag(h->vcpu), 0);
		assert_true(i == 0 || host_flushes(h) > 0);
	}
	host_free(h);
}

/* The tag that is flushed is the one that will be used, not the one that was left. */
static void the_tag_of_the_new_root_is_flushed(void **state)
{
	struct host *h = *state;
	uint64_t second = own_root(h, 1);

	for (unsigned i = 0; i < 3; i++) {
		enter(h, h->root, 0);
		enter(h, second, 1);
	}
	set_writable(h, h->root, false);
	host_reset_flushes(h);
	enter(h, h->root, 0);
	assert_int_equal(h->flush_tag, 1);
	assert_int_equal(host_flushes(h), 1);
	assert_int_equal(host_access(h, GVA, W).outcome, UMBRA_INJECT);
	/* The other one has lost nothing. */
	host_reset_flushes(h);
	enter(h, second, 1);
	assert_int_equal(host_access(h, GVA, W).outcome, UMBRA_RESUME);
	assert_int_equal(all_flushes(h), 0);
}

/* What several roots reach is lost to all of them, whichever of them runs. */
static void a_loss_in_what_is_shared_concerns_every_tag(void **state)
{
	struct host *h = *state;
	uint64_t second, third;

	second = guest_new_root(h);
	third = guest_new_root(h);
	for (unsigned i = 0; i < 3; i++) {
		enter(h, h->root, 0);
		enter(h, second, 0);
		enter(h, third, 0);
		host_access(h, GVA, W);
	}
	set_writable(h, second, false);
	host_invlpg(h, GVA);
	assert_int_equal(host_access(h, GVA, W).outcome, UMBRA_INJECT);
	enter(h, h->root, 0);
	assert_int_equal(host_access(h, GVA, W).outcome, UMBRA_INJECT);
	enter(h, second, 0);
	assert_int_equal(host_access(h, GVA, W).outcome, UMBRA_INJECT);
}

/* Written without an exit while another root runs: found and lost at the load. */
static void a_change_made_from_another_root_is_seen_under_the_old_tag(void **state)
{
	struct host *h = *state;
	uint64_t second = own_root(h, 1);
	uint64_t *entry = host_gpte(h, second, GVA, 1);

	for (unsigned i = 0; i < 3; i++) {
		enter(h, second, 1);
		host_access(h, GVA, W);
		enter(h, h->root, 0);
	}
	guest_sets(h, entry, gpte_of(FRAME + 9, LEAF));
	enter(h, second, 9);
}

/* A page of the first root begins anew under the second: what was lost of it before, was lost
 * under the first. */
static void a_table_that_moves_to_another_root_leaves_nothing_behind(void **state)
{
	struct host *h = *state;
	uint64_t second = own_root(h, 1);
	uint64_t *above = host_gpte(h, h->root, GVA, 2), *there = host_gpte(h, second, GVA, 2);
	uint64_t table = *above, was = *there;

	for (unsigned i = 0; i < 4; i++) {
		enter(h, second, 1);
		enter(h, h->root, 0);
		host_access(h, GVA, W);
	}
	/* Its A is lost too, so that the table is no orphan. */
	host_write_word(h, host_gpa(h, above), table & ~(X86_PTE_A | X86_PTE_W));
	host_write_word(h, host_gpa(h, there), table);
	enter(h, second, 0);
	assert_int_equal(host_access(h, GVA, W).outcome, UMBRA_RESUME);
	enter(h, h->root, 0);
	assert_int_equal(host_access(h, GVA, W).outcome, UMBRA_INJECT);
	host_write_word(h, host_gpa(h, there), was);
	enter(h, second, 1);
}

/* ---- registers ---- */

static void a_change_of_registers_always_flushes(void **state)
{
	struct host *h = *state;

	for (unsigned i = 0; i < 3; i++) {
		host_reset_flushes(h);
		host_regs(h, X86_CR0_WP, i % 2 ? 0 : X86_CR4_SMAP);
		assert_int_equal(host_flushes(h), 1);
	}
}

/* What a processor caches may depend on the registers: under each tag. */
static void a_change_of_registers_concerns_every_tag(void **state)
{
	struct host *h = *state;
	uint64_t second = own_root(h, 1);

	for (unsigned i = 0; i < 4; i++) {
		enter(h, second, 1);
		enter(h, h->root, 0);
	}
	host_reset_flushes(h);
	enter(h, second, 1);
	enter(h, h->root, 0);
	assert_int_equal(all_flushes(h), 0);
	host_regs(h, X86_CR0_WP, X86_CR4_PKE);
	host_reset_flushes(h);
	enter(h, second, 1);
	assert_int_equal(host_flushes(h), 1);
}

/* ---- pages that go ---- */

static void a_number_that_serves_another_root_brings_nothing_along(void **state)
{
	struct host *h = *state;

	for (unsigned i = 1; i < 40; i++) {
		uint64_t root = own_root(h, i);

		enter(h, root, i);
		host_access(h, GVA, W);
		enter(h, h->root, 0);
		umbra_unshadow(h->vcpu, root << X86_PAGE_SHIFT);
		host_check(h);
	}
}

static void what_was_reclaimed_is_not_seen_again(void **state)
{
	struct host_config config = {.policy = umbra_policy_default,
		.pool_pages = UMBRA_POOL_MIN,
		.caches = true,
		.flush_tag = true,
		.tags = 8};
	struct host *h = guest_new(&config);

	(void)state;
	for (unsigned n = 0; n < 200; n++) {
		umbra_gva gva = GVA + (n % 40) * 0x40201000ull;

		if (n < 40)
			host_map(h, h->root, gva, 1, gpte_of(FRAME + n, LEAF));
		assert_int_equal(host_read_gfn(h, gva), FRAME + n % 40);
		if (n % 16 == 15)
			host_cr3(h, h->root);
	}
	assert_true(umbra_stats(h->vm)->mmu_recycled > 40);
	host_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, host_teardown)
		T(a_reload_after_nothing_was_lost_flushes_nothing),
		T(an_invlpg_that_took_nothing_flushes_nothing),
		T(what_was_only_added_flushes_nothing),
		T(with_elide_off_each_load_and_invlpg_is_passed_on),
		cmocka_unit_test(each_loss_is_flushed),
		T(each_root_has_a_tag_while_there_are_enough),
		T(more_roots_than_tags_share_them),
		cmocka_unit_test(with_one_tag_another_root_is_a_flush),
		T(the_tag_of_the_new_root_is_flushed),
		T(a_loss_in_what_is_shared_concerns_every_tag),
		T(a_change_made_from_another_root_is_seen_under_the_old_tag),
		T(a_table_that_moves_to_another_root_leaves_nothing_behind),
		T(a_change_of_registers_always_flushes),
		T(a_change_of_registers_concerns_every_tag),
		T(a_number_that_serves_another_root_brings_nothing_along),
		cmocka_unit_test(what_was_reclaimed_is_not_seen_again),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
