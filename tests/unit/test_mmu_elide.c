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

/* What hangs below PDPTEs owns itself, each directory for its part. */
static void a_pae_guest_elides_too(void **state)
{
	struct host_config config = {.policy = umbra_policy_default, .caches = true};
	struct host *h = host_new(&config);

	(void)state;
	h->levels = 3;
	for (unsigned i = 0; i < 4; i++)
		host_map(h, h->root, i * GVA, 1, gpte_of(FRAME + i, LEAF));
	host_start_mode(h, HOST_PAE, h->root);
	for (unsigned i = 0; i < 4; i++) {
		uint64_t *entry = host_gpte(h, h->root, i * GVA, 1);

		for (unsigned n = 0; n < 4; n++)
			host_access(h, n * GVA, X86_PF_W);
		host_cr3(h, h->root);
		host_reset_flushes(h);
		host_cr3(h, h->root);
		host_invlpg(h, 0);
		assert_int_equal(all_flushes(h), 0);
		host_write_word(h, host_gpa(h, entry), *entry & ~X86_PTE_W);
		host_cr3(h, h->root);
		assert_int_equal(all_flushes(h), 1);
		assert_int_equal(host_access(h, i * GVA, X86_PF_W).outcome, UMBRA_INJECT);
	}
	host_free(h);
}

/* The library's own flush of everything pays for all, under whatever tag. */
static void after_a_flush_of_everything_nothing_is_owed(void **state)
{
	struct host *h = *state;
	uint64_t second = guest_new_root(h);
	uint64_t *entry = host_gpte(h, h->root, PARTS, 2);

	for (unsigned i = 0; i < 4; i++)
		host_cr3(h, i % 2 ? h->root : second);
	/* Parts go: to the guest they are one page, so one INVLPG drops all of them. */
	host_access(h, PARTS, X86_PF_W);
	host_write_word(h, host_gpa(h, entry), *entry & ~X86_PTE_W);
	host_reset_flushes(h);
	host_invlpg(h, PARTS);
	assert_int_equal(h->flush_all, 1);
	host_access(h, GVA + X86_PAGE_SIZE, 0);
	host_access(h, GVA, X86_PF_W);
	host_cr3(h, second);
	host_cr3(h, h->root);
	assert_int_equal(all_flushes(h), 1);
	/* And this is about one address again. */
	entry = host_gpte(h, h->root, GVA, 1);
	host_write_word(h, host_gpa(h, entry), *entry & ~X86_PTE_W);
	host_invlpg(h, GVA);
	assert_int_equal(h->flush_gva, 1);
	assert_int_equal(all_flushes(h), 2);
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
		uint64_t elided;

		print_message("  %s, way %u\n", loss->what, n % WAYS);
		elided = umbra_stats(h->vm)->tlb_elided;
		lose(h, loss, entry, n % WAYS);
		assert_true(all_flushes(h) > 0);
		/* Where a table goes that may have been all of it. */
		assert_true(h->flush_all || umbra_stats(h->vm)->tlb_elided == elided);
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

/*
 * Entries side by side are brought up to date together: what one gains is no excuse for what
 * another loses. With two vCPUs, so that no D bit is cleared, which would be flushed for itself.
 */
static const struct {
	const char *what;
	uint64_t before[2], after[2];
	bool lost;
} pairs[] = {
	{"W changes sides", {LEAF, LEAF & ~X86_PTE_W}, {LEAF & ~X86_PTE_W, LEAF}, true},
	{"U changes sides", {LEAF, LEAF & ~X86_PTE_U}, {LEAF & ~X86_PTE_U, LEAF}, true},
	{"NX changes sides", {LEAF, LEAF | X86_PTE_NX}, {LEAF | X86_PTE_NX, LEAF}, true},
	{"D changes sides", {LEAF, LEAF & ~X86_PTE_D}, {LEAF & ~X86_PTE_D, LEAF}, true},
	{"P changes sides", {LEAF, 0}, {0, LEAF}, true},
	{"PCD changes sides", {LEAF, LEAF | X86_PTE_PCD}, {LEAF | X86_PTE_PCD, LEAF}, true},
	{"one loses NX, the other gains it, too", {LEAF | X86_PTE_NX, LEAF},
		{LEAF, LEAF | X86_PTE_NX}, true},
	{"one loses W", {LEAF, LEAF}, {LEAF, LEAF & ~X86_PTE_W}, true},
	{"one gains U", {LEAF, LEAF & ~X86_PTE_U}, {LEAF, LEAF}, true},
	{"both gain W", {LEAF & ~X86_PTE_W, LEAF & ~X86_PTE_W}, {LEAF, LEAF}, false},
	{"both lose NX", {LEAF | X86_PTE_NX, LEAF | X86_PTE_NX}, {LEAF, LEAF}, false},
	{"one gains W, one loses NX", {LEAF & ~X86_PTE_W, LEAF | X86_PTE_NX}, {LEAF, LEAF}, false},
	{"one gains P", {0, LEAF}, {LEAF, LEAF}, false},
	{"bits that are the guest's own", {LEAF, LEAF}, {LEAF | 0xe00, LEAF | 1ull << 58}, false},
};

static void what_one_entry_gains_does_not_hide_what_another_loses(void **state)
{
	struct host_config config = {
		.policy = umbra_policy_default, .max_vcpus = 2, .caches = true, .flush_tag = true};

	(void)state;
	for (size_t n = 0; n < sizeof(pairs) / sizeof(pairs[0]); n++) {
		struct host *h = guest_new(&config);
		struct umbra_vcpu *second;
		uint64_t *entry;

		print_message("  %s\n", pairs[n].what);
		assert_int_equal(umbra_vcpu_create(h->vm, &second), UMBRA_OK);
		host_map(h, h->root, GVA, 1, gpte_of(FRAME, pairs[n].before[0]));
		entry = host_gpte(h, h->root, GVA, 1);
		entry[1] = gpte_of(FRAME + 1, pairs[n].before[1]);
		for (unsigned i = 0; i < 2; i++) {
			host_access(h, guest_window(h, entry), X86_PF_W);
			host_access(h, GVA, 0);
			host_access(h, GVA + X86_PAGE_SIZE, 0);
			host_cr3(h, h->root);
		}
		host_reset_flushes(h);
		for (unsigned i = 0; i < 2; i++)
			guest_sets(h, entry + i, gpte_of(FRAME + i, pairs[n].after[i]));
		host_cr3(h, h->root);
		assert_int_equal(all_flushes(h) > 0, pairs[n].lost);
		host_free(h);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, host_teardown)
		T(a_reload_after_nothing_was_lost_flushes_nothing),
		T(an_invlpg_that_took_nothing_flushes_nothing),
		T(what_was_only_added_flushes_nothing),
		T(with_elide_off_each_load_and_invlpg_is_passed_on),
		cmocka_unit_test(a_pae_guest_elides_too),
		T(after_a_flush_of_everything_nothing_is_owed),
		cmocka_unit_test(each_loss_is_flushed),
		cmocka_unit_test(what_one_entry_gains_does_not_hide_what_another_loses),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
