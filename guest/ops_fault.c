/* SPDX-License-Identifier: MIT */
/*
 * Operations whose cost is the page fault: the guest's own, demand, copy-on-write, write
 * protection, page cache.
 */
#include "guest/ops.h"

#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
	SEGV_FAULTS = 2000,
	ANON_CYCLES = 6,
	ANON_BYTES = 4 * MIB,
	COW_BYTES = 8 * MIB,
	FILE_BYTES = 8 * MIB,
};

static sigjmp_buf segv_return;

static void segv_handler(int signal_number)
{
	siglongjmp(segv_return, signal_number);
}

uint32_t op_segv_longjmp(struct bench *b)
{
	struct sigaction action;
	struct sigaction before;
	char *page = mem_map(PAGE_BYTES);

	if (mprotect(page, PAGE_BYTES, PROT_NONE) != 0)
		bench_die("mprotect");
	memset(&action, 0, sizeof(action));
	action.sa_handler = segv_handler;
	action.sa_flags = SA_NODEFER; /* no mask to restore: the fault is what is measured */
	sigaction(SIGSEGV, &action, &before);

	bench_begin(b);
	for (volatile int i = 0; i < SEGV_FAULTS; i++) {
		if (sigsetjmp(segv_return, 0) == 0)
			*(volatile char *)page = 1;
	}
	bench_end(b);

	sigaction(SIGSEGV, &before, NULL);
	mem_unmap(page, PAGE_BYTES);
	return SEGV_FAULTS;
}

uint32_t op_anon_fault_cycle(struct bench *b)
{
	bench_begin(b);
	for (int i = 0; i < ANON_CYCLES; i++) {
		char *memory = mem_map(ANON_BYTES);

		mem_write_pages(memory, ANON_BYTES);
		mem_unmap(memory, ANON_BYTES);
	}
	bench_end(b);
	return ANON_CYCLES * (ANON_BYTES / PAGE_BYTES);
}

uint32_t op_cow_fault(struct bench *b)
{
	char *memory = mem_map(COW_BYTES);
	pid_t pid;

	mem_write_pages(memory, COW_BYTES);
	pid = proc_fork();
	if (pid == 0) {
		bench_begin(b);
		mem_write_pages(memory, COW_BYTES);
		bench_end(b);
		_exit(0);
	}
	proc_reap(pid);
	mem_unmap(memory, COW_BYTES);
	return COW_BYTES / PAGE_BYTES;
}

/* Once the child has its copies and is gone, the parent alone owns write-protected pages. */
uint32_t op_wrprot_reuse_fault(struct bench *b)
{
	char *memory = mem_map(COW_BYTES);
	pid_t pid;

	mem_write_pages(memory, COW_BYTES);
	pid = proc_fork();
	if (pid == 0) {
		mem_write_pages(memory, COW_BYTES);
		_exit(0);
	}
	proc_reap(pid);
	bench_begin(b);
	mem_write_pages(memory, COW_BYTES);
	bench_end(b);
	mem_unmap(memory, COW_BYTES);
	return COW_BYTES / PAGE_BYTES;
}

static int file_in_page_cache(void)
{
	static const char block[16 * KIB] = {1};
	int fd = memfd_create("mmubench", 0);

	if (fd < 0)
		bench_die("memfd_create");
	for (size_t done = 0; done < FILE_BYTES; done += sizeof(block)) {
		if (write(fd, block, sizeof(block)) != (ssize_t)sizeof(block))
			bench_die("write to a memory file");
	}
	return fd;
}

uint32_t op_file_read_touch(struct bench *b)
{
	int fd = file_in_page_cache();
	char *memory = mmap(NULL, FILE_BYTES, PROT_READ, MAP_PRIVATE, fd, 0);

	if (memory == MAP_FAILED)
		bench_die("mmap of a memory file");
	bench_begin(b);
	mem_read_pages(memory, FILE_BYTES);
	bench_end(b);
	mem_unmap(memory, FILE_BYTES);
	close(fd);
	return FILE_BYTES / PAGE_BYTES;
}
