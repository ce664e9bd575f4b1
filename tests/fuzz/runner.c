/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A harness without the fuzzer: gives it every file of its corpus, in the order of
 * their names. `test_fuzz_NAME [FILE or FOLDER]...`; by default tests/fuzz/corpus/NAME
 * below the current folder. Says TAP as the unit tests do, and names the file that
 * was being read when something did not hold.
 */
#include "fuzz.h"

#include <dirent.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

static char reading[4096];

static void died(int sig)
{
	static const char what[] = "input: ";
	ssize_t ignored = write(STDERR_FILENO, what, sizeof(what) - 1);

	ignored = write(STDERR_FILENO, reading, strlen(reading));
	ignored = write(STDERR_FILENO, "\n", 1);
	(void)ignored;
	signal(sig, SIG_DFL);
	raise(sig);
}

static int run_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	struct stat st;
	uint8_t *data;

	if (!file || fstat(fileno(file), &st)) {
		perror(path);
		exit(1);
	}
	snprintf(reading, sizeof(reading), "%s", path);
	/* exactly as long as the file: reading past its end is seen */
	data = malloc(st.st_size ? (size_t)st.st_size : 1);
	CHECK(data && fread(data, 1, (size_t)st.st_size, file) == (size_t)st.st_size);
	fclose(file);
	LLVMFuzzerTestOneInput(data, (size_t)st.st_size);
	free(data);
	return 1;
}

static int run_path(const char *path)
{
	struct dirent **list;
	struct stat st;
	int n, ran = 0;

	if (stat(path, &st)) {
		perror(path);
		exit(1);
	}
	if (!S_ISDIR(st.st_mode))
		return run_file(path);
	n = scandir(path, &list, NULL, alphasort);
	for (int i = 0; i < n; i++) {
		char file[4096];

		snprintf(file, sizeof(file), "%s/%s", path, list[i]->d_name);
		if (list[i]->d_name[0] != '.')
			ran += run_file(file);
		free(list[i]);
	}
	free(list);
	return ran;
}

int main(int argc, char **argv)
{
	static const char prefix[] = "test_fuzz_";
	const char *name = strrchr(argv[0], '/');
	char path[4096];
	int ran = 0;

	name = name ? name + 1 : argv[0];
	name += strncmp(name, prefix, sizeof(prefix) - 1) ? 0 : sizeof(prefix) - 1;
	signal(SIGABRT, died);
	signal(SIGSEGV, died);
	LLVMFuzzerInitialize(&argc, &argv);
	for (int i = 1; i < argc; i++)
		ran += run_path(argv[i]);
	if (argc < 2) {
		snprintf(path, sizeof(path), "tests/fuzz/corpus/%s", name);
		ran = run_path(path);
	}
	printf("1..1\n%sok 1 - %s_holds_for_its_corpus_of_%d\n", ran ? "" : "not ", name, ran);
	return !ran;
}
