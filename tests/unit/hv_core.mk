# Hosted tests of the hypervisor's pure parts, under AddressSanitizer and
# UndefinedBehaviorSanitizer, and what the real image says to configurations that cannot work.

# The direct map of the hosted tests: a free place in a process, outside the sanitizers' shadow.
HV_TEST_CFLAGS := -std=gnu11 -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all $(WARN) \
	-DDIRECT_MAP=0x200000000000ull

HV_TEST_DIR := $(B)/tests/hv
HV_TEST_BINS := $(addprefix $(HV_TEST_DIR)/,test_hv_core test_hv_acpi test_hv_linux \
	test_hv_multiboot test_hv_control test_hv_walk test_hv_cr test_hv_events test_hv_fast \
	test_hv_site test_hv_task test_hv_emul test_hv_left test_hv_string test_hv_vector \
	test_hv_apic)

$(HV_TEST_DIR)/test_hv_core: $(addprefix $(HV_TEST_DIR)/,tests/unit/test_hv_core.o \
	tests/unit/hv_fake.o hv/core/format.o hv/core/memory_map.o hv/core/options.o)
$(HV_TEST_DIR)/test_hv_acpi: $(addprefix $(HV_TEST_DIR)/,tests/unit/test_hv_acpi.o \
	tests/unit/hv_fake.o hv/acpi.o hv/core/memory_map.o)
$(HV_TEST_DIR)/test_hv_linux: $(addprefix $(HV_TEST_DIR)/,tests/unit/test_hv_linux.o \
	tests/unit/hv_fake.o hv/core/memory_map.o hv/guest/linux.o hv/guest/linux_image.o)
$(HV_TEST_DIR)/test_hv_multiboot: $(addprefix $(HV_TEST_DIR)/,tests/unit/test_hv_multiboot.o \
	tests/unit/hv_fake.o hv/core/memory_map.o hv/guest/multiboot.o hv/guest/multiboot_image.o)

$(HV_TEST_DIR)/test_hv_control: $(addprefix $(HV_TEST_DIR)/,tests/unit/test_hv_control.o \
	hv/arch/svm/shadow_regs.o hv/vm/control.o)
$(HV_TEST_DIR)/test_hv_cr: $(addprefix $(HV_TEST_DIR)/,tests/unit/test_hv_cr.o hv/vm/control.o \
	hv/vm/cr.o hv/vm/insn.o hv/vm/invlpg.o hv/vm/path.o x86/decode.o x86/operand.o)
$(HV_TEST_DIR)/test_hv_walk: $(addprefix $(HV_TEST_DIR)/,tests/unit/test_hv_walk.o \
	tests/unit/hv_fake.o hv/vm/walk.o lab/oracle.o)

$(HV_TEST_DIR)/test_hv_events: $(addprefix $(HV_TEST_DIR)/,tests/unit/test_hv_events.o \
	tests/unit/hv_fake.o hv/arch/svm/event.o hv/vm/combine.o hv/vm/debug.o hv/vm/inject.o)
$(addprefix $(HV_TEST_DIR)/,test_hv_fast test_hv_site): $(HV_TEST_DIR)/%: \
	$(HV_TEST_DIR)/tests/unit/%.o $(addprefix $(HV_TEST_DIR)/,tests/unit/exit_world.o \
	tests/unit/hv_fake.o hv/arch/svm/event.o hv/arch/svm/fast.o hv/arch/svm/flush.o \
	hv/vm/combine.o hv/vm/inject.o hv/vm/path.o hv/vm/site.o x86/decode.o)
$(addprefix $(HV_TEST_DIR)/,test_hv_emul test_hv_left test_hv_string): $(HV_TEST_DIR)/%: \
	$(HV_TEST_DIR)/tests/unit/%.o $(addprefix $(HV_TEST_DIR)/,tests/unit/emul_world.o tests/unit/hv_fake.o hv/emul/absent.o hv/emul/implicit.o \
	hv/emul/operand.o hv/emul/store.o hv/emul/string.o hv/emul/stuck.o hv/emul/vector.o \
	hv/vm/combine.o \
	hv/vm/debug.o hv/vm/inject.o hv/vm/insn.o hv/vm/memory.o hv/vm/path.o \
	x86/decode.o x86/execute.o \
	x86/operand.o)
$(HV_TEST_DIR)/test_hv_vector: $(addprefix $(HV_TEST_DIR)/,tests/unit/test_hv_vector.o \
	hv/emul/vector_read.o)
$(HV_TEST_DIR)/test_hv_apic: $(addprefix $(HV_TEST_DIR)/,tests/unit/test_hv_apic.o \
	tests/unit/hv_fake.o hv/vm/apic.o)
$(HV_TEST_DIR)/test_hv_task: $(addprefix $(HV_TEST_DIR)/,tests/unit/test_hv_task.o \
	tests/unit/task_world.o tests/unit/hv_fake.o hv/vm/system_memory.o hv/vm/task.o hv/vm/task_segments.o \
	hv/vm/task_tss.o)

$(HV_TEST_BINS):
	$(CC) $(HV_TEST_CFLAGS) $^ -lcmocka -o $@

$(HV_TEST_DIR)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(HV_TEST_CFLAGS) -MMD -MP -c $< -o $@

$(HV_TEST_DIR)/%.o: %.S
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(HV_TEST_CFLAGS) -MMD -MP -c $< -o $@

-include $(wildcard $(addprefix $(HV_TEST_DIR)/,hv/*.d hv/*/*.d hv/*/*/*.d \
	lab/*.d tests/unit/*.d x86/*.d))

.PHONY: test-hv-units test-hv-errors
test-hv-units: $(HV_TEST_BINS)
	set -e; for t in $(HV_TEST_BINS); do $$t; done

test-hv-errors: $(B)/umbra-hv.bin $(B)/guest/vmlinuz
	tests/hv_errors.sh $(B)/umbra-hv.bin $(B)/guest/vmlinuz

TESTS += test-hv-units test-hv-errors
