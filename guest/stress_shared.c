/* SPDX-License-Identifier: MIT */
/*
 * Workers with memory that several mappings show: of two processes, and of a file.
 */
#include "guest/stress.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
	SHARED_PAGES = 700,
	SHARED_TURNS = 8,
	SHARED_WRITES = 60,
	FILE_PAGES = 300,
};

/* ---- shared memory: two processes write and read in turns, each through mappings of its own ----
 */

struct shared {
	int fd;
	char *memory;
	uint64_t *tags; /* what must be there: in memory that both see, and never unmap */
};

static char *map_file(struct stress *s, int fd, unsigned n_pages, int flags)
{
	char *memory =
		mmap(NULL, (size_t)n_pages * PAGE_BYTES, PROT_READ | PROT_WRITE, flags, fd, 0);

	if (memory == MAP_FAILED)
		stress_failed(s, "mmap of a file");
	return memory;
}

static void shared_turn(struct stress *s, struct shared *m)
{
	for (unsigned i = 0; i < SHARED_PAGES; i++)
		stress_expect(s, m->memory + i * PAGE_BYTES, m->tags[i], "shared memory");
	for (unsigned n = stress_random(s, SHARED_WRITES); n-- > 0;) {
		unsigned i = stress_random(s, SHARED_PAGES);

		m->tags[i] = stress_tag(s);
		stress_stamp(m->memory + i * PAGE_BYTES, m->tags[i]);
	}
	if (stress_chance(s, 4)) {
		unsigned first = stress_random(s, SHARED_PAGES);
		unsigned n = 1 + stress_random(s, SHARED_PAGES - first);

		if (fallocate(m->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			    (off_t)first * PAGE_BYTES, (off_t)n * PAGE_BYTES) != 0)
			stress_failed(s, "fallocate");
		for (unsigned i = first; i < first + n; i++)
			m->tags[i] = 0;
	}
	if (stress_chance(s, 4)) {
		munmap(m->memory, SHARED_PAGES * PAGE_BYTES);
		m->memory = map_file(s, m->fd, SHARED_PAGES, MAP_SHARED);
	}
	stress_count_unit(s);
}

static void shared_turns(struct stress *s, struct shared *m, int from, int to)
{
	char token = 0;

	for (unsigned turn = 0; turn < SHARED_TURNS; turn++) {
		if (read(from, &token, 1) != 1)
			stress_failed(s, "pipe");
		shared_turn(s, m);
		if (write(to, &token, 1) != 1)
			stress_failed(s, "pipe");
	}
}

void stress_shared_round(struct stress *s)
{
	struct shared m = {.fd = memfd_create("stress", MFD_CLOEXEC)};
	size_t bytes = SHARED_PAGES * sizeof(*m.tags);
	int there[2], back[2];
	pid_t pid;

	if (m.fd < 0 || ftruncate(m.fd, SHARED_PAGES * PAGE_BYTES) != 0)
		stress_failed(s, "memfd");
	if (pipe(there) != 0 || pipe(back) != 0)
		stress_failed(s, "pipe");
	m.memory = map_file(s, m.fd, SHARED_PAGES, MAP_SHARED);
	m.tags = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (m.tags == MAP_FAILED)
		stress_failed(s, "mmap");
	pid = stress_fork(s);
	if (pid == 0) {
		shared_turns(s, &m, there[0], back[1]);
		stress_child_end();
	}
	if (write(there[1], "", 1) != 1)
		stress_failed(s, "pipe");
	shared_turns(s, &m, back[0], there[1]);
	stress_reap(s, pid, 0);
	munmap(m.tags, bytes);
	munmap(m.memory, SHARED_PAGES * PAGE_BYTES);
	close(m.fd);
	for (unsigned i = 0; i < 2; i++) {
		close(there[i]);
		close(back[i]);
	}
}

/* ---- a file: mapped shared and private, cut short and made long again ---- */

struct file {
	int fd;
	char *shared, *private;
	uint64_t tags[FILE_PAGES]; /* of the file */
	uint64_t own[FILE_PAGES];  /* of the private mapping where it was written */
	bool written[FILE_PAGES];
};

static void file_write(struct stress *s, struct file *f)
{
	unsigned i = stress_random(s, FILE_PAGES);
	static char page[PAGE_BYTES];
	uint64_t tag = stress_tag(s);

	switch (stress_random(s, 3)) {
	case 0:
		f->written[i] = true;
		f->own[i] = tag;
		stress_stamp(f->private + i * PAGE_BYTES, tag);
		return;
	case 1:
		stress_stamp(f->shared + i * PAGE_BYTES, tag);
		break;
	default:
		for (size_t j = 0; j < sizeof(page); j++)
			page[j] = 0;
		stress_stamp(page, tag);
		if (pwrite(f->fd, page, sizeof(page), (off_t)i * PAGE_BYTES) != PAGE_BYTES)
			stress_failed(s, "pwrite");
		break;
	}
	f->tags[i] = tag;
}

static void file_expect(struct stress *s, struct file *f)
{
	char page[PAGE_BYTES];

	for (unsigned i = 0; i < FILE_PAGES; i++) {
		stress_expect(s, f->shared + i * PAGE_BYTES, f->tags[i], "file, shared");
		stress_expect(s, f->private + i * PAGE_BYTES,
			f->written[i] ? f->own[i] : f->tags[i], "file, private");
		if (!stress_chance(s, 8))
			continue;
		if (pread(f->fd, page, sizeof(page), (off_t)i * PAGE_BYTES) != PAGE_BYTES)
			stress_failed(s, "pread");
		stress_expect(s, page, f->tags[i], "file, read");
	}
}

/* What lies behind the end faults, private pages too; afterwards it is empty. */
static void file_cut(struct stress *s, struct file *f)
{
	unsigned end = stress_random(s, FILE_PAGES);

	if (ftruncate(f->fd, (off_t)end * PAGE_BYTES) != 0)
		stress_failed(s, "ftruncate");
	for (unsigned n = 0; n < 8; n++) {
		unsigned i = end + stress_random(s, FILE_PAGES - end);

		stress_expect_access(s, f->shared + i * PAGE_BYTES,
			stress_chance(s, 2) ? STRESS_READ : STRESS_WRITE, SIGBUS);
		stress_expect_access(s, f->private + i * PAGE_BYTES,
			stress_chance(s, 2) ? STRESS_READ : STRESS_WRITE, SIGBUS);
		stress_count_unit(s);
	}
	if (ftruncate(f->fd, FILE_PAGES * PAGE_BYTES) != 0)
		stress_failed(s, "ftruncate");
	for (unsigned i = end; i < FILE_PAGES; i++) {
		f->tags[i] = 0;
		f->written[i] = false;
	}
}

void stress_file_round(struct stress *s)
{
	static struct file f;
	char path[64];

	f = (struct file){0};
	snprintf(path, sizeof(path), "/tmp/stress.%d", (int)getpid());
	f.fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (f.fd < 0 || unlink(path) != 0 || ftruncate(f.fd, FILE_PAGES * PAGE_BYTES) != 0)
		stress_failed(s, path);
	f.shared = map_file(s, f.fd, FILE_PAGES, MAP_SHARED);
	f.private = map_file(s, f.fd, FILE_PAGES, MAP_PRIVATE);
	for (unsigned n = 0; n < 400; n++) {
		file_write(s, &f);
		if (stress_chance(s, 80))
			file_expect(s, &f);
		if (stress_chance(s, 100))
			file_cut(s, &f);
	}
	file_expect(s, &f);
	munmap(f.shared, FILE_PAGES * PAGE_BYTES);
	munmap(f.private, FILE_PAGES * PAGE_BYTES);
	close(f.fd);
}
