# The hosted lab: build/lab/umbra-lab with sanitizers and assertions, build/lab/umbra-lab-fast without
# sanitizers for soak runs. Both compile the library's sources with flags of their own.

-include lab/oracle.mk lab/enum.mk

LAB_SRCS := $(addprefix lab/, access.c check.c check_regs.c config.c emulate.c fail.c flooding.c flooding_search.c flooding_world.c gen.c gen_alias.c gen_entry.c gen_os.c \
	gen_os_kernel.c gen_os_process.c gen_os_tables.c gen_random.c gen_regs.c gen_store.c gen_tables.c history.c host.c hw.c insn.c insn_make.c legal.c legal_search.c machine.c memory.c misses.c oracle.c paging.c \
	queue.c report.c run.c sabotage.c shrink.c stale.c step.c store.c suite.c tlb.c trace.c track.c main.c)

LAB_CFLAGS := -std=gnu11 -g -DUMBRA_DEBUG=1
LAB_SAN    := -O1 -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer

# The host decodes the guest's stores.
LAB_X86_SRCS := x86/decode.c x86/execute.c x86/operand.c

LAB_SAN_OBJS  := $(LAB_SRCS:lab/%.c=$(B)/lab/san/%.o) $(MMU_SRCS:mmu/src/%.c=$(B)/lab/san/mmu/%.o) \
	$(LAB_X86_SRCS:x86/%.c=$(B)/lab/san/x86/%.o)
LAB_FAST_OBJS := $(LAB_SRCS:lab/%.c=$(B)/lab/fast/%.o) $(MMU_SRCS:mmu/src/%.c=$(B)/lab/fast/mmu/%.o) \
	$(LAB_X86_SRCS:x86/%.c=$(B)/lab/fast/x86/%.o)

$(B)/lab/san/mmu/%.o: mmu/src/%.c | $(B)/.deps
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(LAB_SAN) $(LAB_CFLAGS) -fno-strict-aliasing $(WARN) -MMD -c -o $@ $<
$(B)/lab/fast/mmu/%.o: mmu/src/%.c | $(B)/.deps
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -O2 $(LAB_CFLAGS) -fno-strict-aliasing $(WARN) -MMD -c -o $@ $<
$(B)/lab/san/x86/%.o: x86/%.c | $(B)/.deps
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(LAB_SAN) $(LAB_CFLAGS) $(WARN) -MMD -c -o $@ $<
$(B)/lab/fast/x86/%.o: x86/%.c | $(B)/.deps
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -O2 $(LAB_CFLAGS) $(WARN) -MMD -c -o $@ $<
$(B)/lab/san/%.o: lab/%.c | $(B)/.deps
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(LAB_SAN) $(LAB_CFLAGS) -fno-strict-aliasing $(WARN) -MMD -c -o $@ $<
$(B)/lab/fast/%.o: lab/%.c | $(B)/.deps
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -O2 $(LAB_CFLAGS) -fno-strict-aliasing $(WARN) -MMD -c -o $@ $<

$(B)/lab/umbra-lab: $(LAB_SAN_OBJS)
	$(CC) $(LAB_SAN) -o $@ $^
$(B)/lab/umbra-lab-fast: $(LAB_FAST_OBJS)
	$(CC) -o $@ $^

-include $(LAB_SAN_OBJS:.o=.d) $(LAB_FAST_OBJS:.o=.d)

ALL   += $(B)/lab/umbra-lab
TESTS += test-lab
.PHONY: test-lab soak-lab

# Traces of fixed bugs first; then the lab against a damaged machine; then what tags are worth, and
# which written tables are given up; then all guests and policies.
LAB_TRACES := $(sort $(wildcard tests/regress/*.trace))

test-lab: $(B)/lab/umbra-lab
	$(if $(LAB_TRACES),$< --replay $(LAB_TRACES))
	$< --self-test --steps 2000 --audit 8 --pool 64
	$< --tlb-misses
	$< --flooding > $(B)/lab/flooding.log || { cat $(B)/lab/flooding.log; false; }
	@$< --suite 1/2 > $(B)/lab/suite1.log 2>&1 & first=$$!; \
	$< --suite 2/2 > $(B)/lab/suite2.log 2>&1; second=$$?; \
	wait $$first; first=$$?; cat $(B)/lab/suite1.log $(B)/lab/suite2.log; \
	[ $$first -eq 0 ] && [ $$second -eq 0 ]

# As long as you like: new seeds until one fails. LAB_SEED=N LAB_SECONDS=S
LAB_SEED    ?= 1000
LAB_SECONDS ?= 600
soak-lab: $(B)/lab/umbra-lab-fast
	timeout $(LAB_SECONDS) $< --suite 1/1 --guests 1000000 --seed $(LAB_SEED); [ $$? -eq 124 ]

-include lab/fuzz.mk
