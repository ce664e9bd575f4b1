// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Test tool: plays both daemons' control sockets with a fixed story, so that the
 * command line can be tested without a kernel or a lab.
 *   fake_control DIR fine|degraded|outage|alone|stuck|hostile|empty|witness|mute
 * Makes DIR/control.sock and DIR/calls.sock, prints "ready" and serves one client
 * at a time until SIGTERM, or 60 s. `hostile` fills every text to the brim with
 * bytes that are no UTF-8; `mute` accepts and never answers. `outage`: no server on
 * either node; `alone`: a standby that hears nobody; `stuck`: a call keeper and the
 * heir's agent that stand still.
 */
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "sipflip/control.h"
#include "sipflip/wire.h"

#define NOW_NS   7200000000000ULL
#define MS       1000000ULL
#define FLIP_NS  7000000000000ULL
#define WALL_NS  1767225600123000000ULL
#define N_EVENTS 3

enum story { FINE, DEGRADED, OUTAGE, ALONE, STUCK, HOSTILE, EMPTY, WITNESS, MUTE };
static const char *const stories[] = {"fine",    "degraded", "outage",  "alone", "stuck",
                                      "hostile", "empty",    "witness", "mute"};

static void put(int fd, void *record, uint32_t type, size_t len)
{
	struct ctl_head *head = record;

	head->type = type;
	head->len = (uint32_t)len;
	send(fd, record, len, MSG_NOSIGNAL);
}

#define PUT(fd, type, record) put(fd, &(record), type, sizeof(record))

static void end(int fd, int result, const char *text)
{
	struct ctl_end e = {.result = result};

	snprintf(e.text, sizeof(e.text), "%s", text);
	PUT(fd, CTL_END, e);
}

/* As much as the field holds and no NUL: quotes, controls, broken and whole UTF-8. */
static void brim(char *text, size_t size)
{
	static const char nasty[] = "A\"\\\n\x01\xff\xc3\xa9\xe2\x82\x1b[31m\x7f";

	for (size_t i = 0; i < size; i++)
		text[i] = nasty[i % (sizeof(nasty) - 1)];
}

#define BRIM(text) brim(text, sizeof(text))

static struct ctl_node node(const char *name, const char *address, unsigned int number, uint32_t status)
{
	struct ctl_node n = {.node = number, .status = status, .epoch = 513, .sent = 1000};

	snprintf(n.name, sizeof(n.name), "%s", name);
	snprintf(n.address, sizeof(n.address), "%s", address);
	n.heard_age_ns = 3 * MS;
	n.ok_age_us = 8000;
	n.turn_age_us = 100;
	n.rtt_us = 120;
	return n;
}

static void put_service(int fd, enum story story)
{
	struct ctl_service s = {.name = "pbx",
	                        .vip = "10.9.0.100/24",
	                        .interface = "eth0",
	                        .mode = "witness w",
	                        .role = ROLE_owner,
	                        .owner_node = 1,
	                        .heir_node = 2,
	                        .heir_ready = 1,
	                        .xdp_mode = XDP_MODE_NATIVE,
	                        .epoch = 513,
	                        .lease_left_ns = 28 * MS,
	                        .lease_ns = 30 * MS,
	                        .echo_ns = 5 * MS,
	                        .verdict = HEALTH_OK,
	                        .server_tgid = 4242,
	                        .ok_age_ns = 4 * MS,
	                        .limit_us = 30000,
	                        .p50_us = 600,
	                        .p99_us = 5000,
	                        .dialogs_here = 42,
	                        .dialogs_peer = 42,
	                        .replica_up = 1,
	                        .rescuable = 21,
	                        .ringing = 1,
	                        .relayed = 19,
	                        .flows = 76,
	                        .takeovers = 1};
	struct ctl_node a = node("a", "10.9.0.1", 1, STATUS_OWNER | STATUS_HEALTHY | STATUS_CALLS_UP);
	struct ctl_node b = node("b", "10.9.0.2", 2, STATUS_HEALTHY | STATUS_ARMED | STATUS_CALLS_UP);
	struct ctl_node w = node("w", "10.9.0.3", 3, STATUS_WITNESS);

	a.self = 1;
	w.ok_age_us = UINT32_MAX;
	if (story == DEGRADED) {
		s.heir_ready = 0;
		snprintf(s.not_ready, sizeof(s.not_ready), "its server is not healthy");
		b.status = STATUS_SERVER_DEAD;
		w.heard_age_ns = ~0ULL;
		s.replica_up = 0;
		s.ports_held = 2;
	}
	if (story == OUTAGE) {
		s.heir_ready = 0;
		snprintf(s.not_ready, sizeof(s.not_ready), "its SIP server is dead");
		s.verdict = HEALTH_REFUSED;
		s.server_tgid = 0;
		b.status = STATUS_SERVER_DEAD | STATUS_CALLS_UP;
	}
	if (story == ALONE) { /* a is the heir here */
		s.role = ROLE_candidate;
		s.owner_node = 2;
		s.heir_node = 1;
		s.lease_left_ns = 0;
		b.status = STATUS_OWNER | STATUS_HEALTHY;
		b.heard_age_ns = w.heard_age_ns = 4000 * MS;
	}
	if (story == STUCK) {
		s.ok_age_ns = 9000 * MS;
		s.heir_ready = 0;
		snprintf(s.not_ready, sizeof(s.not_ready), "silent");
		b.turn_age_us = 6000000;
	}
	if (story == HOSTILE) {
		BRIM(s.name);
		BRIM(s.vip);
		BRIM(s.interface);
		BRIM(s.mode);
		BRIM(s.not_ready);
		BRIM(a.name);
		BRIM(a.address);
		BRIM(b.name);
		BRIM(b.address);
		s.owner_node = 99;
		s.role = 77;
		s.verdict = 77;
		s.heir_node = 200;
		s.heir_ready = 0;
		s.epoch = UINT64_MAX;
		s.lease_left_ns = INT64_MIN;
		s.ok_age_ns = UINT64_MAX - 1;
		w.node = 250;
	}
	if (story == WITNESS) {
		a.self = 0;
		w.self = 1;
		s.role = ROLE_witness;
		s.xdp_mode = XDP_MODE_NONE;
		s.verdict = HEALTH_UNKNOWN;
		s.server_tgid = 0;
		s.ok_age_ns = ~0ULL;
		s.lease_left_ns = 0;
		s.replica_up = 0;
		s.dialogs_here = s.dialogs_peer = s.rescuable = 0;
	}
	PUT(fd, CTL_SERVICE, s);
	PUT(fd, CTL_NODE, a);
	PUT(fd, CTL_NODE, b);
	PUT(fd, CTL_NODE, w);
}

static void status(int fd, enum story story)
{
	struct ctl_instance in = {.version = SIPFLIP_VERSION,
	                          .node = "a",
	                          .key_id = "0123abcd",
	                          .pid = 100,
	                          .calls_pid = story == WITNESS ? 0 : 101,
	                          .rt_priority = 50,
	                          .now_ns = NOW_NS,
	                          .started_ns = NOW_NS - 3600000 * MS,
	                          .turn_max_us = 321};

	PUT(fd, CTL_INSTANCE, in);
	if (story != EMPTY)
		put_service(fd, story);
	end(fd, 0, "");
}

static void takeovers(int fd, enum story story)
{
	struct ctl_takeover t = {.service = "pbx",
	                         .number = 7,
	                         .wall_ns = WALL_NS,
	                         .epoch = 513,
	                         .from_node = 2,
	                         .to_node = 1,
	                         .cause = CAUSE_server_signal,
	                         .last_ok_ns = FLIP_NS - 8200000,
	                         .detected_ns = FLIP_NS - 310000,
	                         .fenced_ns = FLIP_NS - 290000,
	                         .resigned_ns = FLIP_NS - 250000,
	                         .flipped_ns = FLIP_NS,
	                         .announced_ns = FLIP_NS + 40000,
	                         .first_packet_ns = FLIP_NS + 900000,
	                         .first_reinvite_ns = FLIP_NS + 3100000,
	                         .calls = 30,
	                         .rescued = 29,
	                         .failed = 1};

	if (story == HOSTILE) {
		BRIM(t.service);
		t.cause = 999;
		t.from_node = 300;
	}
	if (story != EMPTY)
		PUT(fd, CTL_TAKEOVER, t);
	end(fd, 0, "");
}

static void events(int fd, enum story story)
{
	for (uint64_t i = 1; i <= N_EVENTS; i++) {
		struct ctl_event e = {
		        .number = i, .wall_ns = WALL_NS, .at_ns = FLIP_NS, .level = i == 1 ? 4 : 6};

		snprintf(e.text, sizeof(e.text), "event=flip service=pbx text=\"%d\"", (int)i);
		if (story == HOSTILE)
			BRIM(e.text);
		PUT(fd, CTL_EVENT, e);
	}
	end(fd, 0, "");
}

static void dialogs(int fd, enum story story)
{
	for (uint32_t i = 0; i < 2 && story != EMPTY; i++) {
		struct ctl_dialog d = {.call = 9,
		                       .state = 1,
		                       .leg = i,
		                       .age_ns = 61000 * MS,
		                       .local_cseq = 101,
		                       .remote_cseq = 7,
		                       .service = "pbx",
		                       .call_id = "4711@10.9.0.11",
		                       .from = "\"Alice\" <sip:alice@10.9.0.11>;tag=1",
		                       .to = "<sip:bob@10.9.0.12;user=phone>;tag=2",
		                       .remote_target = "sip:alice@10.9.0.11:5062",
		                       .flow = "10.9.0.11:5062",
		                       .paired_by = "sdp",
		                       .plan = "relay: media goes on, re-INVITE to each leg",
		                       .plan_name = "relay",
		                       .rescuable = 1,
		                       .local = 1,
		                       .stream[0] = {.vip = "10.9.0.100:30000",
		                                     .remote = "10.9.0.11:20000",
		                                     .packets = 1234,
		                                     .sent = 1230,
		                                     .last_age_ns = 12 * MS,
		                                     .seen = 1}};

		if (story == HOSTILE) {
			BRIM(d.service);
			BRIM(d.call_id);
			BRIM(d.from);
			BRIM(d.to);
			BRIM(d.remote_target);
			BRIM(d.flow);
			BRIM(d.paired_by);
			BRIM(d.plan);
			BRIM(d.plan_name);
			BRIM(d.stream[1].vip);
			BRIM(d.stream[1].remote);
			d.state = 99;
		}
		PUT(fd, CTL_DIALOG, d);
	}
	if (story == FINE || story == DEGRADED) {
		struct ctl_dialog lost = {.call = 7,
		                          .state = 1,
		                          .age_ns = 5000 * MS,
		                          .service = "pbx",
		                          .call_id = "lost@10.9.0.11",
		                          .from = "<sip:carol@10.9.0.11>;tag=3",
		                          .to = "<sip:dave@10.9.0.12>;tag=4",
		                          .plan = "none: more than one leg would fit",
		                          .plan_name = "ambiguous"};

		PUT(fd, CTL_DIALOG, lost);
	}
	end(fd, 0, "");
}

static void outcomes(int fd, enum story story)
{
	for (uint64_t i = 1; i <= 30 && story != EMPTY; i++) {
		struct ctl_outcome o = {.epoch = 513,
		                        .call = i,
		                        .started_ns = FLIP_NS + 3 * MS,
		                        .done_ns = FLIP_NS + 9 * MS,
		                        .result = i == 30 ? 2 : 1,
		                        .status_a = 200,
		                        .status_b = i == 30 ? 481 : 200,
		                        .service = "pbx",
		                        .call_id = "4711@10.9.0.11"};

		if (story == HOSTILE) {
			BRIM(o.service);
			BRIM(o.call_id);
			BRIM(o.text);
		}
		PUT(fd, CTL_OUTCOME, o);
	}
	end(fd, 0, "");
}

static void answer(int fd, enum story story)
{
	struct ctl_request request;

	if (recv(fd, &request, sizeof(request), 0) != sizeof(request) || request.version != CTL_VERSION) {
		end(fd, -EPROTO, "another version");
		return;
	}
	switch (request.op) {
	case CTL_STATUS:
		status(fd, story);
		break;
	case CTL_TAKEOVERS:
		takeovers(fd, story);
		break;
	case CTL_EVENTS:
		events(fd, story);
		break;
	case CTL_DIALOGS:
		dialogs(fd, story);
		break;
	case CTL_OUTCOMES:
		outcomes(fd, story);
		break;
	case CTL_SWITCHOVER:
		if (story == DEGRADED)
			end(fd, -EAGAIN, "the heir is not ready: its server is not healthy");
		else
			end(fd, 0, "");
		break;
	default:
		end(fd, -EOPNOTSUPP, "unknown request");
	}
}

static int listen_at(const char *dir, const char *name)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/%s", dir, name);
	unlink(addr.sun_path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) || listen(fd, 8)) {
		perror(addr.sun_path);
		exit(2);
	}
	return fd;
}

int main(int argc, char **argv)
{
	struct pollfd pfd[2] = {{.events = POLLIN}, {.events = POLLIN}};
	int story = -1;

	for (int i = 0; argc == 3 && i < (int)(sizeof(stories) / sizeof(stories[0])); i++)
		if (!strcmp(argv[2], stories[i]))
			story = i;
	if (story < 0) {
		fprintf(stderr, "usage: fake_control DIR "
		                "fine|degraded|outage|alone|stuck|hostile|empty|witness|mute\n");
		return 2;
	}
	pfd[0].fd = listen_at(argv[1], "control.sock");
	pfd[1].fd = listen_at(argv[1], "calls.sock");
	puts("ready");
	fflush(stdout);
	alarm(60);
	for (;;) {
		if (poll(pfd, 2, -1) < 0)
			continue;
		for (int i = 0; i < 2; i++) {
			int fd = pfd[i].revents & POLLIN ? accept(pfd[i].fd, NULL, NULL) : -1;

			if (fd < 0 || story == MUTE) /* mute: left open until the end */
				continue;
			answer(fd, (enum story)story);
			close(fd);
		}
	}
}
