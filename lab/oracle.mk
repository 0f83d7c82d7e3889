# The reference walker and the model of legal outcomes: ORACLE_SRC for the lab, and their unit tests,
# which run under AddressSanitizer and UBSan; with them the one of the lab's TLB.

ORACLE_SRC := lab/oracle.c lab/history.c lab/stale.c lab/legal_search.c lab/legal.c

ORACLE_B     := $(B)/lab/oracle-test
ORACLE_FLAGS := -std=c11 -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all
ORACLE_OBJ   := $(ORACLE_SRC:%.c=$(ORACLE_B)/%.o)
ORACLE_TESTS := test_oracle test_oracle_walk test_oracle_second test_history test_legal test_legal_pages test_legal_ad \
                test_legal_pcid test_legal_tce test_legal_sim test_tlb
ORACLE_BIN   := $(ORACLE_TESTS:%=$(ORACLE_B)/%)

$(ORACLE_B)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(ORACLE_FLAGS) $(WARN) -MMD -MP -c -o $@ $<

$(ORACLE_BIN): $(ORACLE_B)/%: $(ORACLE_B)/tests/unit/%.o $(ORACLE_OBJ)
	$(CC) $(ORACLE_FLAGS) -o $@ $^ -lcmocka

$(ORACLE_B)/test_oracle $(ORACLE_B)/test_oracle_walk: $(ORACLE_B)/tests/unit/oracle_world.o
$(ORACLE_B)/test_oracle_second: $(ORACLE_B)/lab/enum_hw.o $(ORACLE_B)/lab/fail.o
$(ORACLE_B)/test_legal $(ORACLE_B)/test_legal_pages $(ORACLE_B)/test_legal_ad $(ORACLE_B)/test_legal_pcid \
	$(ORACLE_B)/test_legal_tce: \
	$(ORACLE_B)/tests/unit/legal_world.o
$(ORACLE_B)/test_legal_sim: $(ORACLE_B)/tests/unit/legal_machine.o
$(ORACLE_B)/test_tlb: $(ORACLE_B)/lab/tlb.o

.PHONY: $(ORACLE_TESTS:%=run-%)
$(ORACLE_TESTS:%=run-%): run-%: $(ORACLE_B)/%
	$<

TESTS += $(ORACLE_TESTS:%=run-%)

-include $(wildcard $(ORACLE_B)/lab/*.d $(ORACLE_B)/tests/unit/*.d)
