# What the build and the tests need. `make deps` looks again whenever it is asked; the stamp
# $(B)/.deps, an order-only prerequisite, makes every build look once.

.PHONY: deps
deps:
	@scripts/deps

$(B)/.deps: scripts/deps
	@scripts/deps
	@mkdir -p $(@D)
	@touch $@
