# libumbra: freestanding. MMU_SRCS is what the hypervisor and the lab compile with flags of their own.

MMU_SRCS := $(addprefix mmu/src/, api.c audit.c fast.c fault.c flood.c flush.c gpte.c large.c mode.c page.c policy.c reclaim.c \
	root.c set.c slot.c spte.c stats.c store.c sync.c sync_entry.c track.c tree.c unsync.c verdict.c walk.c write.c)
MMU_OBJS := $(MMU_SRCS:%.c=$(B)/%.o)
MMU_CFLAGS := -std=c11 -ffreestanding -fno-strict-aliasing

$(MMU_OBJS): $(B)/%.o: %.c | $(B)/.deps
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(MMU_CFLAGS) $(WARN) -MMD -c -o $@ $<

$(B)/libumbra.a: $(MMU_OBJS)
	@rm -f $@
	$(AR) rcs $@ $^

-include $(MMU_OBJS:.o=.d)
ALL += $(B)/libumbra.a
