/* SPDX-License-Identifier: MIT */
/*
 * The I/O ports that are not simply passed through: the monitor's own, and those that end the
 * machine or put it to sleep, so that statistics get out before, and sleep states that would lose
 * the hypervisor never begin.
 */
#include "hv/acpi.h"
#include "hv/arch/cpu.h"
#include "hv/core/init.h"
#include "hv/vm/debug.h"

#define MONITOR_PORTS 8u

/* Ports of the PC that reset it. */
#define PORT_KEYBOARD      0x64u /* command 0xfe pulses the reset line */
#define KEYBOARD_RESET     0xfeu
#define PORT_SYSTEM_A      0x92u /* bit 0 resets */
#define SYSTEM_A_RESET     0x01u
#define PORT_RESET_CONTROL 0xcf9u /* bit 2 resets */
#define RESET_CONTROL_GO   0x04u
#define PORT_DEBUG_EXIT    0xf4u

/* In the high byte of a PM1 control register. ACPI "PM1 Control Registers". */
#define SLP_EN        0x20u
#define SLP_TYP_SHIFT 2u
#define SLP_TYP_MASK  7u

static uint16_t monitor_port(void)
{
	return (uint16_t)option_number("monitor", MONITOR_DEFAULT_PORT, 0x100, 0xfff8);
}

void io_intercept_all(void)
{
	const struct acpi_power *power = &acpi_machine;

	vendor_intercept_ports(monitor_port(), MONITOR_PORTS);
	vendor_intercept_ports(PORT_KEYBOARD, 1);
	vendor_intercept_ports(PORT_SYSTEM_A, 1);
	vendor_intercept_ports(PORT_RESET_CONTROL, 1);
	vendor_intercept_ports(PORT_DEBUG_EXIT, 1);
	if (power->pm1a_cnt)
		vendor_intercept_ports(power->pm1a_cnt, 2);
	if (power->pm1b_cnt)
		vendor_intercept_ports(power->pm1b_cnt, 2);
	if (power->reset_port)
		vendor_intercept_ports(power->reset_port, 1);
}

/* Does @access touch @port? Then *@byte is what is written there. */
static bool writes_to(const struct io_access *access, uint32_t value, unsigned port, uint8_t *byte)
{
	unsigned offset = port - access->port;

	if (offset >= access->n_bytes)
		return false;
	*byte = (uint8_t)(value >> 8 * offset);
	return true;
}

static bool touches_monitor(const struct io_access *access)
{
	unsigned first = monitor_port();

	return access->port + access->n_bytes > first && access->port < first + MONITOR_PORTS;
}

enum sleep {
	SLEEP_NO,
	SLEEP_OFF,
	SLEEP_OTHER, /* S1 to S4: memory and processors come back without a hypervisor */
};

static enum sleep sleep_of(const struct io_access *access, uint32_t value)
{
	const struct acpi_power *power = &acpi_machine;
	uint16_t ports[] = {power->pm1a_cnt, power->pm1b_cnt};
	uint8_t off_types[] = {power->s5_typ_a, power->s5_typ_b};
	uint8_t high;

	for (unsigned i = 0; i < 2; i++) {
		if (!ports[i] || !writes_to(access, value, ports[i] + 1u, &high) ||
			!(high & SLP_EN))
			continue;
		if (power->has_s5 && (high >> SLP_TYP_SHIFT & SLP_TYP_MASK) == off_types[i])
			return SLEEP_OFF;
		return SLEEP_OTHER;
	}
	return SLEEP_NO;
}

static bool is_reset(const struct io_access *access, uint32_t value)
{
	uint8_t byte;

	if (writes_to(access, value, PORT_KEYBOARD, &byte) && byte == KEYBOARD_RESET)
		return true;
	if (writes_to(access, value, PORT_SYSTEM_A, &byte) && byte & SYSTEM_A_RESET)
		return true;
	/* A wider write that begins below is PCI's configuration address, not this register. */
	if (access->port == PORT_RESET_CONTROL && value & RESET_CONTROL_GO)
		return true;
	return acpi_machine.reset_port && acpi_machine.reset_port != PORT_RESET_CONTROL &&
	       writes_to(access, value, acpi_machine.reset_port, &byte) &&
	       byte == acpi_machine.reset_value;
}

static void do_out(struct vcpu *vcpu, const struct io_access *access, uint32_t value)
{
	uint8_t byte;

	if (touches_monitor(access))
		return;
	switch (sleep_of(access, value)) {
	case SLEEP_OTHER:
		log_line("log",
			"the guest asked for a sleep state (%x to port %x); refused: only "
			"power-off works under "
			"the hypervisor",
			value, access->port);
		return;
	case SLEEP_OFF:
		stats_report(vcpu, "poweroff");
		break;
	case SLEEP_NO:
		if (is_reset(access, value))
			stats_report(vcpu, "reset");
		else if (writes_to(access, value, PORT_DEBUG_EXIT, &byte))
			stats_report(vcpu, "debug-exit");
		break;
	}
	monitor_drain();
	port_out(access->port, access->n_bytes, value);
}

static void do_in(struct vcpu *vcpu, const struct io_access *access)
{
	uint32_t value =
		touches_monitor(access) ? UINT32_MAX : port_in(access->port, access->n_bytes);
	struct x86_insn as_al = {.rex = true};

	x86_gpr_write(&as_al, vcpu->gpr, X86_RAX, access->n_bytes, value);
}

void exit_io(struct vcpu *vcpu)
{
	struct io_access access = vendor_io_access(vcpu);

	if (access.string) {
		log_line("log",
			"INS or OUTS on port %x, which the hypervisor watches, is not supported: "
			"#GP",
			access.port);
		inject_exception(vcpu, X86_GP, 0);
		return;
	}
	if (access.in)
		do_in(vcpu, &access);
	else
		do_out(vcpu, &access, (uint32_t)vcpu->gpr[X86_RAX]);
	vendor_advance(vcpu, (unsigned)(access.next_rip - vcpu->exit.rip));
	debug_access(vcpu, DEBUG_PORT, access.port, access.n_bytes);
}
