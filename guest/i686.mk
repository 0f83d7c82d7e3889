# Guests that only `make guests` makes: Debian's 32-bit kernels with an initrd of their own, and
# memtest86+. To use other files put them where these go.

GUEST_I686_DIR := $(GUEST)/i686
GUEST_I686_CC  := $(CC) -m32

GUEST_I686_INIT_OBJ  := $(GUEST_INIT_SRC:guest/%.c=$(GUEST_I686_DIR)/%.o)
GUEST_I686_BENCH_OBJ := $(GUEST_BENCH_SRC:guest/%.c=$(GUEST_I686_DIR)/%.o)
GUEST_I686_STRESS_OBJ := $(GUEST_STRESS_SRC:guest/%.c=$(GUEST_I686_DIR)/%.o)
GUEST_I686_BIN := $(addprefix $(GUEST_I686_DIR)/,mmubench exit0 stress) guest/demo

GUESTS := $(addprefix $(GUEST)/,vmlinuz-i686-pae vmlinuz-i686 initrd-i686.cpio.gz \
	bootclock-i686 memtest86+x64.bin memtest86+ia32.bin)

.PHONY: guests
guests: $(GUESTS)

# 32-bit libraries for the compiler; nothing else needs them.
$(B)/.deps-guests: scripts/deps | $(B)/.deps
	@scripts/deps guests
	@: > $@

$(GUEST_I686_INIT_OBJ) $(GUEST_I686_BENCH_OBJ) $(GUEST_I686_STRESS_OBJ): $(GUEST_I686_DIR)/%.o: guest/%.c guest/i686.mk \
		| $(B)/.deps-guests
	@mkdir -p $(@D)
	$(GUEST_I686_CC) $(CPPFLAGS) $(GUEST_CFLAGS) -MMD -MP -c -o $@ $<

$(GUEST_I686_DIR)/init: $(GUEST_I686_INIT_OBJ)
	$(GUEST_I686_CC) $(GUEST_CFLAGS) -o $@ $^

$(GUEST_I686_DIR)/mmubench: $(GUEST_I686_BENCH_OBJ)
	$(GUEST_I686_CC) $(GUEST_CFLAGS) -o $@ $^

$(GUEST_I686_DIR)/stress: $(GUEST_I686_STRESS_OBJ)
	$(GUEST_I686_CC) $(GUEST_CFLAGS) -o $@ $^

$(GUEST_I686_DIR)/exit0: guest/exit0.c guest/i686.mk | $(B)/.deps-guests
	@mkdir -p $(@D)
	$(GUEST_I686_CC) $(GUEST_HELPER_CFLAGS) -o $@ $<

# One download after the other: they share the cache.
$(GUEST)/vmlinuz-i686-pae: | $(B)/.deps $(GUEST)/busybox
	@scripts/fetch-deb linux-image-686-pae:i386 './boot/vmlinuz-*' $@ $(B)/debs

$(GUEST)/vmlinuz-i686: | $(B)/.deps $(GUEST)/vmlinuz-i686-pae
	@scripts/fetch-deb linux-image-686:i386 './boot/vmlinuz-*' $@ $(B)/debs

$(GUEST_I686_DIR)/busybox: | $(B)/.deps $(GUEST)/vmlinuz-i686
	@scripts/fetch-deb busybox-static:i386 ./bin/busybox $@ $(B)/debs
	@chmod 755 $@

$(GUEST)/memtest86+x64.bin: | $(B)/.deps $(GUEST_I686_DIR)/busybox
	@scripts/fetch-deb memtest86+ ./boot/memtest86+x64.bin $@ $(B)/debs

$(GUEST)/memtest86+ia32.bin: | $(B)/.deps $(GUEST)/memtest86+x64.bin
	@scripts/fetch-deb memtest86+ ./boot/memtest86+ia32.bin $@ $(B)/debs

$(GUEST)/initrd-i686.cpio.gz: scripts/make-initrd $(GUEST)/busybox $(GUEST_I686_DIR)/busybox \
		$(GUEST_I686_DIR)/init $(GUEST_I686_BIN)
	@echo "  INITRD  $@"
	@scripts/make-initrd $@ $(GUEST)/busybox $(GUEST_I686_DIR)/busybox $(GUEST_I686_DIR)/init \
		$(GUEST_I686_BIN)

-include $(GUEST_I686_INIT_OBJ:.o=.d) $(GUEST_I686_BENCH_OBJ:.o=.d) \
	$(GUEST_I686_STRESS_OBJ:.o=.d)
