# Unit tests of libumbra: its sources with assertions on, under AddressSanitizer and
# UndefinedBehaviorSanitizer, in a small host of their own (tests/unit/mmu_host.h).

MMU_TEST_CFLAGS := -std=gnu11 -O1 -g -DUMBRA_DEBUG=1 -fno-strict-aliasing -fno-omit-frame-pointer \
	-fsanitize=address,undefined -fno-sanitize-recover=all $(WARN)

MMU_TEST_DIR  := $(B)/tests/mmu
MMU_TESTS     := $(addprefix test_mmu_,policy slot walk rmap tree fault flush sync write store store_upper exchange track track_kinds decide again flood reclaim root audit \
	modes narrow halves pae mixed keys elide tags large unsync dirty rules random)
MMU_TEST_BINS := $(MMU_TESTS:%=$(MMU_TEST_DIR)/%)
MMU_TEST_OBJS := $(addprefix $(MMU_TEST_DIR)/,$(MMU_SRCS:.c=.o) \
	$(addprefix tests/unit/mmu_,host.o processor.o guest.o))

$(MMU_TEST_BINS): $(MMU_TEST_DIR)/%: $(MMU_TEST_DIR)/tests/unit/%.o $(MMU_TEST_OBJS)
	@$(CC) $(MMU_TEST_CFLAGS) $^ -lcmocka -o $@

$(MMU_TEST_DIR)/%.o: %.c | $(B)/.deps
	@mkdir -p $(@D)
	@$(CC) $(CPPFLAGS) $(MMU_TEST_CFLAGS) -MMD -MP -c $< -o $@

-include $(MMU_TEST_OBJS:.o=.d) $(MMU_TESTS:%=$(MMU_TEST_DIR)/tests/unit/%.d)

# A line for each that passes, all it said of each that does not.
.PHONY: test-mmu-units
test-mmu-units: $(MMU_TEST_BINS)
	@failed=0; for t in $(MMU_TESTS); do \
		log=$(MMU_TEST_DIR)/$$t.log; \
		if timeout 300 $(MMU_TEST_DIR)/$$t > $$log 2>&1; then \
			echo "$$t: $$(sed -n 's/^\[  PASSED  \] //p' $$log)"; \
		else \
			cat $$log; failed=1; \
		fi; \
	done; exit $$failed

TESTS += test-mmu-units
