/* SPDX-License-Identifier: MIT */
/* An operating system's habits; see mmu_guest.h. */
#include "tests/unit/mmu_guest.h"

#include "mmu/src/page.h"

struct host *guest_new(const struct host_config *config)
{
	struct host *h = host_new(config);

	for (uint64_t gfn = 0; gfn < DATA_GFN; gfn += LARGE_FRAMES)
		host_map(h, h->root, WINDOW + gfn * X86_PAGE_SIZE, 2,
			gpte_of(gfn, (LEAF & ~X86_PTE_U) | X86_PTE_PS));
	host_start(h, h->root);
	return h;
}

struct host *guest_new_cached(enum umbra_oos oos, unsigned sticky)
{
	struct host_config config = {
		.policy = umbra_policy_default, .caches = true, .flush_tag = true, .tags = 4};

	config.policy.oos = oos;
	config.policy.sticky = sticky;
	config.policy.prefetch = 0;
	return guest_new(&config);
}

uint64_t guest_new_root(struct host *h)
{
	uint64_t root = host_new_table(h);

	for (unsigned i = 0; i < ENTRIES; i++)
		host_words(h, root)[i] = host_words(h, h->root)[i];
	return root;
}

umbra_gva guest_window(const struct host *h, const uint64_t *entry)
{
	return WINDOW + host_gpa(h, entry);
}

unsigned guest_sets(struct host *h, uint64_t *entry, uint64_t gpte)
{
	struct host_result result = host_store(h, guest_window(h, entry), gpte);

	assert_int_equal(result.outcome, UMBRA_RESUME);
	assert_int_equal(*entry, gpte);
	return result.faults;
}

uint64_t *guest_uses(struct host *h, uint64_t root, umbra_gva gva, unsigned n)
{
	host_map(h, root, gva, 1, gpte_of(DATA_GFN + n, LEAF));
	if (h->vcpu->regs.cr3 >> X86_PAGE_SHIFT != root)
		host_cr3(h, root);
	assert_int_equal(host_access(h, gva, X86_PF_W).outcome, UMBRA_RESUME);
	return host_gpte(h, root, gva, 1);
}

uint64_t guest_table_of(const struct host *h, const uint64_t *entry)
{
	return host_gpa(h, entry) >> X86_PAGE_SHIFT;
}

uint32_t guest_page_of(struct host *h, const uint64_t *entry)
{
	return page_of_table(h->vm, guest_table_of(h, entry), 0);
}

struct guest_looked guest_load(struct host *h, uint64_t root)
{
	const struct umbra_stats *stats = umbra_stats(h->vm);
	struct guest_looked before = {stats->mmu_sync, stats->mmu_sync_skipped};

	host_cr3(h, root);
	return (struct guest_looked){
		stats->mmu_sync - before.compared, stats->mmu_sync_skipped - before.skipped};
}
