/* SPDX-License-Identifier: MIT */
/*
 * What a machine boots: the files checked, the initial file system put together.
 */
#ifndef TOOLS_IMAGE_H
#define TOOLS_IMAGE_H

#include "tools/bytes.h"
#include "tools/config.h"
#include "tools/kernel.h"
#include "tools/say.h"

#define IMAGE_MAX_FDS 32u

struct boot_image {
	struct kernel kernel;
	char *hypervisor;             /* its file; NULL with PAGING_NONE */
	char *kernel_name;            /* names as QEMU shall get them */
	struct words modules;         /* Linux: at most one, the initrd; multiboot: all */
	int inherited[IMAGE_MAX_FDS]; /* files QEMU opens through /proc/self/fd: it must inherit
					 these */
	unsigned n_inherited;
};

/*
 * Check every file @config needs and prepare what QEMU is given. @archive, if not NULL, is a cpio
 * archive to lay over a Linux guest's initial file system.
 * Returns EXIT_OK, EXIT_NO_FILE, EXIT_BAD_FILE or EXIT_CONFIG (too little memory) after saying why.
 * image_free() is owed in any case.
 */
int image_prepare(
	struct boot_image *image, const struct machine_config *config, const struct bytes *archive);
void image_free(struct boot_image *image);

/* The archive that makes the guest's init run @argv (NULL-terminated) as its command. */
void image_command_archive(struct bytes *archive, char *const *argv);
/*
 * Lay a program that prints the guest's clock into the archive and put it before the command @argv
 * (see tools/bootclock.c). Returns EXIT_OK, or EXIT_NO_FILE or EXIT_BAD_FILE after saying why.
 */
int image_clocked_archive(
	struct bytes *archive, const struct machine_config *config, char *const *argv);

#endif
