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

/*
 * The processor holds an intercepted NMI pending. One that is the guest's is not injected, since
 * that would not block the next one: the processor delivers it itself.
 */
void exit_nmi(struct vcpu *vcpu)
{
	if (vendor_nmi_returns(vcpu))
		return;
	if (serve_monitor(vcpu))
		(void)vendor_window();
	else
		vendor_pass_nmi(vcpu);
}

void exit_smi(struct vcpu *vcpu)
{
	struct vendor_event nmi = {.type = EVENT_NMI, .vector = X86_NMI};

	/* An NMI that came together with the SMI is lost to the window. It is injected then, which
	 * is nearly right: what is missing is that it blocks the next one. */
	if (vendor_window() && !serve_monitor(vcpu))
		vendor_inject(vcpu, &nmi);
}
