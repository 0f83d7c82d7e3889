/* SPDX-License-Identifier: MIT */
/* When an audit is made, and what is said of its finding; see audit.h. */
#include "audit.h"

#include "finding.h"
#include "lock.h"
#include "set.h"

static size_t put(char *to, size_t room, size_t at, const char *text)
{
	for (; *text && at + 1 < room; text++)
		to[at++] = *text;
	if (room)
		to[at] = 0;
	return at;
}

static size_t put_hex(char *to, size_t room, size_t at, const char *name, uint64_t n)
{
	char digits[] = "0000000000000000";

	for (unsigned i = 16; i-- > 0; n >>= 4)
		digits[i] = "0123456789abcdef"[n & 15];
	return put(to, room, put(to, room, at, name), digits);
}

static void describe(const struct umbra_vm *vm, const struct finding *f, char *why, size_t room)
{
	size_t at = put(why, room, 0, f->what);

	if (!f->page)
		return;
	at = put_hex(why, room, at, "; page ", f->page);
	at = put_hex(why, room, at, " gfn ", vm->pages[f->page].gfn);
	at = put_hex(why, room, at, " role ", vm->pages[f->page].role);
	at = put_hex(why, room, at, " index ", f->index);
	at = put_hex(why, room, at, " spte ", set_read(vm, f->page, f->index));
	put_hex(why, room, at, " gpte ", vm->snapshots[f->page][f->index]);
}

unsigned umbra_audit(struct umbra_vm *vm, char *why, size_t why_bytes)
{
	struct finding f;

	if (!mmu_lock_if_possible(vm)) {
		put(why, why_bytes, 0, "the MMU lock is held: no audit");
		return UMBRA_AUDIT_BUSY;
	}
	f = audit_all(vm, FREE_TURNS);
	if (f.invariant)
		describe(vm, &f, why, why_bytes);
	mmu_unlock(vm);
	return f.invariant;
}

void audit_after_event(struct umbra_vm *vm)
{
	char why[240];
	struct finding f = {0};
	unsigned every;

	mmu_lock(vm);
	every = vm->policy.audit;
	if (every && vm->stats.audit_events++ % every == 0)
		f = audit_all(vm, vm->stats.audits++ % FREE_TURNS);
	if (f.invariant)
		describe(vm, &f, why, sizeof(why));
	mmu_unlock(vm);
	if (f.invariant)
		vm->host->panic(vm->host_ctx, why);
}
