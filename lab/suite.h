/* SPDX-License-Identifier: MIT */
/*
 * What `make test-lab` runs: every guest in every paging mode under every policy, one optimisation
 * at a time and in combinations, on processors of several kinds, with small pools and several
 * vCPUs. Tables; knows nothing of how runs are done.
 */
#ifndef LAB_SUITE_H
#define LAB_SUITE_H

#include "lab/config.h"

/* Write configuration number @index as a line for lab_config_parse() into @text of
 * LAB_CONFIG_BYTES. false past the last. Rounds differ in what meets what. */
bool suite_row(unsigned index, uint64_t round, char *text);

#endif
