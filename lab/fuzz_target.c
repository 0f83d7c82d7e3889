/* SPDX-License-Identifier: MIT */
/* What libFuzzer calls: the bytes as a run of the lab's machine, every check of which must pass. */
#include "lab/fuzz.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

/* Every run allocates the same 20 MB: keep them, or the kernel does most of the work. (An
 * AddressSanitizer build has an allocator of its own.) */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	mallopt(M_MMAP_THRESHOLD, 1 << 30);
	mallopt(M_TRIM_THRESHOLD, 1 << 30);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes)
{
	struct trace trace = {0};
	struct run_result result;

	fuzz_decode(bytes, n_bytes, &trace);
	run_trace(&trace, NULL, &result);
	trace_free(&trace);
	if (!result.failed)
		return 0;
	fprintf(stderr, "step %zu: %s\n", result.failed_at, result.why);
	abort();
}
