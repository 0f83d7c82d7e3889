# What a resync costs: the library as it is shipped, without assertions and sanitizers.

COST_DIR  := $(B)/tests/cost
COST_OBJS := $(addprefix $(COST_DIR)/tests/unit/,test_mmu_cost.o mmu_host.o mmu_processor.o mmu_guest.o)

$(COST_DIR)/%.o: %.c | $(B)/.deps
	@mkdir -p $(@D)
	@$(CC) $(CPPFLAGS) -std=gnu11 -O2 -g -fno-strict-aliasing $(WARN) -MMD -MP -c $< -o $@

$(COST_DIR)/test_mmu_cost: $(COST_OBJS) $(B)/libumbra.a
	@$(CC) $^ -lcmocka -o $@

-include $(COST_OBJS:.o=.d)

.PHONY: test-mmu-cost
test-mmu-cost: $(COST_DIR)/test_mmu_cost
	@timeout 60 $<

TESTS += test-mmu-cost
