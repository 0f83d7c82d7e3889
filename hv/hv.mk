# The hypervisor: build/umbra-hv.elf for a debugger, build/umbra-hv.bin (multiboot 1) to load.

-include hv/arch/svm/svm.mk
-include hv/vm/vm.mk

HV_SRCS += \
	hv/acpi.c \
	hv/boot/entry.S \
	hv/boot/main.c \
	hv/boot/multiboot1.c \
	hv/boot/paging.c \
	hv/boot/relocate.c \
	hv/core/cpu.c \
	hv/core/format.c \
	hv/core/frames.c \
	hv/core/memory_map.c \
	hv/core/monitor.c \
	hv/core/options.c \
	hv/core/panic.c \
	hv/core/string.c \
	hv/core/trap.c \
	hv/core/trap_entry.S \
	hv/guest/linux.c \
	hv/guest/linux_image.c \
	hv/guest/multiboot.c \
	hv/guest/multiboot_image.c

# No SSE (its registers are the guest's), no red zone (traps use the current stack).
HV_CFLAGS := -std=gnu11 -O2 -g -flto=auto -ffreestanding -fno-pic -fno-pie -mcmodel=kernel \
	-mgeneral-regs-only -mno-red-zone -fno-stack-protector -fcf-protection=none \
	-fno-asynchronous-unwind-tables -fno-strict-aliasing $(WARN)
HV_LDFLAGS := -nostdlib -static -Wl,-T,hv/boot/image.ld -Wl,--build-id=none \
	-Wl,-z,noexecstack -Wl,-z,max-page-size=4096 -Wl,--no-warn-rwx-segments

HV_OBJS := $(addprefix $(B)/hv/,$(addsuffix .o,$(basename $(HV_SRCS))))

$(B)/hv/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(HV_CFLAGS) -MMD -MP -c $< -o $@

$(B)/hv/%.o: %.S
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(HV_CFLAGS) -MMD -MP -c $< -o $@

$(B)/umbra-hv.elf: $(HV_OBJS) hv/boot/image.ld
	$(CC) $(HV_CFLAGS) $(HV_LDFLAGS) $(HV_OBJS) -o $@

$(B)/umbra-hv.bin: $(B)/umbra-hv.elf
	objcopy -O binary $< $@

-include $(HV_OBJS:.o=.d)
-include tests/unit/hv_core.mk

ALL += $(B)/umbra-hv.bin
