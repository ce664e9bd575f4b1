/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What is done with a parsed configuration: looking names up, hashing what two
 * nodes must agree on, and writing it back as text. Pure; the reverse of config.c.
 */
#include "config.h"

#include <endian.h>
#include <errno.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "addr.h"
#include "mono.h"

int config_node_by_name(const struct config *config, const char *name)
{
	for (int i = 1; i <= config->n_node; i++)
		if (!strcmp(config->node[i].name, name))
			return i;
	return 0;
}

int config_service_by_name(const struct config *config, const char *name)
{
	for (int i = 0; i < config->n_service; i++)
		if (!strcmp(config->service[i].name, name))
			return i;
	return -1;
}

/* --- tag -------------------------------------------------------------------- */

static void hash_number(crypto_generichash_state *hash, uint64_t n)
{
	uint64_t le = htole64(n);

	crypto_generichash_update(hash, (const uint8_t *)&le, sizeof(le));
}

/* With its length, so that two neighbours cannot be read as one. */
static void hash_bytes(crypto_generichash_state *hash, const void *bytes, size_t len)
{
	hash_number(hash, len);
	crypto_generichash_update(hash, bytes, len);
}

static void hash_node(crypto_generichash_state *hash, const struct config *config, int node)
{
	const struct config_node *n = &config->node[node];

	hash_number(hash, (uint64_t)node);
	hash_bytes(hash, n->name, strlen(n->name));
	hash_bytes(hash, n->addr.b, sizeof(n->addr.b));
}

uint32_t config_service_tag(const struct config *config, int service)
{
	const struct config_service *s = &config->service[service];
	crypto_generichash_state hash;
	uint8_t out[crypto_generichash_BYTES_MIN];
	uint32_t tag;

	crypto_generichash_init(&hash, NULL, 0, sizeof(out));
	hash_number(&hash, (uint64_t)service);
	hash_bytes(&hash, s->name, strlen(s->name));
	hash_number(&hash, (uint64_t)s->n_vip);
	for (int i = 0; i < s->n_vip; i++) {
		hash_bytes(&hash, s->vip[i].addr.b, sizeof(s->vip[i].addr.b));
		hash_number(&hash, s->vip[i].prefix_len);
	}
	hash_number(&hash, (uint64_t)s->n_node);
	for (int i = 0; i < s->n_node; i++)
		hash_node(&hash, config, s->node[i]);
	if (s->witness)
		hash_node(&hash, config, s->witness);
	hash_number(&hash, s->on_peer_silence);
	hash_number(&hash, (uint64_t)s->lease_ns);
	hash_number(&hash, (uint64_t)s->echo_ns);
	crypto_generichash_final(&hash, out, sizeof(out));
	memcpy(&tag, out, sizeof(tag));
	tag = le32toh(tag);
	return tag ? tag : 1; /* 0 is what an empty map holds */
}

/* --- text ------------------------------------------------------------------- */

struct text {
	char *buf;
	size_t size;
	size_t used;
	bool full;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *t, const char *format, ...)
{
	va_list ap;
	int n;

	if (t->full)
		return;
	va_start(ap, format);
	n = vsnprintf(t->buf + t->used, t->size - t->used, format, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= t->size - t->used)
		t->full = true;
	else
		t->used += (size_t)n;
}

struct duration_text {
	char s[24];
};

static struct duration_text duration(int64_t ns)
{
	static const struct {
		int64_t ns;
		const char *name;
	} units[] = {{NS_PER_S, "s"}, {NS_PER_MS, "ms"}, {NS_PER_US, "us"}};
	struct duration_text d;
	size_t i = 0;

	while (i < 2 && ns % units[i].ns)
		i++;
	snprintf(d.s, sizeof(d.s), "%lld%s", (long long)(ns / units[i].ns), units[i].name);
	return d;
}

static void add_lists(struct text *t, const struct config *c, const struct config_service *s)
{
	char buf[ADDR_TEXT_LEN];

	add(t, "\tvip = {");
	for (int i = 0; i < s->n_vip; i++)
		add(t, "%s \"%s/%d\"", i ? "," : "", addr_format(&s->vip[i].addr, buf), s->vip[i].prefix_len);
	add(t, " }\n\tsip = {");
	for (int i = 0; i < s->n_sip; i++)
		add(t, "%s \"udp:%d\"", i ? "," : "", s->sip_port[i]);
	add(t, " }\n\tnodes = {");
	for (int i = 0; i < s->n_node; i++)
		add(t, "%s \"%s\"", i ? "," : "", c->node[s->node[i]].name);
	add(t, " }\n");
}

static void add_silence(struct text *t, const struct config *c, const struct config_service *s)
{
	static const char *const names[] = {
	        [SILENCE_ARBITER] = "arbiter",
	        [SILENCE_HOLD] = "hold",
	        [SILENCE_RELEASE] = "release",
	};
	char buf[ADDR_TEXT_LEN];

	if (s->on_peer_silence == SILENCE_WITNESS) {
		add(t, "\twitness = \"%s\"\n", c->node[s->witness].name);
		return;
	}
	add(t, "\ton-peer-silence = \"%s\"\n", names[s->on_peer_silence]);
	if (!s->n_arbiter)
		return;
	add(t, "\tarbiter = {");
	for (int i = 0; i < s->n_arbiter; i++)
		add(t, "%s \"%s\"", i ? "," : "", addr_format(&s->arbiter[i], buf));
	add(t, " }\n");
}

static void add_calls(struct text *t, const struct config_service *s)
{
	static const char *const rescues[] = {
	        [RESCUE_AGENT] = "agent", [RESCUE_OFF] = "off", [RESCUE_SERVER] = "server"};
	char addr[ADDR_TEXT_LEN];

	add(t, "\tcalls {\n\t\trescue = \"%s\"\n\t\tmedia = \"%s\"\n", rescues[s->rescue],
	    s->media == MEDIA_DIRECT ? "direct" : "relay");
	add(t, "\t\tport = %u\n\t\trate = %u\n\t\tmax-dialogs = %u\n", s->rescue_port, s->rescue_rate,
	    s->max_dialogs);
	add(t, "\t\trelay-ports = \"%u-%u\"\n", s->relay_port_first, s->relay_port_last);
	if (s->link_header[0])
		add(t, "\t\tlink-header = \"%s\"\n", s->link_header);
	if (s->recover_command[0])
		add(t, "\t\trecover-command = \"%s\"\n", s->recover_command);
	if (s->event_socket_port) {
		add(t, "\t\tevent-socket = \"%s:%u\"\n", addr_format(&s->event_socket, addr),
		    s->event_socket_port);
		add(t, "\t\tevent-socket-password-file = \"%s\"\n", s->event_socket_password_file);
		add(t, "\t\tevent-socket-command = \"%s\"\n", s->event_socket_command);
	}
	add(t, "\t}\n");
}

static void add_service(struct text *t, const struct config *c, const struct config_service *s)
{
	add(t, "service \"%s\" {\n\tinterface = \"%s\"\n", s->name, s->interface);
	add_lists(t, c, s);
	if (!strcmp(s->timing, "numbers"))
		add(t, "\ttiming = \"echo %s lease %s\"\n", duration(s->echo_ns).s, duration(s->lease_ns).s);
	else
		add(t, "\ttiming = \"%s\"\n", s->timing);
	add(t,
	    "\tprobe {\n\t\tenabled = %s\n\t\tinterval = \"%s\"\n\t\tfloor = \"%s\"\n\t\tceiling = "
	    "\"%s\"\n\t}\n",
	    s->probe ? "true" : "false", duration(s->probe_interval_ns).s, duration(s->probe_floor_ns).s,
	    duration(s->probe_ceiling_ns).s);
	add_silence(t, c, s);
	add_calls(t, s);
	add(t, "}\n");
}

int config_format(const struct config *c, char *buf, size_t size)
{
	struct text t = {.buf = buf, .size = size, .full = !size};
	char addr[ADDR_TEXT_LEN];

	add(&t, "key-file = \"%s\"\nuser = \"%s\"\nrun-dir = \"%s\"\n", c->key_file, c->user, c->run_dir);
	if (c->control_group[0])
		add(&t, "control-group = \"%s\"\n", c->control_group);
	if (c->switchover_group[0])
		add(&t, "switchover-group = \"%s\"\n", c->switchover_group);
	add(&t, "echo-port = %u\nreplica-port = %u\nrt-priority = %d\n", c->echo_port, c->replica_port,
	    c->rt_priority);
	for (int i = 1; i <= c->n_node; i++)
		add(&t, "node \"%s\" {\n\taddress = \"%s\"\n}\n", c->node[i].name,
		    addr_format(&c->node[i].addr, addr));
	for (int i = 0; i < c->n_service; i++)
		add_service(&t, c, &c->service[i]);
	return t.full ? -ENOSPC : (int)t.used;
}
