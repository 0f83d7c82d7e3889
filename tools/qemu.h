/* SPDX-License-Identifier: MIT */
/*
 * QEMU: its arguments and its process.
 */
#ifndef TOOLS_QEMU_H
#define TOOLS_QEMU_H

#include "tools/channels.h"
#include "tools/config.h"
#include "tools/image.h"

#include <sys/types.h>

struct qemu {
	pid_t pid;
	struct channels channels;
	int errors; /* what QEMU says on its standard error, non-blocking */
};

/* The arguments, argv[0] being @program. */
void qemu_arguments(struct words *argv, const char *program, const struct machine_config *config,
	const struct boot_image *image, const struct channels *channels);

/*
 * Start QEMU. It gets a process group of its own (the terminal's signals come to us only) and dies
 * when we do, however that happens. The caller has blocked the signals it handles; QEMU has none
 * blocked. Returns EXIT_OK, or EXIT_NO_QEMU or EXIT_CANNOT_WRITE after saying why. Ends with
 * qemu_close() after the process was waited for.
 */
int qemu_start(
	struct qemu *qemu, const struct machine_config *config, const struct boot_image *image);
void qemu_close(struct qemu *qemu);

#endif
