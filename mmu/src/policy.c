/* SPDX-License-Identifier: MIT */
/*
 * The table of policy keys: one row gives a key its parser, its help and its place. Needs nothing
 * of the rest of the library, so that the command can check a policy before a guest is started.
 */
#include "umbra/policy.h"

#include <assert.h>

const struct umbra_policy umbra_policy_default = {
	.cache = true,
	.large = true,
	.elide = true,
	.write = UMBRA_WRITE_AUTO,
	.oos = UMBRA_OOS_ALL,
	.snapshot = true,
	.sticky = 20,
	.prefetch = 8,
	.pool = 0,
	.replace = UMBRA_REPLACE_CLOCK,
	.audit = 0,
};

enum kind {
	KIND_BOOL,
	KIND_ENUM,
	KIND_NUMBER,
	KIND_POWER, /* 0 or a power of two */
	KIND_EVERY, /* a number; "off" is 0, "on" is 1 */
};

struct key {
	const char *name;
	enum kind kind;
	size_t offset_bytes;
	unsigned min, max;     /* numbers; 0 is always accepted where min is larger */
	const char *values[4]; /* enum: by value */
	const char *help;
};

static const struct key keys[] = {
	{.name = "cache",
		.kind = KIND_BOOL,
		.offset_bytes = offsetof(struct umbra_policy, cache),
		.help = "cache=on|off          keep shadow pages across CR3 loads (on)"},
	{.name = "oos",
		.kind = KIND_ENUM,
		.offset_bytes = offsetof(struct umbra_policy, oos),
		.values = {"off", "leaf", "all"},
		.help = "oos=off|leaf|all      guest tables that may go out of sync (all)"},
	{.name = "sticky",
		.kind = KIND_NUMBER,
		.offset_bytes = offsetof(struct umbra_policy, sticky),
		.max = 1000000,
		.help = "sticky=N              unchanged flushes before a table is "
			"protected again "
			"(20)"},
	{.name = "snapshot",
		.kind = KIND_BOOL,
		.offset_bytes = offsetof(struct umbra_policy, snapshot),
		.help = "snapshot=on|off       a resync compares; off: it forgets the "
			"table (on)"},
	{.name = "write",
		.kind = KIND_ENUM,
		.offset_bytes = offsetof(struct umbra_policy, write),
		.values = {"auto", "unsync", "emulate", "zap"},
		.help = "write=HOW             stores into tables: auto (by cost), unsync, "
			"emulate, zap "
			"(auto)"},
	{.name = "prefetch",
		.kind = KIND_POWER,
		.offset_bytes = offsetof(struct umbra_policy, prefetch),
		.max = 512,
		.help = "prefetch=N            entries looked at around a fault, 0 or a "
			"power of "
			"two (8)"},
	{.name = "large",
		.kind = KIND_BOOL,
		.offset_bytes = offsetof(struct umbra_policy, large),
		.help = "large=on|off          use 2M mappings (on)"},
	{.name = "elide",
		.kind = KIND_BOOL,
		.offset_bytes = offsetof(struct umbra_policy, elide),
		.help = "elide=on|off          no TLB flush where nothing was lost since "
			"the last "
			"(on)"},
	{.name = "pool",
		.kind = KIND_NUMBER,
		.offset_bytes = offsetof(struct umbra_policy, pool),
		.min = 64,
		.max = 1u << 21,
		.help = "pool=N                shadow pages, 0: as many as fit (0)"},
	{.name = "replace",
		.kind = KIND_ENUM,
		.offset_bytes = offsetof(struct umbra_policy, replace),
		.values = {"clock", "fifo"},
		.help = "replace=clock|fifo    which shadow page goes when the pool is full "
			"(clock)"},
	{.name = "audit",
		.kind = KIND_EVERY,
		.offset_bytes = offsetof(struct umbra_policy, audit),
		.max = 1000000,
		.help = "audit=off|on|N        check all invariants after every event, or "
			"every Nth: "
			"slow (off)"},
};

#define N_KEYS (sizeof(keys) / sizeof(keys[0]))

const char *umbra_policy_help(unsigned index)
{
	return index < N_KEYS ? keys[index].help : NULL;
}

/* ---- text ---- */

/* A stretch of the text, not ended by NUL. */
struct word {
	const char *at;
	size_t n;
};

struct message {
	char *to;
	size_t room; /* with the final NUL */
};

static void say(struct message *message, const char *text, size_t n)
{
	for (; n && *text && message->room > 1; n--, message->room--)
		*message->to++ = *text++;
	if (message->room)
		*message->to = 0;
}

static bool word_is(struct word word, const char *text)
{
	size_t i = 0;

	while (i < word.n && text[i] && text[i] == word.at[i])
		i++;
	return i == word.n && !text[i];
}

static struct word word_until(const char **text, const char *stops)
{
	struct word word = {.at = *text};

	for (; **text; ++*text, word.n++) {
		for (const char *stop = stops; *stop; stop++) {
			if (**text == *stop)
				return word;
		}
	}
	return word;
}

/* ---- values ---- */

static bool parse_number(const struct key *key, struct word word, unsigned *number)
{
	uint64_t n = 0;

	if (!word.n || word.n > 9)
		return false;
	for (size_t i = 0; i < word.n; i++) {
		if (word.at[i] < '0' || word.at[i] > '9')
			return false;
		n = n * 10 + (unsigned)(word.at[i] - '0');
	}
	if (n > key->max || (n && n < key->min))
		return false;
	if (key->kind == KIND_POWER && (n & (n - 1)))
		return false;
	*number = (unsigned)n;
	return true;
}

static bool parse_value(const struct key *key, struct word word, struct umbra_policy *policy)
{
	void *field = (char *)policy + key->offset_bytes;
	static const char *const switches[4] = {"off", "on"};
	const char *const *values = key->kind == KIND_ENUM ? key->values : switches;

	if (key->kind == KIND_NUMBER || key->kind == KIND_POWER)
		return parse_number(key, word, field);
	for (unsigned i = 0; i < 4 && values[i]; i++) {
		if (!word_is(word, values[i]))
			continue;
		if (key->kind == KIND_BOOL)
			*(bool *)field = i;
		else
			*(unsigned *)field = i;
		return true;
	}
	return key->kind == KIND_EVERY && parse_number(key, word, field);
}

static_assert(sizeof(enum umbra_oos) == sizeof(unsigned) &&
		      sizeof(enum umbra_write) == sizeof(unsigned) &&
		      sizeof(enum umbra_replace) == sizeof(unsigned),
	"enums are stored as unsigned");

static void explain(struct message *message, struct word name, const struct key *key)
{
	say(message, "policy '", 99);
	say(message, name.at, name.n);
	if (key) {
		say(message, "' does not take that value; it is: ", 99);
		say(message, key->help, 999);
		return;
	}
	say(message, "' is unknown; the keys are:", 99);
	for (unsigned i = 0; i < N_KEYS; i++) {
		say(message, " ", 1);
		say(message, keys[i].name, 99);
	}
}

enum umbra_status umbra_policy_parse(
	struct umbra_policy *policy, const char *text, char *why, size_t why_bytes)
{
	struct umbra_policy changed = *policy;
	struct message message = {.to = why, .room = why_bytes};

	while (*text) {
		const struct key *key = NULL;
		struct word name = word_until(&text, "=,");
		struct word value = {.at = text};

		if (*text == '=') {
			text++;
			value = word_until(&text, ",");
		}
		for (unsigned i = 0; i < N_KEYS && !key; i++) {
			if (word_is(name, keys[i].name))
				key = &keys[i];
		}
		if (!key || !parse_value(key, value, &changed)) {
			explain(&message, name, key);
			return UMBRA_BAD_ARG;
		}
		if (*text == ',')
			text++;
	}
	*policy = changed;
	return UMBRA_OK;
}
