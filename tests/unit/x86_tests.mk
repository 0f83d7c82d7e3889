# Unit tests of x86/: the decoder's tables and the emulated instructions, under AddressSanitizer and
# UndefinedBehaviorSanitizer.

X86_TEST_CFLAGS := -std=gnu11 -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all $(WARN)

X86_TEST_DIR  := $(B)/tests/x86
X86_TEST_BINS := $(addprefix $(X86_TEST_DIR)/,test_decode test_execute)
X86_TEST_OBJS := $(addprefix $(X86_TEST_DIR)/x86/,decode.o execute.o operand.o)

$(X86_TEST_BINS): $(X86_TEST_DIR)/%: $(X86_TEST_DIR)/tests/unit/%.o $(X86_TEST_OBJS)
	$(CC) $(X86_TEST_CFLAGS) $^ -lcmocka -o $@

$(X86_TEST_DIR)/%.o: %.c | $(B)/.deps
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(X86_TEST_CFLAGS) -MMD -MP -c $< -o $@

-include $(wildcard $(addprefix $(X86_TEST_DIR)/,x86/*.d tests/unit/*.d))

.PHONY: test-x86-units
test-x86-units: $(X86_TEST_BINS)
	set -e; for t in $(X86_TEST_BINS); do $$t; done

TESTS += test-x86-units
