# Unit tests of x86/: the decoder's tables, operands, and the emulated instructions, under
# AddressSanitizer and UndefinedBehaviorSanitizer.

X86_TEST_CFLAGS := -std=gnu11 -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all $(WARN)

X86_TEST_DIR  := $(B)/tests/x86
X86_TEST_BINS := $(addprefix $(X86_TEST_DIR)/,test_decode test_operand test_execute)
X86_TEST_OBJS := $(addprefix $(X86_TEST_DIR)/x86/,decode.o execute.o operand.o)

$(X86_TEST_BINS): $(X86_TEST_DIR)/%: $(X86_TEST_DIR)/tests/unit/%.o $(X86_TEST_OBJS)
	$(CC) $(X86_TEST_CFLAGS) $^ -lcmocka -o $@

$(X86_TEST_DIR)/%.o: %.c | $(B)/.deps
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(X86_TEST_CFLAGS) -MMD -MP -c $< -o $@

# Its cost, compiled as for the hypervisor.
$(X86_TEST_DIR)/test_x86_cost: tests/unit/test_x86_cost.c \
		$(addprefix x86/,decode.c execute.c operand.c) $(wildcard x86/*.h) | $(B)/.deps
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -std=gnu11 -O2 -fno-pie -no-pie -mgeneral-regs-only -fno-strict-aliasing \
		-fno-stack-protector -fcf-protection=none $(WARN) $(filter %.c,$^) -lcmocka -o $@

-include $(wildcard $(addprefix $(X86_TEST_DIR)/,x86/*.d tests/unit/*.d))

.PHONY: test-x86-units
test-x86-units: $(X86_TEST_BINS) $(X86_TEST_DIR)/test_x86_cost
	set -e; for t in $^; do $$t; done

TESTS += test-x86-units
