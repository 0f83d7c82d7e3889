/* SPDX-License-Identifier: MIT */
/*
 * What `make test-lab` runs: every guest under every policy, one optimisation at a time and in
 * combinations, with small pools and several vCPUs. A table; knows nothing of how runs are done.
 */
#ifndef LAB_SUITE_H
#define LAB_SUITE_H

#include "lab/config.h"

/* Configuration number @index as a line for lab_config_parse(); NULL past the last. */
const char *suite_row(unsigned index);

#endif
