# The enumeration: build/lab/umbra-enum, compiled for speed, with the library's assertions on.

ENUM_SRCS := $(addprefix lab/, enum_main.c enum_check.c enum_hw.c enum_regs.c enum_scene.c \
	enum_space.c enum_world.c fail.c oracle.c)
ENUM_OBJS := $(ENUM_SRCS:lab/%.c=$(B)/lab/enum/%.o) $(MMU_SRCS:mmu/src/%.c=$(B)/lab/enum/mmu/%.o)
ENUM_FLAGS := -std=gnu11 -O3 -g -DUMBRA_DEBUG=1 -fno-strict-aliasing

$(B)/lab/enum/mmu/%.o: mmu/src/%.c | $(B)/.deps
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(ENUM_FLAGS) $(WARN) -MMD -c -o $@ $<
$(B)/lab/enum/%.o: lab/%.c | $(B)/.deps
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(ENUM_FLAGS) $(WARN) -MMD -c -o $@ $<

$(B)/lab/umbra-enum: $(ENUM_OBJS)
	$(CC) -o $@ $^

-include $(ENUM_OBJS:.o=.d)

ALL   += $(B)/lab/umbra-enum
TESTS += test-enum
.PHONY: test-enum

# All of it, half on each of two processors.
test-enum: $(B)/lab/umbra-enum
	@$< --part 1/2 > $(B)/lab/enum1.log 2>&1 & first=$$!; \
	$< --part 2/2 > $(B)/lab/enum2.log 2>&1; second=$$?; \
	wait $$first; first=$$?; \
	if [ $$first -eq 0 ] && [ $$second -eq 0 ]; then \
		tail -q -n 1 $(B)/lab/enum1.log $(B)/lab/enum2.log; \
	else cat $(B)/lab/enum1.log $(B)/lab/enum2.log; false; fi
