/* SPDX-License-Identifier: MIT */
/*
 * The options the hypervisor was started with: words "key=value" of the loader's command line. Must
 * not know what any of them means.
 */
#include "hv/core/init.h"

#define OPTIONS_MAX 32u

static const char *words[OPTIONS_MAX];
static unsigned n_words;

/* Bytes of @word before its '=' (the whole word if it has none). */
static size_t key_bytes(const char *word)
{
	size_t n = 0;

	while (word[n] && word[n] != '=')
		n++;
	return n;
}

void options_init(char *command_line)
{
	char *at = command_line;

	n_words = 0;
	while (*at) {
		if (*at == ' ') {
			*at++ = '\0';
			continue;
		}
		if (n_words == OPTIONS_MAX)
			fatal_config("more than %u options; the rest starts with '%s'; give fewer",
				OPTIONS_MAX, at);
		words[n_words++] = at;
		while (*at && *at != ' ')
			at++;
	}
}

static bool has_key(const char *word, const char *key)
{
	size_t n = key_bytes(word);

	return strlen(key) == n && strncmp(word, key, n) == 0;
}

void options_check(const char *const known[])
{
	for (unsigned i = 0; i < n_words; i++) {
		bool found = false;

		for (unsigned k = 0; known[k]; k++)
			found |= has_key(words[i], known[k]);
		if (!found || !words[i][key_bytes(words[i])])
			fatal_config("unknown option '%s'; options are words like reserve=40, "
				     "paging=shadow, policy=key=value,... and monitor=0x2f8",
				words[i]);
	}
}

const char *option(const char *key)
{
	for (unsigned i = n_words; i-- > 0;) {
		const char *word = words[i];

		if (has_key(word, key) && word[key_bytes(word)] == '=')
			return word + key_bytes(word) + 1;
	}
	return NULL;
}

/* Value of one digit, @base or more if it is none. */
static unsigned digit(char c)
{
	if (c >= '0' && c <= '9')
		return (unsigned)(c - '0');
	if (c >= 'a' && c <= 'f')
		return (unsigned)(c - 'a') + 10;
	if (c >= 'A' && c <= 'F')
		return (unsigned)(c - 'A') + 10;
	return UINT32_MAX;
}

static bool parse_number(const char *text, uint64_t *number)
{
	unsigned base = 10;

	if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
		base = 16;
		text += 2;
	}
	*number = 0;
	if (!*text)
		return false;
	for (; *text; text++) {
		if (digit(*text) >= base || *number > (UINT64_MAX - digit(*text)) / base)
			return false;
		*number = *number * base + digit(*text);
	}
	return true;
}

uint64_t option_number(const char *key, uint64_t absent, uint64_t min, uint64_t max)
{
	const char *text = option(key);
	uint64_t number;

	if (!text)
		return absent;
	if (!parse_number(text, &number) || number < min || number > max)
		fatal_config(
			"option %s=%s: a number from %llu to %llu (decimal or 0x...) is needed",
			key, text, (unsigned long long)min, (unsigned long long)max);
	return number;
}
