/* SPDX-License-Identifier: MIT */
/*
 * format(): the part of printf that the hypervisor uses. Pure; must not know where the text goes.
 */
#include "hv/core/core.h"

struct sink {
	char *to;
	size_t room_bytes; /* the final NUL included */
	size_t n_chars;    /* put so far, also those for which there was no room */
};

/* One conversion: %[-][0][width][l|ll|z]letter */
struct spec {
	bool left;
	bool zero;
	unsigned width;
	bool is_long; /* l, ll or z: all of 64 bits */
	char letter;
};

static void put(struct sink *sink, char c)
{
	if (sink->n_chars + 1 < sink->room_bytes)
		sink->to[sink->n_chars] = c;
	sink->n_chars++;
}

static void put_padded(struct sink *sink, const struct spec *spec, const char *sign,
	const char *body, size_t n_bytes)
{
	size_t used = n_bytes + strlen(sign);
	size_t fill = spec->width > used ? spec->width - used : 0;

	if (!spec->left && !spec->zero) {
		for (; fill; fill--)
			put(sink, ' ');
	}
	for (; *sign; sign++)
		put(sink, *sign);
	if (!spec->left && spec->zero) {
		for (; fill; fill--)
			put(sink, '0');
	}
	for (size_t i = 0; i < n_bytes; i++)
		put(sink, body[i]);
	for (; fill; fill--)
		put(sink, ' ');
}

static void put_number(
	struct sink *sink, const struct spec *spec, unsigned long long number, const char *sign)
{
	unsigned base = spec->letter == 'x' ? 16 : 10;
	char digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = "0123456789abcdef"[number % base];
		number /= base;
	} while (number);
	put_padded(sink, spec, sign, digits + at, sizeof(digits) - at);
}

static const char *parse(const char *at, struct spec *spec)
{
	*spec = (struct spec){0};
	for (; *at == '-' || *at == '0'; at++) {
		spec->left |= *at == '-';
		spec->zero |= *at == '0';
	}
	for (; *at >= '0' && *at <= '9'; at++)
		spec->width = spec->width * 10 + (unsigned)(*at - '0');
	for (; *at == 'l' || *at == 'z'; at++)
		spec->is_long = true;
	spec->letter = *at;
	return *at ? at + 1 : at;
}

/* Take the argument of @spec from @ap and put it. Returns false, having taken none, for an unknown
 * letter. */
static bool put_argument(struct sink *sink, const struct spec *spec, va_list *ap)
{
	const char *text;
	long long number;
	char c;

	switch (spec->letter) {
	case 's':
		text = va_arg(*ap, const char *);
		text = text ? text : "(null)";
		put_padded(sink, spec, "", text, strlen(text));
		return true;
	case 'c':
		c = (char)va_arg(*ap, int);
		put_padded(sink, spec, "", &c, 1);
		return true;
	case 'd':
		number = spec->is_long ? va_arg(*ap, long long) : va_arg(*ap, int);
		put_number(sink, spec,
			number < 0 ? 0 - (unsigned long long)number : (unsigned long long)number,
			number < 0 ? "-" : "");
		return true;
	case 'u':
	case 'x':
		put_number(sink, spec,
			spec->is_long ? va_arg(*ap, unsigned long long) : va_arg(*ap, unsigned),
			"");
		return true;
	case '%':
		put(sink, '%');
		return true;
	default:
		return false;
	}
}

int vformat(char *to, size_t to_bytes, const char *fmt, va_list args)
{
	struct sink sink = {.to = to, .room_bytes = to_bytes};
	struct spec spec;
	va_list ap;

	va_copy(ap, args); /* a parameter of this type cannot be passed on by address everywhere */
	while (*fmt) {
		const char *start = fmt;

		if (*fmt != '%') {
			put(&sink, *fmt++);
			continue;
		}
		fmt = parse(fmt + 1, &spec);
		if (!put_argument(&sink, &spec, &ap)) {
			for (; start < fmt; start++)
				put(&sink, *start);
		}
	}
	va_end(ap);
	if (to_bytes)
		to[sink.n_chars < to_bytes ? sink.n_chars : to_bytes - 1] = '\0';
	return (int)sink.n_chars;
}

int format(char *to, size_t to_bytes, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vformat(to, to_bytes, fmt, ap);
	va_end(ap);
	return n;
}
