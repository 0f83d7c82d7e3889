# AMD's virtualization extension.

HV_SRCS += \
	hv/arch/svm/enter.S \
	hv/arch/svm/exit.c \
	hv/arch/svm/init.c \
	hv/arch/svm/run.c
