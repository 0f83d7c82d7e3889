/* SPDX-License-Identifier: MIT */
/*
 * NMI and SMI. An NMI is either the host's way of saying that the monitor has a request, or the
 * guest's.
 */
#include "hv/vm/vcpu.h"

/* Answer what waits at the monitor. Returns false if nothing did. */
static bool serve_monitor(struct vcpu *vcpu)
{
	bool served = false;
	const char *line;

	while ((line = monitor_poll()) != NULL) {
		served = true;
		if (strcmp(line, "stats") == 0)
			stats_report(vcpu, "request");
		else
			log_line("log", "unknown request '%s'; there is: stats", line);
	}
	return served;
}

void exit_nmi(struct vcpu *vcpu)
{
	struct vendor_event nmi = {.type = EVENT_NMI, .vector = X86_NMI};

	vendor_window();
	/* The processor does not hold further NMIs back for an injected one until IRET; the guest's
	 * own handler must bear that, as it must bear an NMI in a nested exception. */
	if (!serve_monitor(vcpu))
		vendor_inject(vcpu, &nmi);
}

void exit_smi(struct vcpu *vcpu)
{
	(void)vcpu;
	vendor_window();
}
