/* SPDX-License-Identifier: MIT */
/* What check.c and check_regs.c share: a vCPU as the model takes it. Internal to check*.c. */
#ifndef LAB_CHECK_MODEL_H
#define LAB_CHECK_MODEL_H

#include "lab/check.h"
#include "lab/oracle.h"

/* The processor of @vcpu now. */
struct oracle_cpu check_cpu(const struct check *check, unsigned vcpu, bool ac);

/* The same with the registers of @state. */
struct oracle_cpu check_cpu_in(const struct check *check, const struct check_vcpu *state, bool ac);

/* The 8 bytes at @gpa (aligned) as a processor's walk reads them: ones where no RAM is. */
uint64_t check_word(const struct check *check, uint64_t gpa);

#endif
