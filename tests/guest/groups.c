/* SPDX-License-Identifier: MIT */
/* Every group of tests. The 32-bit world must have all, since it lists them; the 64-bit one has
 * none of those that only use what long mode does not have. */
#include "tests/guest/guest.h"

extern const struct test_group group_rights;
extern const struct test_group group_ad;
extern const struct test_group group_flush;
extern const struct test_group group_large;
extern const struct test_group group_reserved;
extern const struct test_group group_smap;
extern const struct test_group group_keys;
extern const struct test_group group_table;
extern const struct test_group group_store;
extern const struct test_group group_control;
extern const struct test_group group_pcid;
extern const struct test_group group_wp;
extern const struct test_group group_segment;
extern const struct test_group group_random;
extern const struct test_group group_pieces;
extern const struct test_group group_pae;
extern const struct test_group group_switch;
extern const struct test_group group_event_delivery;
extern const struct test_group group_event_nmi;
extern const struct test_group group_event_step;
extern const struct test_group group_task;
extern const struct test_group group_task_fault;

const struct test_group *const test_groups[] = {
	&group_rights,
	&group_ad,
	&group_flush,
	&group_large,
	&group_reserved,
	&group_smap,
	&group_keys,
	&group_table,
	&group_store,
	&group_control,
	&group_pcid,
	&group_wp,
	&group_segment,
	&group_random,
	&group_pieces,
	&group_event_delivery,
	&group_event_nmi,
	&group_event_step,
#ifndef __x86_64__
	&group_pae,
	&group_switch,
	&group_task,
	&group_task_fault,
#endif
};
const unsigned n_test_groups = sizeof(test_groups) / sizeof(*test_groups);
