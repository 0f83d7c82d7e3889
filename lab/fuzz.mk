# The fuzzer: build/lab/umbra-fuzz (clang, libFuzzer), and build/lab/umbra-fuzz-replay (any compiler)
# for the corpus. Both drive the lab's machine; its sources are LAB_SRCS but for main.c.

FUZZ_SRCS := lab/fuzz_decode.c lab/fuzz_tables.c
FUZZ_LAB  := $(filter-out lab/main.c,$(LAB_SRCS))

FUZZ_REPLAY_OBJS := $(patsubst lab/%.c,$(B)/lab/san/%.o,$(FUZZ_SRCS) lab/fuzz_main.c $(FUZZ_LAB)) \
	$(MMU_SRCS:mmu/src/%.c=$(B)/lab/san/mmu/%.o) $(LAB_X86_SRCS:x86/%.c=$(B)/lab/san/x86/%.o)

$(B)/lab/umbra-fuzz-replay: $(FUZZ_REPLAY_OBJS)
	$(CC) $(LAB_SAN) -o $@ $^

-include $(FUZZ_REPLAY_OBJS:.o=.d)

# One command: the fuzzer is for those who run it, not for the build. FUZZ_SAN=fuzzer,undefined runs
# three times as fast; test-fuzz runs all under AddressSanitizer anyhow.
FUZZ_CC    ?= clang
FUZZ_SAN   ?= fuzzer,address,undefined
FUZZ_FLAGS := -O2 -g -std=gnu11 -DUMBRA_DEBUG=1 -fno-strict-aliasing -fno-omit-frame-pointer \
	-fsanitize=$(FUZZ_SAN) -fno-sanitize-coverage=trace-cmp -fno-sanitize-recover=undefined

$(B)/lab/umbra-fuzz: lab/fuzz_target.c $(FUZZ_SRCS) $(FUZZ_LAB) $(MMU_SRCS) $(LAB_X86_SRCS) \
	$(wildcard lab/*.h mmu/src/*.h mmu/include/umbra/*.h x86/*.h)
	@scripts/deps fuzz
	@mkdir -p $(@D)
	$(FUZZ_CC) $(CPPFLAGS) $(FUZZ_FLAGS) $(WARN) -o $@ $(filter %.c,$^)

FUZZ_CORPUS  := tests/fuzz/corpus
FUZZ_SECONDS ?= 60

ALL   += $(B)/lab/umbra-fuzz-replay
TESTS += test-fuzz
.PHONY: test-fuzz fuzz fuzz-merge

# The corpus passes, and it is good enough to notice a damaged machine.
test-fuzz: $(B)/lab/umbra-fuzz-replay
	$< $(FUZZ_CORPUS)
	for sabotage in drop-flush drop-flush-tag skip-note stray-write wrong-frame lose-dirty wrong-key \
		ignore-tags keep-dirty never-dirty untold neighbour; do \
		$< --sabotage $$sabotage $(FUZZ_CORPUS) || exit 1; done

# New inputs are collected beside the build; a failing one is build/fuzz/crash-*: see --trace.
fuzz: $(B)/lab/umbra-fuzz
	@mkdir -p $(B)/fuzz/corpus
	$< -max_len=2052 -timeout=20 -max_total_time=$(FUZZ_SECONDS) -artifact_prefix=$(B)/fuzz/ \
		-print_final_stats=1 $(B)/fuzz/corpus $(FUZZ_CORPUS)

# The smallest set of inputs that reaches what all of them do, as the new corpus.
fuzz-merge: $(B)/lab/umbra-fuzz
	@mkdir -p $(B)/fuzz/corpus && rm -rf $(B)/fuzz/merged && mkdir -p $(B)/fuzz/merged
	$< -merge=1 -max_len=2052 $(B)/fuzz/merged $(FUZZ_CORPUS) $(B)/fuzz/corpus
	rm -f $(FUZZ_CORPUS)/* && cp $(B)/fuzz/merged/* $(FUZZ_CORPUS)/
