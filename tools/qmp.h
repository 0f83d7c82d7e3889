/* SPDX-License-Identifier: MIT */
/*
 * QEMU's machine protocol, as much of it as we need: why the machine stopped, QEMU's version, and
 * an NMI into the guest.
 */
#ifndef TOOLS_QMP_H
#define TOOLS_QMP_H

#include "tools/bytes.h"

#include <stdbool.h>

/* All zero is a connection on which nothing has come yet. */
struct qmp {
	bool ready; /* QEMU's main loop answers: the machine was built and runs */
	bool nmi_wanted;
	bool nmi_under_way;
	char version[32];   /* "7.2.22"; "" until ready */
	char shutdown[32];  /* QEMU's reason, as "guest-reset"; "" if none was given */
	unsigned n_rounds;  /* of QEMU's main loop that the NMI under way has waited */
	struct bytes *line; /* to QEMU; set by the owner */
	int serial;         /* our end of the line that an NMI comes after; set by the owner */
};

/* Read one line from QEMU. What is no JSON or says nothing to us is ignored. */
void qmp_line(struct qmp *qmp, const char *line);

/*
 * Inject an NMI, after all that was written before this call to @qmp->serial has reached
 * the serial port behind it.
 */
void qmp_inject_nmi(struct qmp *qmp);

#endif
