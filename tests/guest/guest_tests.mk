# The bare paging-test guest: one multiboot image, of a 32-bit and a 64-bit world built from the
# same sources.

PAGING_DIR := $(B)/tests/guest
# Both worlds.
PAGING_SRC := \
	tests/guest/bench.c \
	tests/guest/bench_ops.c \
	tests/guest/console.c \
	tests/guest/cpu.c \
	tests/guest/entry.S \
	tests/guest/event.c \
	tests/guest/event_delivery.c \
	tests/guest/event_nmi.c \
	tests/guest/event_step.c \
	tests/guest/groups.c \
	tests/guest/mode.c \
	tests/guest/pieces.S \
	tests/guest/probe.c \
	tests/guest/probes.S \
	tests/guest/event_code.S \
	tests/guest/run.c \
	tests/guest/segment_code.S \
	tests/guest/string.c \
	tests/guest/table.c \
	tests/guest/test_ad.c \
	tests/guest/test_control.c \
	tests/guest/test_flush.c \
	tests/guest/test_keys.c \
	tests/guest/test_large.c \
	tests/guest/test_pcid.c \
	tests/guest/test_pieces.c \
	tests/guest/test_random.c \
	tests/guest/test_reserved.c \
	tests/guest/test_rights.c \
	tests/guest/test_segment.c \
	tests/guest/test_smap.c \
	tests/guest/test_store.c \
	tests/guest/test_table.c \
	tests/guest/test_wp.c \
	tests/guest/trap.c
PAGING_SRC_32 := $(PAGING_SRC) \
	tests/guest/boot.S \
	tests/guest/main.c \
	tests/guest/real.S \
	tests/guest/task.c \
	tests/guest/task_body.S \
	tests/guest/task_fault.c \
	tests/guest/task_switch.c \
	tests/guest/test_pae.c \
	tests/guest/test_switch.c
PAGING_SRC_64 := $(PAGING_SRC) tests/guest/boot64.S tests/guest/main64.c

PAGING_OBJ_32 := $(addprefix $(PAGING_DIR)/32/,$(addsuffix .o,$(basename $(PAGING_SRC_32))))
PAGING_OBJ_64 := $(addprefix $(PAGING_DIR)/64/,$(addsuffix .o,$(basename $(PAGING_SRC_64))))
PAGING_CFLAGS := -std=gnu11 -O2 -g -ffreestanding -fno-pic -fno-pie -mgeneral-regs-only \
	-mno-red-zone -fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables \
	-fno-strict-aliasing $(WARN)
PAGING_LDFLAGS := -nostdlib -static -Wl,--build-id=none -Wl,-z,noexecstack \
	-Wl,--no-warn-rwx-segments -Wl,-z,max-page-size=4096

$(PAGING_OBJ_32) $(PAGING_OBJ_64): tests/guest/guest_tests.mk | $(B)/.deps
$(PAGING_DIR)/32/%.o: %.c
	@mkdir -p $(@D)
	$(CC) -m32 -march=i686 $(CPPFLAGS) $(PAGING_CFLAGS) -MMD -MP -c -o $@ $<
$(PAGING_DIR)/64/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(PAGING_CFLAGS) -MMD -MP -c -o $@ $<
$(PAGING_DIR)/32/%.o: %.S
	@mkdir -p $(@D)
	$(CC) -m32 -march=i686 $(CPPFLAGS) $(PAGING_CFLAGS) -MMD -MP \
		-DWORLD64_IMAGE='"$(PAGING_DIR)/world64.bin"' -c -o $@ $<
$(PAGING_DIR)/64/%.o: %.S
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(PAGING_CFLAGS) -MMD -MP -c -o $@ $<

$(PAGING_DIR)/world64.elf: $(PAGING_OBJ_64) tests/guest/image64.ld
	$(CC) $(PAGING_LDFLAGS) -Wl,-T,tests/guest/image64.ld -o $@ $(PAGING_OBJ_64)
$(PAGING_DIR)/world64.bin: $(PAGING_DIR)/world64.elf
	objcopy -O binary $< $@

$(PAGING_DIR)/32/tests/guest/boot.o: $(PAGING_DIR)/world64.bin
$(GUEST)/paging-test.elf: $(PAGING_OBJ_32) tests/guest/image32.ld
	$(CC) -m32 $(PAGING_LDFLAGS) -Wl,-T,tests/guest/image32.ld -o $@ $(PAGING_OBJ_32)

# umbra bench boots it, too.
ALL += $(GUEST)/paging-test.elf
TESTS += test-paging-guest
.PHONY: test-paging-guest
test-paging-guest: all
	tests/guest/paging_test.sh $(B)

-include $(PAGING_OBJ_32:.o=.d) $(PAGING_OBJ_64:.o=.d)
