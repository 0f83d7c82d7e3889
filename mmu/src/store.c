/* SPDX-License-Identifier: MIT */
/*
 * Stores that the embedder makes for the guest: into memory, with the shadows of what they change
 * brought up to date, and those told who track the frame. No shadow page is made here, so nothing
 * has to be reserved (page_create() asserts it) and nothing can fail once it has begun.
 */
#include "audit.h"
#include "lock.h"
#include "slot.h"
#include "sync.h"
#include "track.h"
#include "write.h"

/* ---- memory ---- */

static void store_word(uint8_t *to, const void *bytes)
{
	uint64_t word;

	__builtin_memcpy(&word, bytes, sizeof(word));
	atomic_store_explicit((_Atomic uint64_t *)to, word, memory_order_release);
}

static void store_small(uint8_t *to, const uint8_t *bytes, size_t n)
{
	if (n == 1)
		atomic_store_explicit((_Atomic uint8_t *)to, *bytes, memory_order_release);
	else if (n == 2)
		atomic_store_explicit((_Atomic uint16_t *)to, (uint16_t)(bytes[0] | bytes[1] << 8),
			memory_order_release);
	else
		atomic_store_explicit((_Atomic uint32_t *)to,
			bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
				(uint32_t)bytes[3] << 24,
			memory_order_release);
}

/* What is aligned must change at once: another vCPU may be walking the entry. */
static void store_bytes(uint8_t *to, const uint8_t *bytes, size_t n_bytes)
{
	for (size_t n; n_bytes; n_bytes -= n, to += n, bytes += n) {
		uintptr_t at = (uintptr_t)to;

		n = 8;
		while (n > n_bytes || at % n)
			n /= 2;
		if (LIKELY(n == 8))
			store_word(to, bytes);
		else
			store_small(to, bytes, n);
	}
}

static uint64_t low_bytes(uint64_t value, size_t n)
{
	return n == 8 ? value : value & ((1ull << 8 * n) - 1);
}

/* The @n bytes @to, inside an aligned word, become @bytes if they are @expected and nobody changes
 * the word meanwhile. */
static bool exchange_unit(uint8_t *to, const void *expected, const void *bytes, size_t n)
{
	_Atomic uint64_t *word = (_Atomic uint64_t *)(to - (uintptr_t)to % 8);
	unsigned shift = 8 * ((uintptr_t)to % 8);
	uint64_t was = atomic_load(word);
	uint64_t wanted = 0;
	uint64_t now = 0;

	__builtin_memcpy(&wanted, expected, n);
	__builtin_memcpy(&now, bytes, n);
	if (low_bytes(was >> shift, n) != wanted)
		return false;
	now = (was & ~(low_bytes(~0ull, n) << shift)) | now << shift;
	return atomic_compare_exchange_strong(word, &was, now);
}

__extension__ typedef unsigned __int128 two_words;

/* CMPXCHG16B, which any processor has that can run this. clang would inline it where there is none.
 */
__attribute__((target("cx16"), noinline)) static bool exchange_two_words(
	uint8_t *to, const void *expected, const void *bytes)
{
	two_words was, now;

	__builtin_memcpy(&was, expected, sizeof(was));
	__builtin_memcpy(&now, bytes, sizeof(now));
	return __sync_bool_compare_and_swap((two_words *)to, was, now);
}

static bool exchange_bytes(uint8_t *to, const void *expected, const void *bytes, size_t n)
{
	return n == 16 ? exchange_two_words(to, expected, bytes)
		       : exchange_unit(to, expected, bytes, n);
}

static bool same_bytes(const uint8_t *a, const uint8_t *b, size_t n_bytes)
{
	while (n_bytes && *a++ == *b++)
		n_bytes--;
	return !n_bytes;
}

/* ---- one page's part ---- */

struct place {
	struct frame *frame; /* NULL: a device's frame, which is tracked */
	uint8_t *to;         /* NULL: the same */
};

/* Where a store to @gpa goes. Returns false if it cannot be made. */
static inline bool place_of(struct umbra_vm *vm, umbra_gpa gpa, struct place *place)
{
	uint64_t gfn = gpa >> X86_PAGE_SHIFT;
	const struct slot *slot = slot_find(vm, gfn);

	place->frame = slot_frame(slot, gfn);
	place->to = slot_pointer(slot, gpa);
	return slot && slot->writable && (place->to || track_device(vm, slot, gfn));
}

/* Tell of the store, make it, and tell of that. Returns false if the bytes are not @expected any
 * more; NULL: whatever they are. */
static __attribute__((noinline)) bool make_tracked(struct umbra_vcpu *vcpu,
	const struct place *place, const struct track_store *store, const void *expected)
{
	if (expected && !same_bytes(place->to, expected, store->n_bytes))
		return false;
	if (!track_tell(vcpu, UMBRA_TRACK_BEFORE, store))
		return true;
	if (place->frame && expected) {
		if (!exchange_bytes(place->to, expected, store->bytes, store->n_bytes))
			return false;
	} else if (place->frame) {
		store_bytes(place->to, store->bytes, store->n_bytes);
	}
	if (place->frame && frame_tables(place->frame))
		write_made(vcpu->vm, place->frame, store->gpa, store->n_bytes);
	(void)track_tell(vcpu, UMBRA_TRACK_AFTER, store);
	return true;
}

static inline void make(struct umbra_vcpu *vcpu, const struct place *place, umbra_gpa gpa,
	const void *bytes, size_t n_bytes)
{
	struct track_store store;

	if (UNLIKELY(!place->frame || (place->frame->state & FRAME_TRACKED))) {
		store = (struct track_store){.gpa = gpa, .bytes = bytes, .n_bytes = n_bytes};
		(void)make_tracked(vcpu, place, &store, NULL);
		return;
	}
	if (LIKELY(n_bytes == 8 && gpa % 8 == 0))
		store_word(place->to, bytes);
	else
		store_bytes(place->to, bytes, n_bytes);
	if (frame_tables(place->frame))
		write_made(vcpu->vm, place->frame, gpa, n_bytes);
}

/* ---- the embedder's side ---- */

/* A store that ends in the next page. */
static __attribute__((noinline)) bool write_both(struct umbra_vcpu *vcpu, const struct place *place,
	umbra_gpa gpa, const uint8_t *bytes, size_t n_bytes)
{
	size_t first = X86_PAGE_SIZE - gpa % X86_PAGE_SIZE;
	struct place second;

	if (!place_of(vcpu->vm, gpa + first, &second))
		return false;
	make(vcpu, place, gpa, bytes, first);
	make(vcpu, &second, gpa + first, bytes + first, n_bytes - first);
	return true;
}

bool umbra_guest_write(struct umbra_vcpu *vcpu, umbra_gpa gpa, const void *bytes, size_t n_bytes)
{
	struct umbra_vm *vm = vcpu->vm;
	struct place place;
	bool possible;

	mmu_lock(vm);
	possible = place_of(vm, gpa, &place) && n_bytes <= X86_PAGE_SIZE;
	if (LIKELY(possible && gpa % X86_PAGE_SIZE + n_bytes <= X86_PAGE_SIZE)) {
		if (n_bytes)
			make(vcpu, &place, gpa, bytes, n_bytes);
	} else if (possible) {
		possible = write_both(vcpu, &place, gpa, bytes, n_bytes);
	}
	mmu_unlock(vm);
	audit_event(vm);
	return possible;
}

static enum umbra_exchange exchange(
	struct umbra_vcpu *vcpu, const struct track_store *store, const void *expected)
{
	struct umbra_vm *vm = vcpu->vm;
	struct place place;
	bool made;

	if (!place_of(vm, store->gpa, &place) || !place.frame)
		return UMBRA_EXCHANGE_REFUSED;
	if (UNLIKELY(place.frame->state & FRAME_TRACKED)) {
		made = make_tracked(vcpu, &place, store, expected);
	} else {
		made = exchange_bytes(place.to, expected, store->bytes, store->n_bytes);
		if (made && frame_tables(place.frame))
			write_made(vm, place.frame, store->gpa, store->n_bytes);
	}
	return made ? UMBRA_EXCHANGE_DONE : UMBRA_EXCHANGE_DIFFERS;
}

enum umbra_exchange umbra_guest_exchange(struct umbra_vcpu *vcpu, umbra_gpa gpa,
	const void *expected, const void *bytes, size_t n_bytes)
{
	struct umbra_vm *vm = vcpu->vm;
	const struct track_store store = {.gpa = gpa, .bytes = bytes, .n_bytes = n_bytes};
	enum umbra_exchange result;

	if (!n_bytes || n_bytes > 16 || (n_bytes & (n_bytes - 1)) || gpa % n_bytes)
		return UMBRA_EXCHANGE_REFUSED;
	mmu_lock(vm);
	result = exchange(vcpu, &store, expected);
	mmu_unlock(vm);
	audit_event(vm);
	return result;
}
