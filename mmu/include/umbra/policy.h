/* SPDX-License-Identifier: MIT */
/*
 * Every optimisation is a run-time choice, so that its effect can be measured with everything else
 * equal. None of them changes what the guest can see.
 */
#ifndef UMBRA_POLICY_H
#define UMBRA_POLICY_H

#include "umbra/types.h"

enum umbra_oos {
	UMBRA_OOS_OFF,  /* guest tables are always write-protected */
	UMBRA_OOS_LEAF, /* last-level tables may be written without exits until the next flush */
	UMBRA_OOS_ALL,  /* tables of every level may */
};

enum umbra_replace {
	UMBRA_REPLACE_CLOCK, /* second chance on use, cheapest to rebuild first */
	UMBRA_REPLACE_FIFO,  /* oldest first */
};

/* What is done about a store into a guest table. */
enum umbra_write {
	UMBRA_WRITE_AUTO,    /* what costs least, as far as can be known: docs/MMU.md */
	UMBRA_WRITE_UNSYNC,  /* the table goes out of sync, where `oos` lets it, else as EMULATE */
	UMBRA_WRITE_EMULATE, /* the host performs each store; no table goes out of sync */
	UMBRA_WRITE_ZAP,     /* the table is given up each time; no table goes out of sync */
};

struct umbra_policy {
	bool cache; /* keep shadows across CR3 loads; off forgets all at each */
	bool large; /* map 2M shadow pages where guest and slots allow it */
	enum umbra_write write;
	enum umbra_oos oos; /* tables that may go out of sync */
	bool snapshot;      /* a resync compares with the entries that the shadow was made from,
			       and touches what differs; off forgets at a flush all of a table that
			       was written */
	unsigned sticky;    /* flushes in a row that may find an unsync table unchanged; at
			       the next it is write-protected again */
	bool elide;         /* pass on no flush where no translation has lost anything since the
			       last one */
	unsigned prefetch;  /* entries looked at around a leaf fault, a power of two, 0 to 512;
			       1 to 8 are 8 */
	unsigned pool;      /* shadow pages; 0 means as many as the memory given holds */
	enum umbra_replace replace;
	unsigned audit; /* run the whole audit after every audit-th event, 0: never; slow */
};

/* What umbra_policy_parse() begins from and what a zeroed configuration does NOT mean. */
extern const struct umbra_policy umbra_policy_default;

/*
 * Change @policy by @text, "key=value,key=value" (e.g. "cache=off,prefetch=8,oos=leaf").
 * An empty text is fine. Returns UMBRA_OK, or UMBRA_BAD_ARG with a sentence for the user in
 * @why (at most @why_bytes with the final NUL) that names the key and what it would accept; then
 * @policy is unchanged.
 */
UMBRA_MUST_CHECK enum umbra_status umbra_policy_parse(
	struct umbra_policy *policy, const char *text, char *why, size_t why_bytes);

/* One line a key for a help text: "cache=on|off  keep shadow pages ...", NULL past the last. */
const char *umbra_policy_help(unsigned index);

#endif
