# The decoder and the executor of x86/ against Zydis and against the processor. Optimized, since the
# counts are large: ZYDIS_COUNT encodings and NATIVE_COUNT executed cases, started by X86_SEED.

ZYDIS_COUNT  ?= 12000000
NATIVE_COUNT ?= 1500000
X86_SEED     ?= 1

X86_DIFF_DIR    := $(B)/tests/x86-differential
X86_DIFF_CFLAGS := -std=gnu11 -O2 -g -fsanitize=undefined -fno-sanitize-recover=all $(WARN)

X86_DIFF_OBJS := $(addprefix $(X86_DIFF_DIR)/x86/,decode.o execute.o operand.o)
ZYDIS_TEST_OBJS := $(X86_DIFF_OBJS) $(addprefix $(X86_DIFF_DIR)/tests/x86/, \
	test_zydis.o encoding.o refusal.o zydis_compare.o zydis_makers.o zydis_view.o)
NATIVE_TEST_OBJS := $(X86_DIFF_OBJS) $(addprefix $(X86_DIFF_DIR)/tests/x86/, \
	test_native.o native_address.o native_case.o native_enter.o native_flags.o native_forms.o \
	native_machine.o native_model.o)

$(X86_DIFF_DIR)/test_zydis: $(ZYDIS_TEST_OBJS)
	$(CC) $(X86_DIFF_CFLAGS) $^ -lZydis -o $@

$(X86_DIFF_DIR)/test_native: $(NATIVE_TEST_OBJS)
	$(CC) $(X86_DIFF_CFLAGS) $^ -o $@

$(X86_DIFF_DIR)/%.o: %.c | $(B)/.deps
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(X86_DIFF_CFLAGS) -MMD -MP -c $< -o $@

$(X86_DIFF_DIR)/%.o: %.S | $(B)/.deps
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -MMD -MP -c $< -o $@

-include $(sort $(ZYDIS_TEST_OBJS:.o=.d) $(NATIVE_TEST_OBJS:.o=.d))

.PHONY: test-x86-differential
test-x86-differential: $(X86_DIFF_DIR)/test_zydis $(X86_DIFF_DIR)/test_native
	$(X86_DIFF_DIR)/test_zydis $(ZYDIS_COUNT) $(X86_SEED)
	$(X86_DIFF_DIR)/test_native $(NATIVE_COUNT) $(X86_SEED)

TESTS += test-x86-differential
