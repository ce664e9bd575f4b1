/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The media of calls from the dialog table to the kernel's maps and back: the real maps,
 * without the programs. The set-up of test_media*.c only.
 */
#ifndef SIPFLIP_TEST_MEDIA_STAGE_H
#define SIPFLIP_TEST_MEDIA_STAGE_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <cmocka.h>
#include <sofia-sip/su.h>

#include "../../user/calls/media_service.h"
#include "addr.h"
#include "leg.h"

#define VIP        "192.0.2.100"
#define OTHER_VIP  "192.0.2.101"
#define DIALOGS    40000
#define OUR_SERVER 77
#define ITS_SERVER 99

static su_root_t *root;
static struct dialog_table table, table2;
static struct media *media;
static struct keeper_conf conf, conf2;
static int ports_fd, flows_fd, steer_fd;
static int seen_calls;

static inline int map_new(enum bpf_map_type type, const char *name, uint32_t key, uint32_t value, uint32_t n,
                          uint32_t flags)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = flags);

	return bpf_map_create(type, name, key, value, n, &opts);
}

static inline void on_seen(void *context)
{
	seen_calls++;
}

static inline int start(void)
{
	int rc = media_new(root, ports_fd, flows_fd, steer_fd, -1, &media);

	if (rc == 0)
		rc = media_add_service(media, &conf, &table, on_seen, NULL);
	if (rc == 0)
		media_origin_changed(media, 0);
	return rc;
}

static inline int set_up(void **state)
{
	ports_fd = map_new(BPF_MAP_TYPE_ARRAY, "flow_ports", 4, 4, 65536, BPF_F_MMAPABLE);
	flows_fd = map_new(BPF_MAP_TYPE_ARRAY, "flows", 4, sizeof(struct flow), MAX_FLOWS, BPF_F_MMAPABLE);
	steer_fd = map_new(BPF_MAP_TYPE_HASH, "steer", 8, sizeof(struct steer), MAX_STEERED, 0);
	if (ports_fd < 0 || flows_fd < 0 || steer_fd < 0)
		return -1;
	conf = (struct keeper_conf){.rescue_mode = RESCUE_AGENT,
	                            .steer_key = {0x0706050403020100, 0x0f0e0d0c0b0a0908},
	                            .relay_port_first = 40001,
	                            .relay_port_last = 40006};
	addr_parse(VIP, &conf.vip);
	conf2 = conf;
	conf2.head.service = 1;
	addr_parse(OTHER_VIP, &conf2.vip);
	assert_int_equal(dialog_table_init(&table, DIALOGS, 1), 0);
	assert_int_equal(dialog_table_init(&table2, 16, 2), 0);
	su_init();
	root = su_root_create(NULL);
	return start();
}

static inline int tear_down(void **state)
{
	media_free(media);
	dialog_table_done(&table);
	dialog_table_done(&table2);
	su_root_destroy(root);
	su_deinit();
	close(ports_fd);
	close(flows_fd);
	close(steer_fd);
	return 0;
}

static inline void flush(void)
{
	for (int i = 0; i < 1000 && media->flush_set; i++)
		media_flush(media);
	media_flush(media);
	assert_false(media->flush_set);
}

/* --- calls -------------------------------------------------------------------------- */

struct call {
	struct dialog *a;
	struct dialog *b;
};

static inline char *sdp(char *buf, size_t size, const char *host, unsigned int port, const char *more)
{
	snprintf(buf, size,
	         "v=0\r\no=- 1 1 IN IP4 h\r\ns=-\r\nc=IN IP4 %s\r\nt=0 0\r\nm=audio %u RTP/AVP 0\r\n%s", host,
	         port, more);
	return buf;
}

/* Leg A uses VIP port `port`, leg B the next even one; the phones 10.0.0.1:4000 and 10.0.0.2:5000. */
static inline struct call call_of(struct dialog_table *in, const char *vip, const char *name,
                                  unsigned int port, uint64_t origin)
{
	char a_id[64], b_id[64], text[4][256];
	struct leg a = {.table = in, .call_id = a_id}, b = {.table = in, .call_id = b_id, .out = true};
	struct call call;
	uint64_t before = in->origin;

	snprintf(a_id, sizeof(a_id), "%s-a", name);
	snprintf(b_id, sizeof(b_id), "%s-b", name);
	a.sdp_in = sdp(text[0], sizeof(text[0]), "10.0.0.1", 4000, "");
	a.sdp_out = sdp(text[1], sizeof(text[1]), vip, port, "");
	b.sdp_in = sdp(text[2], sizeof(text[2]), "10.0.0.2", 5000, "");
	b.sdp_out = sdp(text[3], sizeof(text[3]), vip, port + 2, "");
	in->origin = origin;
	leg_invite(&a, 0);
	leg_invite(&b, 1);
	call.b = leg_answer(&b, 2);
	call.a = leg_answer(&a, 3);
	in->origin = before;
	assert_non_null(call.a);
	assert_non_null(call.b);
	dialog_set_paired(in, call.a, call.b, PAIRED_HEADER);
	return call;
}

static inline struct call new_call(const char *name, unsigned int port, uint64_t origin)
{
	struct call call = call_of(&table, VIP, name, port, origin);

	flush();
	return call;
}

static inline uint32_t slot_of(const struct dialog *d, unsigned int stream)
{
	return media->services[0]->legs[d - table.dialogs].flow[stream];
}

static inline const struct flow *flow(const struct dialog *d, unsigned int stream)
{
	return media_flow_of(media, d, stream);
}

static inline bool is_steered(const char *call_id)
{
	uint64_t hash = media_steer_hash(&conf.steer_key, 0, call_id);
	struct steer value;

	return bpf_map_lookup_elem(steer_fd, &hash, &value) == 0;
}

/* As a program would look it up. */
static inline uint32_t kernel_slot(uint16_t port)
{
	uint32_t key = port, slot = 0;

	assert_int_equal(bpf_map_lookup_elem(ports_fd, &key, &slot), 0);
	return slot;
}

static inline struct flow kernel_flow(uint32_t slot)
{
	struct flow f;

	assert_int_equal(bpf_map_lookup_elem(flows_fd, &slot, &f), 0);
	return f;
}

static inline void assert_place(const struct inaddr16 *addr, uint16_t port, const char *want,
                                uint16_t want_port)
{
	char text[ADDR_TEXT_LEN];

	assert_string_equal(addr_format(addr, text), want);
	assert_int_equal(port, want_port);
}

/* What the programs would have written of a flow. */
static inline void kernel_saw(const struct dialog *d, unsigned int stream, enum media_event_kind kind,
                              const char *addr, uint16_t port)
{
	struct flow *f = (struct flow *)flow(d, stream);
	const struct media_event event = {
	        .at_ns = (uint64_t)loop_now().ns, .slot = slot_of(d, stream), .kind = kind};

	if (kind == MEDIA_SEEN_TO) {
		addr_parse(addr, &f->seen_to);
		f->seen_to_port = port;
	} else {
		addr_parse(addr, &f->seen_from);
		f->seen_from_port = port;
		f->seen_mac[5] = 7;
	}
	media_seen(media, &event);
	flush();
}

static inline void say(struct dialog *d, const char *host, unsigned int port, const char *more)
{
	char text[256];

	sdp(text, sizeof(text), host, port, more);
	dialog_set_sdp_in(&table, d, text, strlen(text));
	flush();
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
