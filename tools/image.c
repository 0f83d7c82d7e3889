/* SPDX-License-Identifier: MIT */
/*
 * Prepares what a machine boots. What must be joined is joined in memory files, so that nothing is
 * left behind on the disk however we end. Must not know QEMU's other arguments.
 */
#include "tools/image.h"

#include "tools/cpio.h"
#include "tools/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MIB ((uint64_t)1 << 20)
/* What a Linux guest needs beside its kernel's own image and its packed initial file system. */
#define LINUX_SLACK_BYTES (24 * MIB)

/* Read at most @max_bytes of file @path. Returns false after saying why. @hint: what to do about
 * it. */
static bool read_file(struct bytes *to, const char *path, size_t max_bytes, const char *hint)
{
	char chunk[65536];
	size_t n_left = max_bytes;
	ssize_t n_bytes = -1;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd >= 0) {
		do {
			n_bytes = read(fd, chunk, n_left < sizeof(chunk) ? n_left : sizeof(chunk));
			if (n_bytes > 0) {
				bytes_add(to, chunk, (size_t)n_bytes);
				n_left -= (size_t)n_bytes;
			}
		} while (n_bytes > 0);
	}
	if (n_bytes < 0)
		say_error("cannot read %s (%s); %s", path, strerror(errno), hint);
	if (fd >= 0)
		close(fd);
	return n_bytes >= 0;
}

#define HINT_OPTION "check the name given with --initrd"
#define HINT_KERNEL "give --kernel a file, or one of " PATH_KERNEL_NAMES
#define HINT_BUILD  "run make, or set UMBRA_DATA to the directory of Umbra's files"
#define HINT_GUESTS                                                                                \
	"run make guests (32-bit kernels are not made without it), or set UMBRA_DATA to the "      \
	"directory of Umbra's files"

static const char *keep_fd(struct boot_image *image, int fd, char *name, size_t name_bytes)
{
	image->inherited[image->n_inherited++] = fd;
	snprintf(name, name_bytes, "/proc/self/fd/%d", fd);
	return name;
}

/*
 * A name of file @path without spaces, which divide a module's name from its arguments in QEMU's
 * -initrd: @path itself, or of a descriptor. @path was readable before; if it is no longer, QEMU
 * says so.
 */
static void module_name(struct boot_image *image, const char *path, char *name, size_t name_bytes)
{
	int fd = -1;

	if (strchr(path, ' ') && image->n_inherited < IMAGE_MAX_FDS)
		fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		keep_fd(image, fd, name, name_bytes);
	else
		snprintf(name, name_bytes, "%s", path);
}

/* Find and read the kernel that @config names. *@path: its file; the caller frees. */
static int identify_kernel(struct kernel *kernel, char **path, const struct machine_config *config)
{
	const char *name = config->kernel ? config->kernel : PATH_KERNEL_DEFAULT;
	const char *data = path_kernel_data(name);
	const char *hint = HINT_KERNEL;
	struct bytes head = {0};
	int code = EXIT_OK;

	if (data)
		hint = strncmp(name, "i686", 4) == 0 ? HINT_GUESTS : HINT_BUILD;
	*kernel = (struct kernel){.kind = KERNEL_NONE};
	*path = data ? path_data(data) : copy_text(name);
	if (!read_file(&head, *path, KERNEL_HEAD_BYTES, hint)) {
		code = EXIT_NO_FILE;
	} else {
		if (bytes_count(&head) > 0)
			*kernel =
				kernel_identify((uint8_t *)bytes_front(&head), bytes_count(&head));
		if (kernel->kind == KERNEL_NONE) {
			say_error(
				"%s is no kernel: it has neither a bzImage's \"HdrS\" nor a "
				"multiboot header; give a Linux bzImage (vmlinuz, not vmlinux) or "
				"a multiboot1 ELF kernel",
				*path);
			code = EXIT_BAD_FILE;
		}
	}
	bytes_free(&head);
	return code;
}

static int check_kernel(struct boot_image *image, const struct machine_config *config)
{
	char name[4096];
	char *path;
	int code = identify_kernel(&image->kernel, &path, config);

	if (code == EXIT_OK && image->kernel.elf64 && config->paging == PAGING_NONE) {
		say_error("%s is a 64-bit ELF file, which QEMU's multiboot loader refuses; make a "
			  "32-bit one of it: objcopy -O elf32-i386 IN OUT",
			path);
		code = EXIT_BAD_FILE;
	}
	if (code == EXIT_OK) {
		module_name(image, path, name, sizeof(name));
		image->kernel_name = copy_text(name);
	}
	free(path);
	return code;
}

/* Put the contents of all of @paths and @archive one after the other. */
static int join(struct boot_image *image, const struct words *paths, const char *hint,
	const struct bytes *archive, uint64_t *total_bytes)
{
	struct bytes joined = {0};
	int code = EXIT_OK;
	char name[64];
	int fd;

	for (size_t i = 0; i < paths->count && code == EXIT_OK; i++) {
		if (!read_file(&joined, paths->word[i], SIZE_MAX, hint))
			code = EXIT_NO_FILE;
		cpio_pad(&joined);
	}
	if (archive)
		bytes_add(&joined, bytes_front(archive), bytes_count(archive));
	*total_bytes = bytes_count(&joined);
	if (code == EXIT_OK) {
		fd = memfd_create("initrd", MFD_CLOEXEC);
		if (fd < 0 || write(fd, bytes_front(&joined), bytes_count(&joined)) !=
				      (ssize_t)bytes_count(&joined)) {
			say_error("cannot make the initial file system in memory (%m); free some "
				  "memory");
			code = EXIT_CANNOT_WRITE;
		}
		if (fd >= 0)
			words_add(&image->modules, keep_fd(image, fd, name, sizeof(name)));
	}
	bytes_free(&joined);
	return code;
}

static int check_memory(
	const struct boot_image *image, const struct machine_config *config, uint64_t initrd_bytes)
{
	uint64_t needed = image->kernel.end_bytes + initrd_bytes + LINUX_SLACK_BYTES;

	if (image->kernel.end_bytes == 0 || config->mem_mib * MIB >= needed)
		return EXIT_OK;
	say_error("--mem %u is too little memory: this kernel and its initial file system need at "
		  "least "
		  "%" PRIu64 " MiB to start; give --mem %" PRIu64 " or more",
		config->mem_mib, (needed + MIB - 1) / MIB, (needed + MIB - 1) / MIB);
	return EXIT_CONFIG;
}

static int prepare_linux(
	struct boot_image *image, const struct machine_config *config, const struct bytes *archive)
{
	struct words default_initrd = {0};
	const struct words *initrds = &config->initrds;
	const char *hint = HINT_OPTION;
	uint64_t initrd_bytes = 0;
	int code;

	if (initrds->count == 0) {
		bool is_32_bit = image->kernel.is_32_bit;
		char *path = path_data(is_32_bit ? DATA_INITRD_I686 : DATA_INITRD);

		words_add(&default_initrd, path);
		free(path);
		initrds = &default_initrd;
		hint = is_32_bit ? HINT_GUESTS : HINT_BUILD;
	}
	code = join(image, initrds, hint, archive, &initrd_bytes);
	words_free(&default_initrd);
	return code == EXIT_OK ? check_memory(image, config, initrd_bytes) : code;
}

/* Add module @text: a file, or if there is no such file, one and words for the kernel. */
static int add_module(struct boot_image *image, const char *text)
{
	size_t n_bytes = access(text, R_OK) == 0 ? strlen(text) : strcspn(text, " ");
	char *path = make_text("%.*s", (int)n_bytes, text);
	int code = EXIT_OK;
	char name[4096];

	if (access(path, R_OK) == 0) {
		char *module;

		module_name(image, path, name, sizeof(name));
		module = make_text("%s%s", name, text + n_bytes);
		words_add(&image->modules, module);
		free(module);
	} else {
		say_error("cannot read %s (%m); " HINT_OPTION, path);
		code = EXIT_NO_FILE;
	}
	free(path);
	return code;
}

static int prepare_multiboot(struct boot_image *image, const struct machine_config *config)
{
	int code = EXIT_OK;

	for (size_t i = 0; i < config->initrds.count && code == EXIT_OK; i++)
		code = add_module(image, config->initrds.word[i]);
	return code;
}

int image_prepare(
	struct boot_image *image, const struct machine_config *config, const struct bytes *archive)
{
	int code;

	*image = (struct boot_image){0};
	code = check_kernel(image, config);
	if (code == EXIT_OK && config->paging != PAGING_NONE) {
		image->hypervisor = path_data(DATA_HYPERVISOR);
		if (access(image->hypervisor, R_OK) != 0) {
			say_error("cannot read the hypervisor %s (%m); " HINT_BUILD,
				image->hypervisor);
			code = EXIT_NO_FILE;
		}
	}
	if (code != EXIT_OK)
		return code;
	if (image->kernel.kind == KERNEL_LINUX)
		return prepare_linux(image, config, archive);
	if (archive) {
		say_error("a command after -- needs a Linux guest, and %s is a multiboot kernel; "
			  "leave out the "
			  "command, or give the kernel its words by --append",
			config->kernel);
		return EXIT_USAGE;
	}
	return prepare_multiboot(image, config);
}

void image_free(struct boot_image *image)
{
	for (unsigned i = 0; i < image->n_inherited; i++)
		close(image->inherited[i]);
	words_free(&image->modules);
	free(image->hypervisor);
	free(image->kernel_name);
	*image = (struct boot_image){0};
}

static void add_argv(struct bytes *archive, const char *first, char *const *argv)
{
	struct bytes text = {0};

	if (first)
		bytes_add(&text, first, strlen(first) + 1);
	for (; *argv; argv++)
		bytes_add(&text, *argv, strlen(*argv) + 1);
	cpio_add(archive, "umbra/argv", CPIO_FILE, bytes_front(&text), bytes_count(&text));
	bytes_free(&text);
}

void image_command_archive(struct bytes *archive, char *const *argv)
{
	cpio_add(archive, "umbra", CPIO_DIRECTORY, NULL, 0);
	add_argv(archive, NULL, argv);
	cpio_end(archive);
}

int image_clocked_archive(
	struct bytes *archive, const struct machine_config *config, char *const *argv)
{
	struct bytes program = {0};
	struct kernel kernel;
	char *path;
	int code = identify_kernel(&kernel, &path, config);

	free(path);
	if (code != EXIT_OK)
		return code;
	path = path_data(kernel.is_32_bit ? DATA_BOOT_CLOCK_I686 : DATA_BOOT_CLOCK);
	if (read_file(&program, path, SIZE_MAX, kernel.is_32_bit ? HINT_GUESTS : HINT_BUILD)) {
		cpio_add(archive, "umbra", CPIO_DIRECTORY, NULL, 0);
		cpio_add(archive, "umbra/bootclock", CPIO_EXECUTABLE, bytes_front(&program),
			bytes_count(&program));
		add_argv(archive, "/umbra/bootclock", argv);
		cpio_end(archive);
	} else {
		code = EXIT_NO_FILE;
	}
	free(path);
	bytes_free(&program);
	return code;
}
