# The code in the documents: docs/port_example.c is built and run, the C of README.md has to compile.

.PHONY: test-docs
test-docs: $(B)/tests/port_example
	@$<
	@sed -n '/^```c$$/,/^```$$/{/^```/!p;}' README.md | \
		$(CC) -std=c11 $(CPPFLAGS) $(WARN) -fsyntax-only -x c -

$(B)/tests/port_example: docs/port_example.c $(B)/libumbra.a | $(B)/.deps
	@mkdir -p $(@D)
	$(CC) -std=c11 $(CPPFLAGS) $(CFLAGS) $(WARN) -MMD -o $@ $< $(B)/libumbra.a

-include $(B)/tests/port_example.d

TESTS += test-docs
