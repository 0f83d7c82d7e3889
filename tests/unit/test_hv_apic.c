/* SPDX-License-Identifier: MIT */
/*
 * What the guest may store into the local APIC's page, register by register and mode by mode; and
 * that what it may reaches the device, in one access.
 */
#include "tests/unit/hv_fake.h"

#include "hv/vm/apic.h"
#include "hv/vm/vcpu.h"

#define BASE      0xfee00000ull
#define ICR_LOW   0x300u
#define MODE_INIT 5u
#define MODE_SIPI 6u

static struct umbra_track *track;
static struct {
	umbra_gpa gpa;
	uint32_t value;
	size_t n_bytes;
	unsigned n;
} put;

enum umbra_status umbra_track_write(struct umbra_vm *mmu, umbra_gfn gfn, struct umbra_track *with)
{
	(void)mmu;
	assert_int_equal(gfn.n, BASE >> 12);
	assert_int_equal(with->when, UMBRA_TRACK_BEFORE);
	track = with;
	return UMBRA_OK;
}

void memory_put_device(umbra_gpa gpa, const void *bytes, size_t n_bytes)
{
	put.gpa = gpa;
	put.n_bytes = n_bytes;
	memcpy(&put.value, bytes, n_bytes < 4 ? n_bytes : 4);
	put.n++;
}

static bool allows(unsigned offset, uint32_t value)
{
	return apic_allows(offset, &value, sizeof(value));
}

/* SDM 3A "APIC Register Address Map": where bits 10:8 are a delivery mode. */
static bool has_mode(unsigned offset)
{
	static const unsigned offsets[] = {0x2f0, ICR_LOW, 0x320, 0x330, 0x340, 0x350, 0x360, 0x370,
		0x500, 0x510, 0x520, 0x530};

	for (unsigned i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
		if (offset == offsets[i])
			return true;
	}
	return false;
}

static void init_and_start_up_are_refused_and_nothing_else(void **state)
{
	(void)state;
	for (unsigned offset = 0; offset < 0x1000; offset += 16) {
		for (unsigned mode = 0; mode < 8; mode++) {
			bool bad = mode == MODE_INIT || mode == MODE_SIPI;

			/* Whatever vector, destination mode, level, trigger mode and shorthand. */
			for (uint32_t other = 0; other < 1u << 20; other += 0x8800 + 0x35) {
				uint32_t value = (other & ~0x700u) | mode << 8;

				assert_int_equal(allows(offset, value),
					offset >= 0x20 && !(bad && has_mode(offset)));
			}
		}
	}
}

static void only_the_first_four_bytes_of_a_register_can_be_written(void **state)
{
	const uint64_t zero[2] = {0};

	(void)state;
	for (unsigned at = 0; at < 16; at++) {
		for (size_t n = 1; n <= 16; n++) {
			assert_int_equal(apic_allows(0x80 + at, zero, n), at + n <= 4);
			/* And of these only all. */
			assert_int_equal(apic_allows(ICR_LOW + at, zero, n), at == 0 && n == 4);
		}
	}
	/* From the register before into ICR. */
	assert_false(apic_allows(0x2f8, zero, 16));
}

static enum umbra_track_answer store(umbra_gpa gpa, uint32_t value)
{
	return track->written(track->ctx, NULL, gpa, &value, sizeof(value));
}

static void what_is_allowed_reaches_the_device(void **state)
{
	struct vm vm = {0};

	(void)state;
	assert_says(FATAL_TEXT_OF(apic_watch(&vm, BASE | 0xd00)), "x2APIC");
	apic_watch(&vm, BASE | 0x900);
	assert_int_equal(store(BASE + 0x380, 0x12345678), UMBRA_TRACK_STORE);
	assert_int_equal(put.n, 1);
	assert_int_equal(put.gpa, BASE + 0x380);
	assert_int_equal(put.value, 0x12345678);
	assert_int_equal(put.n_bytes, 4);
	assert_int_equal(store(BASE + ICR_LOW, 0x4500), UMBRA_TRACK_STORE);
	assert_int_equal(put.n, 1);
	/* An NMI to itself. */
	assert_int_equal(store(BASE + ICR_LOW, 0x44400), UMBRA_TRACK_STORE);
	assert_int_equal(put.n, 2);
	/* Without an APIC it would be a message. */
	vm.apic_on = false;
	assert_int_equal(store(BASE + 0x380, 0x500), UMBRA_TRACK_STORE);
	assert_int_equal(put.n, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(init_and_start_up_are_refused_and_nothing_else),
		cmocka_unit_test(only_the_first_four_bytes_of_a_register_can_be_written),
		cmocka_unit_test(what_is_allowed_reaches_the_device),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
