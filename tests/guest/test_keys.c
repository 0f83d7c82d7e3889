/* SPDX-License-Identifier: MIT */
/* Protection keys of user and of supervisor pages. SDM 3A "Protection Keys", "Access Rights". */
#include "tests/guest/guest.h"

#define KEY_AD 1u
#define KEY_WD 2u

/* Keys register in which @key has @rights and all others forbid everything. */
static uint32_t only_key(unsigned key, unsigned rights)
{
	return ~(3u << (2 * key)) | rights << (2 * key);
}

struct situation {
	bool user_page, writable, wp, enabled, smap;
	unsigned rights; /* of its key */
};

/* The keys' own verdict. */
static bool key_forbids(const struct situation *s, enum op op, enum who who)
{
	if (!s->enabled || op == OP_FETCH)
		return false;
	if (s->rights & KEY_AD)
		return true;
	return s->rights & KEY_WD && op == OP_WRITE && (who == USER || s->wp);
}

static bool page_forbids(const struct situation *s, enum op op, enum who who)
{
	if (who == USER && !s->user_page)
		return true;
	if (op == OP_FETCH)
		return false;
	if (s->user_page && s->smap && who == KERNEL)
		return true;
	return op == OP_WRITE && !s->writable && (who == USER || s->wp);
}

static void judge(const struct situation *s, word gva)
{
	static const enum op ops[] = {OP_READ, OP_WRITE, OP_FETCH};
	static const uint32_t told[] = {0, X86_PF_W, X86_PF_I};

	for (unsigned i = 0; i < 3; i++) {
		for (enum who who = KERNEL; who <= USER; who++) {
			bool by_key = key_forbids(s, ops[i], who);
			struct outcome got = attempt(ops[i], who, gva, 0x30cd30cd);
			uint32_t error = X86_PF_P | told[i];

			given("op", ops[i]);
			given("who", who);
			if (!by_key && !page_forbids(s, ops[i], who)) {
				expect_done("access", got);
				continue;
			}
			error |= who == USER ? X86_PF_U : 0;
			/* The manual leaves open whether keys are told of where the user could
			 * not come anyway. */
			if (who == USER && !s->user_page) {
				by_key = false;
				got.error &= ~X86_PF_PK;
			}
			expect_fault("access", got, error | (by_key ? X86_PF_PK : 0), gva);
		}
	}
}

static void set_rights(bool user_page, uint32_t value)
{
	if (user_page)
		write_pkru(value);
	else
		write_msr(X86_MSR_PKRS, value & ~3u); /* key 0 is that of life */
}

static void set_controls(const struct situation *s)
{
	uint64_t cr0 = read_cr0() & ~X86_CR0_WP;
	uint64_t cr4 = read_cr4() & ~X86_CR4_SMAP;

	write_cr0(s->wp ? cr0 | X86_CR0_WP : cr0);
	write_cr4(s->smap ? cr4 | X86_CR4_SMAP : cr4);
	given("writable", s->writable);
	given("wp", s->wp);
	given("smap", s->smap);
}

/* {W} x {WP} x {SMAP} x {rights of the key} for one page. */
static void all_rights(bool user_page, bool enabled, unsigned key)
{
	word gva = test_gva(0);
	uint64_t leaf = X86_PTE_P | (user_page ? X86_PTE_U : 0) | (uint64_t)key << 59;
	uint32_t *frame = frame_marked(0x30cd30cd);
	struct path path = path_make(gva, 1, phys(frame) | leaf);

	given("key", key);
	given("enabled", enabled);
	for (unsigned i = 0; i < 24; i++) {
		struct situation s = {
			.user_page = user_page,
			.enabled = enabled,
			.writable = i & 1,
			.wp = i & 2,
			.smap = i & 4 && cpu.smap,
		};

		path_set(&path, 1, phys(frame) | leaf | (s.writable ? X86_PTE_W : 0));
		set_controls(&s);
		invlpg(gva);
		for (s.rights = 0; s.rights < 4; s.rights++) {
			given("rights", s.rights);
			if (enabled || user_page)
				set_rights(user_page, only_key(key, s.rights));
			judge(&s, gva);
			if (enabled || user_page)
				set_rights(user_page, 0);
		}
	}
}

static void keys_of_users(void)
{
	if (!cpu.pku)
		skip("no PKU");
	write_cr4(read_cr4() | X86_CR4_PKE);
	for (unsigned key = 0; key < 16; key += 5)
		all_rights(true, true, key);
}

static void keys_of_supervisors(void)
{
	if (!cpu.pks)
		skip("no PKS");
	write_cr4(read_cr4() | X86_CR4_PKS);
	for (unsigned key = 1; key < 16; key += 7)
		all_rights(false, true, key);
}

/* Without CR4.PKE and CR4.PKS keys are the system's own bits. */
static void keys_disabled(void)
{
	word gva = test_gva(0);
	struct path path = path_make(gva, 1, phys(frame_new()) | PTE_ALL | 15ull << 59);

	if (!cpu.pku)
		skip("no PKU");
	for (unsigned i = 0; i < 4; i++) {
		write_cr4(read_cr4() | X86_CR4_PKE);
		write_pkru(only_key(0, 0));
		expect_fault(
			"on", attempt(OP_READ, USER, gva, 0), X86_PF_P | X86_PF_U | X86_PF_PK, gva);
		write_cr4(read_cr4() & ~X86_CR4_PKE);
		expect_done("off", attempt(OP_WRITE, USER, gva, 0));
		expect_done("off", attempt(OP_WRITE, KERNEL, gva, 0));
		path_set(&path, 1, path_get(&path, 1) ^ X86_PTE_U);
		invlpg(gva);
		expect_done("off, supervisor page", attempt(OP_WRITE, KERNEL, gva, 0));
		path_set(&path, 1, path_get(&path, 1) ^ X86_PTE_U);
		invlpg(gva);
	}
}

/* WRPKRU is not told to anybody, needs no flush, and the user may do it. */
static void keys_without_flush(void)
{
	enum { N = 15 };
	struct path paths[N + 1];

	if (!cpu.pku)
		skip("no PKU");
	write_cr4(read_cr4() | X86_CR4_PKE);
	for (uint64_t key = 1; key <= N; key++)
		paths[key] = path_make(test_gva((unsigned)key), 1,
			phys(frame_marked((uint32_t)key)) | PTE_ALL | key << 59);
	for (unsigned key = 1; key <= N; key++) {
		struct probe change = probe_of(OP_WRPKRU, USER, 0, 0);

		given("key", key);
		change.ax = only_key(key, 0) & ~3u;
		probe_run(&change);
		expect_done("WRPKRU", probe_outcome(&change));
		for (unsigned other = 1; other <= N; other++) {
			struct outcome got = attempt(OP_READ32, USER, paths[other].gva, 0);

			given("page", other);
			if (other == key)
				expect_value("its own", got, key);
			else
				expect_fault("another", got, X86_PF_P | X86_PF_U | X86_PF_PK,
					paths[other].gva);
		}
	}
}

/* The key is the leaf's, small or large; a large page divided may have many. */
static void keys_of_large_pages(void)
{
	word gva = test_gva(0);
	uint64_t frame = SPARE_BASE & ~(level_bytes(2) - 1);
	struct path path = path_make(gva, 2, frame | PTE_ALL | 3ull << 59);

	if (!cpu.pku)
		skip("no PKU");
	write_cr4(read_cr4() | X86_CR4_PKE);
	write_pkru(only_key(3, KEY_WD) & ~3u);
	for (word at = 0; at < 0x200000; at += 0x41000) {
		expect_done("read", attempt(OP_READ, USER, gva + at, 0));
		expect_fault("write", attempt(OP_WRITE, KERNEL, gva + at, 0),
			X86_PF_P | X86_PF_W | X86_PF_PK, gva + at);
	}
	path_set(&path, 2, frame | PTE_ALL | X86_PTE_PS | 4ull << 59);
	invlpg(gva);
	expect_fault("another key", attempt(OP_READ, KERNEL, gva, 0), X86_PF_P | X86_PF_PK, gva);
	write_pkru(0);
	expect_done("all keys", attempt(OP_WRITE, USER, gva, 0));
	expect_ad("by all keys", &path, 2, PTE_AD);
}

static const struct test tests[] = {
	{.name = "keys_user", .modes = IN_LONG, .run = keys_of_users},
	{.name = "keys_supervisor", .modes = IN_LONG, .run = keys_of_supervisors},
	{.name = "keys_disabled", .modes = IN_LONG, .run = keys_disabled},
	{.name = "keys_no_flush", .modes = IN_LONG, .run = keys_without_flush},
	{.name = "keys_large", .modes = IN_LONG, .run = keys_of_large_pages},
};
GROUP(group_keys, tests);
