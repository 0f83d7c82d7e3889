# Tests that belong to no program of their own: the library's units, and the code in the documents.

include tests/unit/mmu_tests.mk
include tests/unit/mmu_cost.mk
include tests/unit/port_example.mk
include tests/x86/differential.mk
include tests/system/system_tests.mk
include tests/guest/guest_tests.mk
include tests/bochs/bochs_tests.mk
