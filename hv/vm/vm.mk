# The virtual machine: exit loop, exit families, the MMU library and its host.

HV_SRCS += \
	hv/host.c \
	hv/emul/absent.c \
	hv/emul/implicit.c \
	hv/emul/operand.c \
	hv/emul/store.c \
	hv/emul/string.c \
	hv/emul/stuck.c \
	hv/emul/vector.c \
	hv/emul/vector_read.S \
	hv/vm/apic.c \
	hv/vm/clock.c \
	hv/vm/control.c \
	hv/vm/combine.c \
	hv/vm/cpuid.c \
	hv/vm/cr.c \
	hv/vm/debug.c \
	hv/vm/fault.c \
	hv/vm/inject.c \
	hv/vm/insn.c \
	hv/vm/invlpg.c \
	hv/vm/io.c \
	hv/vm/keys.c \
	hv/vm/loop.c \
	hv/vm/measure.c \
	hv/vm/memory.c \
	hv/vm/msr.c \
	hv/vm/nested.c \
	hv/vm/nmi.c \
	hv/vm/paging.c \
	hv/vm/path.c \
	hv/vm/refuse.c \
	hv/vm/report.c \
	hv/vm/site.c \
	hv/vm/stats.c \
	hv/vm/system_memory.c \
	hv/vm/task.c \
	hv/vm/task_segments.c \
	hv/vm/task_tss.c \
	hv/vm/vm.c \
	hv/vm/vmmcall.c \
	hv/vm/walk.c \
	x86/decode.c \
	x86/execute.c \
	x86/operand.c \
	$(MMU_SRCS)

-include tests/unit/x86_tests.mk
