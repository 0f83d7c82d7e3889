/* SPDX-License-Identifier: MIT */
/* The world of the enumeration: its memory, its VM, and its accesses. */
#include "lab/enum_world.h"

#include "lab/rng.h"
#include "x86/x86.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POOL       64u
#define TABLES_HFN 0x3000ull
#define ABSENT_HFN 0xa0000ull
#define EXITS_MAX  16u

/* Host frames are never the guest's numbers. DATA and ROM are aligned to 2M on both sides, HIGH and
 * the device are not. All begin at a multiple of 1G in the guest, so that a 1G page can map them.
 */
const struct enum_range enum_ranges[ENUM_N_RANGES] = {
	[ENUM_RANGE_LOW] = {0x10, 0x2347, 0x10, false, false},
	[ENUM_RANGE_DATA] = {0x40000, 0x50000, 0x800, false, false},
	[ENUM_RANGE_ROM] = {0x80000, 0x61000, 0x400, true, false},
	[ENUM_RANGE_DEVICE] = {0xc0000, 0x72001, 0x400, false, true},
	[ENUM_RANGE_HIGH] = {0x140000, 0x83001, 0x400, false, false},
};

const struct enum_range *enum_range_of(uint64_t gpa)
{
	for (unsigned i = 0; i < ENUM_N_RANGES; i++)
		if ((gpa >> X86_PAGE_SHIFT) - enum_ranges[i].gfn < enum_ranges[i].n_frames)
			return &enum_ranges[i];
	return NULL;
}

uint64_t enum_table_gfn(unsigned level)
{
	return 0x14 + level;
}

static uint8_t *bytes_at(const struct enum_world *world, uint64_t gpa)
{
	const struct enum_range *range = enum_range_of(gpa);

	if (!range || range->device)
		return NULL;
	return world->backing[range - enum_ranges] + (gpa - (range->gfn << X86_PAGE_SHIFT));
}

uint64_t enum_world_word(const struct enum_world *world, uint64_t gpa, unsigned n_bytes)
{
	const uint8_t *bytes = bytes_at(world, gpa);
	uint64_t word = 0;

	if (!bytes)
		return n_bytes == 8 ? UINT64_MAX : UINT32_MAX;
	memcpy(&word, bytes, n_bytes);
	return word;
}

/* ---- the library's host ---- */

static void flush_tlb(void *host_ctx, struct umbra_vcpu *vcpu)
{
	struct enum_world *world = host_ctx;

	for (unsigned i = 0; i < 2; i++) {
		if (vcpu && vcpu != world->vcpus[i].umbra)
			continue;
		world->vcpus[i].hw.kept.valid = false;
		world->vcpus[i].kicked = true;
	}
}

static void flush_gva(void *host_ctx, struct umbra_vcpu *vcpu, umbra_gva gva)
{
	struct enum_world *world = host_ctx;

	for (unsigned i = 0; i < 2; i++)
		if (vcpu == world->vcpus[i].umbra &&
			world->vcpus[i].hw.kept.page == gva >> X86_PAGE_SHIFT)
			world->vcpus[i].hw.kept.valid = false;
}

static void panic(void *host_ctx, const char *text)
{
	struct enum_world *world = host_ctx;

	lab_fail(world->fail, "the library panicked: %s", text);
}

static const struct umbra_host host = {
	.flush_tlb = flush_tlb,
	.flush_gva = flush_gva,
	.panic = panic,
};

/* ---- making it ---- */

static void *must_allocate(size_t n_bytes)
{
	size_t rounded = (n_bytes + X86_PAGE_SIZE - 1) / X86_PAGE_SIZE * X86_PAGE_SIZE;
	void *block = aligned_alloc(X86_PAGE_SIZE, rounded);

	if (!block) {
		fprintf(stderr, "umbra-enum: out of memory (%zu bytes)\n", n_bytes);
		exit(1);
	}
	memset(block, 0, rounded);
	return block;
}

void enum_world_init(struct enum_world *world, struct lab_fail *fail)
{
	memset(world, 0, sizeof(*world));
	world->fail = fail;
	for (unsigned i = 0; i < ENUM_N_RANGES; i++) {
		const struct enum_range *range = &enum_ranges[i];

		if (range->device)
			continue;
		world->backing[i] = must_allocate(range->n_frames * X86_PAGE_SIZE);
		world->meta_bytes[i] =
			umbra_slot_meta_bytes((umbra_gfn){range->gfn}, range->n_frames);
		world->meta[i] = must_allocate(world->meta_bytes[i]);
	}
	world->tables = must_allocate(POOL * X86_PAGE_SIZE);
	world->vm_meta_bytes = umbra_vm_meta_bytes(POOL, 2);
	world->vm_meta = must_allocate(world->vm_meta_bytes);
}

void enum_world_free(struct enum_world *world)
{
	for (unsigned i = 0; i < ENUM_N_RANGES; i++) {
		free(world->backing[i]);
		free(world->meta[i]);
	}
	free(world->tables);
	free(world->vm_meta);
}

static void must(struct enum_world *world, enum umbra_status status, const char *what)
{
	if (status != UMBRA_OK)
		lab_fail(world->fail, "%s returns status %d", what, (int)status);
}

static void create_vm(struct enum_world *world, const struct umbra_policy *policy)
{
	const struct umbra_config config = {
		.policy = *policy,
		.max_vcpus = 2,
		.maxphyaddr = world->maxphyaddr,
		.no_1g = world->no_1g,
		.tables = world->tables,
		.tables_hpa = TABLES_HFN << X86_PAGE_SHIFT,
		.pool_pages = POOL,
		.meta = world->vm_meta,
		.meta_bytes = world->vm_meta_bytes,
		.absent_page = world->absent_page ? ABSENT_HFN << X86_PAGE_SHIFT : 0,
		.host = &host,
		.host_ctx = world,
	};

	must(world, umbra_vm_create(&config, &world->vm), "umbra_vm_create");
	for (unsigned i = 0; i < ENUM_N_RANGES; i++) {
		const struct enum_range *range = &enum_ranges[i];
		const struct umbra_slot slot = {
			.kind = range->device ? UMBRA_SLOT_DEVICE : UMBRA_SLOT_RAM,
			.gfn = {range->gfn},
			.hfn = {range->hfn},
			.n_frames = range->n_frames,
			.read_only = range->read_only,
			.host_va = world->backing[i],
			.meta = world->meta[i],
		};

		/* What a narrow processor cannot address. */
		if (range->gfn >> (world->maxphyaddr - X86_PAGE_SHIFT))
			continue;
		must(world, umbra_add_slot(world->vm, &slot), "umbra_add_slot");
	}
}

static void enter(struct enum_vcpu *vcpu)
{
	vcpu->kicked = false;
	enum_hw_enter(&vcpu->hw, umbra_shadow_mode(vcpu->umbra), umbra_root(vcpu->umbra));
}

void enum_world_begin(struct enum_world *world, const struct enum_row *row)
{
	struct umbra_policy policy = umbra_policy_default;
	char why[160];

	if (umbra_policy_parse(&policy, row->policy, why, sizeof(why)) != UMBRA_OK)
		lab_fail(world->fail, "policy: %s", why);
	world->row = row;
	world->maxphyaddr = row->maxphyaddr;
	world->no_1g = row->flags & ENUM_NO_1G;
	world->absent_page = row->flags & ENUM_ABSENT_PAGE;
	/* The data need not be cleared: nobody ever changes it. */
	memset(world->backing[ENUM_RANGE_LOW], 0,
		enum_ranges[ENUM_RANGE_LOW].n_frames * X86_PAGE_SIZE);
	for (unsigned i = 0; i < world->picture.n_words; i++)
		memset(bytes_at(world, world->picture.words[i].gpa), 0, world->picture.entry_bytes);
	for (unsigned i = 0; i < ENUM_N_RANGES; i++)
		if (world->meta[i])
			memset(world->meta[i], 0, world->meta_bytes[i]);
	memset(world->tables, 0, POOL * X86_PAGE_SIZE);
	memset(world->vm_meta, 0, world->vm_meta_bytes);
	memset(&world->picture, 0, sizeof(world->picture));
	memset(world->pdpte, 0, sizeof(world->pdpte));
	create_vm(world, &policy);
	for (unsigned i = 0; i < 2; i++) {
		struct enum_vcpu *vcpu = &world->vcpus[i];

		must(world, umbra_vcpu_create(world->vm, &vcpu->umbra), "umbra_vcpu_create");
		vcpu->hw = (struct enum_hw){
			.fail = world->fail,
			.tables = (uint64_t *)(void *)world->tables,
			.tables_hpa = TABLES_HFN << X86_PAGE_SHIFT,
			.n_tables = POOL,
			.stale = row->flags & ENUM_STALE,
		};
		enter(vcpu);
	}
}

/* ---- accesses ---- */

/* An access under way. */
struct trip {
	struct enum_world *world;
	struct enum_vcpu *vcpu;
	struct enum_hw_access access;
	struct umbra_page_fault fault;
	bool implicit;
	unsigned emulated;             /* times that UMBRA_EMULATE was answered */
	const struct enum_word *store; /* what is stored; NULL: what is there already */
	unsigned n_bytes;
};

/* The host-physical address @hpa was reached: what is it to the guest? */
static void land(struct enum_world *world, uint64_t hpa, struct enum_seen *seen)
{
	uint64_t hfn = hpa >> X86_PAGE_SHIFT;

	if (hfn == ABSENT_HFN && world->absent_page) {
		seen->end = END_ABSENT_PAGE;
		return;
	}
	for (unsigned i = 0; i < ENUM_N_RANGES; i++) {
		const struct enum_range *range = &enum_ranges[i];

		if (hfn - range->hfn < range->n_frames) {
			seen->end = END_MEMORY;
			seen->gpa = hpa - ((range->hfn - range->gfn) << X86_PAGE_SHIFT);
			return;
		}
	}
	lab_fail(world->fail, "host memory 0x%" PRIx64 " was reached, which is no guest's", hpa);
}

/* UMBRA_EMULATE, answered in one of both ways in turn; if it comes again, in the other. true: the
 * access is over. */
static bool emulate(struct trip *trip, uint64_t gpa, struct enum_seen *seen)
{
	struct umbra_vcpu *umbra = trip->vcpu->umbra;
	const struct enum_range *range = enum_range_of(gpa);
	uint64_t value;

	if (!trip->emulated++ && trip->world->turn++ % 2) {
		umbra_unshadow(umbra, gpa);
		return false;
	}
	value = trip->store ? trip->store->value : enum_world_word(trip->world, gpa, trip->n_bytes);
	seen->end = END_MEMORY;
	seen->gpa = gpa;
	seen->emulated = true;
	if (!range || range->read_only)
		seen->end = END_STRANGE;
	else if (!range->device && !umbra_guest_write(umbra, gpa, &value, trip->n_bytes))
		seen->end = END_STRANGE;
	return true;
}

static void end_fault(const struct umbra_exit *out, struct enum_seen *seen)
{
	seen->end = out->vector == X86_PF ? END_FAULT : END_STRANGE;
	seen->error_code = out->error_code;
	seen->gva = out->gva;
}

/* An exit of the hardware. true: the access is over. */
static bool take_exit(struct trip *trip, struct enum_seen *seen)
{
	struct umbra_exit out = {0};
	enum umbra_outcome outcome = umbra_page_fault(trip->vcpu->umbra, &trip->fault, &out);
	bool over = true;

	trip->world->n_exits++;
	/* What the host is to perform is a fault if the instruction made it implicitly. */
	if (outcome == UMBRA_INJECT || (outcome != UMBRA_RESUME && trip->implicit && out.vector)) {
		end_fault(&out, seen);
	} else if (outcome == UMBRA_MMIO) {
		seen->end = END_ABSENT;
		seen->gpa = out.gpa;
	} else {
		over = outcome == UMBRA_EMULATE && emulate(trip, out.gpa, seen);
	}
	enter(trip->vcpu);
	return over;
}

static void perform(struct trip *trip, struct enum_seen *seen)
{
	*seen = (struct enum_seen){0};
	if (trip->vcpu->kicked)
		enter(trip->vcpu);
	for (unsigned i = 0; i < EXITS_MAX; i++) {
		struct enum_hw_result result = enum_hw_translate(&trip->vcpu->hw, &trip->access);

		if (!result.fault) {
			land(trip->world, result.hpa, seen);
			seen->pat = result.pat;
			if (trip->store && seen->end == END_MEMORY)
				memcpy(bytes_at(trip->world, seen->gpa), &trip->store->value,
					trip->n_bytes);
			return;
		}
		trip->fault.error_code = result.error_code;
		if (take_exit(trip, seen))
			return;
	}
	seen->end = END_LIVELOCK;
}

void enum_world_access(struct enum_world *world, const struct enum_who *who, struct enum_seen *seen)
{
	const struct picture *picture = &world->picture;
	struct trip trip = {
		.world = world,
		.vcpu = &world->vcpus[0],
		.access =
			{
				.gva = picture->gva,
				.kind = who->kind,
				.supervisor = who->cpl < 3 || who->implicit,
				.open = who->ac && !who->implicit,
				.pkru = picture->pkru,
				.pkrs = picture->pkrs,
			},
		.fault =
			{
				.gva = picture->gva,
				.cpl = who->cpl,
				.ac = who->ac,
				.pkru = picture->pkru,
				.pkrs = picture->pkrs,
			},
		.implicit = who->implicit,
		.n_bytes = 4,
	};

	perform(&trip, seen);
}

/* ---- from one picture to the next ---- */

/* vCPU 1, which does not page, stores @word. */
static void store(struct enum_world *world, const struct enum_word *word, unsigned n_bytes)
{
	struct enum_seen seen;
	struct trip trip = {
		.world = world,
		.vcpu = &world->vcpus[1],
		.access = {.gva = word->gpa, .kind = UMBRA_WRITE, .supervisor = true},
		.fault = {.gva = word->gpa},
		.store = word,
		.n_bytes = n_bytes,
	};

	perform(&trip, &seen);
	if (seen.end != END_MEMORY || seen.gpa != word->gpa)
		lab_fail(world->fail,
			"an unpaged store to gpa 0x%" PRIx64 " ends as %d at 0x%" PRIx64, word->gpa,
			(int)seen.end, seen.gpa);
}

void enum_world_poke(struct enum_world *world, const struct enum_word *word, unsigned n_bytes)
{
	if (!umbra_guest_write(world->vcpus[0].umbra, word->gpa, &word->value, n_bytes))
		lab_fail(world->fail, "umbra_guest_write refuses gpa 0x%" PRIx64, word->gpa);
}

static void write_by(struct enum_world *world, const struct enum_word *word, unsigned n_bytes,
	enum enum_manner manner)
{
	if (manner == MANNER_POKE)
		enum_world_poke(world, word, n_bytes);
	else
		store(world, word, n_bytes);
}

/* The same bytes as @word and some on both sides that stay as they are, in pieces that know nothing
 * of entries. */
static void write_pieces(struct enum_world *world, const struct enum_word *word, unsigned n_bytes,
	enum enum_manner manner)
{
	struct rng rng = rng_seed(world->turn++);
	uint64_t page = word->gpa & ~0xfffull;
	uint64_t from = word->gpa - rng_below(&rng, 1 + (unsigned)(word->gpa % 4096 < 8 ? 0 : 8));
	uint64_t end = word->gpa + n_bytes + rng_below(&rng, 8);
	uint8_t bytes[X86_PAGE_SIZE];

	if (end > page + X86_PAGE_SIZE)
		end = page + X86_PAGE_SIZE;
	memcpy(bytes, bytes_at(world, page), sizeof(bytes));
	memcpy(bytes + word->gpa % X86_PAGE_SIZE, &word->value, n_bytes);
	while (from < end) {
		unsigned n = 1 + rng_below(&rng, 8);
		struct enum_word piece = {.gpa = from};

		if (from + n > end)
			n = (unsigned)(end - from);
		memcpy(&piece.value, bytes + from % X86_PAGE_SIZE, n);
		write_by(world, &piece, n, manner);
		from += n;
	}
}

static void write_word(struct enum_world *world, const struct enum_word *word, unsigned n_bytes,
	enum enum_manner manner)
{
	const struct enum_range *range = enum_range_of(word->gpa);
	uint8_t *bytes = bytes_at(world, word->gpa);

	if (memcmp(bytes, &word->value, n_bytes) == 0)
		return;
	/* Read-only memory changes only before a VM begins; see rom_differs(). */
	if (range->read_only || manner == MANNER_COLD)
		memcpy(bytes, &word->value, n_bytes);
	else if (world->row->flags & ENUM_PIECES)
		write_pieces(world, word, n_bytes, manner);
	else
		write_by(world, word, n_bytes, manner);
}

/* Clear what the picture before had, then write what this one has. */
static void write_tables(
	struct enum_world *world, const struct picture *picture, enum enum_manner manner)
{
	const struct picture before = world->picture;

	for (unsigned i = 0; i < before.n_words; i++) {
		struct enum_word zero = {before.words[i].gpa, 0};
		bool kept = enum_range_of(zero.gpa)->read_only;

		for (unsigned k = 0; k < picture->n_words; k++)
			kept |= picture->words[k].gpa == zero.gpa &&
				picture->entry_bytes == before.entry_bytes;
		if (!kept)
			write_word(world, &zero, before.entry_bytes, manner);
	}
	for (unsigned i = 0; i < picture->n_words; i++)
		write_word(world, &picture->words[i], picture->entry_bytes, manner);
	world->picture = *picture;
}

struct oracle_cpu enum_world_cpu(const struct enum_world *world, const struct picture *picture)
{
	struct oracle_cpu cpu = {
		.cr0 = picture->regs.cr0,
		.cr3 = picture->regs.cr3,
		.cr4 = picture->regs.cr4,
		.efer = picture->regs.efer,
		.pkru = picture->pkru,
		.pkrs = picture->pkrs,
		.maxphyaddr = world->maxphyaddr,
		.has_1g_pages = !world->no_1g,
		.has_pse36 = true,
	};

	memcpy(cpu.pdpte, world->pdpte, sizeof(cpu.pdpte));
	return cpu;
}

bool enum_world_set_regs(struct enum_world *world, const struct umbra_paging_regs *regs)
{
	struct enum_vcpu *vcpu = &world->vcpus[0];
	uint64_t cr4 = regs->cr0 & X86_CR0_PG ? regs->cr4 : 0;
	struct umbra_exit out = {0};

	if (umbra_set_paging_regs(vcpu->umbra, regs, &out) != UMBRA_RESUME)
		return false;
	vcpu->hw.smep = cr4 & X86_CR4_SMEP;
	vcpu->hw.smap = cr4 & X86_CR4_SMAP;
	vcpu->hw.pke = cr4 & X86_CR4_PKE;
	vcpu->hw.pks = cr4 & X86_CR4_PKS;
	enter(vcpu);
	return true;
}

/* PDPTEs are loaded for certain only by a load of CR3. */
bool enum_world_load(struct enum_world *world, const struct picture *picture)
{
	struct enum_vcpu *vcpu = &world->vcpus[0];
	struct umbra_exit out = {0};

	if (!enum_world_set_regs(world, &picture->regs) ||
		umbra_load_cr3(vcpu->umbra, picture->regs.cr3, &out) != UMBRA_RESUME)
		return false;
	for (unsigned i = 0; i < 4; i++)
		world->pdpte[i] =
			enum_world_word(world, (picture->regs.cr3 & 0xffffffe0) + i * 8, 8);
	enter(vcpu);
	return true;
}

/* Does read-only memory have to hold anything else for @picture? */
static bool rom_differs(const struct enum_world *world, const struct picture *picture)
{
	for (unsigned i = 0; i < picture->n_words; i++) {
		const struct enum_word *word = &picture->words[i];

		if (enum_range_of(word->gpa)->read_only &&
			enum_world_word(world, word->gpa, picture->entry_bytes) != word->value)
			return true;
	}
	return false;
}

bool enum_world_show(
	struct enum_world *world, const struct picture *picture, enum enum_manner manner)
{
	bool pae = (picture->regs.cr4 & X86_CR4_PAE) && !(picture->regs.efer & X86_EFER_LMA);

	if (rom_differs(world, picture))
		enum_world_begin(world, world->row);
	if (manner == MANNER_COLD)
		for (unsigned level = 1; level <= ENUM_LEVELS; level++)
			umbra_unshadow(
				world->vcpus[0].umbra, enum_table_gfn(level) << X86_PAGE_SHIFT);
	/* PDPTEs are read when the registers are loaded: there is nothing to invalidate later. */
	if (manner == MANNER_INVLPG && !pae) {
		if (!enum_world_load(world, picture))
			return false;
		write_tables(world, picture, manner);
		umbra_invlpg(world->vcpus[0].umbra, picture->gva);
		if (picture->next_gva)
			umbra_invlpg(world->vcpus[0].umbra, picture->next_gva);
		enter(&world->vcpus[0]);
		return true;
	}
	write_tables(world, picture, manner);
	return enum_world_load(world, picture);
}
