# The umbra command (build/umbra), and the small program it lays into a guest to read its clock.

TOOLS_COMMON_SRC := \
	tools/bench_ops.c \
	tools/bench_report.c \
	tools/bench_results.c \
	tools/bench_rows.c \
	tools/bytes.c \
	tools/channels.c \
	tools/config.c \
	tools/cpio.c \
	tools/frame.c \
	tools/image.c \
	tools/kernel.c \
	tools/lines.c \
	tools/machine.c \
	tools/monitor.c \
	tools/options.c \
	tools/outcome.c \
	tools/paths.c \
	tools/qemu.c \
	tools/qmp.c \
	tools/say.c \
	tools/stats.c \
	tools/terminal.c
TOOLS_SRC := $(TOOLS_COMMON_SRC) tools/bench.c tools/bench_row.c tools/main.c tools/run.c

TOOLS_COMMON_OBJ := $(TOOLS_COMMON_SRC:%.c=$(B)/%.o)
TOOLS_OBJ := $(TOOLS_SRC:%.c=$(B)/%.o)
TOOLS_CPPFLAGS := -D_GNU_SOURCE
TOOLS_GUEST_CFLAGS := -std=c11 -O2 $(WARN) -ffreestanding -fno-pie -no-pie -fno-stack-protector \
	-nostdlib -static -s
TOOLS_LIBS := $(B)/libumbra.a -ljansson

ALL += $(B)/umbra $(B)/guest/bootclock

$(TOOLS_OBJ): $(B)/%.o: %.c tools/tools.mk | $(B)/.deps
	@mkdir -p $(@D)
	$(CC) -std=c11 $(WARN) $(CPPFLAGS) $(TOOLS_CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(B)/umbra: $(TOOLS_OBJ) $(B)/libumbra.a
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(TOOLS_OBJ) $(TOOLS_LIBS)

$(B)/guest/bootclock: tools/bootclock.c tools/tools.mk | $(B)/.deps
	@mkdir -p $(@D)
	$(CC) $(TOOLS_GUEST_CFLAGS) -o $@ $<

# Part of `make guests` (guest/i686.mk).
$(B)/guest/bootclock-i686: tools/bootclock.c tools/tools.mk | $(B)/.deps-guests
	@mkdir -p $(@D)
	$(CC) -m32 $(TOOLS_GUEST_CFLAGS) -o $@ $< -lgcc

-include $(TOOLS_OBJ:.o=.d)
include tests/tools/tools_tests.mk
