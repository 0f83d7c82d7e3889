/* SPDX-License-Identifier: MIT */
/* How guests store: the instruction and the size. Internal to gen*.c. */
#include "lab/gen_guest.h"

#include "x86/x86.h"

/* Bits of entries that systems change one by one. */
static const unsigned bits[] = {0, 1, 2, 5, 6, 7, 8, 9, 11, 12, 51, 62, 63};

static unsigned pick_bit(struct rng *rng, uint64_t n_bytes)
{
	unsigned n = n_bytes == 1 ? 6 : n_bytes == 2 ? 9 : n_bytes == 4 ? 10 : 13;

	return bits[rng_below(rng, n)];
}

/* An operand that suits the instruction: most change one thing of an entry. */
static void pick_value(struct rng *rng, struct step *step)
{
	unsigned bit = pick_bit(rng, step->bytes);

	switch ((enum step_op)step->op) {
	case STEP_OP_AND:
		step->value = rng_percent(rng, 80) ? ~(1ull << bit) : step->value;
		break;
	case STEP_OP_OR:
	case STEP_OP_XOR:
		step->value = rng_percent(rng, 80) ? 1ull << bit : step->value;
		break;
	case STEP_OP_ADD:
	case STEP_OP_SUB:
	case STEP_OP_XADD:
		step->value = rng_percent(rng, 50) ? X86_PAGE_SIZE : 1ull << bit;
		break;
	case STEP_OP_BTS:
	case STEP_OP_BTR:
	case STEP_OP_BTC:
		step->value = bit;
		break;
	case STEP_OP_CMPXCHG:
	case STEP_OP_CMPXCHG_PAIR:
		step->type = rng_percent(rng, 25);
		break;
	default:
		break;
	}
}

void gen_vary_store(struct rng *rng, struct step *step)
{
	static const uint64_t sizes[] = {3, 5, 6, 7, 9, 10, 12, 15, 16, 16, 24, 28, 32, 48, 64, 64};
	enum step_op op = (enum step_op)rng_below(rng, N_STEP_OPS);

	if (step->implicit)
		return;
	if (rng_percent(rng, 12)) {
		step->bytes = sizes[rng_below(rng, 16)];
	} else if (rng_percent(rng, 45)) {
		if (op == STEP_OP_SETCC)
			step->bytes = 1;
		else if (op == STEP_OP_CMPXCHG_PAIR)
			step->bytes = rng_percent(rng, 50) ? 8 : 16;
		if (step_has_size(op, step->bytes)) {
			step->op = op;
			pick_value(rng, step);
		}
	}
	/* Into the next page, too. */
	if (rng_percent(rng, 2) && step->bytes > 1)
		step->gva = (step->gva | (X86_PAGE_SIZE - 1)) -
			    rng_below(rng, (unsigned)step->bytes - 1);
}
