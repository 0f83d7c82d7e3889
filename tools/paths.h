/* SPDX-License-Identifier: MIT */
/*
 * Where the command's own files and QEMU are.
 *
 * Data files stand in the directory UMBRA_DATA if that is set, else in ../share/umbra from the
 * executable's directory if the hypervisor's image is there (an installation), else in the
 * executable's directory itself (the build tree). QEMU is UMBRA_QEMU if set, else
 * qemu-system-x86_64 of the PATH.
 */
#ifndef TOOLS_PATHS_H
#define TOOLS_PATHS_H

/* Names of data files. */
#define DATA_HYPERVISOR      "umbra-hv.bin"
#define DATA_INITRD          "guest/initrd.cpio.gz"
#define DATA_INITRD_I686     "guest/initrd-i686.cpio.gz"
#define DATA_BOOT_CLOCK      "guest/bootclock"
#define DATA_BOOT_CLOCK_I686 "guest/bootclock-i686"

/* The data file of the kernel that is called @name in options, or NULL if none of ours is. */
const char *path_kernel_data(const char *name);
/* Our kernels' names, for sentences. */
#define PATH_KERNEL_NAMES   "amd64, i686-pae, i686, paging-test"
#define PATH_KERNEL_DEFAULT "amd64"
#define PATH_KERNEL_BARE    "paging-test" /* no Linux: the bare guest of our tests */

/* The full name of data file @name, whether it exists or not. The caller frees. */
char *path_data(const char *name);
/* The full name of QEMU, or NULL if there is no such program. The caller frees. */
char *path_qemu(void);

#endif
