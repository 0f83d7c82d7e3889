/* SPDX-License-Identifier: MIT */
/*
 * What a run of the lab is: the machine, the library's policy, the guest and its seed. Prints as
 * one line of key=value words, the same in --replay and at the top of a trace.
 */
#ifndef LAB_CONFIG_H
#define LAB_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LAB_MAX_VCPUS    4u
#define LAB_CONFIG_BYTES 512u

/* What makes the steps of a run. */
enum lab_guest {
	LAB_GUEST_RANDOM, /* random tables and accesses */
	LAB_GUEST_OS, /* a little operating system: fork, demand paging, copy on write, reclaim */
};

/* What the little operating system does most. */
enum lab_life {
	LAB_LIFE_ALL,
	LAB_LIFE_CROWD,  /* many processes, whose kernel tables change */
	LAB_LIFE_LARGE,  /* large pages of memory in which tables come and go */
	LAB_LIFE_SWITCH, /* from process to process, nothing else changes */
	LAB_LIFE_RELOAD, /* loads of the same CR3 */
	LAB_LIFE_INVLPG, /* of what nothing was taken of */
	LAB_LIFE_COUNT,
};

/* The paging modes a guest uses. */
enum lab_mode {
	LAB_MODE_4LEVEL,
	LAB_MODE_UNPAGED,
	LAB_MODE_MIXED, /* switches between all of them */
	LAB_MODE_2LEVEL,
	LAB_MODE_PAE,
	LAB_MODE_5LEVEL,
	LAB_MODE_COUNT,
};

/* Ways to make the machine misbehave, so that the lab can be shown to notice. */
enum lab_sabotage {
	LAB_SABOTAGE_NONE,
	LAB_SABOTAGE_DROP_FLUSH,     /* flush_tlb() does nothing */
	LAB_SABOTAGE_DROP_FLUSH_GVA, /* flush_gva() does nothing */
	LAB_SABOTAGE_SKIP_NOTE,      /* the model is not told of guest stores */
	LAB_SABOTAGE_STRAY_WRITE,    /* a shadow entry becomes writable behind the library's back */
	LAB_SABOTAGE_WRONG_FRAME,    /* a shadow entry maps the next frame */
	LAB_SABOTAGE_LOSE_DIRTY,     /* D bits of guest tables vanish */
	LAB_SABOTAGE_WRONG_KEY,      /* a shadow entry has another protection key */
	LAB_SABOTAGE_STUCK_PDPTES,   /* the CPU loads PDPTEs only together with a root */
	LAB_SABOTAGE_DROP_FLUSH_TAG, /* flush_tag() does nothing */
	LAB_SABOTAGE_IGNORE_TAGS,    /* the CPU uses what is cached under any tag */
	LAB_SABOTAGE_KEEP_DIRTY,     /* flushes spare translations that can be written through */
	LAB_SABOTAGE_NEVER_DIRTY,    /* the CPU does not set D in the shadow tables */
	LAB_SABOTAGE_UNTOLD,         /* who tracks a frame is not told of a store */
	LAB_SABOTAGE_NEIGHBOUR, /* a store of part of an entry changes the next one's shadow too */
	LAB_N_SABOTAGES,
};

struct lab_config {
	uint64_t seed;
	uint64_t steps;
	enum lab_guest guest;
	enum lab_life life;
	enum lab_mode mode;
	enum lab_sabotage sabotage;
	unsigned vcpus;
	unsigned audit_every; /* steps between audits; 0 means never */
	unsigned pool;        /* pages of shadow tables */
	bool absent_page;     /* reads of absent memory are mapped to a page of 0xff */
	bool no_1g;
	unsigned maxphyaddr; /* of the guest's processor, 36 to 52 */
	unsigned tags;       /* address-space tags of a CPU */
	unsigned unshadow; /* of a hundred stores that the host is asked to make, so many it cannot
			    */
	bool flush_tag;    /* the host can flush one tag, one address */
	bool flush_gva;
	char policy[160]; /* for umbra_policy_parse() */
};

extern const struct lab_config lab_config_default;

/* Change one word "key=value" of @config. false: @why is a sentence for the user. */
bool lab_config_set(struct lab_config *config, const char *word, char *why, size_t why_bytes);

/* All words of a line, separated by spaces. */
bool lab_config_parse(struct lab_config *config, const char *line, char *why, size_t why_bytes);

/* Write @config as such a line into @text of LAB_CONFIG_BYTES. */
void lab_config_print(const struct lab_config *config, char *text);

/* The name of @sabotage in a configuration. */
const char *lab_sabotage_name(enum lab_sabotage sabotage);

/* A line of help for key number @index, NULL past the last. */
const char *lab_config_help(unsigned index);

#endif
