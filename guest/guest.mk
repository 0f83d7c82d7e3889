# What runs inside the guest: Debian's kernel, and an initrd with busybox, our init, mmubench and
# stress.
# To use another kernel or busybox put it at $(GUEST)/vmlinuz or $(GUEST)/busybox.

GUEST := $(B)/guest
GUEST_KERNEL_PACKAGE := linux-image-cloud-amd64

GUEST_CFLAGS := -std=c11 -D_GNU_SOURCE -O2 -static -s $(WARN)
GUEST_HELPER_CFLAGS := $(GUEST_CFLAGS) -ffreestanding -nostdlib -fno-pie -no-pie

GUEST_INIT_SRC := \
	guest/init.c \
	guest/children.c \
	guest/relay.c \
	guest/frame.c \
	guest/queue.c
GUEST_BENCH_SRC := \
	guest/mmubench.c \
	guest/bench.c \
	guest/bench_proc.c \
	guest/ops_process.c \
	guest/ops_fault.c \
	guest/ops_scan.c \
	guest/ops_map.c \
	guest/ops_reuse.c
GUEST_STRESS_SRC := \
	guest/stress.c \
	guest/stress_arena.c \
	guest/stress_arena_ops.c \
	guest/stress_fault.c \
	guest/stress_kernel.c \
	guest/stress_process.c \
	guest/stress_scan.c \
	guest/stress_shared.c \
	guest/stress_tools.c

GUEST_INIT_OBJ  := $(GUEST_INIT_SRC:%.c=$(B)/%.o)
GUEST_BENCH_OBJ := $(GUEST_BENCH_SRC:%.c=$(B)/%.o)
GUEST_STRESS_OBJ := $(GUEST_STRESS_SRC:%.c=$(B)/%.o)
GUEST_BIN := $(GUEST)/mmubench $(GUEST)/exit0 $(GUEST)/stress guest/demo

ALL += $(GUEST)/vmlinuz $(GUEST)/initrd.cpio.gz

$(GUEST_INIT_OBJ) $(GUEST_BENCH_OBJ) $(GUEST_STRESS_OBJ): $(B)/%.o: %.c guest/guest.mk | $(B)/.deps
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(GUEST_CFLAGS) -MMD -MP -c -o $@ $<

$(GUEST)/init: $(GUEST_INIT_OBJ)
	$(CC) $(GUEST_CFLAGS) -o $@ $^

$(GUEST)/mmubench: $(GUEST_BENCH_OBJ)
	$(CC) $(GUEST_CFLAGS) -o $@ $^

$(GUEST)/stress: $(GUEST_STRESS_OBJ)
	$(CC) $(GUEST_CFLAGS) -o $@ $^

$(GUEST)/exit0: guest/exit0.c guest/guest.mk | $(B)/.deps
	@mkdir -p $(@D)
	$(CC) $(GUEST_HELPER_CFLAGS) -o $@ $<

$(GUEST)/vmlinuz: | $(B)/.deps
	@scripts/fetch-deb $(GUEST_KERNEL_PACKAGE) './boot/vmlinuz-*' $@ $(B)/debs

# One download after the other: they share the cache.
$(GUEST)/busybox: | $(B)/.deps $(GUEST)/vmlinuz
	@scripts/fetch-deb busybox-static ./bin/busybox $@ $(B)/debs
	@chmod 755 $@

# Modules of that kernel, for the tests with stress. A kernel that is not Debian's has none here.
GUEST_MODULES := $(GUEST)/modules/.made
$(GUEST_MODULES): $(GUEST)/vmlinuz scripts/kernel-release | $(GUEST)/busybox
	@scripts/fetch-deb linux-image-$$(scripts/kernel-release $<) \
		'*/crc7.ko */crc-itu-t.ko */zsmalloc.ko */lzo-rle.ko */zram.ko' $(@D)/ $(B)/debs && \
		: > $@ || echo '  stress will do without modules and swap'

$(GUEST)/initrd.cpio.gz: scripts/make-initrd $(GUEST)/busybox $(GUEST)/init $(GUEST_BIN)
	@echo "  INITRD  $@"
	@scripts/make-initrd $@ $(GUEST)/busybox $(GUEST)/busybox $(GUEST)/init $(GUEST_BIN)

-include $(GUEST_INIT_OBJ:.o=.d) $(GUEST_BENCH_OBJ:.o=.d) $(GUEST_STRESS_OBJ:.o=.d)
include guest/i686.mk
