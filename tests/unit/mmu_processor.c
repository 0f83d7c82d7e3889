/* SPDX-License-Identifier: MIT */
/*
 * The processor of the library's unit tests; see mmu_processor.h. SDM 3A "Paging", "Caching
 * Translation Information".
 */
#include "tests/unit/mmu_processor.h"

#include "mmu/src/spte.h"

#define FAULTS_MAX 8u

/* A walk of the shadow tables, or as much of one as was cached. */
struct hw_walk {
	uint64_t *entry[MAX_LEVEL + 1]; /* NULL: not read */
	unsigned level;                 /* of the last entry */
	uint64_t last;                  /* that entry, as it was read */
	uint64_t all, any;
	umbra_hpa hpa; /* of the access, or of the next table */
};

struct cached {
	const struct umbra_vcpu *vcpu; /* NULL: free */
	unsigned tag;
	umbra_gva base;
	bool leaf;
	struct hw_walk walk; /* its hpa is that of the base */
};

#define CACHED_MAX 4096u

struct caches {
	struct cached cached[CACHED_MAX];
	unsigned n;
};

/* ---- caches ---- */

size_t processor_caches_bytes(void)
{
	return sizeof(struct caches);
}

static uint64_t offset_mask(unsigned level)
{
	return level_frames(level) * X86_PAGE_SIZE - 1;
}

static bool of_vcpu(const struct host *h, const struct cached *c)
{
	return c->vcpu == h->vcpu && c->tag == umbra_tag(h->vcpu);
}

/* The leaf for @gva, or the lowest upper entry; NULL: none. */
static struct cached *find(struct host *h, umbra_gva gva, bool leaf)
{
	struct cached *best = NULL;

	for (unsigned i = 0; h->caches && i < h->caches->n; i++) {
		struct cached *c = &h->caches->cached[i];

		if (of_vcpu(h, c) && c->leaf == leaf &&
			c->base == (gva & ~offset_mask(c->walk.level)) &&
			(!best || c->walk.level < best->walk.level))
			best = c;
	}
	return best;
}

static void keep(struct host *h, umbra_gva gva, const struct hw_walk *walk, bool leaf)
{
	struct cached *to = NULL;

	if (!h->caches)
		return;
	for (unsigned i = 0; i < h->caches->n && !to; i++) {
		if (!h->caches->cached[i].vcpu)
			to = &h->caches->cached[i];
	}
	if (!to) {
		assert_true(h->caches->n < CACHED_MAX);
		to = &h->caches->cached[h->caches->n++];
	}
	*to = (struct cached){.vcpu = h->vcpu,
		.tag = umbra_tag(h->vcpu),
		.base = gva & ~offset_mask(walk->level),
		.leaf = leaf,
		.walk = *walk};
	if (leaf)
		to->walk.hpa &= ~offset_mask(walk->level);
}

void processor_forget(struct host *h, const struct umbra_vcpu *vcpu, bool tag)
{
	for (unsigned i = 0; h->caches && i < h->caches->n; i++) {
		struct cached *c = &h->caches->cached[i];

		if ((!vcpu || c->vcpu == vcpu) && (!tag || c->tag == umbra_tag(vcpu)))
			c->vcpu = NULL;
	}
}

/* @every: all upper entries, else those of the address. */
static void forget_address(struct host *h, const struct umbra_vcpu *vcpu, umbra_gva gva, bool every)
{
	for (unsigned i = 0; h->caches && i < h->caches->n; i++) {
		struct cached *c = &h->caches->cached[i];

		if (c->vcpu == vcpu && c->tag == umbra_tag(vcpu) &&
			((every && !c->leaf) || c->base == (gva & ~offset_mask(c->walk.level))))
			c->vcpu = NULL;
	}
}

void processor_forget_gva(struct host *h, const struct umbra_vcpu *vcpu, umbra_gva gva)
{
	forget_address(h, vcpu, gva, true);
}

/* ---- walking the shadow tables ---- */

static uint64_t *shadow_table(struct host *h, umbra_hpa hpa)
{
	uint64_t number = (hpa - TABLES_HPA) >> X86_PAGE_SHIFT;

	/* I11 of the processor's own: the tables it walks are the library's. */
	assert_true(hpa >= TABLES_HPA && number < h->config.pool_pages);
	return h->tables[number];
}

/* Bits that must be 0 in an entry of the tables it walks. In PDPTEs bit 5 is one, but there are
 * emulators that set it. */
static uint64_t hw_reserved(bool pae, unsigned level)
{
	if (pae)
		return level == 3 ? 0x1c6 | ~(X86_PTE_FRAME | 0xfff) : 0x7ff0000000000000;
	return level > 3 ? X86_PTE_PS : 0;
}

static unsigned hw_levels(const struct host *h)
{
	switch (umbra_shadow_mode(h->vcpu)) {
	case UMBRA_SHADOW_PAE:
		return 3;
	case UMBRA_SHADOW_4LEVEL:
		return 4;
	case UMBRA_SHADOW_5LEVEL:
		return 5;
	}
	fail_msg("no such mode of the shadow tables");
	return 0;
}

/* Go on from where @walk is. Keeps upper entries. */
static bool hw_walk_on(struct host *h, umbra_gva gva, struct hw_walk *walk)
{
	bool pae = hw_levels(h) == 3;

	for (unsigned level = walk->level - 1;; level--) {
		uint64_t *entry = &shadow_table(h, walk->hpa)[gva_index(gva, level)];
		uint64_t mask = offset_mask(level);

		if (!(*entry & X86_PTE_P))
			return false;
		assert_int_equal(*entry & hw_reserved(pae, level), 0);
		walk->entry[level] = entry;
		walk->level = level;
		if (!pae || level < 3) {
			*entry |= X86_PTE_A;
			walk->all &= *entry;
			walk->any |= *entry;
		}
		walk->last = *entry;
		walk->hpa = *entry & X86_PTE_FRAME;
		if (level == 1 || (*entry & X86_PTE_PS)) {
			walk->hpa = (walk->hpa & ~mask) | (gva & mask);
			return true;
		}
		keep(h, gva, walk, false);
	}
}

static bool hw_walk(struct host *h, umbra_gva gva, struct hw_walk *walk)
{
	const struct cached *upper = find(h, gva, false);

	assert_true(hw_levels(h) > 3 || umbra_root(h->vcpu) < 1ull << 32);
	if (upper)
		*walk = upper->walk;
	else
		*walk = (struct hw_walk){
			.level = hw_levels(h) + 1, .all = ~0ull, .hpa = umbra_root(h->vcpu)};
	return hw_walk_on(h, gva, walk);
}

/* ---- what an access may ---- */

/* Of the guest's CR4, what the embedder gives to the processor. */
static uint64_t hw_cr4(const struct host *h)
{
	return h->vcpu->regs.cr0 & X86_CR0_PG ? h->vcpu->regs.cr4 : 0;
}

/* Not asked: keys. With CR0.WP=1 and EFER.NXE=1 always. */
static bool hw_permits(const struct host *h, const struct hw_walk *walk, access_bits access)
{
	bool user_page = walk->all & X86_PTE_U;

	if ((access & X86_PF_W) && !(walk->all & X86_PTE_W))
		return false;
	if ((access & X86_PF_I) && (walk->any & X86_PTE_NX))
		return false;
	if (access & X86_PF_U)
		return user_page;
	if (access & X86_PF_I)
		return !user_page || !(hw_cr4(h) & X86_CR4_SMEP);
	if ((access & ACCESS_AC) && !(access & HOST_IMPLICIT))
		return true;
	return !user_page || !(hw_cr4(h) & X86_CR4_SMAP);
}

/* SDM 3A "Protection Keys". */
static bool hw_key_permits(const struct host *h, const struct hw_walk *walk, access_bits access)
{
	bool user_page = walk->all & X86_PTE_U;
	unsigned key = (unsigned)(walk->last >> X86_PTE_PK_SHIFT & 15);
	uint32_t rights = (user_page ? h->pkru : h->pkrs) >> 2 * key & 3;

	if ((access & X86_PF_I) || !(h->vcpu->regs.efer & X86_EFER_LMA))
		return true;
	if (!(hw_cr4(h) & (user_page ? X86_CR4_PKE : X86_CR4_PKS)))
		return true;
	if (!user_page && (access & X86_PF_U))
		return true;
	return !(rights & 1) && !((rights & 2) && (access & X86_PF_W));
}

/* ---- accesses ---- */

/* The translation of @gva for @access: one that is kept, or a new one, which is kept and, for a
 * store, gets D. Returns false if there is none. */
static bool hw_translate(struct host *h, umbra_gva gva, access_bits access, struct hw_walk *walk)
{
	struct cached *known = find(h, gva, true);

	if (known && (!(access & X86_PF_W) || (known->walk.last & X86_PTE_D) ||
			     !hw_permits(h, &known->walk, access))) {
		*walk = known->walk;
		walk->hpa |= gva & offset_mask(walk->level);
		return true;
	}
	/* Its D is to be set: the walk comes again. */
	if (known)
		known->vcpu = NULL;
	if (!hw_walk(h, gva, walk))
		return false;
	if (hw_permits(h, walk, access) && hw_key_permits(h, walk, access)) {
		if (access & X86_PF_W)
			walk->last = *walk->entry[walk->level] |= X86_PTE_D;
		keep(h, gva, walk, true);
	}
	return true;
}

struct host_result host_access(struct host *h, umbra_gva gva, access_bits access)
{
	struct host_result result = {.outcome = UMBRA_RESUME};

	for (; result.faults <= FAULTS_MAX; result.faults++) {
		struct umbra_page_fault fault = {.gva = gva,
			.error_code = access & (X86_PF_W | X86_PF_U | X86_PF_I),
			.cpl = access & X86_PF_U ? 3 : 0,
			.ac = access & (ACCESS_AC | HOST_IMPLICIT),
			.pkru = h->pkru,
			.pkrs = h->pkrs};
		struct hw_walk walk;

		if (hw_translate(h, gva, access, &walk)) {
			bool key = hw_key_permits(h, &walk, access);

			if (key && hw_permits(h, &walk, access)) {
				result.hpa = walk.hpa;
				return result;
			}
			fault.error_code |= X86_PF_P | (key ? 0 : X86_PF_PK);
		}
		forget_address(h, h->vcpu, gva, false);
		/* What says nothing says nothing of before. */
		result.exit.vector = ~0u;
		result.outcome = umbra_page_fault(h->vcpu, &fault, &result.exit);
		host_check(h);
		if (result.outcome != UMBRA_RESUME) {
			result.faults++;
			return result;
		}
	}
	fail_msg("an access to %#llx never gets through", (unsigned long long)gva);
	return result;
}
