/* SPDX-License-Identifier: MIT */
/*
 * The audit: every invariant of docs/INVARIANTS.md has one function here that looks at the whole
 * state and believes nothing. Reads, never writes. Slow by intent.
 */
#include "audit.h"

#include "lock.h"
#include "page.h"
#include "set.h"
#include "slot.h"
#include "spte.h"

/* What a check found, for the one who reads the panic. */
struct finding {
	const char *what;
	uint32_t page;
	unsigned index;
	uint64_t spte, gpte;
};

static bool found(struct finding *f, const char *what, const struct umbra_vm *vm, uint32_t page,
	unsigned index)
{
	*f = (struct finding){.what = what, .page = page, .index = index};
	if (page) {
		f->spte = set_read(vm, page, index);
		f->gpte = vm->snapshots[page][index];
	}
	return false;
}

/* Calls @check for every present entry; stops at the first that fails. */
static bool each_entry(struct umbra_vm *vm, struct finding *f,
	bool (*check)(struct umbra_vm *, struct finding *, uint32_t, unsigned))
{
	for (uint32_t page = 1; page < vm->n_pages; page++) {
		for (unsigned i = 0; vm->pages[page].in_use && i < ENTRIES; i++) {
			if (set_read(vm, page, i) && !check(vm, f, page, i))
				return false;
		}
	}
	return true;
}

static bool is_leaf(const struct umbra_vm *vm, uint32_t page, unsigned index)
{
	return spte_is_leaf(set_read(vm, page, index), page_level(&vm->pages[page]));
}

static bool synced(struct umbra_vm *vm, const struct shadow_page *sp)
{
	struct frame *frame = frame_of(vm, sp->gfn);

	return page_has_table(sp) && frame && frame_protected(frame);
}

/* ---- I1, I11: leaves map what the slots grant ---- */

static bool i01_entry(struct umbra_vm *vm, struct finding *f, uint32_t page, unsigned index)
{
	uint64_t spte = set_read(vm, page, index);
	uint64_t n = level_frames(page_level(&vm->pages[page]));
	uint64_t gfn;
	struct slot *slot;

	if (!is_leaf(vm, page, index))
		return true;
	gfn = set_leaf_gfn(vm, page, index);
	slot = slot_find(vm, gfn);
	if (!slot) {
		if (n > 1 || spte_hfn(spte) != vm->absent_page >> X86_PAGE_SHIFT ||
			!vm->absent_page)
			return found(f, "leaf outside all slots", vm, page, index);
		return !(spte & X86_PTE_W) || found(f, "absent page writable", vm, page, index);
	}
	if (gfn + n > slot->first + slot->n_frames)
		return found(f, "leaf reaches past its slot", vm, page, index);
	if ((spte_hfn(spte) & ~(n - 1)) != slot->hfn + (gfn - slot->first))
		return found(f, "leaf maps another host frame", vm, page, index);
	if ((spte & X86_PTE_W) && !slot->writable)
		return found(f, "read-only slot mapped writable", vm, page, index);
	return true;
}

static bool audit_i01_slots(struct umbra_vm *vm, struct finding *f)
{
	return each_entry(vm, f, i01_entry);
}

/* ---- I2: synced tables are not writable ---- */

static bool i02_entry(struct umbra_vm *vm, struct finding *f, uint32_t page, unsigned index)
{
	uint64_t gfn;
	struct slot *slot;

	if (!is_leaf(vm, page, index))
		return true;
	gfn = set_leaf_gfn(vm, page, index);
	slot = slot_find(vm, gfn);
	if (!slot || !slot->frames)
		return true;
	if (page_level(&vm->pages[page]) > 1)
		return !slot_region(slot, gfn)->n_tables ||
		       found(f, "2M leaf over a table", vm, page, index);
	if (frame_protected(slot_frame(slot, gfn)) && (set_read(vm, page, index) & X86_PTE_W))
		return found(f, "synced table mapped writable", vm, page, index);
	return true;
}

static bool audit_i02_protection(struct umbra_vm *vm, struct finding *f)
{
	return each_entry(vm, f, i02_entry);
}

/* ---- I3: leaves and rmaps ---- */

/* Walk one list; every member must be a leaf of @level for the right frames. Adds to *n. */
static bool i03_list(struct umbra_vm *vm, struct finding *f, uint32_t head, unsigned level,
	uint64_t gfn, uint64_t *n)
{
	uint64_t limit = (uint64_t)vm->n_pages * ENTRIES;
	uint32_t prev = 0;

	for (uint32_t ref = head; ref; prev = ref, ref = ref_link(vm, ref)->next) {
		uint32_t page = ref_page(ref);

		if (page >= vm->n_pages || !vm->pages[page].in_use || ++*n > limit)
			return found(f, "rmap leads nowhere", vm, 0, 0);
		if (!(set_read(vm, page, ref_index(ref)) & SPTE_RMAP) ||
			page_level(&vm->pages[page]) != level)
			return found(
				f, "rmap names an entry that is no leaf", vm, page, ref_index(ref));
		if (set_leaf_gfn(vm, page, ref_index(ref)) / level_frames(level) !=
			gfn / level_frames(level))
			return found(f, "rmap of another frame", vm, page, ref_index(ref));
		if (ref_link(vm, ref)->prev != prev)
			return found(f, "rmap list broken", vm, page, ref_index(ref));
	}
	return true;
}

static bool audit_i03_rmap(struct umbra_vm *vm, struct finding *f)
{
	uint64_t listed = 0;
	uint64_t leaves = 0;

	for (struct slot *s = vm->slots; s < vm->slots + vm->n_slots; s++) {
		for (uint64_t i = 0; s->frames && i < s->n_frames; i++) {
			uint64_t gfn = s->first + i;

			if (!i03_list(vm, f, s->frames[i].rmap, 1, gfn, &listed))
				return false;
			if ((i == 0 || gfn % LARGE_FRAMES == 0) &&
				!i03_list(vm, f, slot_region(s, gfn)->rmap, 2, gfn, &listed))
				return false;
		}
	}
	for (uint32_t page = 1; page < vm->n_pages; page++) {
		for (unsigned i = 0; vm->pages[page].in_use && i < ENTRIES; i++) {
			struct slot *slot;

			if (!set_read(vm, page, i) || !is_leaf(vm, page, i))
				continue;
			slot = slot_find(vm, set_leaf_gfn(vm, page, i));
			if (!(set_read(vm, page, i) & SPTE_RMAP) != !(slot && slot->frames))
				return found(f,
					"leaf recorded although not RAM, or not although RAM", vm,
					page, i);
			leaves += !!(set_read(vm, page, i) & SPTE_RMAP);
		}
	}
	return leaves == listed || found(f, "leaves and rmap records differ in number", vm, 0, 0);
}

/* ---- I4: links, parents, counts ---- */

static bool i04_page(struct umbra_vm *vm, struct finding *f, uint32_t page, uint64_t *links)
{
	const struct shadow_page *sp = &vm->pages[page];
	unsigned n_present = 0;
	unsigned roots = 0;

	for (unsigned i = 0; i < ENTRIES; i++) {
		if (!set_read(vm, page, i))
			continue;
		n_present++;
		if (!(sp->touched & 1ull << (i >> GROUP_SHIFT)))
			return found(f, "present entry in an untouched group", vm, page, i);
	}
	if (n_present != sp->n_present)
		return found(f, "n_present is wrong", vm, page, 0);
	if (page_lookup(vm, sp->gfn, sp->role) != page)
		return found(f, "page not in the hash", vm, page, 0);
	for (uint32_t ref = sp->parents; ref; ref = ref_link(vm, ref)->next) {
		uint64_t spte = set_read(vm, ref_page(ref), ref_index(ref));

		if (!spte_present(spte) || is_leaf(vm, ref_page(ref), ref_index(ref)) ||
			spte_child(vm, spte) != page || ++*links > (uint64_t)vm->n_pages * ENTRIES)
			return found(f, "parent does not link here", vm, page, 0);
	}
	for (unsigned i = 0; i < vm->n_vcpus; i++)
		roots += vm->vcpus[i].root == page;
	return roots == sp->roots || found(f, "roots is wrong", vm, page, 0);
}

static bool audit_i04_parents(struct umbra_vm *vm, struct finding *f)
{
	uint64_t recorded = 0;
	uint64_t links = 0;

	for (uint32_t page = 1; page < vm->n_pages; page++) {
		const struct shadow_page *sp = &vm->pages[page];

		if (!sp->in_use)
			continue;
		if (!i04_page(vm, f, page, &recorded))
			return false;
		for (unsigned i = 0; i < ENTRIES; i++) {
			uint64_t spte = set_read(vm, page, i);
			uint32_t child;

			if (!spte || is_leaf(vm, page, i))
				continue;
			child = spte_child(vm, spte);
			if (!child || child >= vm->n_pages || !vm->pages[child].in_use ||
				page_level(&vm->pages[child]) + 1 != page_level(sp))
				return found(f, "link to no page of the level below", vm, page, i);
			links++;
		}
	}
	return links == recorded || found(f, "links and parents differ in number", vm, 0, 0);
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
static bool right_child(const struct umbra_vm *vm, const struct shadow_page *sp, unsigned index,
	uint64_t spte, uint64_t gpte)
{
	const struct shadow_page *child = &vm->pages[spte_child(vm, spte)];
	unsigned level = page_level(sp);

	return child->gfn == gpte_gfn(gpte, level) &&
	       child->role == (gpte_terminal(gpte, level) ? spte_direct_role(gpte, level)
							  : spte_table_role(sp->role, index, gpte));
}

static bool i05_entry(struct umbra_vm *vm, struct finding *f, uint32_t page, unsigned index)
{
	const struct shadow_page *sp = &vm->pages[page];
	unsigned level = page_level(sp);
	uint64_t spte = set_read(vm, page, index);
	uint64_t snapshot = vm->snapshots[page][index];
	uint64_t gpte;

	if (page_direct(sp))
		return true;
	if (!(snapshot & X86_PTE_P) || !rights_granted(sp, spte, snapshot))
		return found(f, "entry grants more than its snapshot", vm, page, index);
	if (!spte_is_leaf(spte, level) && !right_child(vm, sp, index, spte, snapshot))
		return found(f, "link to a page for something else", vm, page, index);
	if (!synced(vm, sp))
		return true;
	gpte = page_gpte(sp, index);
	if (sp->guest_ro)
		gpte |= X86_PTE_A | X86_PTE_D; /* they could not be set */
	if (!(gpte & X86_PTE_P) || gpte_gfn(gpte, level) != gpte_gfn(snapshot, level) ||
		!rights_granted(sp, spte, gpte))
		return found(f, "synced entry grants more than the guest's", vm, page, index);
	return true;
}

static bool audit_i05_rights(struct umbra_vm *vm, struct finding *f)
{
	return each_entry(vm, f, i05_entry);
}

static bool i06_entry(struct umbra_vm *vm, struct finding *f, uint32_t page, unsigned index)
{
	const struct shadow_page *sp = &vm->pages[page];
	uint64_t spte = set_read(vm, page, index);
	uint64_t snapshot = vm->snapshots[page][index];

	if (page_direct(sp))
		return true;
	if (!(snapshot & X86_PTE_A))
		return found(f, "present entry without the guest's A", vm, page, index);
	if (gpte_terminal(snapshot, page_level(sp)) && (spte & X86_PTE_W) &&
		!(snapshot & X86_PTE_D))
		return found(f, "writable entry without the guest's D", vm, page, index);
	return true;
}

static bool audit_i06_accessed_dirty(struct umbra_vm *vm, struct finding *f)
{
	return each_entry(vm, f, i06_entry);
}

/* ---- I7: unsync tables can be found ---- */

static bool audit_i07_unsync(struct umbra_vm *vm, struct finding *f)
{
	unsigned marked = 0;
	unsigned upper = 0;

	for (unsigned i = 0; i < vm->n_unsync; i++) {
		struct frame *frame = frame_of(vm, vm->unsync[i].gfn);

		if (!frame || !(frame->shadows & FRAME_UNSYNC))
			return found(f, "listed table is not unsync", vm, 0, 0);
		upper += vm->unsync[i].non_leaf;
	}
	if (upper != vm->n_unsync_upper)
		return found(f, "n_unsync_upper is wrong", vm, 0, 0);
	for (struct slot *s = vm->slots; s < vm->slots + vm->n_slots; s++) {
		for (uint64_t i = 0; s->frames && i < s->n_frames; i++) {
			unsigned n = 0;

			for (uint32_t page = page_of_table(vm, s->first + i, 0); page;
				page = page_of_table(vm, s->first + i, page))
				n++;
			if ((s->frames[i].shadows & ~FRAME_UNSYNC) != n)
				return found(f, "frame counts its shadows wrongly", vm, 0, 0);
			marked += !!(s->frames[i].shadows & FRAME_UNSYNC);
		}
	}
	return marked == vm->n_unsync || found(f, "unsync table not listed", vm, 0, 0);
}

/* ---- I9: the pool ---- */

static bool audit_i09_pool(struct umbra_vm *vm, struct finding *f)
{
	unsigned free = 0;
	unsigned used = 0;

	for (uint32_t page = vm->free_list; page && free < vm->n_pages;
		page = vm->pages[page].hash_next) {
		for (unsigned i = 0; i < ENTRIES; i++) {
			if (set_read(vm, page, i) || vm->snapshots[page][i])
				return found(f, "free page is not empty", vm, page, i);
		}
		free++;
	}
	for (uint32_t page = 1; page < vm->n_pages; page++)
		used += vm->pages[page].in_use;
	if (free != vm->n_free || free + used != vm->n_pages - 1)
		return found(f, "pages are lost", vm, 0, 0);
	return used == vm->stats.shadow_pages || found(f, "shadow_pages is wrong", vm, 0, 0);
}

/* ---- all of them ---- */

static const struct {
	unsigned invariant;
	bool (*audit)(struct umbra_vm *vm, struct finding *f);
} audits[] = {
	{9, audit_i09_pool},
	{4, audit_i04_parents},
	{1, audit_i01_slots},
	{2, audit_i02_protection},
	{3, audit_i03_rmap},
	{5, audit_i05_rights},
	{6, audit_i06_accessed_dirty},
	{7, audit_i07_unsync},
};

static size_t put(char *to, size_t room, size_t at, const char *text)
{
	for (; *text && at + 1 < room; text++)
		to[at++] = *text;
	if (room)
		to[at] = 0;
	return at;
}

static size_t put_hex(char *to, size_t room, size_t at, const char *name, uint64_t n)
{
	char digits[] = "0000000000000000";

	for (unsigned i = 16; i-- > 0; n >>= 4)
		digits[i] = "0123456789abcdef"[n & 15];
	return put(to, room, put(to, room, at, name), digits);
}

static void describe(const struct umbra_vm *vm, const struct finding *f, char *why, size_t room)
{
	size_t at = put(why, room, 0, f->what);

	if (!f->page)
		return;
	at = put_hex(why, room, at, "; page ", f->page);
	at = put_hex(why, room, at, " gfn ", vm->pages[f->page].gfn);
	at = put_hex(why, room, at, " role ", vm->pages[f->page].role);
	at = put_hex(why, room, at, " index ", f->index);
	at = put_hex(why, room, at, " spte ", f->spte);
	put_hex(why, room, at, " gpte ", f->gpte);
}

unsigned umbra_audit(struct umbra_vm *vm, char *why, size_t why_bytes)
{
	unsigned broken = 0;
	struct finding f;

	if (!mmu_lock_if_possible(vm)) {
		put(why, why_bytes, 0, "the MMU lock is held: no audit");
		return UMBRA_AUDIT_BUSY;
	}
	for (size_t i = 0; i < sizeof(audits) / sizeof(audits[0]) && !broken; i++) {
		if (!audits[i].audit(vm, &f)) {
			broken = audits[i].invariant;
			describe(vm, &f, why, why_bytes);
		}
	}
	mmu_unlock(vm);
	return broken;
}

void audit_or_panic(struct umbra_vm *vm)
{
	char why[240];

	unsigned broken = umbra_audit(vm, why, sizeof(why));

	if (broken && broken != UMBRA_AUDIT_BUSY)
		vm->host->panic(vm->host_ctx, why);
}
