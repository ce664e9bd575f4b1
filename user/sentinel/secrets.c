/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Keys and passwords, see secrets.h. */
#include "secrets.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY_FILE_BYTES 4096

struct secrets *secrets_new(void)
{
	struct secrets *secrets = sodium_malloc(sizeof(*secrets));

	if (secrets)
		memset(secrets, 0, sizeof(*secrets));
	return secrets;
}

void secrets_free(struct secrets *secrets)
{
	sodium_free(secrets);
}

int secrets_read_file(const char *path, char *ret, size_t size)
{
	struct stat st;
	size_t used = 0;
	ssize_t n = 1;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		n = -errno;
	else if (st.st_mode & 077)
		n = -EPERM;
	while (n > 0 && used < size - 1) {
		n = read(fd, ret + used, size - 1 - used);
		if (n > 0)
			used += (size_t)n;
		else if (n < 0)
			n = -errno;
	}
	close(fd);
	if (n < 0) {
		explicit_bzero(ret, size);
		return (int)n;
	}
	ret[used] = '\0';
	return (int)used;
}

int secrets_read_keys(struct secrets *secrets, const char *path, struct config_error *ret_error)
{
	char *text = sodium_malloc(KEY_FILE_BYTES);
	int n = text ? secrets_read_file(path, text, KEY_FILE_BYTES) : -ENOMEM;
	int err = n < 0 ? n : key_ring_parse(text, (size_t)n, &secrets->keys);

	sodium_free(text);
	if (n == -EPERM)
		snprintf(ret_error->text, sizeof(ret_error->text),
		         "%s: the key can be read by others; run: chmod 600 %s", path, path);
	else if (n < 0)
		snprintf(ret_error->text, sizeof(ret_error->text),
		         "%s: cannot read the key: %s; make one with: sipflip keygen %s", path, strerror(-n),
		         path);
	else if (err)
		snprintf(ret_error->text, sizeof(ret_error->text),
		         "%s: not a key: 64 hex digits are wanted, or two such lines that differ; make one "
		         "with: sipflip keygen",
		         path);
	if (err)
		return err;
	memset(secrets->siphash, 0, sizeof(secrets->siphash));
	for (int i = 0; i < secrets->keys.n; i++)
		secrets->siphash[i] = key_siphash(&secrets->keys.key[i]);
	return 0;
}

void secrets_keep(void)
{
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}
