/* SPDX-License-Identifier: MIT */
/*
 * Make a failing trace as short as it goes while it still fails. Every attempt runs in a process of
 * its own, so that crashes and hangs count as failures too.
 */
#ifndef LAB_SHRINK_H
#define LAB_SHRINK_H

#include "lab/run.h"

#include <stdbool.h>

#define SHRINK_KIND_BYTES 64u

/* Run @trace. true if it fails (or crashes, or takes longer than a minute); then @kind, of
 * SHRINK_KIND_BYTES, is the beginning of the reason, which tells one bug from another. */
bool shrink_fails(const struct trace *trace, char *kind);

/* Drop steps of @trace, which fails, until each that is left is needed for a failure of the same
 * kind. Tells of progress on standard error. */
void shrink_trace(struct trace *trace);

#endif
