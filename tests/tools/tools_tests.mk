# Tests of the umbra command: its parts, and all of it with a stand-in for QEMU. Under sanitizers.

TOOLS_TEST_DIR := $(B)/tests/tools
TOOLS_TEST_NAMES := bench files frame protocols text
TOOLS_TEST_BIN := $(TOOLS_TEST_NAMES:%=$(TOOLS_TEST_DIR)/test_%)
TOOLS_SANITIZE := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all
TOOLS_TEST_CC := $(CC) -std=c11 $(WARN) $(CPPFLAGS) $(TOOLS_CPPFLAGS) $(TOOLS_SANITIZE)

TOOLS_TEST_COMMON_OBJ := $(TOOLS_COMMON_SRC:tools/%.c=$(TOOLS_TEST_DIR)/%.o)
TOOLS_TEST_OBJ := $(TOOLS_SRC:tools/%.c=$(TOOLS_TEST_DIR)/%.o)

TESTS += test-tools
.PHONY: test-tools

$(TOOLS_TEST_OBJ): tools/tools.mk tests/tools/tools_tests.mk
$(TOOLS_TEST_OBJ): $(TOOLS_TEST_DIR)/%.o: tools/%.c | $(B)/.deps
	@mkdir -p $(@D)
	$(TOOLS_TEST_CC) -MMD -MP -c -o $@ $<

$(TOOLS_TEST_BIN): tests/tools/check.h $(TOOLS_TEST_COMMON_OBJ) $(B)/libumbra.a
$(TOOLS_TEST_BIN): $(TOOLS_TEST_DIR)/test_%: tests/tools/test_%.c
	$(TOOLS_TEST_CC) -o $@ $< $(TOOLS_TEST_COMMON_OBJ) $(TOOLS_LIBS) -lcmocka

$(TOOLS_TEST_DIR)/umbra: $(TOOLS_TEST_OBJ) $(B)/libumbra.a
	$(TOOLS_TEST_CC) -o $@ $(TOOLS_TEST_OBJ) $(TOOLS_LIBS)

$(TOOLS_TEST_DIR)/fake_qemu: tests/tools/fake_qemu.c tests/tools/tools_tests.mk | $(B)/.deps
	@mkdir -p $(@D)
	$(TOOLS_TEST_CC) -o $@ $<

test-tools: $(TOOLS_TEST_BIN) $(TOOLS_TEST_DIR)/umbra $(TOOLS_TEST_DIR)/fake_qemu
	@for test in $(TOOLS_TEST_BIN); do \
		$$test > $$test.log 2>&1 || { cat $$test.log; exit 1; }; \
	done
	@tests/tools/test_command.sh $(TOOLS_TEST_DIR)/umbra $(TOOLS_TEST_DIR)/fake_qemu

-include $(TOOLS_TEST_OBJ:.o=.d)
