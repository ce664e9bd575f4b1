/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What command lines ask sipflip-calls: each message of the input is one client's.
 * It is answered with whole records that end their texts, at most one CTL_END, which
 * is the last, and nothing it says makes another client's answer wrong.
 */
#include "record_check.h"

#include <sofia-sip/su.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../user/calls/control.h"
#include "../../user/calls/loop.h"

#define CLIENTS 12 /* more than CONTROL_CLIENTS: some are turned away */

static su_root_t *root;
static struct service *services[MAX_SERVICES];
static struct tally_sources sources;
static struct control *control;
static int listener;
static struct sockaddr_un name = {.sun_family = AF_UNIX};
static socklen_t name_len = sizeof(sa_family_t);

/* A dialog with texts as long as they may be. */
static void put_dialog(struct service *svc, int number)
{
	char call_id[DIALOG_CALL_ID_LEN], remote[DIALOG_NAME_ADDR_LEN];
	struct dialog d = {.call = 0, .state = DIALOG_CONFIRMED, .local_tag = "l", .remote_tag = "r"};

	memset(call_id, 'c', sizeof(call_id));
	memset(remote, 0xe2, sizeof(remote));
	snprintf(call_id + DIALOG_CALL_ID_LEN - 9, 9, "-%d", number % 1000);
	remote[sizeof(remote) - 1] = '\0';
	d.call = (uint64_t)number + 1;
	d.call_id = call_id;
	d.remote = remote;
	d.remote_target = remote;
	d.at_answer = loop_now();
	CHECK(!dialog_table_apply(&svc->table, &d, 0));
}

static struct service *service_of(const char *called, int dialogs)
{
	struct service *svc = calloc(1, sizeof(*svc));

	CHECK(svc && !dialog_table_init(&svc->table, 16, 1));
	snprintf(svc->conf.name, sizeof(svc->conf.name), "%s", called);
	for (int i = 0; i < dialogs; i++)
		put_dialog(svc, i);
	return svc;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	su_init();
	root = su_root_create(NULL);
	services[0] = service_of("pbx", 9);
	services[7] = service_of("0123456789012345678901234567890", 1);
	listener = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	CHECK(!bind(listener, (struct sockaddr *)&name, name_len) && !listen(listener, 64));
	name_len = sizeof(name);
	getsockname(listener, (struct sockaddr *)&name, &name_len);
	CHECK(!control_new(root, listener, services, &sources, &control));
	return 0;
}

static int call(void)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

	CHECK(fd >= 0 && !connect(fd, (struct sockaddr *)&name, name_len));
	return fd;
}

static void turns(int n)
{
	for (int i = 0; i < n; i++)
		su_root_step(root, 0);
}

/* After all that, one who asks properly is answered. */
static void check_alive(void)
{
	struct ctl_request request = {.version = CTL_VERSION, .op = CTL_DIALOGS, .service = "nobody"};
	struct ctl_end end;
	int fd = call();
	ssize_t n = -1;

	CHECK(send(fd, &request, sizeof(request), 0) == sizeof(request));
	for (int i = 0; i < 1000 && n < 0; i++) {
		turns(1);
		n = recv(fd, &end, sizeof(end), MSG_DONTWAIT);
	}
	CHECK(n == sizeof(end) && end.head.type == CTL_END);
	close(fd);
	turns(2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd[CLIENTS], n = 0, ends[CLIENTS] = {0};
	struct part part;
	uint8_t how;

	while (part_next(&data, &size, &how, &part)) {
		if (n == 0 || (n < CLIENTS && !(how & 1)))
			fd[n++] = call();
		(void)!send(fd[n - 1], part.at, part.len, MSG_DONTWAIT | MSG_NOSIGNAL);
		free(part.at);
		if (how & 2)
			turns(1);
	}
	for (int turn = 0; turn < 4; turn++) {
		turns(1);
		for (int i = 0; i < n; i++)
			ends[i] += check_answers(fd[i]);
	}
	for (int i = 0; i < n; i++) {
		CHECK(ends[i] <= 1);
		close(fd[i]);
	}
	turns(2);
	check_alive();
	return 0;
}
