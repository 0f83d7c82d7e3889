/* SPDX-License-Identifier: MIT */
/* The runs of `make test-lab`. */
#include "lab/suite.h"

#include <stddef.h>

/* Kinds of rows; each takes about the same time. */
#define MAIN "steps=15000 audit=1 pool=64 "
#define EACH "steps=60000 audit=50 pool=128 "
#define TINY "steps=60000 audit=50 pool=64 "

static const char *const rows[] = {
	/* The main ones: the audit after every step, the smallest pool. */
	MAIN "guest=random policy=",
	MAIN "guest=os policy=",
	MAIN "guest=random mode=mixed policy=oos=all",
	MAIN "guest=random mode=unpaged absent_page=on policy=",
	/* Each optimisation by itself against the default. */
	EACH "guest=random policy=cache=off",
	EACH "guest=os policy=cache=off",
	EACH "guest=random policy=large=off",
	EACH "guest=os policy=large=off",
	EACH "guest=random policy=emulate=off",
	EACH "guest=os policy=emulate=off",
	EACH "guest=random policy=oos=off",
	EACH "guest=os policy=oos=off",
	EACH "guest=random policy=oos=all",
	EACH "guest=os policy=oos=all",
	EACH "guest=random policy=sticky=0",
	EACH "guest=os policy=sticky=1000",
	EACH "guest=random policy=prefetch=0",
	EACH "guest=os policy=prefetch=0",
	EACH "guest=random policy=prefetch=512",
	EACH "guest=os policy=prefetch=512",
	TINY "guest=random policy=replace=fifo",
	TINY "guest=os policy=replace=fifo",
	/* Everything off, and everything at its most. */
	EACH "guest=random policy=cache=off,large=off,emulate=off,oos=off,prefetch=0",
	TINY "guest=os policy=large=off,emulate=off,oos=off,prefetch=0,replace=fifo",
	TINY "guest=random absent_page=on policy=oos=all,sticky=1000,prefetch=512",
	TINY "guest=os absent_page=on policy=oos=all,sticky=1000,prefetch=512",
	/* Other processors and modes. */
	TINY "guest=random absent_page=on no_1g=on policy=oos=all,large=off",
	TINY "guest=random mode=mixed no_1g=on policy=prefetch=512",
	EACH "guest=random mode=mixed absent_page=on policy=cache=off,oos=all",
	TINY "guest=random mode=unpaged policy=large=off",
	/* Several vCPUs, which share tables in different modes. */
	TINY "guest=random vcpus=2 policy=",
	EACH "guest=random vcpus=3 mode=mixed policy=oos=all,prefetch=8",
	EACH "guest=random vcpus=2 policy=oos=off,emulate=off",
};

const char *suite_row(unsigned index)
{
	return index < sizeof(rows) / sizeof(rows[0]) ? rows[index] : NULL;
}
