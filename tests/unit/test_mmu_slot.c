/* SPDX-License-Identifier: MIT */
/*
 * Slots: what may be added, what is found, where 2M fit, and reading guest memory; creation of a
 * VM.
 */
#include "tests/unit/mmu_host.h"

#include <string.h>

#include "mmu/src/slot.h"

/* A VM of nothing but slots. slot.c never touches what is behind these pointers. */
static uint8_t some_memory[X86_PAGE_SIZE] __attribute__((aligned(4096)));

static struct umbra_slot ram(uint64_t gfn, uint64_t n_frames)
{
	return (struct umbra_slot){.kind = UMBRA_SLOT_RAM,
		.gfn = {gfn},
		.hfn = {gfn},
		.n_frames = n_frames,
		.host_va = some_memory,
		.meta = some_memory};
}

static struct umbra_slot device(uint64_t gfn, uint64_t n_frames)
{
	return (struct umbra_slot){
		.kind = UMBRA_SLOT_DEVICE, .gfn = {gfn}, .hfn = {gfn}, .n_frames = n_frames};
}

static void slots_never_share_a_frame(void **state)
{
	static const struct {
		uint64_t gfn, n_frames;
		enum umbra_status expect;
	} cases[] = {
		{0x100, 0x100, UMBRA_OVERLAP},                 /* the same */
		{0x0ff, 2, UMBRA_OVERLAP},                     /* over its first frame */
		{0x1ff, 2, UMBRA_OVERLAP},                     /* over its last */
		{0x150, 1, UMBRA_OVERLAP},                     /* inside */
		{0x000, 0x1000, UMBRA_OVERLAP},                /* around */
		{0x0ff, 1, UMBRA_OK},                          /* just before */
		{0x200, 1, UMBRA_OK},                          /* just after */
		{0xfe, 1, UMBRA_OK}, {0xfe, 1, UMBRA_OVERLAP}, /* taken by now */
	};
	static struct umbra_vm vm;
	struct umbra_slot slot = ram(0x100, 0x100);

	(void)state;
	memset(&vm, 0, sizeof(vm));
	assert_int_equal(slot_add(&vm, &slot), UMBRA_OK);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		unsigned before = vm.n_slots;

		slot = i % 2 ? device(cases[i].gfn, cases[i].n_frames)
			     : ram(cases[i].gfn, cases[i].n_frames);
		assert_int_equal(slot_add(&vm, &slot), cases[i].expect);
		assert_int_equal(vm.n_slots, before + (cases[i].expect == UMBRA_OK));
	}
}

static void a_slot_that_breaks_the_contract_is_refused(void **state)
{
	const uint64_t end = 1ull << 40; /* frames that 52 address bits have */
	struct umbra_slot cases[] = {
		ram(0, 0),
		ram(end, 1),
		ram(end - 1, 2),
		ram(1, ~0ull),
		ram(~0ull, 1),
		ram(0, 1),
		ram(0, 1),
		ram(0, 1),
		device(0, 0),
		device(end - 1, 2),
		device(0, 1),
	};
	static struct umbra_vm vm;

	(void)state;
	memset(&vm, 0, sizeof(vm));
	cases[5].host_va = NULL;
	cases[6].meta = NULL;
	cases[7].hfn.n = end;
	cases[10].kind = (enum umbra_slot_kind)7;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(slot_add(&vm, &cases[i]), UMBRA_BAD_ARG);
		assert_int_equal(vm.n_slots, 0);
	}
	assert_int_equal(slot_add(&vm, &(struct umbra_slot){.kind = UMBRA_SLOT_DEVICE,
					       .gfn = {end - 1},
					       .hfn = {end - 1},
					       .n_frames = 1}),
		UMBRA_OK);
}

static void there_is_room_for_so_many_slots_and_no_more(void **state)
{
	static struct umbra_vm vm;
	struct umbra_slot slot;

	(void)state;
	memset(&vm, 0, sizeof(vm));
	for (unsigned i = 0; i < MAX_SLOTS; i++) {
		slot = ram(i * 10, 1 + i % 7);
		assert_int_equal(slot_add(&vm, &slot), UMBRA_OK);
	}
	slot = ram(100000, 1);
	assert_int_equal(slot_add(&vm, &slot), UMBRA_TOO_MANY);
	/* What is wrong with a slot is said first. */
	slot = ram(0, 1);
	assert_int_equal(slot_add(&vm, &slot), UMBRA_OVERLAP);
}

static void lookup_finds_each_frame_whatever_the_order_of_adding(void **state)
{
	static const uint64_t sizes[] = {3, 512, 1, 4096, 17, 2};
	enum { N = sizeof(sizes) / sizeof(sizes[0]) };
	static struct umbra_vm vm;

	(void)state;
	for (unsigned rotation = 0; rotation < N; rotation++) {
		memset(&vm, 0, sizeof(vm));
		for (unsigned i = 0; i < N; i++) {
			unsigned at = (i + rotation) % N;
			struct umbra_slot slot =
				at % 2 ? device(at * 10000, sizes[at]) : ram(at * 10000, sizes[at]);

			assert_int_equal(slot_add(&vm, &slot), UMBRA_OK);
		}
		for (unsigned i = 0; i < N; i++) {
			assert_int_equal(slot_find(&vm, i * 10000)->n_frames, sizes[i]);
			assert_int_equal(
				slot_find(&vm, i * 10000 + sizes[i] - 1)->n_frames, sizes[i]);
			assert_null(slot_find(&vm, i * 10000 + sizes[i]));
		}
		/* RAM before devices, each kind the largest first: so most lookups end at once. */
		for (unsigned i = 1; i < N; i++) {
			const struct slot *a = &vm.slots[i - 1], *b = &vm.slots[i];

			assert_true(!a->va < !b->va ||
				    (!a->va == !b->va && a->n_frames >= b->n_frames));
		}
	}
}

static void two_megabytes_fit_only_whole_and_aligned(void **state)
{
	static const struct {
		uint64_t first, n_frames, hfn; /* the slot */
		uint64_t gfn;                  /* asked for */
		bool fits;
	} cases[] = {
		{0, 1024, 0, 0, true},
		{0, 1024, 0, 511, true},
		{0, 1024, 0, 512, true},
		{0, 1023, 0, 511, true},
		{0, 1023, 0, 512, false}, /* the last frame is missing */
		{1, 1023, 1, 100, false}, /* the first is */
		{1, 1023, 1, 600, true},
		{0, 1024, 512, 700, true},
		{0, 1024, 256, 700, false},  /* not aligned in the host */
		{256, 1024, 256, 600, true}, /* aligned in both although the slot begins between */
		{256, 1024, 0, 600, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct slot slot = {.first = cases[i].first,
			.n_frames = cases[i].n_frames,
			.hfn = cases[i].hfn};

		print_message("  case %zu\n", i);
		assert_int_equal(slot_large_fits(&slot, cases[i].gfn), cases[i].fits);
	}
	assert_false(slot_large_fits(NULL, 0));
}

static void the_meta_of_a_slot_counts_each_2m_it_touches(void **state)
{
	const size_t frame = sizeof(struct frame), region = sizeof(struct region);

	(void)state;
	assert_int_equal(umbra_slot_meta_bytes((umbra_gfn){0}, 512), 512 * frame + region);
	assert_int_equal(umbra_slot_meta_bytes((umbra_gfn){0}, 513), 513 * frame + 2 * region);
	assert_int_equal(umbra_slot_meta_bytes((umbra_gfn){511}, 2), 2 * frame + 2 * region);
	assert_int_equal(umbra_slot_meta_bytes((umbra_gfn){511}, 514), 514 * frame + 3 * region);
	assert_int_equal(umbra_slot_meta_bytes((umbra_gfn){0}, 0), 0);
	assert_int_equal(umbra_slot_meta_bytes((umbra_gfn){1ull << 40}, 1), 0);
	assert_int_equal(umbra_slot_meta_bytes((umbra_gfn){1}, ~0ull), 0);
}

static void tables_outside_ram_read_as_all_ones_and_cannot_be_written(void **state)
{
	struct host *h = *state;
	static const uint64_t gfns[] = {ABSENT_GFN, DEVICE_GFN, (1ull << 40) - 1};

	for (size_t i = 0; i < sizeof(gfns) / sizeof(gfns[0]); i++) {
		const struct slot *slot = slot_find(h->vm, gfns[i]);
		const uint64_t *table = slot_table(slot, gfns[i]);

		for (unsigned e = 0; e < ENTRIES; e++)
			assert_int_equal(table[e], ~0ull);
		assert_true(slot_table_ro(slot));
		assert_null(frame_of(h->vm, gfns[i]));
	}
	assert_true(slot_table_ro(slot_find(h->vm, ROM_GFN)));
	assert_false(slot_table_ro(slot_find(h->vm, RAM_GFN)));
}

static void guest_memory_is_read_across_pages_but_only_ram(void **state)
{
	struct host *h = *state;
	uint8_t bytes[16];

	memcpy((uint8_t *)host_words(h, 100) + 4090, "abcdef", 6);
	memcpy(host_words(h, 101), "ghij", 4);
	assert_true(umbra_read_guest(h->vm, 100 * X86_PAGE_SIZE + 4090, bytes, 10));
	assert_memory_equal(bytes, "abcdefghij", 10);
	host_words(h, ROM_GFN)[0] = 0x1122;
	assert_true(umbra_read_guest(h->vm, ROM_GFN << X86_PAGE_SHIFT, bytes, 1));
	assert_int_equal(bytes[0], 0x22);
	assert_false(umbra_read_guest(h->vm, DEVICE_GFN << X86_PAGE_SHIFT, bytes, 1));
	assert_false(umbra_read_guest(h->vm, ABSENT_GFN << X86_PAGE_SHIFT, bytes, 1));
	assert_false(umbra_read_guest(h->vm, ~0ull - 3, bytes, 8));
	assert_true(umbra_read_guest(h->vm, ~0ull, bytes, 0));
	assert_false(
		umbra_read_guest(h->vm, (RAM_GFN + RAM_FRAMES) * X86_PAGE_SIZE - 8, bytes, 16));
}

static void a_read_that_is_refused_copies_nothing(void **state)
{
	struct host *h = *state;
	uint8_t bytes[16];

	memset(bytes, 0x5a, sizeof(bytes));
	memset(host_words(h, RAM_FRAMES - 1), 0x11, X86_PAGE_SIZE);
	assert_false(umbra_read_guest(h->vm, RAM_FRAMES * X86_PAGE_SIZE - 8, bytes, 16));
	for (unsigned i = 0; i < sizeof(bytes); i++)
		assert_int_equal(bytes[i], 0x5a);
}

/* ---- creation ---- */

static void creation_refuses_what_breaks_its_contract(void **state)
{
	struct host *h = *state;
	const struct umbra_config good = {
		.policy = umbra_policy_default,
		.max_vcpus = 1,
		.maxphyaddr = 40,
		.tables = h->tables,
		.tables_hpa = TABLES_HPA,
		.pool_pages = 64,
		.meta = h->meta,
		.meta_bytes = umbra_vm_meta_bytes(64, 1),
		.host = &h->services,
		.host_ctx = h,
	};
	struct umbra_host no_flush = h->services, no_panic = h->services;
	struct umbra_vm *vm = NULL;
	struct {
		struct umbra_config config;
		enum umbra_status expect;
	} cases[20];

	no_flush.flush_tlb = NULL;
	no_panic.panic = NULL;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cases[i].config = good;
		cases[i].expect = UMBRA_BAD_ARG;
	}
	cases[0].config.max_vcpus = 0;
	cases[1].config.max_vcpus = 33;
	cases[2].config.maxphyaddr = 31;
	cases[3].config.maxphyaddr = 53;
	cases[4].config.tables = NULL;
	cases[5].config.tables = (uint8_t *)h->tables + 8;
	cases[6].config.tables_hpa = TABLES_HPA + 1;
	cases[7].config.pool_pages = UMBRA_POOL_MIN - 1;
	cases[8].config.pool_pages = 1u << 22;
	cases[9].config.meta = NULL;
	cases[10].config.meta = (uint8_t *)h->meta + 8;
	cases[11].config.host = NULL;
	cases[12].config.host = &no_flush;
	cases[13].config.host = &no_panic;
	cases[14].config.policy.prefetch = 3;
	cases[15].config.policy.pool = UMBRA_POOL_MIN - 1;
	cases[16].config.policy.oos = (enum umbra_oos)9;
	/* Above 4 GiB, with the last page or all. */
	cases[17].config.tables_hpa = (1ull << 32) - 63 * X86_PAGE_SIZE;
	cases[18].config.tables_hpa = 1ull << 40;
	cases[19].config.meta_bytes--;
	cases[19].expect = UMBRA_NO_MEMORY;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		print_message("  case %zu\n", i);
		assert_int_equal(umbra_vm_create(&cases[i].config, &vm), cases[i].expect);
		assert_null(vm);
	}
}

static void vcpus_are_limited_to_what_was_said(void **state)
{
	struct host *h = *state;
	struct umbra_vcpu *second = NULL;

	assert_int_equal(umbra_vcpu_create(h->vm, &second), UMBRA_TOO_MANY);
	assert_null(second);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slots_never_share_a_frame),
		cmocka_unit_test(a_slot_that_breaks_the_contract_is_refused),
		cmocka_unit_test(there_is_room_for_so_many_slots_and_no_more),
		cmocka_unit_test(lookup_finds_each_frame_whatever_the_order_of_adding),
		cmocka_unit_test(two_megabytes_fit_only_whole_and_aligned),
		cmocka_unit_test(the_meta_of_a_slot_counts_each_2m_it_touches),
		cmocka_unit_test_setup_teardown(
			tables_outside_ram_read_as_all_ones_and_cannot_be_written, host_setup,
			host_teardown),
		cmocka_unit_test_setup_teardown(
			guest_memory_is_read_across_pages_but_only_ram, host_setup, host_teardown),
		cmocka_unit_test_setup_teardown(
			a_read_that_is_refused_copies_nothing, host_setup, host_teardown),
		cmocka_unit_test_setup_teardown(
			creation_refuses_what_breaks_its_contract, host_setup, host_teardown),
		cmocka_unit_test_setup_teardown(
			vcpus_are_limited_to_what_was_said, host_setup, host_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
