/* SPDX-License-Identifier: MIT */
/*
 * The decoder of x86/ against Zydis, on random encodings of 16-, 32- and 64-bit code.
 *
 * usage: test_zydis [COUNT [SEED]]
 *        test_zydis SIZE BYTES...     one instruction again: SIZE 16, 32 or 64, bytes in
 * hexadecimal
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/x86/refusal.h"
#include "tests/x86/zydis_compare.h"
#include "tests/x86/zydis_makers.h"

enum {
	JOBS = 2,
	MAX_REPORTS = 12, /* different ones, a job */
	PAGE_BYTES = 4096,
};

#define N_OPS  (X86_OP_WRPKRU + 1)
#define ENOUGH 10000000u /* encodings, for each operation to be met */

struct report {
	ZydisMnemonic mnemonic;
	const char *difference;
};

/* What one job has found; shared with the parent. */
struct tally {
	uint64_t accepted;  /* by both */
	uint64_t unknown;   /* to x86/, and it may be */
	uint64_t described; /* by x86/, and compared */
	uint64_t excused;
	uint64_t failed;
	uint64_t ops[3][N_OPS]; /* described, by code size */
	unsigned n_reports;
	struct report reports[MAX_REPORTS];
};

struct job {
	struct tally *tally;
	uint8_t *page_end; /* nothing is mapped from here on */
};

static const unsigned code_bits[] = {[X86_CODE_16] = 16, [X86_CODE_32] = 32, [X86_CODE_64] = 64};

/* Decode the first @n bytes of @encoding where a read of one more is a segmentation fault. */
static enum x86_decode_status decode_first(
	struct job *job, struct x86_insn *insn, const struct encoding *encoding, size_t n)
{
	uint8_t *bytes = job->page_end - n;

	memcpy(bytes, encoding->bytes, n);
	memset(insn, 0, sizeof(*insn));
	return x86_decode(insn, encoding->size, bytes, n);
}

static bool same_insn(const struct x86_insn *a, const struct x86_insn *b)
{
	return a->op == b->op && a->form == b->form && a->length == b->length &&
	       a->operand_bytes == b->operand_bytes && a->source_bytes == b->source_bytes &&
	       a->address_bytes == b->address_bytes && a->lock == b->lock && a->rep == b->rep &&
	       a->rex == b->rex && a->is_memory == b->is_memory && a->reg == b->reg &&
	       a->rm == b->rm && a->segment == b->segment && a->rip_relative == b->rip_relative &&
	       a->base == b->base && a->index == b->index && a->scale == b->scale &&
	       a->condition == b->condition && a->stored == b->stored &&
	       a->displacement == b->displacement && a->immediate == b->immediate;
}

/* What does not depend on what the instruction is: an accepted one is the same when nothing follows
 * it, and truncated when bytes at its end are missing. */
static const char *check_bounds(
	struct job *job, const struct x86_insn *insn, const struct encoding *encoding)
{
	struct x86_insn again;

	if (insn->length == 0 || insn->length > X86_INSN_MAX)
		return "length out of bounds";
	if (decode_first(job, &again, encoding, insn->length) != X86_DECODE_OK)
		return "not accepted when nothing follows";
	if (!same_insn(insn, &again))
		return "described differently when nothing follows";
	if (decode_first(job, &again, encoding, insn->length - 1u) != X86_DECODE_TRUNCATED)
		return "not truncated without its last byte";
	if (decode_first(job, &again, encoding,
		    encoding->bytes[ENCODING_BYTES - 1] % (size_t)insn->length) !=
		X86_DECODE_TRUNCATED)
		return "not truncated when cut short";
	return NULL;
}

/* May x86/ not know an instruction? Only those of AVX-512, XOP and Knights Corner. */
static bool may_be_unknown(const struct zydis_view *view)
{
	return view->insn.encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX ||
	       view->insn.encoding == ZYDIS_INSTRUCTION_ENCODING_MVEX ||
	       view->insn.encoding == ZYDIS_INSTRUCTION_ENCODING_XOP;
}

/* Both have accepted the instruction. */
static const char *check_accepted(struct job *job, enum x86_code_size size,
	const struct x86_insn *insn, const struct zydis_view *view)
{
	const char *difference;

	job->tally->accepted++;
	if (insn->length != view->insn.length)
		return "length";
	if (insn->op == X86_OP_OTHER && zydis_must_describe(view))
		return "not described";
	if (insn->op == X86_OP_OTHER && insn->form != X86_FORM_NONE)
		return "form";
	if (insn->op == X86_OP_OTHER)
		return insn->stored == X86_STORED_NOTHING ? NULL : "kind of register stored";
	job->tally->described++;
	job->tally->ops[size][insn->op]++;
	difference = zydis_compare(insn, view);
	return difference ? difference : refusal_check(insn);
}

static const char *check(struct job *job, const struct encoding *encoding, struct zydis_view *view)
{
	enum zydis_verdict verdict = zydis_look(view, encoding);
	struct x86_insn insn;
	enum x86_decode_status status = decode_first(job, &insn, encoding, sizeof(encoding->bytes));
	const char *difference = NULL;

	if (status == X86_DECODE_OK)
		difference = check_bounds(job, &insn, encoding);
	if (difference || verdict == ZYDIS_REJECTS)
		return difference;
	if (verdict == ZYDIS_TOO_LONG)
		return status == X86_DECODE_OK ? "accepted, but too long" : NULL;
	if (status == X86_DECODE_OK)
		return check_accepted(job, encoding->size, &insn, view);
	if (!may_be_unknown(view))
		return "not accepted";
	job->tally->unknown++;
	return NULL;
}

static void print_case(const struct encoding *encoding, const struct zydis_view *view,
	const char *difference, const char *program)
{
	const char *name = ZydisMnemonicGetString(view->insn.mnemonic);

	printf("zydis: %s (%u bytes): %s\n  replay: %s %u", name ? name : "?", view->insn.length,
		difference, program, code_bits[encoding->size]);
	for (unsigned i = 0; i < ENCODING_BYTES; i++)
		printf(" %02x", encoding->bytes[i]);
	printf("\n");
}

/* Each pair of a mnemonic and a difference is printed once. */
static bool is_news(struct tally *tally, ZydisMnemonic mnemonic, const char *difference)
{
	for (unsigned i = 0; i < tally->n_reports; i++)
		if (tally->reports[i].mnemonic == mnemonic &&
			tally->reports[i].difference == difference)
			return false;
	if (tally->n_reports == MAX_REPORTS)
		return false;
	tally->reports[tally->n_reports++] = (struct report){mnemonic, difference};
	return true;
}

static void run_one(struct job *job, const struct encoding *encoding, const char *program)
{
	struct zydis_view view = {0};
	const char *difference = check(job, encoding, &view);

	if (!difference)
		return;
	if (zydis_excuse(&view, difference)) {
		job->tally->excused++;
		return;
	}
	job->tally->failed++;
	if (is_news(job->tally, view.insn.mnemonic, difference))
		print_case(encoding, &view, difference, program);
}

static void *map(size_t n_bytes)
{
	void *memory =
		mmap(NULL, n_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED) {
		perror("test_zydis: mmap");
		exit(2);
	}
	return memory;
}

static struct job make_job(void)
{
	uint8_t *pages = map(2 * PAGE_BYTES);
	struct job job = {map(sizeof(struct tally)), pages + PAGE_BYTES};

	if (mprotect(job.page_end, PAGE_BYTES, PROT_NONE)) {
		perror("test_zydis: mprotect");
		exit(2);
	}
	return job;
}

static pid_t start(struct job *job, unsigned number, uint64_t count, uint64_t seed, char *program)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0) {
		perror("test_zydis: fork");
		exit(2);
	}
	if (pid != 0)
		return pid;
	for (uint64_t i = count * number / JOBS; i < count * (number + 1) / JOBS; i++) {
		struct encoding encoding;

		encoding_make(&encoding, seed, i);
		run_one(job, &encoding, program);
	}
	exit(0);
}

/* With enough encodings every operation must have been met. */
static bool ops_covered(const struct tally *tally)
{
	bool covered = true;

	for (unsigned size = 0; size < 3; size++)
		for (unsigned op = X86_OP_ADD; op <= X86_OP_WRPKRU; op++)
			if (tally->ops[size][op] == 0) {
				printf("zydis: operation %u never met in %u-bit code\n", op,
					code_bits[size]);
				covered = false;
			}
	return covered;
}

static void add(struct tally *sum, const struct tally *part)
{
	sum->accepted += part->accepted;
	sum->unknown += part->unknown;
	sum->described += part->described;
	sum->excused += part->excused;
	sum->failed += part->failed;
	for (unsigned size = 0; size < 3; size++)
		for (unsigned op = 0; op < N_OPS; op++)
			sum->ops[size][op] += part->ops[size][op];
}

static int run_all(uint64_t count, uint64_t seed, char *program)
{
	struct job jobs[JOBS];
	pid_t pids[JOBS];
	struct tally sum = {0};
	bool ok = true;

	for (unsigned i = 0; i < JOBS; i++) {
		jobs[i] = make_job();
		pids[i] = start(&jobs[i], i, count, seed, program);
	}
	for (unsigned i = 0; i < JOBS; i++) {
		int status;

		if (waitpid(pids[i], &status, 0) < 0 || status != 0) {
			printf("zydis: job %u ended with status %#x\n", i, (unsigned)status);
			ok = false;
		}
		add(&sum, jobs[i].tally);
	}
	ok = ok && sum.failed == 0 && (count < ENOUGH || ops_covered(&sum));
	printf("zydis: %s: %llu encodings (seed %llu), %llu accepted by both, %llu described, "
	       "%llu unknown, %llu excused, %llu different\n",
		ok ? "ok" : "FAILED", (unsigned long long)count, (unsigned long long)seed,
		(unsigned long long)sum.accepted, (unsigned long long)sum.described,
		(unsigned long long)sum.unknown, (unsigned long long)sum.excused,
		(unsigned long long)sum.failed);
	return ok ? 0 : 1;
}

/* One instruction again, told in full. */
static int replay(int argc, char **argv)
{
	unsigned bits = (unsigned)atoi(argv[1]);
	struct encoding encoding = {.size = bits == 16   ? X86_CODE_16
					    : bits == 32 ? X86_CODE_32
							 : X86_CODE_64};
	struct job job = make_job();
	struct zydis_view view = {0};
	struct x86_insn insn = {0};
	const char *difference;

	for (int i = 2; i < argc && i < 2 + (int)ENCODING_BYTES; i++)
		encoding.bytes[i - 2] = (uint8_t)strtoul(argv[i], NULL, 16);
	difference = check(&job, &encoding, &view);
	printf("Zydis: %s, %u bytes\n", ZydisMnemonicGetString(view.insn.mnemonic),
		view.insn.length);
	printf("x86/: status %d", (int)decode_first(&job, &insn, &encoding, ENCODING_BYTES));
	printf(" op %d form %d length %u operand %u source %u address %u lock %d rep %d rex %d "
	       "memory %d reg %u rm %u\n  segment %d rip %d base %d index %d scale %u "
	       "displacement %llx immediate %llx condition %u stored %u\n",
		(int)insn.op, (int)insn.form, insn.length, insn.operand_bytes, insn.source_bytes,
		insn.address_bytes, insn.lock, insn.rep, insn.rex, insn.is_memory, insn.reg,
		insn.rm, (int)insn.segment, insn.rip_relative, insn.base, insn.index, insn.scale,
		(unsigned long long)insn.displacement, (unsigned long long)insn.immediate,
		insn.condition, insn.stored);
	printf("%s\n", difference ? difference : "no difference");
	return difference != NULL;
}

int main(int argc, char **argv)
{
	if (argc > 3)
		return replay(argc, argv);
	return run_all(argc > 1 ? strtoull(argv[1], NULL, 0) : 1000000,
		argc > 2 ? strtoull(argv[2], NULL, 0) : 1, argv[0]);
}
