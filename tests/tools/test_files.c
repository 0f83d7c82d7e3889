/* SPDX-License-Identifier: MIT */
/* What the command reads and writes for a guest: kernels, archives. */
#include "tests/tools/check.h"
#include "tools/cpio.h"
#include "tools/image.h"
#include "tools/kernel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put32(uint8_t *at, uint32_t value)
{
	for (unsigned i = 0; i < 4; i++)
		at[i] = (uint8_t)(value >> 8 * i);
}

static void a_bzimage_is_known_by_its_header_and_says_what_memory_it_needs(void **state)
{
	uint8_t head[KERNEL_HEAD_BYTES] = {0};
	struct kernel kernel;

	(void)state;
	memcpy(head + 0x1fe, "\x55\xaaxxHdrS\x0f\x02", 10);
	put32(head + 0x258, 16u << 20);
	put32(head + 0x260, 5u << 20);
	kernel = kernel_identify(head, sizeof(head));
	assert_int_equal(kernel.kind, KERNEL_LINUX);
	assert_int_equal(kernel.end_bytes, 21u << 20);
	assert_true(kernel.is_32_bit);
	head[0x236] = 1;
	assert_false(kernel_identify(head, sizeof(head)).is_32_bit);
	memcpy(head + 0x206, "\x09\x02", 2); /* before 2.10 the header does not know these */
	assert_int_equal(kernel_identify(head, sizeof(head)).end_bytes, 0);
	head[0x236] = 0;
	assert_false(kernel_identify(head, sizeof(head)).is_32_bit);
	assert_int_equal(kernel_identify(head, 0x240).kind, KERNEL_NONE);
	head[0x202] = 'h';
	assert_int_equal(kernel_identify(head, sizeof(head)).kind, KERNEL_NONE);
}

static void a_multiboot_header_needs_its_checksum_and_alignment(void **state)
{
	uint8_t head[KERNEL_HEAD_BYTES] = {0x7f, 'E', 'L', 'F', 1};

	(void)state;
	put32(head + 0x1000, 0x1badb002);
	put32(head + 0x1004, 3);
	put32(head + 0x1008, 0u - 0x1badb002 - 3);
	assert_int_equal(kernel_identify(head, sizeof(head)).kind, KERNEL_MULTIBOOT);
	assert_false(kernel_identify(head, sizeof(head)).elf64);
	head[4] = 2;
	assert_true(kernel_identify(head, sizeof(head)).elf64);
	put32(head + 0x1004, 0x10003); /* with addresses, what else it is does not matter */
	put32(head + 0x1008, 0u - 0x1badb002 - 0x10003);
	assert_int_equal(kernel_identify(head, sizeof(head)).kind, KERNEL_MULTIBOOT);
	assert_false(kernel_identify(head, sizeof(head)).elf64);
	head[0x1008]++;
	assert_int_equal(kernel_identify(head, sizeof(head)).kind, KERNEL_NONE);
	head[0x1008]--;
	memmove(head + 0x1001, head + 0x1000, 12);
	assert_int_equal(kernel_identify(head, sizeof(head)).kind, KERNEL_NONE);
}

/* Output of @command, which gets @input; the caller frees. */
static char *pipe_through(const char *command, const struct bytes *input)
{
	char path[] = "/tmp/umbra-test-XXXXXX";
	char *line = NULL;
	char *text = calloc(1, 4096);
	FILE *file = fdopen(mkstemp(path), "w");
	FILE *pipe;

	assert_int_equal(
		fwrite(bytes_front(input), 1, bytes_count(input), file), bytes_count(input));
	fclose(file);
	line = make_text("< %s %s", path, command);
	pipe = popen(line, "r");
	assert_true(fread(text, 1, 4095, pipe) < 4095);
	assert_int_equal(pclose(pipe), 0);
	remove(path);
	free(line);
	return text;
}

static void cpio_itself_reads_our_archive(void **state)
{
	struct bytes archive = {0};
	char *text;

	(void)state;
	cpio_add(&archive, "d", CPIO_DIRECTORY, NULL, 0);
	cpio_add(&archive, "d/x", CPIO_EXECUTABLE, "12345", 5);
	cpio_add(&archive, "d/empty", CPIO_FILE, NULL, 0);
	cpio_end(&archive);
	assert_int_equal(bytes_count(&archive) % 4, 0);
	text = pipe_through("LC_ALL=C cpio --quiet -itv | awk '{print $1, $5, $NF}'", &archive);
	assert_string_equal(text, "drwxr-xr-x 0 d\n-rwxr-xr-x 5 d/x\n-rw-r--r-- 0 d/empty\n");
	free(text);
	bytes_free(&archive);
}

static void a_command_travels_with_its_words_whole(void **state)
{
	char first[] = "echo";
	char second[] = "two words";
	char third[] = "";
	struct bytes archive = {0};
	char *text;

	(void)state;
	image_command_archive(&archive, (char *[]){first, second, third, NULL});
	text = pipe_through("cpio --quiet -i --to-stdout umbra/argv | tr '\\0' '|'", &archive);
	assert_string_equal(text, "echo|two words||");
	free(text);
	bytes_free(&archive);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_bzimage_is_known_by_its_header_and_says_what_memory_it_needs),
		cmocka_unit_test(a_multiboot_header_needs_its_checksum_and_alignment),
		cmocka_unit_test(cpio_itself_reads_our_archive),
		cmocka_unit_test(a_command_travels_with_its_words_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
