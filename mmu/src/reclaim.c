/* SPDX-License-Identifier: MIT */
/* Replacement of shadow pages; see reclaim.h. */
#include "reclaim.h"

#include "page.h"

#define CANDIDATES 8u /* unused pages compared by cost */

/* Upper pages cost more than any of the last level: so those below PDPTEs, which have no A that
 * would tell of their use, go last all the same. Links cost a lookup each at least, leaves are
 * prefetched again by the group. */
static unsigned rebuild_cost(const struct shadow_page *sp)
{
	return page_level(sp) > 1 && sp->parents ? ENTRIES + sp->n_present : sp->n_present;
}

uint32_t reclaim_pick(struct umbra_vm *vm)
{
	bool clock = vm->policy.replace == UMBRA_REPLACE_CLOCK;
	uint32_t best = 0;
	uint32_t last = 0;
	unsigned candidates = 0;

	/* Two rounds: the first may spare all. If other CPUs use all of them meanwhile, any will
	 * do. */
	for (unsigned looked = 0; looked < 2 * vm->n_pages; looked++) {
		uint32_t page = vm->clock_hand;
		const struct shadow_page *sp = &vm->pages[page];

		vm->clock_hand = page + 1 < vm->n_pages ? page + 1 : 1;
		if (!sp->in_use || sp->roots)
			continue;
		if (!clock)
			return page;
		last = page;
		if (page_used(vm, page, true))
			continue;
		if (!best || rebuild_cost(sp) < rebuild_cost(&vm->pages[best]))
			best = page;
		if (++candidates == CANDIDATES)
			break;
	}
	return best ? best : last;
}
