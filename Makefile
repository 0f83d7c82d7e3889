# Umbra. `make run` boots Linux under it, `make test` runs every test; `make help` lists the rest.
# Sources are listed explicitly in the fragment of each folder; all output goes under $(B).

B    := build
ifeq ($(origin CC),default)
CC   := gcc
endif
WARN := -Wall -Wextra -Wconversion -Wshadow -Werror
CPPFLAGS += -I. -Immu/include
CFLAGS   ?= -O2 -g
ALL   :=
TESTS :=
# One version, in the public header.
UMBRA_VERSION := $(shell sed -n 's/^.define UMBRA_VERSION "\(.*\)"/\1/p' mmu/include/umbra/umbra.h)

.DEFAULT_GOAL := all
.PHONY: all test run clean help install deps

include scripts/deps.mk
include mmu/mmu.mk hv/hv.mk lab/lab.mk guest/guest.mk tools/tools.mk tests/tests.mk

all: $(ALL)
test: $(TESTS)
run: all
	$(B)/umbra run

# The library (static, headers, pkg-config) and the command with the files it starts.
PREFIX  ?= /usr/local
DATA    := $(DESTDIR)$(PREFIX)/share/umbra
install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib/pkgconfig \
		$(DESTDIR)$(PREFIX)/include/umbra $(DATA)/guest
	install -m 755 $(B)/umbra $(DESTDIR)$(PREFIX)/bin/
	install -m 644 $(B)/libumbra.a $(DESTDIR)$(PREFIX)/lib/
	install -m 644 mmu/include/umbra/*.h $(DESTDIR)$(PREFIX)/include/umbra/
	install -m 644 $(B)/umbra-hv.bin $(DATA)/
	install -m 644 $(addprefix $(B)/guest/,vmlinuz initrd.cpio.gz paging-test.elf) $(DATA)/guest/
	install -m 755 $(B)/guest/bootclock $(DATA)/guest/
	for file in $(wildcard $(GUESTS)); do install -m 644 $$file $(DATA)/guest/; done
	printf '%s\n' 'Name: umbra' 'Description: the x86 MMU in software (shadow paging)' \
		'Version: $(UMBRA_VERSION)' 'Cflags: -I$(PREFIX)/include' \
		'Libs: -L$(PREFIX)/lib -lumbra' > $(DESTDIR)$(PREFIX)/lib/pkgconfig/umbra.pc

clean:
	rm -rf $(B)
help:
	@echo 'make            build the library, the hypervisor, the lab, the guest images and build/umbra'
	@echo 'make run        boot Linux under Umbra (a shell; without a terminal a short demonstration)'
	@echo 'make test       run every test'
	@echo 'make guests     also the 32-bit guests: umbra run --kernel i686-pae, or i686; memtest86+'
	@echo 'make test-guests  boot kernels of every paging mode, under all kinds of paging'
	@echo 'make test-stress  Linux under load for ten minutes, audited (STRESS_SECONDS, STRESS_POLICY)'
	@echo 'make fuzz       look for new inputs that break the lab (FUZZ_SECONDS)'
	@echo 'make test-bochs task switches, on Bochs'
	@echo 'make install    install the library and the command (PREFIX, DESTDIR)'
	@echo 'make clean      remove build/'
