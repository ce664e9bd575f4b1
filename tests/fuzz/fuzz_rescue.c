/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What phones send to the rescue port after a takeover. Two phones of a paired call
 * that a dead server left, and one that rings; each message of the input is a datagram
 * of one of them to the agent (nta), byte for byte. The table holds what check_table
 * asks, what the phones hear is SIP, and when the agent goes
 * nothing of it is left.
 */
#include "lone.h"
#include "table_check.h"

#include <sofia-sip/su.h>
#include <sofia-sip/su_log.h>
#include <time.h>

#include "../../user/calls/rescue.h"
#include "../../user/calls/track.h"
#include "addr.h"

#define VIP       "127.0.0.9"
#define PORT      5070
#define PHONES    3
#define DATAGRAMS 24

/* The phones' ports are fixed, so that an input can name them in Contact and Via. */
static const uint16_t phone_port[PHONES] = {6001, 6002, 6003};
static int phone[PHONES];
static su_root_t *root;

static int udp(const char *addr, uint16_t port)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	sin.sin_addr.s_addr = inet_addr(addr);
	CHECK(fd >= 0 && !bind(fd, (struct sockaddr *)&sin, sizeof(sin)));
	return fd;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	extern su_log_t nta_log[], tport_log[];

	lone_start();
	su_init();
	su_log_set_level(su_log_default, 0);
	su_log_set_level(nta_log, 0);
	su_log_set_level(tport_log, 0);
	root = su_root_create(NULL);
	for (int i = 0; i < PHONES; i++)
		phone[i] = udp("127.0.0.1", phone_port[i]);
	return !root;
}

static struct mono now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return mono_ns(ts.tv_sec * NS_PER_S + ts.tv_nsec);
}

/* As the tracker would have entered it: the INVITE, and the answer with this status. */
static struct dialog *enter(struct dialog_table *table, int i, const char *call_id, bool out, int status)
{
	char told[512], said[512], target[64];
	struct sip_event ev = {.at = now(),
	                       .out = out,
	                       .verb = SIP_VERB_INVITE,
	                       .cseq = 500,
	                       .remote_port = phone_port[i],
	                       .call_id = call_id,
	                       .from = out ? "<sip:100@b.example>" : "<sip:phone@a.example>",
	                       .from_tag = out ? "server" : "phone",
	                       .from_user = "ann",
	                       .to = out ? "<sip:phone@a.example>" : "<sip:100@b.example>",
	                       .request_uri = "sip:x@127.0.0.1",
	                       .request_user = "100",
	                       .refresher_uas = -1};

	snprintf(told, sizeof(told),
	         "v=0\r\no=- 7 1 IN IP4 " VIP "\r\ns=-\r\nc=IN IP4 " VIP
	         "\r\nt=0 0\r\nm=audio %d RTP/AVP 0\r\n",
	         30000 + 2 * i);
	snprintf(said, sizeof(said),
	         "v=0\r\no=- %d 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
	         "m=audio %d RTP/AVP 0\r\n",
	         i + 1, 4000 + 2 * i);
	snprintf(target, sizeof(target), "sip:phone@127.0.0.1:%u", phone_port[i]);
	addr_parse("127.0.0.1", &ev.remote);
	ev.contact = out ? "sip:srv@" VIP : target;
	ev.sdp = out ? told : said;
	ev.sdp_len = strlen(ev.sdp);
	dialog_table_event(table, &ev);
	ev.out = !out;
	ev.status = status;
	ev.to_tag = out ? "phone" : "server";
	ev.contact = out ? target : "sip:srv@" VIP;
	ev.sdp = out ? said : told;
	ev.sdp_len = strlen(ev.sdp);
	return dialog_table_event(table, &ev);
}

static void turns(int n)
{
	for (int i = 0; i < n; i++)
		su_root_step(root, 0);
}

/* What the phones hear is SIP. */
static void hear(void)
{
	static char got[65536];

	for (int i = 0; i < PHONES; i++) {
		ssize_t n;

		while ((n = recv(phone[i], got, sizeof(got) - 1, MSG_DONTWAIT)) >= 0) {
			got[n] = '\0';
			if (n >= 20 && got[0] == 1) /* the transport's refusal of STUN */
				continue;
			CHECK(n > 20 && strstr(got, "SIP/2.0") && strstr(got, "\r\n\r\n"));
		}
	}
}

static void say(int i, const struct part *part)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(PORT)};

	sin.sin_addr.s_addr = inet_addr(VIP);
	(void)!sendto(phone[i], part->at, part->len, 0, (struct sockaddr *)&sin, sizeof(sin));
}

static bool silent(void *context, const struct dialog *dialog, struct mono since)
{
	return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct rescue_callbacks callbacks = {.silent = silent};
	struct keeper_conf conf = {.name = "pbx", .rescue_rate = 10000, .rescue_port = PORT};
	struct dialog_table table;
	struct track track = {.table = &table};
	struct rescue *rescue;
	struct dialog *a, *b;
	struct part part;
	uint8_t how;

	CHECK(!dialog_table_init(&table, 16, 7));
	addr_parse(VIP, &conf.vip);
	a = enter(&table, 0, "call-a", false, 200);
	b = enter(&table, 1, "call-b", true, 200);
	dialog_set_paired(&table, a, b, PAIRED_SDP);
	enter(&table, 2, "call-c", false, 180);
	CHECK(!rescue_new(root, &conf, &track, &callbacks, NULL, &rescue));
	if (size && data[0] & 1)
		rescue_start(rescue, 0x702, (uint64_t)now().ns, now());
	if (size)
		data++, size--;
	for (int n = 0; n < DATAGRAMS && part_next(&data, &size, &how, &part); n++) {
		say(how % PHONES, &part);
		free(part.at);
		turns(2);
		hear();
		check_table(&table);
	}
	turns(3);
	hear();
	rescue_stop(rescue);
	rescue_free(rescue);
	turns(1);
	hear();
	check_table(&table);
	check_empties(&table);
	dialog_table_done(&table);
	return 0;
}
