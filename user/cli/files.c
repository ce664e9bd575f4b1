/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Reads files for the commands; never writes one. The limits are far above any honest file's size. */
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONFIG_MAX_BYTES (256 * 1024)
#define KEY_MAX_BYTES    4096

int files_read(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t used = 0;
	ssize_t n = 1;

	if (fd < 0)
		return -errno;
	while (used < size && (n = read(fd, buf + used, size - used)) > 0)
		used += (size_t)n;
	if (n < 0) {
		n = -errno;
		close(fd);
		return (int)n;
	}
	close(fd);
	if (used == size)
		return -EFBIG;
	buf[used] = '\0';
	return (int)used;
}

int files_config(const char *path, struct config *ret, struct config_error *ret_error)
{
	static char text[CONFIG_MAX_BYTES];
	int n = files_read(path, text, sizeof(text));

	if (n < 0) {
		snprintf(ret_error->text, sizeof(ret_error->text), "%s: cannot read it: %s; %s", path,
		         strerror(-n), n == -EACCES ? "run as root" : "make it, or give its name with -c");
		return n;
	}
	if (strlen(text) != (size_t)n) {
		snprintf(ret_error->text, sizeof(ret_error->text),
		         "%s: it holds a NUL byte; is it a text file?", path);
		return -EINVAL;
	}
	return config_parse(text, path, ret, ret_error);
}

enum files_key_state files_key(const char *path, struct key_ring *ret, char *ret_text, size_t size)
{
	char text[KEY_MAX_BYTES];
	struct stat st;
	int n = files_read(path, text, sizeof(text));

	if (n == -ENOENT) {
		snprintf(ret_text, size,
		         "key file %s does not exist; make it once with sipflip keygen %s and copy it to "
		         "every node",
		         path, path);
		return FILES_KEY_MISSING;
	}
	if (n < 0 || stat(path, &st)) {
		snprintf(ret_text, size, "key file %s cannot be read: %s; run as root, check its path", path,
		         strerror(n < 0 ? -n : errno));
		return FILES_KEY_UNREADABLE;
	}
	n = key_ring_parse(text, (size_t)n, ret);
	explicit_bzero(text, sizeof(text));
	if (n) {
		snprintf(ret_text, size,
		         "key file %s is not 64 hex digits, or two such lines that differ; make a new one "
		         "with sipflip keygen",
		         path);
		return FILES_KEY_BAD;
	}
	if (st.st_mode & 077) {
		snprintf(ret_text, size, "key file %s has mode %04o, others may use it; run chmod 600 %s",
		         path, st.st_mode & 07777, path);
		return FILES_KEY_EXPOSED;
	}
	if (st.st_uid) {
		snprintf(ret_text, size, "key file %s belongs to user %u; run chown root %s", path, st.st_uid,
		         path);
		return FILES_KEY_FOREIGN;
	}
	return FILES_KEY_GOOD;
}
