/* SPDX-License-Identifier: MIT */
/*
 * A cpio archive ("newc", as Linux unpacks at boot), written into memory.
 */
#ifndef TOOLS_CPIO_H
#define TOOLS_CPIO_H

#include "tools/bytes.h"

/* Modes of what an archive holds. */
#define CPIO_DIRECTORY  0040755u
#define CPIO_FILE       0100644u
#define CPIO_EXECUTABLE 0100755u

/* Append a member called @name (no leading slash) to @archive. */
void cpio_add(struct bytes *archive, const char *name, unsigned mode, const void *content,
	size_t n_bytes);
/* The trailer; nothing may be added after it. */
void cpio_end(struct bytes *archive);
/* Zeroes up to the next multiple of four: an archive must begin on one, zeroes between archives are
 * skipped. */
void cpio_pad(struct bytes *archive);

#endif
