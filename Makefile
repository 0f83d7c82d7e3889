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

.DEFAULT_GOAL := all
.PHONY: all test run clean help install deps

include $(wildcard scripts/deps.mk)
include $(wildcard mmu/mmu.mk hv/hv.mk lab/lab.mk guest/guest.mk tools/tools.mk tests/tests.mk)

all: $(ALL)
test: $(TESTS)
run: all
	$(B)/umbra run
clean:
	rm -rf $(B)
help:
	@echo 'make            build the library, the hypervisor, the lab, the guest images and build/umbra'
	@echo 'make run        boot Linux under Umbra (a shell; without a terminal a short demonstration)'
	@echo 'make test       run every test'
	@echo 'make install    install the library and the command (PREFIX, DESTDIR)'
	@echo 'make clean      remove build/'
