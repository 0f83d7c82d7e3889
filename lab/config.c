/* SPDX-License-Identifier: MIT */
/* Run configurations as text: a table of keys, each a number, a name from a list, or a text. */
#include "lab/config.h"

#include "umbra/umbra.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct lab_config lab_config_default = {
	.seed = 1,
	.steps = 5000,
	.vcpus = 1,
	.audit_every = 1,
	.pool = 128,
	.maxphyaddr = 40,
	.tags = 1,
	.unshadow = 40,
	.flush_gva = true,
};

static const char *const guest_names[] = {"random", "os", NULL};
static const char *const life_names[] = {
	"all", "crowd", "large", "switch", "reload", "invlpg", NULL};
static const char *const mode_names[] = {
	"4level", "unpaged", "mixed", "2level", "pae", "5level", NULL};
static const char *const switch_names[] = {"off", "on", NULL};
static const char *const sabotage_names[] = {"none", "drop-flush", "drop-flush-gva", "skip-note",
	"stray-write", "wrong-frame", "lose-dirty", "wrong-key", "stuck-pdptes", "drop-flush-tag",
	"ignore-tags", "keep-dirty", "never-dirty", "untold", "neighbour", NULL};

/* A key: a whole number from @least to @most, or the position of a name in @names. */
struct key_row {
	const char *key;
	const char *const *names; /* NULL: a number */
	uint64_t least;
	uint64_t most;
	const char *help;
};

enum key {
	KEY_SEED,
	KEY_STEPS,
	KEY_GUEST,
	KEY_LIFE,
	KEY_MODE,
	KEY_VCPUS,
	KEY_AUDIT,
	KEY_POOL,
	KEY_ABSENT_PAGE,
	KEY_NO_1G,
	KEY_MAXPHYADDR,
	KEY_TAGS,
	KEY_FLUSH_TAG,
	KEY_FLUSH_GVA,
	KEY_UNSHADOW,
	KEY_SABOTAGE,
	N_KEYS,
};

static const struct key_row key_rows[N_KEYS] = {
	[KEY_SEED] = {"seed", NULL, 0, UINT64_MAX, "seed=N           what chance begins with"},
	[KEY_STEPS] = {"steps", NULL, 1, UINT64_MAX, "steps=N          length of a run"},
	[KEY_GUEST] = {"guest", guest_names, 0, 0, "guest=random|os  what makes the steps"},
	[KEY_LIFE] = {"life", life_names, 0, 0,
		"life=all|crowd|large|switch|reload|invlpg  what guest=os does most"},
	[KEY_MODE] = {"mode", mode_names, 0, 0, "mode=unpaged|2level|pae|4level|5level|mixed"},
	[KEY_VCPUS] = {"vcpus", NULL, 1, LAB_MAX_VCPUS, "vcpus=1..4       taking turns by chance"},
	[KEY_AUDIT] = {"audit", NULL, 0, UINT32_MAX,
		"audit=N          audit after every Nth step; "
		"0: never"},
	[KEY_POOL] = {"pool", NULL, UMBRA_POOL_MIN, 8192, "pool=64..8192    shadow pages"},
	[KEY_ABSENT_PAGE] = {"absent_page", switch_names, 0, 0,
		"absent_page=on|off  absent "
		"memory reads from a page"},
	[KEY_NO_1G] = {"no_1g", switch_names, 0, 0,
		"no_1g=on|off     the processor has no 1G "
		"pages"},
	[KEY_MAXPHYADDR] = {"maxphyaddr", NULL, 36, 52,
		"maxphyaddr=36..52 bits of the guest's physical addresses"},
	[KEY_TAGS] = {"tags", NULL, 1, UMBRA_TAGS_MAX,
		"tags=1..64       address-space tags of a CPU"},
	[KEY_FLUSH_TAG] = {"flush_tag", switch_names, 0, 0,
		"flush_tag=on|off the host can flush one tag"},
	[KEY_FLUSH_GVA] = {"flush_gva", switch_names, 0, 0,
		"flush_gva=on|off the host can flush one address"},
	[KEY_UNSHADOW] = {"unshadow", NULL, 0, 100,
		"unshadow=0..100  stores of a hundred that the host does not understand"},
	[KEY_SABOTAGE] = {"sabotage", sabotage_names, 0, 0,
		"sabotage=none|drop-flush|drop-flush-gva|"
		"skip-note|stray-write|wrong-frame|lose-dirty|wrong-key|stuck-pdptes|"
		"drop-flush-tag|ignore-tags|keep-dirty|never-dirty|untold|neighbour"},
};

static uint64_t get(const struct lab_config *config, unsigned key)
{
	const uint64_t values[N_KEYS] = {
		[KEY_SEED] = config->seed,
		[KEY_STEPS] = config->steps,
		[KEY_GUEST] = config->guest,
		[KEY_LIFE] = config->life,
		[KEY_MODE] = config->mode,
		[KEY_VCPUS] = config->vcpus,
		[KEY_AUDIT] = config->audit_every,
		[KEY_POOL] = config->pool,
		[KEY_ABSENT_PAGE] = config->absent_page,
		[KEY_NO_1G] = config->no_1g,
		[KEY_MAXPHYADDR] = config->maxphyaddr,
		[KEY_TAGS] = config->tags,
		[KEY_FLUSH_TAG] = config->flush_tag,
		[KEY_FLUSH_GVA] = config->flush_gva,
		[KEY_UNSHADOW] = config->unshadow,
		[KEY_SABOTAGE] = config->sabotage,
	};

	return values[key];
}

static void set_host(struct lab_config *config, unsigned key, uint64_t value)
{
	switch (key) {
	case KEY_TAGS:
		config->tags = (unsigned)value;
		break;
	case KEY_FLUSH_TAG:
		config->flush_tag = value != 0;
		break;
	case KEY_FLUSH_GVA:
		config->flush_gva = value != 0;
		break;
	case KEY_UNSHADOW:
		config->unshadow = (unsigned)value;
		break;
	case KEY_SABOTAGE:
		config->sabotage = (enum lab_sabotage)value;
		break;
	}
}

static void set(struct lab_config *config, unsigned key, uint64_t value)
{
	switch (key) {
	case KEY_SEED:
		config->seed = value;
		break;
	case KEY_STEPS:
		config->steps = value;
		break;
	case KEY_GUEST:
		config->guest = (enum lab_guest)value;
		break;
	case KEY_LIFE:
		config->life = (enum lab_life)value;
		break;
	case KEY_MODE:
		config->mode = (enum lab_mode)value;
		break;
	case KEY_VCPUS:
		config->vcpus = (unsigned)value;
		break;
	case KEY_AUDIT:
		config->audit_every = (unsigned)value;
		break;
	case KEY_POOL:
		config->pool = (unsigned)value;
		break;
	case KEY_ABSENT_PAGE:
		config->absent_page = value != 0;
		break;
	case KEY_NO_1G:
		config->no_1g = value != 0;
		break;
	case KEY_MAXPHYADDR:
		config->maxphyaddr = (unsigned)value;
		break;
	default:
		set_host(config, key, value);
		break;
	}
}

static bool parse_value(const struct key_row *row, const char *text, uint64_t *value)
{
	char *end;

	for (unsigned i = 0; row->names && row->names[i]; i++) {
		if (strcmp(row->names[i], text) == 0) {
			*value = i;
			return true;
		}
	}
	if (row->names)
		return false;
	*value = strtoull(text, &end, 0);
	return end != text && *end == '\0' && text[0] != '-' && *value >= row->least &&
	       *value <= row->most;
}

static bool set_policy(struct lab_config *config, const char *text, char *why, size_t why_bytes)
{
	struct umbra_policy policy = umbra_policy_default;

	if (strlen(text) >= sizeof(config->policy)) {
		snprintf(why, why_bytes, "the policy is longer than %zu characters",
			sizeof(config->policy) - 1);
		return false;
	}
	if (umbra_policy_parse(&policy, text, why, why_bytes) != UMBRA_OK)
		return false;
	strcpy(config->policy, text);
	return true;
}

bool lab_config_set(struct lab_config *config, const char *word, char *why, size_t why_bytes)
{
	const char *equals = strchr(word, '=');
	size_t length = equals ? (size_t)(equals - word) : 0;
	uint64_t value;

	if (length == 6 && strncmp(word, "policy", 6) == 0)
		return set_policy(config, equals + 1, why, why_bytes);
	for (unsigned i = 0; i < N_KEYS; i++) {
		const struct key_row *row = &key_rows[i];

		if (strlen(row->key) != length || strncmp(row->key, word, length) != 0)
			continue;
		if (parse_value(row, equals + 1, &value)) {
			set(config, i, value);
			return true;
		}
		snprintf(why, why_bytes, "\"%s\" is not understood; it should be: %s", word,
			row->help);
		return false;
	}
	snprintf(why, why_bytes, "\"%s\" is no key=value of a run; --help lists them", word);
	return false;
}

bool lab_config_parse(struct lab_config *config, const char *line, char *why, size_t why_bytes)
{
	char copy[LAB_CONFIG_BYTES];
	char *rest = copy;
	char *word;

	snprintf(copy, sizeof(copy), "%s", line);
	while ((word = strsep(&rest, " \t\n")) != NULL)
		if (*word && !lab_config_set(config, word, why, why_bytes))
			return false;
	return true;
}

void lab_config_print(const struct lab_config *config, char *text)
{
	size_t used = 0;

	for (unsigned i = 0; i < N_KEYS; i++) {
		const struct key_row *row = &key_rows[i];
		uint64_t value = get(config, i);

		if (row->names)
			used += (size_t)snprintf(text + used, LAB_CONFIG_BYTES - used, "%s=%s ",
				row->key, row->names[value]);
		else
			used += (size_t)snprintf(text + used, LAB_CONFIG_BYTES - used,
				"%s=%" PRIu64 " ", row->key, value);
	}
	snprintf(text + used, LAB_CONFIG_BYTES - used, "policy=%s", config->policy);
}

const char *lab_sabotage_name(enum lab_sabotage sabotage)
{
	return sabotage_names[sabotage];
}

const char *lab_config_help(unsigned index)
{
	if (index < N_KEYS)
		return key_rows[index].help;
	return index == N_KEYS ? "policy=k=v,...   the library's optimisations" : NULL;
}
