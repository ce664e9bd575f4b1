/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What command lines ask sipflipd, and what its call keeper tells it. On a standby
 * without a data plane: answers are whole records that end their texts, with one
 * CTL_END or none and then the connection is over, and no question makes it an owner.
 */
#include "record_check.h"

#include <sodium.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../user/sentinel/clock.h"
#include "../../user/sentinel/log.h"
#include "../../user/sentinel/sentinel.h"

static const char text[] =
        "key-file = \"/etc/sipflip/key\"\n"
        "node \"a\" { address = \"10.9.0.1\" }\n"
        "node \"b\" { address = \"10.9.0.2\" }\n"
        "node \"w\" { address = \"10.9.0.3\" }\n"
        "service \"pbx\" { interface = \"eth0\" vip = { \"10.9.0.100/24\" } sip = { \"udp:5060\" }\n"
        "  nodes = { \"a\", \"b\" } witness = \"w\" }\n"
        "service \"two\" { interface = \"eth0\" vip = { \"10.9.0.101/24\" } sip = { \"udp:5060\" }\n"
        "  nodes = { \"b\", \"a\" } on-peer-silence = \"hold\" calls { port = 5071 } }\n";

static struct sentinel s;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct config_error error;

	CHECK(sodium_init() >= 0);
	if (config_parse(text, "x", &s.config, &error)) {
		fprintf(stderr, "%s\n", error.text);
		return 1;
	}
	s.node = 3;
	s.run_dir = "/nonexistent";
	s.started = clock_now();
	s.keeper.link = s.keeper.control_listen = s.udp = -1;
	s.n_service = s.config.n_service;
	for (int i = 0; i < s.n_service; i++) {
		s.service[i].index = i;
		s.service[i].conf = &s.config.service[i];
	}
	for (int i = 0; i < SENTINEL_CLIENTS; i++)
		s.control.client[i].fd = -1;
	s.n_takeover = 3;
	for (int i = 0; i < 3; i++)
		s.takeover[i] = (struct ctl_takeover){.head = {CTL_TAKEOVER, sizeof(struct ctl_takeover)},
		                                      .service = "pbx"};
	for (int i = 0; i < 5; i++)
		log_info("line=%d", i);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct part part;
	uint8_t how;

	while (part_next(&data, &size, &how, &part)) {
		int i = how % SENTINEL_CLIENTS, pair[2], big = 1 << 20;

		CHECK(!socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair));
		setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &big, sizeof(big));
		s.control.client[i] = (struct control_client){.fd = pair[0]};
		(void)!send(pair[1], part.at, part.len, MSG_DONTWAIT);
		control_readable(&s, i);
		control_flush(&s);
		CHECK(check_answers(pair[1]) <= 1);
		close(pair[1]);
		if (s.control.client[i].fd >= 0)
			control_readable(&s, i);
		control_flush(&s);
		if (s.control.client[i].fd >= 0)
			close(s.control.client[i].fd);
		s.control.client[i] = (struct control_client){.fd = -1};
		free(part.at);
	}
	for (int i = 0; i < s.n_service; i++)
		CHECK(s.service[i].lease.state != LEASE_owner && !s.service[i].held_sent);
	return 0;
}
