/* SPDX-License-Identifier: MIT */
/* Finds files. Must not know what is in them. */
#include "tools/paths.h"

#include "tools/bytes.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *path_kernel_data(const char *name)
{
	static const struct {
		const char *name;
		const char *data;
	} kernels[] = {
		{"amd64", "guest/vmlinuz"},
		{"i686-pae", "guest/vmlinuz-i686-pae"},
		{"i686", "guest/vmlinuz-i686"},
		{PATH_KERNEL_BARE, "guest/paging-test.elf"},
	};

	for (size_t i = 0; i < sizeof(kernels) / sizeof(kernels[0]); i++)
		if (strcmp(kernels[i].name, name) == 0)
			return kernels[i].data;
	return NULL;
}

static char *own_directory(void)
{
	char path[PATH_MAX];
	ssize_t n_bytes = readlink("/proc/self/exe", path, sizeof(path) - 1);
	char *slash;

	if (n_bytes < 0)
		return copy_text(".");
	path[n_bytes] = '\0';
	slash = strrchr(path, '/');
	if (slash)
		*slash = '\0';
	return copy_text(path);
}

char *path_data(const char *name)
{
	const char *chosen = getenv("UMBRA_DATA");
	char *own;
	char *marker;
	char *path;

	if (chosen)
		return make_text("%s/%s", chosen, name);
	own = own_directory();
	marker = make_text("%s/../share/umbra/" DATA_HYPERVISOR, own);
	if (access(marker, F_OK) == 0)
		path = make_text("%s/../share/umbra/%s", own, name);
	else
		path = make_text("%s/%s", own, name);
	free(marker);
	free(own);
	return path;
}

/* @name as the shell would find it. */
static char *search_path(const char *name)
{
	const char *from = getenv("PATH");

	if (strchr(name, '/'))
		return access(name, X_OK) == 0 ? copy_text(name) : NULL;
	for (; from && *from; from += *from == ':') {
		size_t n_bytes = strcspn(from, ":");
		char *path = make_text("%.*s/%s", (int)n_bytes, from, name);

		if (access(path, X_OK) == 0)
			return path;
		free(path);
		from += n_bytes;
	}
	return NULL;
}

char *path_qemu(void)
{
	const char *chosen = getenv("UMBRA_QEMU");

	return search_path(chosen ? chosen : "qemu-system-x86_64");
}
