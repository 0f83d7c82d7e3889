/* SPDX-License-Identifier: MIT */
/*
 * The random guest's tables as data: the table of one address mapped at others, by small and large
 * pages, on several vCPUs, and everything that can happen to those mappings and to the table. What
 * a TLB keeps of a mapping goes on writing the table; who wrote it, and through what, must make no
 * difference to what the next flush shows.
 */
#include "lab/gen_random.h"

#include "x86/x86.h"

#define ALIASES     3u
#define ALIAS_FLAGS (X86_PTE_P | X86_PTE_W | X86_PTE_U | X86_PTE_A)

/* What a plan is about. */
struct scene {
	uint64_t gva; /* translated by the table */
	struct random_way way;
	unsigned depth; /* the table's */
	uint64_t alias[ALIASES];
	struct random_way other[ALIASES];
	bool together; /* all vCPUs have the same root */
};

static void find_scene(struct random_plan *plan, struct scene *scene)
{
	struct rng *rng = plan->rng;

	scene->gva = random_page(plan);
	random_find_way(plan, scene->gva, &scene->way);
	scene->depth = rng_percent(rng, 60) ? scene->way.n - 1 : rng_below(rng, scene->way.n);
	for (unsigned i = 0; i < ALIASES; i++) {
		scene->alias[i] = random_page(plan);
		random_find_way(plan, scene->alias[i], &scene->other[i]);
	}
	scene->together = rng_percent(rng, 70);
	if (scene->together)
		random_follow(plan);
}

/* An entry that shows the table at an alias; D decides whether the first store there needs a walk.
 */
static uint64_t mapping(struct random_plan *plan, const struct scene *scene)
{
	return ALIAS_FLAGS | (scene->way.gpas[scene->depth] & X86_PTE_FRAME) |
	       entry_maybe(plan->rng, 50, X86_PTE_D) | entry_maybe(plan->rng, 15, X86_PTE_G);
}

/* Where the table's entry is seen: at an alias, or in the window, which is of large pages too. */
static uint64_t view(struct random_plan *plan, const struct scene *scene)
{
	uint64_t gpa = scene->way.gpas[scene->depth];

	if (rng_percent(plan->rng, 20))
		return random_window(plan, gpa);
	return scene->alias[rng_below(plan->rng, ALIASES)] + gpa % X86_PAGE_SIZE;
}

static void do_one(struct random_plan *plan, const struct scene *scene)
{
	struct rng *rng = plan->rng;
	unsigned choice = rng_below(rng, 100);
	unsigned i = rng_below(rng, ALIASES);
	uint64_t entry = entry_edited(rng, &plan->style, scene->way.entries[scene->depth],
		random_level(plan, scene->depth));

	if (choice < 25)
		random_store(plan, view(plan, scene), entry);
	else if (choice < 35)
		random_edit_store(plan, scene->other[i].gpas[scene->other[i].n - 1],
			rng_percent(rng, 60) ? mapping(plan, scene)
					     : entry_pick(rng, &plan->style, 1));
	else if (choice < 42)
		random_edit_store(plan, scene->way.gpas[rng_below(rng, scene->way.n)], entry);
	else if (choice < 46)
		random_poke(plan, scene->way.gpas[scene->depth], entry,
			paging_rows[plan->style.mode].entry_bytes);
	else if (choice < 70)
		random_touch(plan, rng_percent(rng, 70) ? scene->gva : scene->alias[i]);
	else if (choice < 82)
		queue_add(plan->queue, STEP_INVLPG, plan->vcpu)->gva =
			rng_percent(rng, 60) ? scene->gva : scene->alias[i];
	else if (choice < 94)
		queue_add(plan->queue, STEP_CR3, plan->vcpu)->value = plan->regs->cr3;
	else
		random_plan_flush(plan, scene->gva);
}

/* What is at hand while data becomes a table. */
struct takeover {
	uint64_t data;   /* where it is mapped as data */
	uint64_t leaf;   /* the gpa of the entry that maps it there */
	uint64_t gva;    /* what it will translate */
	uint64_t link;   /* the gpa of the entry that will lead to it */
	unsigned level;  /* its own */
	uint64_t offset; /* of its entry for @gva */
	uint64_t frame;  /* as it is in entries */
};

static bool find_takeover(struct random_plan *plan, struct takeover *what)
{
	struct random_way from, to;
	unsigned depth;

	what->data = random_page(plan);
	what->gva = random_page(plan);
	random_find_way(plan, what->data, &from);
	random_find_way(plan, what->gva, &to);
	if (from.n != paging_rows[plan->style.mode].levels || to.n < 2)
		return false;
	depth = rng_percent(plan->rng, 70) ? to.n - 2 : rng_below(plan->rng, to.n - 1);
	what->leaf = from.gpas[from.n - 1];
	what->link = to.gpas[depth];
	what->level = random_level(plan, depth + 1);
	what->offset = to.gpas[depth + 1] % X86_PAGE_SIZE;
	/* Nothing else maps these: the library would find a leaf to take W from, and flush. */
	what->frame = (uint64_t)(0x40 + rng_below(plan->rng, 31)) << X86_PAGE_SHIFT;
	return true;
}

/* An entry for it, through the mapping as data. */
static void write_entry(struct random_plan *plan, const struct takeover *what)
{
	const uint64_t flags = ALIAS_FLAGS | X86_PTE_D;
	uint64_t entry = flags | entry_gfn(plan->rng) << X86_PAGE_SHIFT;

	if (what->level > 1 || rng_percent(plan->rng, 30))
		entry = entry_pick(plan->rng, &plan->style, what->level);
	random_store(plan, what->data + what->offset, entry);
}

/*
 * A page of data that is written through a mapping, which then loses W or all but is not flushed,
 * becomes a table: used as such while the old mapping may live on in TLBs, it is written through
 * them, and flushed.
 */
void random_plan_takeover(struct random_plan *plan)
{
	unsigned n_bytes = paging_rows[plan->style.mode].entry_bytes;
	struct rng *rng = plan->rng;
	unsigned vcpu = plan->vcpu;
	struct takeover what;
	uint64_t map;

	if (!find_takeover(plan, &what))
		return;
	map = what.frame | ALIAS_FLAGS | X86_PTE_D;
	queue_add(plan->queue, STEP_UNSHADOW, vcpu)->gpa = what.frame;
	random_poke(plan, what.leaf, map, n_bytes);
	if (rng_percent(rng, 60))
		random_follow(plan);
	for (unsigned i = 0; i < plan->guest->vcpus; i++) {
		plan->vcpu = i;
		queue_add(plan->queue, STEP_INVLPG, i)->gva = what.data;
		write_entry(plan, &what);
	}
	plan->vcpu = vcpu;
	random_poke(
		plan, what.leaf, map & ~(rng_percent(rng, 70) ? X86_PTE_W : X86_PTE_P), n_bytes);
	random_poke(plan, what.link, what.frame | ALIAS_FLAGS, n_bytes);
	for (unsigned i = 4 + rng_below(rng, 8); i > 0; i--) {
		unsigned choice = rng_below(rng, 100);

		plan->vcpu = rng_percent(rng, 60) ? vcpu : rng_below(rng, plan->guest->vcpus);
		if (choice < 45)
			random_touch(plan, what.gva);
		else if (choice < 75)
			write_entry(plan, &what);
		else
			random_plan_flush(plan, what.gva);
	}
}

void random_plan_alias(struct random_plan *plan)
{
	struct rng *rng = plan->rng;
	struct scene scene;

	find_scene(plan, &scene);
	for (unsigned i = 0; i < ALIASES; i++)
		if (rng_percent(rng, 60))
			random_edit_store(plan, scene.other[i].gpas[scene.other[i].n - 1],
				mapping(plan, &scene));
	for (unsigned i = 8 + rng_below(rng, 20); i > 0; i--) {
		if (scene.together && rng_percent(rng, 40))
			plan->vcpu = rng_below(rng, plan->guest->vcpus);
		do_one(plan, &scene);
	}
}
