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
	tests/system/chaos/trip_code.S \
	tests/system/chaos/trip.c \
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

# A multiboot kernel that says what it was told, as an ELF file and as one that is none.
TOLD_CFLAGS := -m32 -std=gnu11 -O2 -ffreestanding -fno-pic -fno-pie -mgeneral-regs-only \
	-fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables $(WARN)
TOLD_LDFLAGS := -m32 -nostdlib -static -no-pie -Wl,-T,tests/system/told/image.ld \
	-Wl,--build-id=none -Wl,-z,noexecstack -Wl,--no-warn-rwx-segments
TOLD_DEPS := tests/system/told/image.ld tests/system/system_tests.mk | $(B)/.deps

$(SYSTEM_DIR)/told.elf: tests/system/told/entry.S tests/system/told/main.c $(TOLD_DEPS)
	@mkdir -p $(@D)
	$(CC) $(TOLD_CFLAGS) $(TOLD_LDFLAGS) -o $@ $(filter %.S %.c,$^)

$(SYSTEM_DIR)/told-addresses.elf: tests/system/told/entry.S tests/system/told/main.c $(TOLD_DEPS)
	@mkdir -p $(@D)
	$(CC) -DADDRESSES $(TOLD_CFLAGS) $(TOLD_LDFLAGS) -o $@ $(filter %.S %.c,$^)

$(SYSTEM_DIR)/told.bin: $(SYSTEM_DIR)/told-addresses.elf
	objcopy -O binary $< $@

$(SYSTEM_DIR)/told64.elf: $(SYSTEM_DIR)/told.elf
	objcopy -O elf64-x86-64 $< $@

# What a Linux guest runs.
$(SYSTEM_DIR)/attack-mem: tests/system/attack_mem.c tests/system/system_tests.mk | $(B)/.deps
	@mkdir -p $(@D)
	$(CC) $(GUEST_CFLAGS) -o $@ $<

$(SYSTEM_DIR)/attack-apic: tests/system/attack_apic.c tests/system/system_tests.mk | $(B)/.deps
	@mkdir -p $(@D)
	$(CC) $(GUEST_CFLAGS) -o $@ $<

$(SYSTEM_DIR)/wide-map: tests/system/wide_map.c tests/system/system_tests.mk | $(B)/.deps
	@mkdir -p $(@D)
	$(CC) $(GUEST_CFLAGS) -o $@ $<

$(SYSTEM_DIR)/kexec: tests/system/kexec.c tests/system/system_tests.mk | $(B)/.deps
	@mkdir -p $(@D)
	$(CC) $(GUEST_CFLAGS) -o $@ $<

# A name of a script, and its words after "+". Longest first: two of them run at a time.
SYSTEM_TESTS := boot policies chaos repeat stress+12+audit=200 hostile written bad_input \
	kernels+5level+quick multiboot
GUEST_TESTS := kernels+i686-pae memtest+ia32 memtest+x64 kernels+i686 kernels+amd64 kernels+5level \
	multiboot
RUN_SYSTEM_TESTS := xargs -P 2 -I % sh -c 'set -- $$(echo % | tr + " "); script=$$1; shift; \
	tests/system/$$script.sh $(B) "$$@" > $(SYSTEM_DIR)/%.log 2>&1; status=$$?; \
	cat $(SYSTEM_DIR)/%.log; exit $$status'

TESTS += test-system
.PHONY: test-system test-guests test-stress
test-system: all $(GUEST_MODULES) $(SYSTEM_DIR)/chaos.bin \
		$(addprefix $(SYSTEM_DIR)/,attack-mem attack-apic wide-map told.elf told.bin told64.elf)
	@printf '%s\n' $(SYSTEM_TESTS) | $(RUN_SYSTEM_TESTS)

# Kernels of every paging mode, in every row: a quarter of an hour, and downloads.
test-guests: all guests $(SYSTEM_DIR)/wide-map \
		$(addprefix $(SYSTEM_DIR)/,told.elf told.bin told64.elf)
	@printf '%s\n' $(GUEST_TESTS) | $(RUN_SYSTEM_TESTS)

# Everything at once, for long; then another kernel, without a reset.
STRESS_SECONDS := 600
STRESS_POLICY := audit=200
test-stress: all $(GUEST_MODULES) $(SYSTEM_DIR)/kexec
	@tests/system/stress.sh $(B) $(STRESS_SECONDS) $(STRESS_POLICY)
	@tests/system/kexec.sh $(B) $(STRESS_POLICY)

-include $(CHAOS_OBJ:.o=.d)
