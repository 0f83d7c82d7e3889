/* SPDX-License-Identifier: MIT */
/*
 * The cpio writer. Format: Linux Documentation/driver-api/early-userspace/buffer-format.rst.
 * Must not know what the archive is for.
 */
#include "tools/cpio.h"

#include <stdlib.h>
#include <string.h>

void cpio_pad(struct bytes *archive)
{
	while (bytes_count(archive) % 4 != 0)
		bytes_add(archive, "", 1);
}

void cpio_add(
	struct bytes *archive, const char *name, unsigned mode, const void *content, size_t n_bytes)
{
	size_t n_name = strlen(name) + 1;
	/* magic ino mode uid gid nlink mtime filesize maj min rmaj rmin namesize check */
	char *header = make_text("070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X", 0u,
		mode, 0u, 0u, 1u, 0u, (unsigned)n_bytes, 0u, 0u, 0u, 0u, (unsigned)n_name, 0u);

	bytes_add_text(archive, header);
	bytes_add(archive, name, n_name);
	cpio_pad(archive);
	bytes_add(archive, content, n_bytes);
	cpio_pad(archive);
	free(header);
}

void cpio_end(struct bytes *archive)
{
	cpio_add(archive, "TRAILER!!!", 0, NULL, 0);
}
