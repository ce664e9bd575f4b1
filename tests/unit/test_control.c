/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The call keeper's answers to the command line, over a real listening socket. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "../../user/calls/control.h"
#include "../../user/calls/loop.h"
#include "sipflip/control.h"

#define DIALOGS 3000

struct desk {
	su_root_t *root;
	struct service *services[MAX_SERVICES];
	struct tally_sources sources;
	struct control *control;
	int listen_fd;
	struct sockaddr_un name;
	socklen_t name_len;
};

static struct service *new_service(const char *name, int dialogs)
{
	struct service *svc = calloc(1, sizeof(*svc));
	static struct dialog d;
	char call_id[32], remote[301] = "";

	assert_non_null(svc);
	snprintf(svc->conf.name, sizeof(svc->conf.name), "%s", name);
	assert_int_equal(dialog_table_init(&svc->table, 2 * DIALOGS, 1), 0);
	for (int i = 0; i < dialogs; i++) {
		memset(&d, 0, sizeof(d));
		d.call = i + 1;
		d.state = DIALOG_CONFIRMED;
		d.role = DIALOG_UAC;
		d.at_answer = mono_add(loop_now(), -5 * NS_PER_S);
		d.flow_addr.b[10] = d.flow_addr.b[11] = 0xff;
		d.flow_addr.b[12] = 10;
		d.flow_addr.b[15] = 7;
		d.flow_port = 5062;
		d.local_cseq = 3;
		snprintf(call_id, sizeof(call_id), "call-%d", i);
		d.call_id = call_id;
		d.local_tag = "l";
		d.remote_tag = "r";
		d.local = "<sip:pbx@example>";
		memset(remote, 'x', 300);
		d.remote = remote;
		assert_int_equal(dialog_table_apply(&svc->table, &d, 0), 0);
	}
	return svc;
}

static void desk_open(struct desk *desk)
{
	memset(desk, 0, sizeof(*desk));
	su_init();
	desk->root = su_root_create(NULL);
	assert_non_null(desk->root);
	desk->services[0] = new_service("pbx", DIALOGS);
	desk->services[7] = new_service("other", 2);
	/* an abstract name of the kernel's choice */
	desk->name.sun_family = AF_UNIX;
	desk->name_len = sizeof(sa_family_t);
	desk->listen_fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	assert_int_equal(bind(desk->listen_fd, (struct sockaddr *)&desk->name, desk->name_len), 0);
	desk->name_len = sizeof(desk->name);
	assert_int_equal(getsockname(desk->listen_fd, (struct sockaddr *)&desk->name, &desk->name_len), 0);
	assert_int_equal(listen(desk->listen_fd, 32), 0);
	assert_int_equal(
	        control_new(desk->root, desk->listen_fd, desk->services, &desk->sources, &desk->control), 0);
}

static void desk_close(struct desk *desk)
{
	control_free(desk->control);
	for (int i = 0; i < MAX_SERVICES; i++) {
		if (!desk->services[i])
			continue;
		dialog_table_done(&desk->services[i]->table);
		free(desk->services[i]);
	}
	close(desk->listen_fd);
	su_root_destroy(desk->root);
}

static int call(struct desk *desk)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&desk->name, desk->name_len), 0);
	return fd;
}

static int ask(struct desk *desk, uint32_t op, const char *service)
{
	struct ctl_request request = {.version = CTL_VERSION, .op = op};
	int fd = call(desk);

	snprintf(request.service, sizeof(request.service), "%s", service);
	assert_int_equal(send(fd, &request, sizeof(request), 0), sizeof(request));
	return fd;
}

union record {
	struct ctl_head head;
	struct ctl_end end;
	struct ctl_dialog dialog;
	struct ctl_outcome outcome;
	struct ctl_counter counter;
};

/* The next record; runs the keeper's loop meanwhile. */
static void get(struct desk *desk, int fd, union record *ret)
{
	struct mono end = mono_add(loop_now(), 20 * NS_PER_S);

	for (;;) {
		ssize_t got = recv(fd, ret, sizeof(*ret), MSG_DONTWAIT);

		if (got > 0) {
			assert_int_equal(ret->head.len, got);
			return;
		}
		assert_true(got < 0 && errno == EAGAIN);
		assert_true(mono_before(loop_now(), end));
		su_root_step(desk->root, 5);
	}
}

static void assert_hung_up(struct desk *desk, int fd)
{
	struct mono end = mono_add(loop_now(), 20 * NS_PER_S);
	char byte;

	while (recv(fd, &byte, 1, MSG_DONTWAIT) != 0) {
		assert_true(mono_before(loop_now(), end));
		su_root_step(desk->root, 5);
	}
	close(fd);
}

static void all_dialogs_are_told_once_each_and_then_the_end(void **state)
{
	static bool seen[DIALOGS];
	struct desk desk;
	union record r;
	int fd, n = 0;

	desk_open(&desk);
	memset(seen, 0, sizeof(seen));
	fd = ask(&desk, CTL_DIALOGS, "pbx");
	for (get(&desk, fd, &r); r.head.type == CTL_DIALOG; get(&desk, fd, &r), n++) {
		int i = atoi(r.dialog.call_id + 5);

		assert_in_range(i, 0, DIALOGS - 1);
		assert_false(seen[i]);
		seen[i] = true;
		assert_string_equal(r.dialog.service, "pbx");
		assert_int_equal(r.dialog.call, i + 1);
		assert_string_equal(r.dialog.flow, "10.0.0.7:5062");
		assert_string_equal(r.dialog.from, "<sip:pbx@example>");
		assert_in_range(r.dialog.age_ns, 5 * NS_PER_S, 60 * NS_PER_S);
		assert_true(strlen(r.dialog.plan) > 0);
		/* cut where it had to be, and it shows */
		assert_int_equal(strlen(r.dialog.to), CTL_TEXT_LEN - 1);
		assert_string_equal(r.dialog.to + CTL_TEXT_LEN - 4, "…");
	}
	assert_int_equal(n, DIALOGS);
	assert_int_equal(r.head.type, CTL_END);
	assert_int_equal(r.end.result, 0);
	assert_hung_up(&desk, fd);
	desk_close(&desk);
}

static void without_a_name_all_services_are_told(void **state)
{
	struct desk desk;
	union record r;
	int fd, n = 0;

	desk_open(&desk);
	fd = ask(&desk, CTL_DIALOGS, "");
	for (get(&desk, fd, &r); r.head.type == CTL_DIALOG; get(&desk, fd, &r))
		n++;
	assert_int_equal(n, DIALOGS + 2);
	close(fd);
	desk_close(&desk);
}

static void outcomes_without_a_rescue_are_none(void **state)
{
	struct desk desk;
	union record r;
	int fd;

	desk_open(&desk);
	fd = ask(&desk, CTL_OUTCOMES, "");
	get(&desk, fd, &r);
	assert_int_equal(r.head.type, CTL_END);
	assert_int_equal(r.end.result, 0);
	close(fd);
	desk_close(&desk);
}

static void counters_are_told_by_name_and_service(void **state)
{
	struct desk desk;
	union record r;
	int fd, n = 0, found = 0;

	desk_open(&desk);
	desk.services[7]->table.counters.dialog_table_full = 42;
	fd = ask(&desk, CTL_COUNTERS, "other");
	for (get(&desk, fd, &r); r.head.type == CTL_COUNTER; get(&desk, fd, &r), n++) {
		assert_string_equal(r.counter.source, "calls");
		assert_string_equal(r.counter.service, "other");
		assert_true(strlen(r.counter.help) > 0);
		if (!strcmp(r.counter.name, "dialog_table_full")) {
			assert_int_equal(r.counter.value, 42);
			found++;
		}
	}
	assert_true(n > 20);
	assert_int_equal(found, 1);
	assert_int_equal(r.head.type, CTL_END);
	assert_int_equal(r.end.result, 0);
	close(fd);
	desk_close(&desk);
}

static void what_cannot_be_answered_is_said(void **state)
{
	struct ctl_request old = {.version = CTL_VERSION + 1, .op = CTL_DIALOGS};
	struct desk desk;
	union record r;
	int fd;

	desk_open(&desk);
	fd = ask(&desk, CTL_STATUS, "");
	get(&desk, fd, &r);
	assert_int_equal(r.end.result, -EOPNOTSUPP);
	assert_hung_up(&desk, fd);
	fd = ask(&desk, CTL_DIALOGS, "nosuch");
	get(&desk, fd, &r);
	assert_int_equal(r.end.result, -ENOENT);
	assert_hung_up(&desk, fd);
	fd = call(&desk);
	send(fd, &old, sizeof(old), 0);
	get(&desk, fd, &r);
	assert_int_equal(r.end.result, -EPROTO);
	assert_hung_up(&desk, fd);
	fd = call(&desk);
	send(fd, "?", 1, 0);
	get(&desk, fd, &r);
	assert_int_equal(r.end.result, -EPROTO);
	assert_hung_up(&desk, fd);
	desk_close(&desk);
}

static void a_client_that_does_not_read_holds_up_nobody(void **state)
{
	int slow[CONTROL_CLIENTS], fd, n = 0;
	struct desk desk;
	union record r;

	desk_open(&desk);
	for (int i = 0; i < CONTROL_CLIENTS - 1; i++)
		slow[i] = ask(&desk, CTL_DIALOGS, "pbx");
	fd = ask(&desk, CTL_DIALOGS, "pbx");
	for (get(&desk, fd, &r); r.head.type == CTL_DIALOG; get(&desk, fd, &r))
		n++;
	assert_int_equal(n, DIALOGS);
	close(fd);
	/* and a slow one still gets everything when it does read */
	n = 0;
	for (get(&desk, slow[0], &r); r.head.type == CTL_DIALOG; get(&desk, slow[0], &r))
		n++;
	assert_int_equal(n, DIALOGS);
	for (int i = 0; i < CONTROL_CLIENTS - 1; i++)
		close(slow[i]);
	desk_close(&desk);
}

static void one_client_too_many_is_told_so(void **state)
{
	int fds[CONTROL_CLIENTS + 1];
	struct desk desk;
	union record r;

	desk_open(&desk);
	for (int i = 0; i < CONTROL_CLIENTS + 1; i++)
		fds[i] = call(&desk);
	get(&desk, fds[CONTROL_CLIENTS], &r);
	assert_int_equal(r.end.result, -EBUSY);
	for (int i = 0; i < CONTROL_CLIENTS + 1; i++)
		close(fds[i]);
	/* those that hung up made room */
	for (int i = 0; i < 20; i++)
		su_root_step(desk.root, 1);
	fds[0] = ask(&desk, CTL_OUTCOMES, "");
	get(&desk, fds[0], &r);
	assert_int_equal(r.end.result, 0);
	close(fds[0]);
	desk_close(&desk);
}

static void a_table_that_changes_meanwhile_does_no_harm(void **state)
{
	struct desk desk;
	union record r;
	int fd, n = 0;

	desk_open(&desk);
	fd = ask(&desk, CTL_DIALOGS, "pbx");
	for (get(&desk, fd, &r); r.head.type == CTL_DIALOG; get(&desk, fd, &r))
		if (n++ == 100)
			dialog_table_clear(&desk.services[0]->table, 255);
	assert_in_range(n, 101, DIALOGS - 1);
	assert_int_equal(r.end.result, 0);
	close(fd);
	desk_close(&desk);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(all_dialogs_are_told_once_each_and_then_the_end),
	        cmocka_unit_test(without_a_name_all_services_are_told),
	        cmocka_unit_test(outcomes_without_a_rescue_are_none),
	        cmocka_unit_test(counters_are_told_by_name_and_service),
	        cmocka_unit_test(what_cannot_be_answered_is_said),
	        cmocka_unit_test(a_client_that_does_not_read_holds_up_nobody),
	        cmocka_unit_test(one_client_too_many_is_told_so),
	        cmocka_unit_test(a_table_that_changes_meanwhile_does_no_harm),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
