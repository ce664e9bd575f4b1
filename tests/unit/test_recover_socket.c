/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Telling FreeSWITCH to recover its calls; the test plays its event socket, byte by byte where that matters.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../user/calls/loop.h"
#include "../../user/calls/recover_socket.h"
#include "addr.h"

#define GREETING "Content-Type: auth/request\n\n"
#define ACCEPTED "Content-Type: command/reply\nReply-Text: +OK accepted\n\n"
#define DEADLINE (5 * NS_PER_S)

struct desk {
	su_root_t *root;
	struct recover_socket *s;
	int listen;
	int peer;
	uint16_t port;
	int done;
	uint64_t epoch;
	int error;
	char said[RECOVER_SOCKET_SAID_LEN];
};

static void on_done(void *context, uint64_t epoch, int error, const char *said)
{
	struct desk *d = context;

	d->done++;
	d->epoch = epoch;
	d->error = error;
	snprintf(d->said, sizeof(d->said), "%s", said);
}

static void open_port(struct desk *d)
{
	struct sockaddr_in me = {.sin_family = AF_INET, .sin_port = htons(d->port)};
	socklen_t len = sizeof(me);
	int on = 1;

	me.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	d->listen = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	setsockopt(d->listen, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	assert_int_equal(bind(d->listen, (struct sockaddr *)&me, sizeof(me)), 0);
	assert_int_equal(listen(d->listen, 4), 0);
	getsockname(d->listen, (struct sockaddr *)&me, &len);
	d->port = ntohs(me.sin_port);
}

static int up(void **state)
{
	static struct desk desk;
	struct desk *d = &desk;
	struct keeper_conf conf = {
	        .name = "pbx", .event_socket_password = "ClueCon", .event_socket_command = "fsctl recover"};

	memset(d, 0, sizeof(*d));
	su_init();
	d->root = su_root_create(NULL);
	d->peer = -1;
	open_port(d);
	addr_parse("127.0.0.1", &conf.event_socket);
	conf.event_socket_port = d->port;
	assert_int_equal(recover_socket_new(d->root, &conf, on_done, d, &d->s), 0);
	*state = d;
	return 0;
}

static int down(void **state)
{
	struct desk *d = *state;

	recover_socket_free(d->s);
	if (d->peer >= 0)
		close(d->peer);
	if (d->listen >= 0)
		close(d->listen);
	su_root_destroy(d->root);
	return 0;
}

static void turn(struct desk *d)
{
	su_root_step(d->root, 1);
}

static void until_done(struct desk *d)
{
	struct mono end = mono_add(loop_now(), DEADLINE);

	while (!d->done && mono_before(loop_now(), end))
		turn(d);
	assert_int_equal(d->done, 1);
}

static void accepts(struct desk *d)
{
	struct mono end = mono_add(loop_now(), DEADLINE);

	while ((d->peer = accept(d->listen, NULL, NULL)) < 0 && mono_before(loop_now(), end))
		turn(d);
	assert_true(d->peer >= 0);
}

static void says(struct desk *d, const char *text)
{
	assert_int_equal(send(d->peer, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
	turn(d);
}

static void hears(struct desk *d, const char *text)
{
	char buf[256] = "";
	size_t len = 0;
	struct mono end = mono_add(loop_now(), DEADLINE);

	while (len < strlen(text) && mono_before(loop_now(), end)) {
		ssize_t n = recv(d->peer, buf + len, sizeof(buf) - 1 - len, MSG_DONTWAIT);

		turn(d);
		if (n > 0)
			len += (size_t)n;
	}
	assert_string_equal(buf, text);
}

static void logged_in(struct desk *d, uint64_t epoch)
{
	recover_socket_start(d->s, epoch, loop_now());
	accepts(d);
	says(d, GREETING);
	hears(d, "auth ClueCon\n\n");
	says(d, ACCEPTED);
	hears(d, "api fsctl recover\n\n");
}

static void a_takeover_tells_the_server_once_and_its_answer_is_known(void **state)
{
	struct desk *d = *state;

	logged_in(d, 513);
	says(d, "Content-Type: api/response\nContent-Length: 24\n\n+OK recovered 2 call(s)\n");
	until_done(d);
	assert_int_equal(d->error, 0);
	assert_int_equal(d->epoch, 513);
	assert_string_equal(d->said, "+OK recovered 2 call(s)");
	assert_int_equal(recover_socket_counters(d->s)->recover_told, 1);
}

static void an_answer_may_come_in_single_bytes(void **state)
{
	static const char answer[] = "Content-Length: 4\nContent-Type: api/response\n\n+OK\nrest";
	struct desk *d = *state;

	logged_in(d, 1);
	for (size_t i = 0; i < strlen(answer) && !d->done; i++) {
		char one[2] = {answer[i], '\0'};

		says(d, one);
	}
	until_done(d);
	assert_int_equal(d->error, 0);
	assert_string_equal(d->said, "+OK");
}

static void messages_in_one_segment_are_taken_apart(void **state)
{
	struct desk *d = *state;

	recover_socket_start(d->s, 1, loop_now());
	accepts(d);
	says(d, "Content-Type: text/event-plain\nContent-Length: 2\n\n\n\n" GREETING);
	hears(d, "auth ClueCon\n\n");
	says(d, ACCEPTED "Content-Type: api/response\nContent-Length: 3\n\n+OK");
	hears(d, "api fsctl recover\n\n");
	until_done(d);
	assert_string_equal(d->said, "+OK");
}

static void a_wrong_password_is_said_and_not_tried_again(void **state)
{
	struct desk *d = *state;

	recover_socket_start(d->s, 1, loop_now());
	accepts(d);
	says(d, GREETING);
	hears(d, "auth ClueCon\n\n");
	says(d, "Content-Type: command/reply\nReply-Text: -ERR invalid\n\n");
	until_done(d);
	assert_int_equal(d->error, -EACCES);
	assert_string_equal(d->said, "-ERR invalid");
	assert_int_equal(recover_socket_counters(d->s)->recover_refused, 1);
}

static void a_refused_command_is_a_failure(void **state)
{
	struct desk *d = *state;

	logged_in(d, 1);
	says(d, "Content-Type: api/response\nContent-Length: 14\n\n-ERR no such x");
	until_done(d);
	assert_int_equal(d->error, -EACCES);
	assert_string_equal(d->said, "-ERR no such x");
}

static void a_server_that_is_not_up_yet_is_tried_again(void **state)
{
	struct desk *d = *state;
	struct mono end = mono_add(loop_now(), DEADLINE);

	close(d->listen);
	recover_socket_start(d->s, 7, loop_now());
	while (!recover_socket_counters(d->s)->recover_retries && mono_before(loop_now(), end))
		turn(d);
	assert_true(recover_socket_counters(d->s)->recover_retries > 0);
	open_port(d);
	accepts(d);
	says(d, GREETING);
	hears(d, "auth ClueCon\n\n");
	says(d, ACCEPTED);
	hears(d, "api fsctl recover\n\n");
	says(d, "Content-Type: api/response\nContent-Length: 3\n\n+OK");
	until_done(d);
	assert_int_equal(d->error, 0);
	assert_int_equal(d->epoch, 7);
}

static void a_server_that_never_comes_is_given_up(void **state)
{
	struct desk *d = *state;

	close(d->listen);
	d->listen = -1;
	/* as if the takeover were nearly as long ago as it is tried */
	recover_socket_start(d->s, 7, mono_add(loop_now(), -(RECOVER_SOCKET_RETRY_NS - 300 * NS_PER_MS)));
	until_done(d);
	assert_int_equal(d->error, -ECONNREFUSED);
	assert_int_equal(recover_socket_counters(d->s)->recover_unreached, 1);
}

static void a_command_whose_connection_breaks_is_not_sent_twice(void **state)
{
	struct desk *d = *state;

	logged_in(d, 1);
	close(d->peer);
	d->peer = -1;
	until_done(d);
	assert_int_equal(d->error, -ETIMEDOUT);
	assert_int_equal(recover_socket_counters(d->s)->recover_unanswered, 1);
	assert_int_equal(recover_socket_counters(d->s)->recover_retries, 0);
}

static void garbage_ends_the_attempt(void **state)
{
	static char garbage[5000];
	struct desk *d = *state;

	memset(garbage, 'x', sizeof(garbage) - 1);
	recover_socket_start(d->s, 1, loop_now());
	accepts(d);
	says(d, garbage);
	until_done(d);
	assert_int_equal(d->error, -EPROTO);
	assert_int_equal(recover_socket_counters(d->s)->recover_malformed, 1);
}

static void of_a_long_answer_the_first_line_is_kept(void **state)
{
	static char answer[20000];
	struct desk *d = *state;
	int n = snprintf(answer, sizeof(answer),
	                 "Content-Type: api/response\nContent-Length: 15000\n\n+OK \x1b\"many\"\n");

	memset(answer + n, 'y', sizeof(answer) - 1 - (size_t)n);
	logged_in(d, 1);
	says(d, answer);
	until_done(d);
	assert_int_equal(d->error, 0);
	assert_string_equal(d->said, "+OK   many ");
}

static void a_node_that_lost_ownership_tells_nothing(void **state)
{
	struct desk *d = *state;
	char byte;

	recover_socket_start(d->s, 1, loop_now());
	accepts(d);
	recover_socket_stop(d->s);
	assert_int_equal(recv(d->peer, &byte, 1, 0), 0);
	for (int i = 0; i < 5; i++)
		turn(d);
	assert_int_equal(d->done, 0);
	/* the next takeover starts anew */
	close(d->peer);
	logged_in(d, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, up, down)
	        CASE(a_takeover_tells_the_server_once_and_its_answer_is_known),
	        CASE(an_answer_may_come_in_single_bytes),
	        CASE(messages_in_one_segment_are_taken_apart),
	        CASE(a_wrong_password_is_said_and_not_tried_again),
	        CASE(a_refused_command_is_a_failure),
	        CASE(a_server_that_is_not_up_yet_is_tried_again),
	        CASE(a_server_that_never_comes_is_given_up),
	        CASE(a_command_whose_connection_breaks_is_not_sent_twice),
	        CASE(garbage_ends_the_attempt),
	        CASE(of_a_long_answer_the_first_line_is_kept),
	        CASE(a_node_that_lost_ownership_tells_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
