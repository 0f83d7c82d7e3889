# The hypervisor under Bochs, whose SVM raises an exit at task switches. Not part of `make test`: it
# needs Bochs and GRUB.

.PHONY: test-bochs
test-bochs: $(B)/umbra-hv.bin $(B)/guest/paging-test.elf
	@scripts/deps bochs
	tests/bochs/run.sh $(B)
