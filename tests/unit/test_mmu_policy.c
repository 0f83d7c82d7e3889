/* SPDX-License-Identifier: MIT */
/*
 * The policy text: what each key takes and sets, and that a refused text changes nothing and says
 * why.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "umbra/policy.h"

/* Fields one by one: the padding of a copied struct is anything. */
static bool same(const struct umbra_policy *a, const struct umbra_policy *b)
{
	return a->cache == b->cache && a->large == b->large && a->write == b->write &&
	       a->oos == b->oos && a->sticky == b->sticky && a->prefetch == b->prefetch &&
	       a->pool == b->pool && a->replace == b->replace && a->audit == b->audit &&
	       a->snapshot == b->snapshot && a->elide == b->elide;
}

static const struct umbra_policy base = {
	.cache = true,
	.large = true,
	.write = UMBRA_WRITE_AUTO,
	.oos = UMBRA_OOS_LEAF,
	.sticky = 4,
	.prefetch = 8,
	.replace = UMBRA_REPLACE_CLOCK,
};

static void each_key_sets_its_field_and_no_other(void **state)
{
#define CASE(string, field, value)                                                                 \
	{                                                                                          \
		string, ({                                                                         \
			struct umbra_policy p = base;                                              \
			p.field = value;                                                           \
			p;                                                                         \
		})                                                                                 \
	}
	const struct {
		const char *text;
		struct umbra_policy expect;
	} cases[] = {
		CASE("", cache, true),
		CASE("cache=off", cache, false),
		CASE("cache=on", cache, true),
		CASE("large=off", large, false),
		CASE("write=unsync", write, UMBRA_WRITE_UNSYNC),
		CASE("write=emulate", write, UMBRA_WRITE_EMULATE),
		CASE("write=zap", write, UMBRA_WRITE_ZAP),
		CASE("write=zap,write=auto", write, UMBRA_WRITE_AUTO),
		CASE("snapshot=on", snapshot, true),
		CASE("elide=on", elide, true),
		CASE("elide=on,elide=off", elide, false),
		CASE("audit=on", audit, 1),
		CASE("audit=off", audit, 0),
		CASE("audit=0", audit, 0),
		CASE("audit=1", audit, 1),
		CASE("audit=1000000", audit, 1000000),
		CASE("audit=7,audit=off", audit, 0),
		CASE("oos=off", oos, UMBRA_OOS_OFF),
		CASE("oos=leaf", oos, UMBRA_OOS_LEAF),
		CASE("oos=all", oos, UMBRA_OOS_ALL),
		CASE("replace=fifo", replace, UMBRA_REPLACE_FIFO),
		CASE("sticky=0", sticky, 0),
		CASE("sticky=1000000", sticky, 1000000),
		CASE("prefetch=0", prefetch, 0),
		CASE("prefetch=1", prefetch, 1),
		CASE("prefetch=512", prefetch, 512),
		CASE("pool=0", pool, 0),
		CASE("pool=64", pool, 64),
		CASE("pool=2097152", pool, 2097152),
		/* The last one counts; a comma at the end is no harm. */
		CASE("cache=off,cache=on,sticky=7", sticky, 7),
		CASE("sticky=7,", sticky, 7),
		CASE("sticky=007", sticky, 7),
	};
#undef CASE
	char why[200] = "untouched";

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct umbra_policy policy = base;

		print_message("  '%s'\n", cases[i].text);
		assert_int_equal(
			umbra_policy_parse(&policy, cases[i].text, why, sizeof(why)), UMBRA_OK);
		assert_true(same(&policy, &cases[i].expect));
		assert_string_equal(why, "untouched");
	}
}

static void a_refused_text_names_the_key_and_changes_nothing(void **state)
{
	static const struct {
		const char *text;
		const char *key;      /* named in the sentence */
		const char *accepted; /* what it would take */
	} cases[] = {
		{"cahce=on", "cahce", "replace"},
		{"=on", "''", "cache"},
		{"cache=off,,sticky=1", "''", "cache"},
		{"Cache=on", "Cache", "cache"},
		{"cache", "cache", "on|off"},
		{"cache=", "cache", "on|off"},
		{"cache=offf", "cache", "on|off"},
		{"cache=o", "cache", "on|off"},
		{"cache=on=off", "cache", "on|off"},
		{"cache= on", "cache", "on|off"},
		{"oos=on", "oos", "off|leaf|all"},
		{"oos=leaf ,cache=on", "oos", "off|leaf|all"},
		{"replace=lru", "replace", "clock|fifo"},
		{"sticky=-1", "sticky", "N"},
		{"sticky=1000001", "sticky", "N"},
		{"sticky=0x10", "sticky", "N"},
		{"sticky=", "sticky", "N"},
		/* 2^32 and 2^64 + 1 do not wrap into range. */
		{"sticky=4294967296", "sticky", "N"},
		{"sticky=18446744073709551617", "sticky", "N"},
		{"audit=1000001", "audit", "off|on|N"},
		{"audit=", "audit", "off|on|N"},
		{"audit=onn", "audit", "off|on|N"},
		{"audit=-1", "audit", "off|on|N"},
		{"prefetch=3", "prefetch", "power of two"},
		{"prefetch=1024", "prefetch", "power of two"},
		{"pool=63", "pool", "N"},
		{"pool=2097153", "pool", "N"},
		/* Refused at the end: the good keys before it do not stick. */
		{"cache=off,large=off,sticky=9,oos=all,bad=1", "bad", "keys are"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct umbra_policy policy = base;
		char why[400];

		print_message("  '%s'\n", cases[i].text);
		assert_int_equal(umbra_policy_parse(&policy, cases[i].text, why, sizeof(why)),
			UMBRA_BAD_ARG);
		assert_true(same(&policy, &base));
		assert_non_null(strstr(why, cases[i].key));
		assert_non_null(strstr(why, cases[i].accepted));
	}
}

static void the_sentence_stays_in_the_room_it_was_given(void **state)
{
	char full[400];

	(void)state;
	memset(full, 0, sizeof(full));
	assert_int_equal(
		umbra_policy_parse(&(struct umbra_policy){0}, "nonsense=1", full, sizeof(full)),
		UMBRA_BAD_ARG);
	for (size_t room = 0; room <= 60; room++) {
		struct umbra_policy policy = base;
		char why[64];

		memset(why, '#', sizeof(why));
		assert_int_equal(
			umbra_policy_parse(&policy, "nonsense=1", why, room), UMBRA_BAD_ARG);
		for (size_t i = room; i < sizeof(why); i++)
			assert_int_equal(why[i], '#');
		if (room) {
			assert_int_equal(strlen(why), room - 1);
			assert_memory_equal(why, full, room - 1);
		}
	}
	assert_int_equal(umbra_policy_parse(&(struct umbra_policy){0}, "nonsense=1", NULL, 0),
		UMBRA_BAD_ARG);
}

/* A help line begins with "key=", and that key is accepted with the default it names last in
 * "(...)". */
static void every_help_line_names_a_key_and_its_true_default(void **state)
{
	unsigned n_keys = 0;

	(void)state;
	for (const char *help; (help = umbra_policy_help(n_keys)); n_keys++) {
		struct umbra_policy policy = umbra_policy_default;
		size_t name = strcspn(help, "=");
		const char *value = strrchr(help, '(');
		char text[64];
		char why[200];

		assert_non_null(value);
		assert_int_equal(help[name], '=');
		assert_true(name + strlen(value) < sizeof(text));
		memcpy(text, help, name + 1);
		strcpy(text + name + 1, value + 1);
		text[strlen(text) - 1] = 0;
		print_message("  '%s'\n", text);
		assert_int_equal(umbra_policy_parse(&policy, text, why, sizeof(why)), UMBRA_OK);
		assert_true(same(&policy, &umbra_policy_default));
	}
	assert_int_equal(n_keys, 11);
	assert_null(umbra_policy_help(n_keys + 1));
	assert_null(umbra_policy_help(~0u));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_key_sets_its_field_and_no_other),
		cmocka_unit_test(a_refused_text_names_the_key_and_changes_nothing),
		cmocka_unit_test(the_sentence_stays_in_the_room_it_was_given),
		cmocka_unit_test(every_help_line_names_a_key_and_its_true_default),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
