# What the build and the tests need. make makes an included file before anything else: so the stamp
# $(B)/.deps is here when the first rule runs. `make deps` looks again whenever it is asked.

.PHONY: deps
deps:
	@scripts/deps

$(B)/.deps: scripts/deps
	@scripts/deps
	@mkdir -p $(@D)
	@: > $@

ifneq ($(filter-out clean help deps,$(or $(MAKECMDGOALS),all)),)
include $(B)/.deps
endif
