# AMD's virtualization extension.

HV_SRCS += \
	hv/arch/svm/enter.S \
	hv/arch/svm/event.c \
	hv/arch/svm/exit.c \
	hv/arch/svm/fast.c \
	hv/arch/svm/flush.c \
	hv/arch/svm/init.c \
	hv/arch/svm/run.c \
	hv/arch/svm/shadow_regs.c \
	hv/arch/svm/task.c
