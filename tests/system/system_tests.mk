# The real hypervisor under QEMU's emulation, from the command line to a guest that fights it.

SYSTEM_DIR := $(B)/tests/system

CHAOS_SRC := \
	tests/system/chaos/entry.S \
	tests/system/chaos/console.c \
	tests/system/chaos/limits.c \
	tests/system/chaos/machine.c \
	tests/system/chaos/main.c \
	tests/system/chaos/orderly.c \
	tests/system/chaos/tables.c \
	tests/system/chaos/wild.c
CHAOS_OBJ := $(addprefix $(SYSTEM_DIR)/,$(addsuffix .o,$(basename $(CHAOS_SRC))))
CHAOS_CFLAGS := -std=gnu11 -O2 -g -ffreestanding -fno-pic -fno-pie -mgeneral-regs-only \
	-mno-red-zone -fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables \
	-fno-tree-loop-distribute-patterns -fno-strict-aliasing $(WARN)

$(CHAOS_OBJ): tests/system/system_tests.mk | $(B)/.deps
$(SYSTEM_DIR)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CHAOS_CFLAGS) -MMD -MP -c -o $@ $<

$(SYSTEM_DIR)/%.o: %.S
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CHAOS_CFLAGS) -MMD -MP -c -o $@ $<

$(SYSTEM_DIR)/chaos.elf: $(CHAOS_OBJ) tests/system/chaos/image.ld
	$(CC) -nostdlib -static -no-pie -Wl,-T,tests/system/chaos/image.ld -Wl,--build-id=none \
		-Wl,-z,noexecstack -Wl,--no-warn-rwx-segments -o $@ $(CHAOS_OBJ)

$(SYSTEM_DIR)/chaos.bin: $(SYSTEM_DIR)/chaos.elf
	objcopy -O binary $< $@

# What a Linux guest runs.
$(SYSTEM_DIR)/attack-mem: tests/system/attack_mem.c tests/system/system_tests.mk | $(B)/.deps
	@mkdir -p $(@D)
	$(CC) $(GUEST_CFLAGS) -o $@ $<

# Longest first: two of them run at a time.
SYSTEM_TESTS := boot policies chaos repeat hostile bad_input

TESTS += test-system
.PHONY: test-system
test-system: all $(SYSTEM_DIR)/chaos.bin $(SYSTEM_DIR)/attack-mem
	@printf '%s\n' $(SYSTEM_TESTS) | xargs -P 2 -I % sh -c \
		'tests/system/%.sh $(B) > $(SYSTEM_DIR)/%.log 2>&1; status=$$?; \
		cat $(SYSTEM_DIR)/%.log; exit $$status'

-include $(CHAOS_OBJ:.o=.d)
