/* SPDX-License-Identifier: MIT */
/*
 * The audit: every invariant of docs/INVARIANTS.md has its functions here, which look at the whole
 * state and believe no counter and no list. Reads, never writes.
 *
 * It goes through the pages once, for what concerns them and each of their entries, through the
 * frames once, and then through the lists of unsync tables. Empty groups and frames are passed by,
 * after a look that they are empty. When several invariants are broken the verdict is the first in
 * the order of reporting_order[].
 */
#include "finding.h"
#include "page.h"
#include "set.h"
#include "slot.h"
#include "spte.h"
#include "track.h"
#include "unsync.h"

/* An audit in progress. */
struct audit {
	struct umbra_vm *vm;
	struct finding found;
	/* Of the pages: leaves of RAM, links, tables in RAM; the same as frames and
	 * pages have it on record. */
	uint64_t leaves, links, tables;
	uint64_t leaves_listed, links_listed, tables_counted;
	unsigned n_unsync, n_listed; /* pages of unsync tables, and those in lists */
};

/* A page, as far as its entries are concerned. */
struct page_view {
	const struct shadow_page *sp;
	uint32_t page;
	unsigned level;
	bool direct;
	bool synced; /* its guest table is protected, or known to be unwritten */
};

/* A present entry. */
struct entry {
	unsigned index;
	uint64_t spte, snapshot;
	bool leaf;
	uint64_t gfn; /* leaf: the first frame it maps, and its slot */
	struct slot *slot;
};

/* What has to hold for others to be looked at comes first. */
static const uint8_t reporting_order[] = {9, 4, 1, 2, 3, 5, 6, 7, 8};

static unsigned rank(unsigned invariant)
{
	unsigned at = 0;

	while (at < sizeof(reporting_order) && reporting_order[at] != invariant)
		at++;
	return at;
}

/* Returns false, for the caller to return. */
static bool found(
	struct audit *a, unsigned invariant, const char *what, uint32_t page, unsigned index)
{
	if (rank(invariant) < rank(a->found.invariant))
		a->found = (struct finding){what, invariant, page, index};
	return false;
}

/* Eight words at a time; @n_bytes is a multiple of 64. */
static bool all_zero(const void *from, size_t n_bytes)
{
	typedef uint64_t word __attribute__((aligned(4)));

	for (const word *w = from; n_bytes; w += 8, n_bytes -= 64) {
		if (w[0] | w[1] | w[2] | w[3] | w[4] | w[5] | w[6] | w[7])
			return false;
	}
	return true;
}

/* The first frame that a leaf maps. */
static inline uint64_t leaf_gfn(const struct shadow_page *sp, unsigned index, uint64_t snapshot)
{
	unsigned level = page_level(sp);

	return page_direct(sp) ? sp->gfn + index * level_frames(level) : gpte_gfn(snapshot, level);
}

/* ---- I1, I11: leaves map what the slots grant ---- */

static bool audit_i01_slots(struct audit *a, const struct page_view *v, const struct entry *e)
{
	const struct umbra_vm *vm = a->vm;
	uint64_t n = level_frames(v->level);

	if (!e->slot) {
		if (n > 1 || spte_hfn(e->spte) != vm->absent_page >> X86_PAGE_SHIFT ||
			!vm->absent_page)
			return found(a, 1, "leaf outside all slots", v->page, e->index);
		return !(e->spte & X86_PTE_W) ||
		       found(a, 1, "absent page writable", v->page, e->index);
	}
	if (e->gfn + n > e->slot->first + e->slot->n_frames)
		return found(a, 1, "leaf reaches past its slot", v->page, e->index);
	if ((spte_hfn(e->spte) & ~(n - 1)) != e->slot->hfn + (e->gfn - e->slot->first))
		return found(a, 1, "leaf maps another host frame", v->page, e->index);
	if ((e->spte & X86_PTE_W) && !e->slot->writable)
		return found(a, 1, "read-only slot mapped writable", v->page, e->index);
	return true;
}

/* ---- I2: synced tables and tracked frames are not writable ---- */

static bool audit_i02_protection(struct audit *a, const struct page_view *v, const struct entry *e)
{
	bool writable = e->spte & X86_PTE_W;
	bool broken = false;

	if (e->slot && !e->slot->frames)
		broken = writable && e->slot->n_tracked &&
			 track_any(a->vm, e->gfn, level_frames(v->level));
	else if (e->slot && v->level > 1)
		broken = slot_region(e->slot, e->gfn)->n_tables;
	else if (e->slot)
		broken = writable && frame_protected(slot_frame(e->slot, e->gfn));
	return !broken ||
	       found(a, 2, "protected frame writable, or in a 2M leaf", v->page, e->index);
}

/* ---- I3: leaves and rmaps ---- */

static bool audit_i03_leaf(struct audit *a, const struct page_view *v, const struct entry *e)
{
	if (!(e->spte & SPTE_RMAP) != !(e->slot && e->slot->frames))
		return found(a, 3, "leaf recorded although not RAM, or not although RAM", v->page,
			e->index);
	a->leaves += !!(e->spte & SPTE_RMAP);
	return true;
}

/* Walk one list; every member must be a leaf of @level for the right frames. */
static bool audit_i03_list(struct audit *a, uint32_t head, unsigned level, uint64_t gfn)
{
	const struct umbra_vm *vm = a->vm;
	const struct link *link;
	uint32_t prev = 0;

	for (uint32_t ref = head; ref; prev = ref, ref = link->next) {
		uint32_t page = ref_page(ref);
		unsigned index = ref_index(ref);
		const struct shadow_page *sp = &vm->pages[page];

		if (page >= vm->n_pages || !sp->in_use)
			return found(a, 3, "rmap leads nowhere", 0, 0);
		if (!(set_read(vm, page, index) & SPTE_RMAP) || page_level(sp) != level)
			return found(a, 3, "rmap names an entry that is no leaf", page, index);
		if ((leaf_gfn(sp, index, vm->snapshots[page][index]) ^ gfn) >= level_frames(level))
			return found(a, 3, "rmap of another frame", page, index);
		/* So that no list is a ring, nor any leaf in it twice. */
		link = &vm->links[page][index];
		if (link->prev != prev)
			return found(a, 3, "rmap list broken", page, index);
		a->leaves_listed++;
	}
	return true;
}

/* ---- I4: links, parents, counts ---- */

static bool audit_i04_link(struct audit *a, const struct page_view *v, const struct entry *e)
{
	uint32_t child = spte_child(a->vm, e->spte);

	if (!child || child >= a->vm->n_pages || !a->vm->pages[child].in_use ||
		page_level(&a->vm->pages[child]) + 1 != v->level)
		return found(a, 4, "link to no page of the level below", v->page, e->index);
	a->links++;
	if (a->vm->pages[child].owner &&
		a->vm->pages[child].owner != unsync_heir(a->vm, v->page, child))
		return found(a, 7, "linked page belongs to another", v->page, e->index);
	return true;
}

static bool is_link_to(const struct umbra_vm *vm, uint32_t ref, uint32_t page)
{
	uint32_t parent = ref_page(ref);
	uint64_t spte;

	if (parent >= vm->n_pages || !vm->pages[parent].in_use)
		return false;
	spte = set_read(vm, parent, ref_index(ref));
	return spte_present(spte) && !spte_is_leaf(spte, page_level(&vm->pages[parent])) &&
	       spte_child(vm, spte) == page;
}

static bool audit_i04_parents(struct audit *a, const struct page_view *v, unsigned n_present)
{
	struct umbra_vm *vm = a->vm;
	const struct shadow_page *sp = v->sp;
	unsigned roots = 0;

	if (n_present != sp->n_present)
		return found(a, 4, "n_present is wrong", v->page, 0);
	if (page_lookup(vm, sp->gfn, sp->role) != v->page)
		return found(a, 4, "page not in the hash", v->page, 0);
	for (uint32_t ref = sp->parents; ref; ref = ref_link(vm, ref)->next) {
		if (!is_link_to(vm, ref, v->page) ||
			++a->links_listed > (uint64_t)vm->n_pages * ENTRIES)
			return found(a, 4, "parent does not link here", v->page, 0);
	}
	for (unsigned i = 0; i < vm->n_vcpus; i++)
		roots += vm->vcpus[i].root == v->page;
	return roots == sp->roots || found(a, 4, "roots is wrong", v->page, 0);
}

/* ---- I5, I6: rights and A/D against the guest ---- */

/* @gpte: what the entry may rely on. A supervisor-only entry under CR0.WP=0 may write anything. */
static bool rights_granted(const struct shadow_page *sp, uint64_t spte, uint64_t gpte)
{
	bool terminal = gpte_terminal(gpte, page_level(sp));
	uint64_t may = spte_rights(sp->role, gpte, terminal);

	if (sp->role & ROLE_PAE_ROOT)
		return true;
	if (terminal && (sp->role & ROLE_WP0) && !(spte & X86_PTE_U) && (gpte & X86_PTE_D))
		may |= X86_PTE_W;
	return !(spte & ~may & (X86_PTE_W | X86_PTE_U)) && !(may & ~spte & X86_PTE_NX);
}

/* Does a link lead where the guest's entry does? */
static bool right_child(const struct umbra_vm *vm, const struct page_view *v, const struct entry *e)
{
	const struct shadow_page *child = &vm->pages[spte_child(vm, e->spte)];
	uint64_t gpte = e->snapshot;

	return child->gfn == gpte_gfn(gpte, v->level) &&
	       child->role == (gpte_terminal(gpte, v->level)
					      ? spte_direct_role(gpte, v->level)
					      : spte_table_role(v->sp->role, e->index, gpte));
}

static bool audit_i05_rights(struct audit *a, const struct page_view *v, const struct entry *e)
{
	uint64_t gpte;

	if (v->direct)
		return true;
	if (!(e->snapshot & X86_PTE_P) || !rights_granted(v->sp, e->spte, e->snapshot))
		return found(a, 5, "entry grants more than its snapshot", v->page, e->index);
	if (!e->leaf && !right_child(a->vm, v, e))
		return found(a, 5, "link to a page for something else", v->page, e->index);
	if (!v->synced)
		return true;
	gpte = page_gpte(v->sp, e->index);
	if (v->sp->guest_ro)
		gpte |= X86_PTE_A | X86_PTE_D; /* they could not be set */
	if (gpte == e->snapshot)
		return true;
	if (!(gpte & X86_PTE_P) || gpte_gfn(gpte, v->level) != gpte_gfn(e->snapshot, v->level) ||
		!rights_granted(v->sp, e->spte, gpte))
		return found(a, 5,
			v->sp->listed ? "entry grants more than the guest's, said to be unwritten"
				      : "synced entry grants more than the guest's",
			v->page, e->index);
	return true;
}

static bool audit_i06_accessed_dirty(
	struct audit *a, const struct page_view *v, const struct entry *e)
{
	if (v->direct)
		return true;
	if (!(e->snapshot & X86_PTE_A))
		return found(a, 6, "present entry without the guest's A", v->page, e->index);
	if (gpte_terminal(e->snapshot, v->level) && (e->spte & X86_PTE_W) &&
		!(e->snapshot & X86_PTE_D))
		return found(a, 6, "writable entry without the guest's D", v->page, e->index);
	return true;
}

/* ---- I7: unsync tables can be found ---- */

/* A frame with something in it. */
static bool audit_i07_frame(struct audit *a, const struct frame *frame, uint64_t gfn)
{
	bool unsync = frame->state & FRAME_UNSYNC;
	bool tracked = frame->state & FRAME_TRACKED;
	bool sound;
	unsigned n = 0;

	for (uint32_t page = page_of_table(a->vm, gfn, 0); page;
		page = page_of_table(a->vm, gfn, page)) {
		const struct shadow_page *sp = &a->vm->pages[page];

		n++;
		if (sp->listed != unsync_page(sp))
			return found(a, 7, "unsync and not listed, or listed and synced", page, 0);
		a->n_unsync += sp->listed;
	}
	a->tables_counted += n;
	if (!tracked != !track_any(a->vm, gfn, 1))
		return found(a, 2, "tracked and nobody to tell, or not and somebody", 0, 0);
	if (n || tracked)
		sound = !(unsync && tracked);
	else
		sound = unsync == !!(frame->state & FRAME_CHURN);
	return (frame_tables(frame) == n && sound) || found(a, 7, "frame with a wrong state", 0, 0);
}

/* What the list of @owner holds, into a->n_listed. */
static bool audit_i07_list(struct audit *a, uint32_t owner, unsigned which)
{
	const struct umbra_vm *vm = a->vm;
	uint32_t prev = 0;

	for (uint32_t page = vm->pages[owner].unsync[which].first; page;
		page = vm->pages[page].unsync_next) {
		const struct shadow_page *sp = &vm->pages[page];

		if (page >= vm->n_pages || ++a->n_listed > vm->n_pages)
			return found(a, 7, "a list of unsync tables does not end", owner, 0);
		if (!sp->in_use || !sp->listed || sp->owner != owner || sp->unsync_prev != prev ||
			(page_level(sp) > 1) != (which == UNSYNC_UPPER))
			return found(a, 7, "page in a wrong list", page, 0);
		prev = page;
	}
	return prev == vm->pages[owner].unsync[which].last ||
	       found(a, 7, "a list of unsync tables has another end", owner, 0);
}

/* With every page of an unsync frame listed, and as many in the lists: they have each once. */
static bool audit_i07_lists(struct audit *a)
{
	for (uint32_t owner = 0; owner < a->vm->n_pages; owner++) {
		for (unsigned which = 0; which < UNSYNC_LISTS; which++) {
			if (!audit_i07_list(a, owner, which))
				return false;
		}
	}
	if (a->tables != a->tables_counted)
		return found(a, 7, "tables that no frame counts", 0, 0);
	return a->n_unsync == a->n_listed || found(a, 7, "listed page is not unsync", 0, 0);
}

/* Every vCPU's root owns what it reaches, but for what is shared. */
static bool audit_i07_roots(struct audit *a)
{
	for (unsigned i = 0; i < a->vm->n_vcpus; i++) {
		uint32_t root = a->vm->vcpus[i].root;
		uint32_t owner = root ? a->vm->pages[root].owner : 0;

		if (owner && owner != root)
			return found(a, 7, "root that another root owns", root, 0);
	}
	return true;
}

/* ---- I8: what is owed, and the times that are noted; what may be stale no state tells ---- */

static bool audit_i08_clocks(struct audit *a)
{
	const struct umbra_vm *vm = a->vm;

	if (vm->flush_all || vm->n_orphans)
		return found(a, 8, "an event left a debt", 0, 0);
	for (uint32_t page = 0; page < vm->n_pages; page++) {
		if (vm->pages[page].lost > vm->clock)
			return found(a, 8, "page that lost something later than now", page, 0);
	}
	for (unsigned i = 0; i < vm->n_vcpus; i++) {
		const struct umbra_vcpu *vcpu = &vm->vcpus[i];
		const struct tlb_tag *tag = &vcpu->tags[vcpu->tag];

		if (vcpu->tag >= vm->n_tags || tag->flushed > vm->clock)
			return found(a, 8, "vCPU with a tag that cannot be", vcpu->root, 0);
		if (tag->root != vcpu->root)
			return found(a, 8, "vCPU with the tag of another root", vcpu->root, 0);
	}
	return true;
}

/* ---- I9: the pool ---- */

/* @turn: which free pages have to be shown empty, FREE_TURNS for all. */
static bool audit_i09_pool(struct audit *a, unsigned turn)
{
	struct umbra_vm *vm = a->vm;
	unsigned free = 0;
	unsigned used = 0;

	for (uint32_t page = vm->free_list; page && page < vm->n_pages && free < vm->n_pages;
		page = vm->pages[page].hash_next) {
		if ((turn == FREE_TURNS || page % FREE_TURNS == turn) &&
			(!all_zero(vm->tables[page], sizeof(vm->tables[page])) ||
				!all_zero(vm->snapshots[page], sizeof(vm->snapshots[page]))))
			return found(a, 9, "free page is not empty", page, 0);
		free++;
	}
	for (uint32_t page = 1; page < vm->n_pages; page++)
		used += vm->pages[page].in_use;
	if (free != vm->n_free || free + used != vm->n_pages - 1)
		return found(a, 9, "pages are lost", 0, 0);
	return used == vm->stats.shadow_pages || found(a, 9, "shadow_pages is wrong", 0, 0);
}

/* ---- the two passes ---- */

static void audit_entry(struct audit *a, const struct page_view *v, unsigned index, uint64_t spte)
{
	struct entry e = {
		.index = index,
		.spte = spte,
		.snapshot = a->vm->snapshots[v->page][index],
		.leaf = spte_is_leaf(spte, v->level),
	};
	bool sound;

	if (e.leaf) {
		e.gfn = leaf_gfn(v->sp, index, e.snapshot);
		e.slot = slot_find(a->vm, e.gfn);
		sound = audit_i01_slots(a, v, &e) && audit_i02_protection(a, v, &e) &&
			audit_i03_leaf(a, v, &e);
	} else {
		sound = audit_i04_link(a, v, &e);
	}
	if (sound && audit_i05_rights(a, v, &e))
		audit_i06_accessed_dirty(a, v, &e);
}

static void audit_page(struct audit *a, uint32_t page)
{
	struct umbra_vm *vm = a->vm;
	const struct shadow_page *sp = &vm->pages[page];
	const struct frame *frame = page_has_table(sp) ? frame_of(vm, sp->gfn) : NULL;
	struct page_view v = {
		.sp = sp,
		.page = page,
		.level = page_level(sp),
		.direct = page_direct(sp),
		.synced = frame &&
			  (frame_protected(frame) || (sp->listed && !unsync_written(vm, page))),
	};
	unsigned n_present = 0;

	for (unsigned at = 0; at < ENTRIES; at += GROUP_ENTRIES) {
		bool empty = all_zero(&vm->tables[page][at], GROUP_ENTRIES * sizeof(uint64_t));
		bool touched = sp->touched & 1ull << (at >> GROUP_SHIFT);

		if (!touched && (!empty || !all_zero(&vm->snapshots[page][at],
						   GROUP_ENTRIES * sizeof(uint64_t))))
			found(a, 4, "something in an untouched group", page, at);
		for (unsigned i = at; !empty && i < at + GROUP_ENTRIES; i++) {
			uint64_t spte = set_read(vm, page, i);

			if (!spte)
				continue;
			n_present++;
			audit_entry(a, &v, i, spte);
		}
	}
	a->tables += !!frame;
	if (sp->frame != frame)
		found(a, 7, "page with the record of another frame", page, 0);
	audit_i04_parents(a, &v, n_present);
}

/* The frames from @gfn to @end, which are in one region. */
static void audit_region(struct audit *a, const struct slot *s, uint64_t gfn, uint64_t end)
{
	const struct region *region = slot_region(s, gfn);
	unsigned n_tables = 0;
	const unsigned n_at_once = 64 / sizeof(struct frame);

	audit_i03_list(a, region->rmap, 2, gfn);
	while (gfn < end) {
		const struct frame *frame = slot_frame(s, gfn);

		if (end - gfn >= n_at_once && all_zero(frame, 64)) {
			gfn += n_at_once;
			continue;
		}
		audit_i03_list(a, frame->rmap, 1, gfn);
		if (frame->state)
			audit_i07_frame(a, frame, gfn);
		n_tables += !!(frame->state & (FRAME_SHADOWS | FRAME_TRACKED));
		gfn++;
	}
	if (n_tables != region->n_tables)
		found(a, 7, "region counts its tables wrongly", 0, 0);
}

static void audit_frames(struct audit *a)
{
	struct umbra_vm *vm = a->vm;

	for (const struct slot *s = vm->slots; s < vm->slots + vm->n_slots; s++) {
		uint64_t end = s->first + s->n_frames;
		uint64_t next;

		if (!s->frames && s->n_tracked != track_count(vm, s->first, s->n_frames))
			found(a, 2, "device counts its tracked frames wrongly", 0, 0);
		for (uint64_t gfn = s->first; s->frames && gfn < end; gfn = next) {
			next = (gfn | (LARGE_FRAMES - 1)) + 1;
			audit_region(a, s, gfn, next < end ? next : end);
		}
	}
}

struct finding audit_all(struct umbra_vm *vm, unsigned free_turn)
{
	struct audit a = {.vm = vm};

	if (!audit_i09_pool(&a, free_turn))
		return a.found;
	for (uint32_t page = 1; page < vm->n_pages; page++) {
		if (vm->pages[page].in_use)
			audit_page(&a, page);
	}
	if (a.links != a.links_listed)
		found(&a, 4, "links and parents differ in number", 0, 0);
	audit_frames(&a);
	if (a.leaves != a.leaves_listed)
		found(&a, 3, "leaves and rmap records differ in number", 0, 0);
	audit_i07_lists(&a);
	audit_i07_roots(&a);
	audit_i08_clocks(&a);
	return a.found;
}
