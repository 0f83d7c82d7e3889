/* SPDX-License-Identifier: MIT */
/*
 * The audit can fail: for each invariant the state is damaged by hand, one way after the other, and
 * the audit has to name that invariant; repaired, it has to be content again.
 */
#include "tests/unit/mmu_teller.h"

#include "mmu/src/page.h"
#include "mmu/src/slot.h"
#include "mmu/src/spte.h"

#define GVA   0x40000000ull
#define OTHER 0x80000000ull /* last-level table of its own */
#define LARGE 0xc0000000ull
#define LEAF  (GPTE_RW | GPTE_AD)

/* All tables are synced. Pages of each kind: RAM at GVA and the page after it, ROM, device and
 * absent after that, 2M at LARGE. */
static int setup(void **state)
{
	struct umbra_policy policy = host_plain_policy();
	struct host *h;

	policy.sticky = 100;
	h = host_new_policy(&policy);
	host_start(h, h->root);
	host_map(h, h->root, GVA, 1, gpte_of(DATA_GFN, LEAF));
	host_map(h, h->root, GVA + 0x1000, 1, gpte_of(DATA_GFN + 1, LEAF));
	host_map(h, h->root, GVA + 0x2000, 1, gpte_of(ROM_GFN, LEAF));
	host_map(h, h->root, GVA + 0x3000, 1, gpte_of(DEVICE_GFN, LEAF));
	host_map(h, h->root, GVA + 0x4000, 1, gpte_of(ABSENT_GFN, LEAF));
	host_map(h, h->root, OTHER, 1, gpte_of(DATA_GFN + 2, LEAF));
	/* Its own table, read-only in the shadow. */
	host_map(h, h->root, GVA + 0x5000, 1, gpte_of(h->root, LEAF));
	host_map(h, h->root, LARGE, 2, gpte_of(DATA_GFN + 1024, LEAF | X86_PTE_PS));
	for (unsigned i = 0; i < 6; i++)
		assert_int_equal(host_access(h, GVA + i * 0x1000, 0).outcome, UMBRA_RESUME);
	host_access(h, OTHER, 0);
	host_access(h, LARGE, 0);
	assert_true(host_spte(h, LARGE, 2) & X86_PTE_PS);
	*state = h;
	return 0;
}

/* The shadow entry itself. */
static uint64_t *spte(struct host *h, umbra_gva gva, unsigned level)
{
	uint32_t page = h->vcpu->root;

	for (unsigned at = 4; at > level; at--)
		page = spte_child(h->vm, h->vm->tables[page][gva_index(gva, at)]);
	return &h->vm->tables[page][gva_index(gva, level)];
}

static uint32_t page_for(struct host *h, umbra_gva gva, unsigned level)
{
	return (uint32_t)((spte(h, gva, level) - &h->vm->tables[0][0]) / ENTRIES);
}

static struct shadow_page *sp(struct host *h, umbra_gva gva, unsigned level)
{
	return &h->vm->pages[page_for(h, gva, level)];
}

static uint64_t *snapshot(struct host *h, umbra_gva gva, unsigned level)
{
	return &h->vm->snapshots[page_for(h, gva, level)][gva_index(gva, level)];
}

static void assert_broken(struct host *h, unsigned invariant)
{
	char why[240] = "";
	unsigned broken = umbra_audit(h->vm, why, sizeof(why));

	print_message("  I%u: %s\n", broken, why);
	assert_int_equal(broken, invariant);
	assert_true(strlen(why) > 10);
}

/* @lvalue is @value for a moment, which must break I@invariant and nothing else. */
#define ASSERT_BREAKS(h, invariant, lvalue, value)                                                 \
	do {                                                                                       \
		__typeof__(lvalue) *at_ = &(lvalue);                                               \
		__typeof__(lvalue) old_ = *at_;                                                    \
		*at_ = (__typeof__(lvalue))(value);                                                \
		assert_broken(h, invariant);                                                       \
		*at_ = old_;                                                                       \
		host_check(h);                                                                     \
	} while (0)

static void i1_leaves_map_what_their_slot_grants(void **state)
{
	struct host *h = *state;
	uint64_t *ram = spte(h, GVA, 1), *rom = spte(h, GVA + 0x2000, 1);
	uint64_t *device = spte(h, GVA + 0x3000, 1), *large = spte(h, LARGE, 2);

	ASSERT_BREAKS(h, 1, *ram, *ram + 0x1000);
	ASSERT_BREAKS(h, 1, *ram, *ram ^ 1ull << 40);
	ASSERT_BREAKS(h, 1, *rom, *rom | X86_PTE_W);
	ASSERT_BREAKS(h, 1, *device, *device - 0x1000);
	ASSERT_BREAKS(h, 1, *large, *large + 0x200000);
	/* The slot is shorter than the leaf. */
	ASSERT_BREAKS(h, 1, h->vm->slots[0].n_frames, DATA_GFN + 1024 + 511);
}

static void i11_nothing_outside_the_slots_is_mapped_but_the_absent_page(void **state)
{
	struct host *h = *state;
	uint64_t *absent = spte(h, GVA + 0x4000, 1);

	ASSERT_BREAKS(h, 1, *absent, *absent | X86_PTE_W);
	ASSERT_BREAKS(h, 1, *absent, *absent + 0x1000);
	ASSERT_BREAKS(h, 1, *absent, (*absent & ~X86_PTE_FRAME) | TABLES_HPA);
	ASSERT_BREAKS(h, 1, h->vm->absent_page, 0);
	ASSERT_BREAKS(h, 1, h->vm->absent_page, ABSENT_HPA + 0x1000);
}

static void i2_no_way_to_write_a_synced_table(void **state)
{
	struct host *h = *state;
	uint64_t *table = spte(h, GVA + 0x5000, 1);

	assert_false(*table & X86_PTE_W);
	ASSERT_BREAKS(h, 2, *table, *table | X86_PTE_W);
	ASSERT_BREAKS(h, 2, slot_region(&h->vm->slots[0], DATA_GFN + 1024)->n_tables, 1);
}

static void i2_no_way_to_write_a_tracked_frame(void **state)
{
	struct host *h = *state;
	uint64_t *ram, *device;
	struct frame *frame = frame_of(h->vm, DATA_GFN), *next = frame_of(h->vm, DATA_GFN + 1);
	struct frame *table = frame_of(h->vm, h->root);
	struct region *region = slot_region(&h->vm->slots[0], DATA_GFN);
	struct teller t[3];

	/* Nobody asked for it. */
	ASSERT_BREAKS(h, 2, next->state, FRAME_TRACKED);
	teller_begin(h, &t[0], UMBRA_TRACK_BEFORE, DATA_GFN);
	teller_begin(h, &t[1], UMBRA_TRACK_BEFORE, DEVICE_GFN);
	teller_begin(h, &t[2], UMBRA_TRACK_BEFORE, h->root);
	/* They were forgotten for the device. */
	for (unsigned i = 0; i < 6; i++)
		assert_int_equal(host_access(h, GVA + i * 0x1000, 0).outcome, UMBRA_RESUME);
	ram = spte(h, GVA, 1);
	device = spte(h, GVA + 0x3000, 1);
	assert_false((*ram | *device) & X86_PTE_W);
	ASSERT_BREAKS(h, 2, *ram, *ram | X86_PTE_W);
	ASSERT_BREAKS(h, 2, *device, *device | X86_PTE_W);
	ASSERT_BREAKS(h, 2, table->state, table->state & ~FRAME_TRACKED);
	ASSERT_BREAKS(h, 2, slot_find(h->vm, DEVICE_GFN)->n_tracked, 0);
	ASSERT_BREAKS(h, 2, slot_find(h->vm, DEVICE_GFN)->n_tracked, 2);
	ASSERT_BREAKS(h, 2, t[2].track.gfn.n, h->root + 1);
	/* What is tracked is not unsync, and is counted with the tables. */
	ASSERT_BREAKS(h, 7, frame->state, frame->state | FRAME_UNSYNC);
	ASSERT_BREAKS(h, 7, frame->state, 0);
	ASSERT_BREAKS(h, 7, region->n_tables, 0);
}

static void i3_leaves_and_records_are_one_to_one(void **state)
{
	struct host *h = *state;
	uint64_t *ram = spte(h, GVA, 1), *device = spte(h, GVA + 0x3000, 1);
	struct frame *frame = frame_of(h->vm, DATA_GFN), *next = frame_of(h->vm, DATA_GFN + 1);
	struct region *region = slot_region(&h->vm->slots[0], DATA_GFN + 1024);

	ASSERT_BREAKS(h, 3, frame->rmap, 0);
	ASSERT_BREAKS(h, 3, frame->rmap, next->rmap);
	ASSERT_BREAKS(h, 3, frame->rmap, ~0u);
	ASSERT_BREAKS(h, 3, frame_of(h->vm, DATA_GFN + 100)->rmap, frame->rmap);
	ASSERT_BREAKS(h, 3, region->rmap, 0);
	ASSERT_BREAKS(h, 3, region->rmap, frame->rmap);
	ASSERT_BREAKS(h, 3, *ram, *ram & ~SPTE_RMAP);
	ASSERT_BREAKS(h, 3, *device, *device | SPTE_RMAP);
	/* Broken links: backwards, and a ring. */
	ASSERT_BREAKS(h, 3, ref_link(h->vm, frame->rmap)->prev, frame->rmap);
	ASSERT_BREAKS(h, 3, ref_link(h->vm, frame->rmap)->next, frame->rmap);
}

static void i4_links_parents_and_counts_agree(void **state)
{
	struct host *h = *state;
	struct shadow_page *leaf_page = sp(h, GVA, 1);
	uint64_t *link = spte(h, GVA, 2);
	uint64_t root = TABLES_HPA + ((uint64_t)h->vcpu->root << 12);

	ASSERT_BREAKS(h, 4, leaf_page->n_present, leaf_page->n_present + 1);
	ASSERT_BREAKS(h, 4, leaf_page->parents, 0);
	ASSERT_BREAKS(h, 4, leaf_page->parents, sp(h, OTHER, 1)->parents);
	ASSERT_BREAKS(h, 4, leaf_page->touched, 0);
	/* No entry, but a snapshot. */
	ASSERT_BREAKS(h, 4, *snapshot(h, GVA + 0x100000, 1), 1);
	ASSERT_BREAKS(h, 4, leaf_page->gfn, leaf_page->gfn + 4000);
	ASSERT_BREAKS(h, 4, sp(h, GVA, 4)->roots, 0);
	ASSERT_BREAKS(h, 4, sp(h, GVA, 4)->roots, 2);
	ASSERT_BREAKS(h, 4, leaf_page->roots, 1);
	/* A link to a page of another level, to the twin's page, outside the pool. */
	ASSERT_BREAKS(h, 4, *link, (*link & ~X86_PTE_FRAME) | root);
	ASSERT_BREAKS(h, 4, *link, (*link & ~X86_PTE_FRAME) | (*spte(h, OTHER, 2) & X86_PTE_FRAME));
	ASSERT_BREAKS(h, 4, *link, (*link & ~X86_PTE_FRAME) | TABLES_HPA);
	ASSERT_BREAKS(h, 4, *link, *link + (1ull << 30));
}

static void i5_entries_grant_no_more_than_the_guest(void **state)
{
	struct host *h = *state;
	uint64_t *ram = spte(h, GVA, 1);
	uint64_t *gpte = host_gpte(h, h->root, GVA, 1);

	/* More than the snapshot. */
	ASSERT_BREAKS(h, 5, *snapshot(h, GVA, 1), *snapshot(h, GVA, 1) & ~X86_PTE_W);
	ASSERT_BREAKS(h, 5, *snapshot(h, GVA, 1), *snapshot(h, GVA, 1) & ~X86_PTE_U);
	ASSERT_BREAKS(h, 5, *snapshot(h, GVA, 1), *snapshot(h, GVA, 1) | X86_PTE_NX);
	ASSERT_BREAKS(h, 5, *snapshot(h, GVA, 1), *snapshot(h, GVA, 1) & ~X86_PTE_P);
	ASSERT_BREAKS(h, 5, *snapshot(h, GVA, 3), *snapshot(h, GVA, 3) & ~X86_PTE_W);
	/* A page below that was built for other rights above. */
	ASSERT_BREAKS(h, 5, sp(h, GVA, 1)->role, sp(h, GVA, 1)->role ^ ROLE_WP0);
	/* More than the table that the snapshot is of: the guest's store was missed. */
	ASSERT_BREAKS(h, 5, *gpte, *gpte & ~X86_PTE_W);
	ASSERT_BREAKS(h, 5, *gpte, *gpte + 0x1000);
	ASSERT_BREAKS(h, 5, *gpte, 0);
	assert_true(*ram & X86_PTE_W);
	/* Less is allowed. */
	*ram &= ~X86_PTE_W;
	host_check(h);
}

/* The table that maps @gva goes unsync, by a store at OTHER + 0x1000. Returns its gfn. */
static uint64_t unsync_table_of(struct host *h, umbra_gva gva, umbra_gva writable_at)
{
	uint64_t gfn = host_gpa(h, host_gpte(h, h->root, gva, 1)) >> 12;

	h->vm->policy.oos = UMBRA_OOS_LEAF;
	h->vm->policy.write = UMBRA_WRITE_UNSYNC;
	host_map(h, h->root, writable_at, 1, gpte_of(gfn, LEAF));
	assert_int_equal(host_access(h, writable_at, X86_PF_W).outcome, UMBRA_RESUME);
	assert_true(frame_of(h->vm, gfn)->state & FRAME_UNSYNC);
	assert_true(sp(h, gva, 1)->listed);
	return gfn;
}

static void i5_lets_an_unsync_table_differ_from_its_snapshot(void **state)
{
	struct host *h = *state;
	uint64_t *gpte = host_gpte(h, h->root, GVA, 1);

	unsync_table_of(h, GVA, OTHER + 0x1000);
	*gpte = 0;
	host_check(h);
	ASSERT_BREAKS(h, 5, *snapshot(h, GVA, 1), *snapshot(h, GVA, 1) & ~X86_PTE_U);
}

static void i5_an_unsync_table_that_was_not_written_is_as_its_snapshot(void **state)
{
	struct host *h = *state;
	uint64_t *gpte = host_gpte(h, h->root, GVA, 1);
	uint64_t *window;

	unsync_table_of(h, GVA, OTHER + 0x1000);
	host_cr3(h, h->root);
	window = spte(h, OTHER + 0x1000, 1);
	assert_false(sp(h, GVA, 1)->written);
	assert_false(*window & X86_PTE_D);
	ASSERT_BREAKS(h, 5, *gpte, 0);
	ASSERT_BREAKS(h, 5, *gpte, *gpte & ~X86_PTE_W);
	/* Said to be written it may differ, whoever says it. */
	*gpte = 0;
	*window |= X86_PTE_D;
	host_check(h);
	*window &= ~X86_PTE_D;
	sp(h, GVA, 1)->written = true;
	host_check(h);
}

static void i6_entries_stand_only_for_accessed_and_dirty_guest_entries(void **state)
{
	struct host *h = *state;
	uint64_t *s1 = snapshot(h, GVA, 1), *s3 = snapshot(h, GVA, 3), *s2m = snapshot(h, LARGE, 2);

	ASSERT_BREAKS(h, 6, *s1, *s1 & ~X86_PTE_A);
	ASSERT_BREAKS(h, 6, *s3, *s3 & ~X86_PTE_A);
	/* Without D an entry is not writable: that is I5's in the words of rights. */
	ASSERT_BREAKS(h, 5, *s1, *s1 & ~X86_PTE_D);
	ASSERT_BREAKS(h, 5, *s2m, *s2m & ~X86_PTE_D);
}

static void i7_unsync_tables_are_listed_and_counted(void **state)
{
	struct host *h = *state;
	struct frame *frame = frame_of(h->vm, unsync_table_of(h, GVA, OTHER + 0x1000));
	struct shadow_page *page = sp(h, GVA, 1), *root = sp(h, GVA, 4);

	assert_int_equal(page->owner, h->vcpu->root);
	ASSERT_BREAKS(h, 7, page->listed, false);
	ASSERT_BREAKS(h, 7, sp(h, OTHER, 1)->listed, true);
	ASSERT_BREAKS(h, 7, root->unsync[UNSYNC_LEAF].first, 0);
	ASSERT_BREAKS(h, 7, root->unsync[UNSYNC_LEAF].last, 0);
	ASSERT_BREAKS(h, 7, root->unsync[UNSYNC_UPPER].first, page_for(h, GVA, 1));
	ASSERT_BREAKS(h, 7, h->vm->pages[0].unsync[UNSYNC_LEAF].first, page_for(h, GVA, 1));
	ASSERT_BREAKS(h, 7, page->unsync_next, page_for(h, OTHER, 1));
	ASSERT_BREAKS(h, 7, page->unsync_prev, page_for(h, OTHER, 1));
	/* A ring. */
	ASSERT_BREAKS(h, 7, page->unsync_next, page_for(h, GVA, 1));
	ASSERT_BREAKS(h, 7, page->frame, frame + 1);
	ASSERT_BREAKS(h, 7, frame->state, frame->state + FRAME_SHADOW);
	ASSERT_BREAKS(h, 7, frame->state, FRAME_UNSYNC);
	ASSERT_BREAKS(h, 7, frame_of(h->vm, DATA_GFN)->state, FRAME_SHADOW | FRAME_UNSYNC);
	ASSERT_BREAKS(h, 7, frame_of(h->vm, DATA_GFN)->state, FRAME_UNSYNC);
	ASSERT_BREAKS(h, 7, slot_region(&h->vm->slots[0], 0)->n_tables, 0);
}

/* Two unsync tables, one of them listed twice: the numbers agree. */
static void i7_each_unsync_table_is_listed_itself(void **state)
{
	struct host *h = *state;
	struct unsync_list *list = &sp(h, GVA, 4)->unsync[UNSYNC_LEAF];
	uint32_t first = page_for(h, GVA, 1), second = page_for(h, OTHER, 1);

	unsync_table_of(h, GVA, OTHER + 0x1000);
	unsync_table_of(h, OTHER, OTHER + 0x2000);
	assert_int_equal(list->first, first);
	assert_int_equal(list->last, second);
	ASSERT_BREAKS(h, 7, list->first, second);
	ASSERT_BREAKS(h, 7, list->last, first);
	ASSERT_BREAKS(h, 7, h->vm->pages[second].unsync_next, first);
}

static void i7_what_is_reached_has_the_owner_of_what_leads_there(void **state)
{
	struct host *h = *state;
	uint32_t root = h->vcpu->root, middle = page_for(h, GVA, 3), leaf = page_for(h, GVA, 1);

	/* Shared may be said of what is not, but for what is above. */
	h->vm->pages[leaf].owner = 0;
	host_check(h);
	h->vm->pages[leaf].owner = root;
	ASSERT_BREAKS(h, 7, h->vm->pages[leaf].owner, middle);
	ASSERT_BREAKS(h, 7, h->vm->pages[middle].owner, middle);
	ASSERT_BREAKS(h, 7, h->vm->pages[middle].owner, 0);
	ASSERT_BREAKS(h, 7, h->vm->pages[root].owner, middle);
}

static void i8_nothing_is_owed_and_no_time_is_to_come(void **state)
{
	struct host *h = *state;
	uint64_t later = h->vm->clock + 1;

	ASSERT_BREAKS(h, 8, h->vm->flush_all, true);
	ASSERT_BREAKS(h, 8, h->vm->pages[0].lost, later);
	ASSERT_BREAKS(h, 8, sp(h, GVA, 4)->lost, later);
	ASSERT_BREAKS(h, 8, h->vcpu->tags[h->vcpu->tag].flushed, later);
	ASSERT_BREAKS(h, 8, h->vcpu->tags[h->vcpu->tag].root, page_for(h, GVA, 3));
	ASSERT_BREAKS(h, 8, h->vcpu->tag, h->vm->n_tags);
}

static void i9_no_page_is_lost_and_free_ones_are_empty(void **state)
{
	struct host *h = *state;
	uint32_t free = h->vm->free_list;

	ASSERT_BREAKS(h, 9, h->vm->n_free, h->vm->n_free - 1);
	ASSERT_BREAKS(h, 9, h->vm->free_list, h->vm->pages[free].hash_next);
	ASSERT_BREAKS(h, 9, h->vm->tables[free][17], 1);
	ASSERT_BREAKS(h, 9, h->vm->snapshots[free][511], 1);
	ASSERT_BREAKS(h, 9, h->vm->pages[free].in_use, true);
	ASSERT_BREAKS(h, 9, h->vm->stats.shadow_pages, h->vm->stats.shadow_pages + 1);
	/* A ring. */
	ASSERT_BREAKS(h, 9, h->vm->pages[free].hash_next, free);
}

/* ---- who runs it ---- */

static void audit_on_panics_with_the_verdict_at_the_next_event(void **state)
{
	struct host *h = *state;
	struct umbra_exit out;
	jmp_buf here;

	h->vm->n_free--;
	/* Off: nobody looks. */
	assert_int_equal(umbra_load_cr3(h->vcpu, h->root << 12, &out), UMBRA_RESUME);
	h->vm->policy.audit = 1;
	h->on_panic = &here;
	if (!setjmp(here))
		fail_msg("no panic, outcome %d", umbra_load_cr3(h->vcpu, h->root << 12, &out));
	assert_non_null(strstr(h->panicked, "pages are lost"));
	h->on_panic = NULL;
	h->vm->n_free++;
	host_check(h);
}

static enum umbra_track_answer stores_it(
	void *ctx, struct umbra_vcpu *vcpu, umbra_gpa gpa, const void *bytes, size_t n_bytes)
{
	(void)ctx;
	(void)vcpu;
	(void)gpa;
	(void)bytes;
	(void)n_bytes;
	return UMBRA_TRACK_STORE;
}

/* What the host does for the guest is an event too. */
static void do_for_guest(struct host *h, unsigned what, struct umbra_track *track)
{
	const umbra_gpa gpa = DATA_GFN << X86_PAGE_SHIFT;
	const uint64_t word = 0;

	switch (what) {
	case 0:
		assert_true(umbra_guest_write(h->vcpu, gpa, &word, 8));
		break;
	case 1:
		assert_int_equal(
			umbra_guest_exchange(h->vcpu, gpa, &word, &word, 8), UMBRA_EXCHANGE_DONE);
		break;
	case 2:
		assert_true(umbra_unshadow(h->vcpu, gpa));
		break;
	case 3:
		assert_int_equal(umbra_track_write(h->vm, (umbra_gfn){DATA_GFN}, track), UMBRA_OK);
		break;
	default:
		umbra_untrack_write(h->vm, track);
	}
}

static void audit_looks_at_what_the_host_does(void **state)
{
	struct host *h = *state;
	static struct umbra_track track = {.written = stores_it};

	h->vm->policy.audit = 1;
	for (volatile unsigned what = 0; what < 5; what++) {
		jmp_buf here;

		h->vm->n_free--;
		h->on_panic = &here;
		if (!setjmp(here)) {
			do_for_guest(h, what, &track);
			fail_msg("no panic, event %u", what);
		}
		h->on_panic = NULL;
		assert_non_null(strstr(h->panicked, "pages are lost"));
		h->vm->n_free++;
		host_check(h);
	}
}

/* How many of @n events end in a panic. */
static unsigned panics_in(struct host *h, unsigned n)
{
	volatile unsigned panics = 0;
	struct umbra_exit out;
	jmp_buf here;

	for (volatile unsigned i = 0; i < n; i++) {
		h->on_panic = &here;
		if (setjmp(here))
			panics++;
		else
			assert_int_equal(
				umbra_load_cr3(h->vcpu, h->root << 12, &out), UMBRA_RESUME);
	}
	h->on_panic = NULL;
	return panics;
}

static void audit_n_looks_after_every_nth_event(void **state)
{
	struct host *h = *state;
	uint64_t audits = umbra_stats(h->vm)->audits;

	h->vm->policy.audit = 5;
	h->vm->n_free--;
	assert_int_equal(panics_in(h, 50), 10);
	h->vm->n_free++;
	assert_int_equal(umbra_stats(h->vm)->audits - audits, 10);
}

/* What free pages hold is looked at by one of sixteen audits after events, and by every
 * umbra_audit(). */
static void free_pages_are_looked_at_in_turns(void **state)
{
	struct host *h = *state;
	uint32_t free = h->vm->free_list;

	h->vm->policy.audit = 1;
	h->vm->tables[free][17] = 1;
	assert_int_equal(panics_in(h, 32), 2);
	assert_broken(h, 9);
	h->vm->tables[free][17] = 0;
	host_check(h);
}

static void assertions_are_on_in_these_tests(void **state)
{
	struct host *h = *state;
	jmp_buf here;

	h->on_panic = &here;
	if (!setjmp(here)) {
		page_zap(h->vm, h->vcpu->root, false); /* a vCPU runs on it */
		fail_msg("no panic");
	}
	assert_non_null(strstr(h->panicked, "assertion failed"));
	h->on_panic = NULL;
}

static void the_sentence_stays_in_its_room(void **state)
{
	struct host *h = *state;
	char why[64];

	h->vm->n_free--;
	for (size_t room = 0; room < 60; room++) {
		memset(why, '#', sizeof(why));
		assert_int_equal(umbra_audit(h->vm, why, room), 9);
		for (size_t i = room; i < sizeof(why); i++)
			assert_int_equal(why[i], '#');
		assert_true(!room || memchr(why, 0, room));
	}
	assert_int_equal(umbra_audit(h->vm, NULL, 0), 9);
	h->vm->n_free++;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, host_teardown)
		T(i1_leaves_map_what_their_slot_grants),
		T(i11_nothing_outside_the_slots_is_mapped_but_the_absent_page),
		T(i2_no_way_to_write_a_synced_table),
		T(i2_no_way_to_write_a_tracked_frame),
		T(i3_leaves_and_records_are_one_to_one),
		T(i4_links_parents_and_counts_agree),
		T(i5_entries_grant_no_more_than_the_guest),
		T(i5_lets_an_unsync_table_differ_from_its_snapshot),
		T(i5_an_unsync_table_that_was_not_written_is_as_its_snapshot),
		T(i6_entries_stand_only_for_accessed_and_dirty_guest_entries),
		T(i7_unsync_tables_are_listed_and_counted),
		T(i7_each_unsync_table_is_listed_itself),
		T(i7_what_is_reached_has_the_owner_of_what_leads_there),
		T(i8_nothing_is_owed_and_no_time_is_to_come),
		T(i9_no_page_is_lost_and_free_ones_are_empty),
		T(audit_on_panics_with_the_verdict_at_the_next_event),
		T(audit_looks_at_what_the_host_does),
		T(audit_n_looks_after_every_nth_event),
		T(free_pages_are_looked_at_in_turns),
		T(assertions_are_on_in_these_tests),
		T(the_sentence_stays_in_its_room),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
