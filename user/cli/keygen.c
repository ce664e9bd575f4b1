/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * `sipflip keygen`: a new key on stdout, or in a file that only its owner may
 * read. It never overwrites: losing the key of a running pair parts the nodes.
 */
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"
#include "key.h"

static int write_new(const char *path, const char *text)
{
	size_t len = strlen(text);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int r = 0;

	if (fd < 0)
		return -errno;
	/* Whatever the umask took or an ACL gave: exactly this. */
	if (fchmod(fd, 0600) || write(fd, text, len) != (ssize_t)len || fsync(fd))
		r = errno ? -errno : -EIO;
	if (close(fd) && !r)
		r = -errno;
	if (r)
		unlink(path);
	return r;
}

int cmd_keygen(const struct cli *cli, int argc, char **argv)
{
	char text[KEY_TEXT_LEN], id[16];
	struct key key;
	int r = 0;

	if (sodium_init() < 0) {
		fprintf(stderr, "sipflip: the system gives no random bytes; try again later\n");
		return CLI_CANNOT;
	}
	randombytes_buf(key.b, sizeof(key.b));
	key_format(&key, text);
	key_id(&key, id);
	if (argc)
		r = write_new(argv[0], text);
	else
		fputs(text, stdout);
	sodium_memzero(text, sizeof(text));
	sodium_memzero(&key, sizeof(key));
	if (r) {
		fprintf(stderr, "sipflip: %s: %s; %s\n", argv[0], strerror(-r),
		        r == -EEXIST ? "it is left as it is: remove it first, or choose another name"
		                     : "check the folder and your rights");
		return CLI_BAD;
	}
	if (argc)
		printf("%s: key %s written; copy this file to every node, for root's eyes only\n", argv[0],
		       id);
	return CLI_OK;
}
