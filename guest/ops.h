/* SPDX-License-Identifier: MIT */
/*
 * The operations of mmubench, one function each.
 *
 * An operation sets its own scene (so that any subset can be run), encloses what is measured in
 * bench_begin() and bench_end(), and leaves nothing behind. It returns how many times the thing it
 * is named after happened between the two, or 0 when this kernel lacks what it needs.
 */
#ifndef GUEST_OPS_H
#define GUEST_OPS_H

#include "guest/bench.h"

/* ops_process.c: system calls, processes and switches between them. */
uint32_t op_getpid(struct bench *b);
uint32_t op_fork_exit(struct bench *b);
uint32_t op_fork_exec_full(struct bench *b);
uint32_t op_pipe_pingpong(struct bench *b);
uint32_t op_ring8_ws64(struct bench *b);
uint32_t op_procs48_create(struct bench *b);
uint32_t op_procs48_exit(struct bench *b);

/* ops_fault.c: page faults. */
uint32_t op_segv_longjmp(struct bench *b);
uint32_t op_anon_fault_cycle(struct bench *b);
uint32_t op_cow_fault(struct bench *b);
uint32_t op_wrprot_reuse_fault(struct bench *b);
uint32_t op_file_read_touch(struct bench *b);

/* ops_scan.c: a kernel that clears bits in page tables, and the first use after it. */
uint32_t op_clear_then_switch(struct bench *b);
uint32_t op_clear_and_switch(struct bench *b);
uint32_t op_touch_after_clear(struct bench *b);
uint32_t op_kscand_cycle(struct bench *b);
uint32_t op_softdirty_scan(struct bench *b);

/* ops_map.c: mappings and page tables that come and go. */
uint32_t op_mprotect_flip_touch(struct bench *b);
uint32_t op_sparse_touch(struct bench *b);
uint32_t op_sparse_unmap(struct bench *b);
uint32_t op_munmap_16m(struct bench *b);
uint32_t op_tlb_random_read(struct bench *b);

/* ops_reuse.c: frames that were page tables, used again. */
uint32_t op_memset_after_ptfree(struct bench *b);
uint32_t op_memset_fresh(struct bench *b);
uint32_t op_ptpage_reuse(struct bench *b);

#endif
