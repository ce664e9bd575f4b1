/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The `service` section of the configuration: what it may say, its defaults, and
 * how its parts must agree with each other and with the services before it; its
 * `calls` part is config_calls.c's. Called by config.c, for each section in the order of the file.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "addr.h"
#include "config_value.h"
#include "mono.h"

#define ECHO_MIN_NS  (500 * NS_PER_US)
#define ECHO_MAX_NS  (10 * NS_PER_S)
#define LEASE_MAX_NS (60 * NS_PER_S)
#define LEASE_ECHOES 3
#define PROBE_MIN_NS (1 * NS_PER_MS)
#define PROBE_MAX_NS (60 * NS_PER_S)
#define SIP_PORT     5060

static int take_vip(struct config_parser *p, const struct config_value *v, struct config_service *s)
{
	const struct config *c = p->config;
	struct config_vip vip = {.prefix_len = 32};
	char text[ADDR_TEXT_LEN + 8];
	char *slash;

	if (s->n_vip == CONFIG_VIPS)
		return config_fail(p, v->line, "more than %d VIPs in a service; make another service",
		                   CONFIG_VIPS);
	snprintf(text, sizeof(text), "%s", v->text);
	slash = strchr(text, '/');
	if (slash) {
		char *end;
		long n = strtol(slash + 1, &end, 10);

		*slash = '\0';
		if (!strchr(text, ':') && (!isdigit((unsigned char)slash[1]) || *end || n < 1 || n > 32))
			return config_fail(p, v->line,
			                   "vip '%.60s' has a bad prefix length; write one from /1 to /32",
			                   v->text);
		vip.prefix_len = (uint8_t)n;
	}
	if (config_take_v4(p, v->line, "vip", text, &vip.addr))
		return -EINVAL;
	for (int i = 0; i <= c->n_service; i++) {
		const struct config_service *other = i < c->n_service ? &c->service[i] : s;

		for (int k = 0; k < other->n_vip; k++)
			if (addr_equal(&other->vip[k].addr, &vip.addr))
				return config_fail(
				        p, v->line,
				        "vip %s is already one of service \"%s\"; use each VIP once", text,
				        other->name);
	}
	for (int i = 1; i <= c->n_node; i++)
		if (addr_equal(&c->node[i].addr, &vip.addr))
			return config_fail(
			        p, v->line,
			        "vip %s is the own address of node \"%s\"; the VIP must be an extra one",
			        text, c->node[i].name);
	s->vip[s->n_vip++] = vip;
	return 0;
}

static int take_sip(struct config_parser *p, const struct config_value *v, struct config_service *s)
{
	static const char udp[] = "udp:";
	const char *port = v->text + strlen(udp);
	char *end;
	long n;

	if (!strncasecmp(v->text, "tcp:", 4) || !strncasecmp(v->text, "tls:", 4))
		return config_fail(p, v->line, "sip '%.40s': only udp for now; write \"udp:PORT\"", v->text);
	if (strncasecmp(v->text, udp, strlen(udp)) || !isdigit((unsigned char)*port))
		return config_fail(p, v->line, "sip '%.40s' is not understood; write \"udp:5060\"", v->text);
	n = strtol(port, &end, 10);
	if (*end || n < 1 || n > 65535)
		return config_fail(p, v->line, "sip '%.40s' has no valid port; write one from 1 to 65535",
		                   v->text);
	if (s->n_sip == CONFIG_SIP)
		return config_fail(p, v->line, "more than %d sip ports in a service; remove some",
		                   CONFIG_SIP);
	for (int i = 0; i < s->n_sip; i++)
		if (s->sip_port[i] == n)
			return config_fail(p, v->line, "sip port %ld is there twice; remove one", n);
	s->sip_port[s->n_sip++] = (uint16_t)n;
	return 0;
}

static int take_data_node(struct config_parser *p, const struct config_value *v, struct config_service *s)
{
	int number = config_node_by_name(p->config, v->text);

	if (!number)
		return config_fail(p, v->line,
		                   "nodes: there is no node \"%.40s\"; add node \"%.40s\" { address = ... }",
		                   v->text, v->text);
	for (int i = 0; i < s->n_node; i++)
		if (s->node[i] == number)
			return config_fail(p, v->line, "nodes: \"%s\" is there twice; name each node once",
			                   v->text);
	if (s->n_node == CONFIG_DATA_NODES)
		return config_fail(p, v->line, "nodes: more than %d; name the two that run the server",
		                   CONFIG_DATA_NODES);
	s->node[s->n_node++] = (uint8_t)number;
	return 0;
}

static int take_lists(struct config_parser *p, cfg_t *section, struct config_service *s)
{
	const struct config_value *v;
	unsigned int i;

	for (i = 0; (v = config_value_at(section, "vip", i)); i++)
		if (take_vip(p, v, s))
			return -EINVAL;
	for (i = 0; (v = config_value_at(section, "sip", i)); i++)
		if (take_sip(p, v, s))
			return -EINVAL;
	for (i = 0; (v = config_value_at(section, "nodes", i)); i++)
		if (take_data_node(p, v, s))
			return -EINVAL;
	if (!s->n_vip)
		return config_fail(p, s->line, "service \"%s\" has no vip; add vip = { \"ADDRESS/PREFIX\" }",
		                   s->name);
	if (!s->n_sip)
		s->sip_port[s->n_sip++] = SIP_PORT;
	if (s->n_node < CONFIG_DATA_NODES)
		return config_fail(p, s->line,
		                   "service \"%s\" has fewer than two nodes; add nodes = { \"A\", \"B\" }",
		                   s->name);
	return 0;
}

static int take_timing(struct config_parser *p, cfg_t *section, struct config_service *s)
{
	const struct config_value *v = config_value_of(section, "timing");
	char echo[24], lease[24], rest[2];

	strcpy(s->timing, "safe");
	s->echo_ns = 5 * NS_PER_MS;
	s->lease_ns = 30 * NS_PER_MS;
	if (!v || !strcmp(v->text, "safe"))
		return 0;
	if (!strcmp(v->text, "fast")) {
		strcpy(s->timing, "fast");
		s->echo_ns = 1 * NS_PER_MS;
		s->lease_ns = 5 * NS_PER_MS;
		return 0;
	}
	if (sscanf(v->text, " echo %23s lease %23s %1s", echo, lease, rest) != 2 ||
	    !config_parse_duration(echo, &s->echo_ns) || !config_parse_duration(lease, &s->lease_ns))
		return config_fail(
		        p, v->line,
		        "timing = '%.60s' is not understood; write \"safe\", \"fast\" or \"echo 2ms "
		        "lease 12ms\"",
		        v->text);
	strcpy(s->timing, "numbers");
	if (s->echo_ns < ECHO_MIN_NS || s->echo_ns > ECHO_MAX_NS)
		return config_fail(p, v->line, "timing: echo %s is out of range; choose 500us to 10s", echo);
	if (s->lease_ns < LEASE_ECHOES * s->echo_ns)
		return config_fail(p, v->line, "timing: lease %s is below three echoes of %s; make it longer",
		                   lease, echo);
	if (s->lease_ns > LEASE_MAX_NS)
		return config_fail(p, v->line, "timing: lease %s is out of range; choose at most 60s", lease);
	return 0;
}

static int take_probe(struct config_parser *p, cfg_t *section, struct config_service *s)
{
	cfg_t *probe = cfg_getsec(section, "probe");
	const struct config_value *any = config_value_of(probe, "ceiling");

	s->probe = true;
	s->probe_interval_ns = 10 * NS_PER_MS;
	s->probe_floor_ns = 30 * NS_PER_MS;
	s->probe_ceiling_ns = 1 * NS_PER_S;
	if (config_take_bool(p, config_value_of(probe, "enabled"), "enabled", &s->probe) ||
	    config_take_duration(p, config_value_of(probe, "interval"), "interval", &s->probe_interval_ns) ||
	    config_take_duration(p, config_value_of(probe, "floor"), "floor", &s->probe_floor_ns) ||
	    config_take_duration(p, config_value_of(probe, "ceiling"), "ceiling", &s->probe_ceiling_ns))
		return -EINVAL;
	if (config_value_of(probe, "floor"))
		any = config_value_of(probe, "floor");
	if (config_value_of(probe, "interval"))
		any = config_value_of(probe, "interval");
	if (!any)
		return 0;
	if (s->probe_interval_ns < PROBE_MIN_NS || s->probe_ceiling_ns > PROBE_MAX_NS)
		return config_fail(
		        p, any->line,
		        "probe: out of range; choose an interval from 1ms and a ceiling up to 60s");
	if (s->probe_interval_ns > s->probe_floor_ns || s->probe_floor_ns > s->probe_ceiling_ns)
		return config_fail(p, any->line, "probe: wrong order; choose interval <= floor <= ceiling");
	return 0;
}

static int take_witness(struct config_parser *p, const struct config_value *v, struct config_service *s)
{
	int number = config_node_by_name(p->config, v->text);

	if (!number)
		return config_fail(
		        p, v->line,
		        "witness: there is no node \"%.40s\"; add node \"%.40s\" { address = ... }", v->text,
		        v->text);
	for (int i = 0; i < s->n_node; i++)
		if (s->node[i] == number)
			return config_fail(p, v->line,
			                   "witness \"%s\" is also one of nodes; name a third machine",
			                   v->text);
	s->witness = (uint8_t)number;
	s->on_peer_silence = SILENCE_WITNESS;
	return 0;
}

static int take_arbiters(struct config_parser *p, cfg_t *section, struct config_service *s)
{
	const struct config *c = p->config;
	const struct config_value *v;

	for (unsigned int i = 0; (v = config_value_at(section, "arbiter", i)); i++) {
		struct inaddr16 addr;

		if (s->on_peer_silence != SILENCE_ARBITER)
			return config_fail(
			        p, v->line,
			        "arbiter is used only with on-peer-silence = \"arbiter\"; remove one of "
			        "them");
		if (s->n_arbiter == CONFIG_ARBITERS)
			return config_fail(p, v->line, "more than %d arbiters; remove some", CONFIG_ARBITERS);
		if (config_take_v4(p, v->line, "arbiter", v->text, &addr))
			return -EINVAL;
		for (int k = 1; k <= c->n_node; k++)
			if (addr_equal(&c->node[k].addr, &addr))
				return config_fail(
				        p, v->line,
				        "arbiter %s is node \"%s\"; name something else, such as the gateway",
				        v->text, c->node[k].name);
		s->arbiter[s->n_arbiter++] = addr;
	}
	return 0;
}

static int take_silence(struct config_parser *p, cfg_t *section, struct config_service *s)
{
	const struct config_value *witness = config_value_of(section, "witness");
	const struct config_value *silence = config_value_of(section, "on-peer-silence");

	if (witness && silence)
		return config_fail(p, silence->line,
		                   "witness and on-peer-silence exclude each other; remove one");
	if (!witness && !silence)
		return config_fail(
		        p, s->line,
		        "service \"%s\" does not say who decides when a node is silent; add witness = "
		        "\"NODE\", or "
		        "on-peer-silence = \"arbiter\", \"hold\" or \"release\"",
		        s->name);
	if (witness)
		return take_witness(p, witness, s) || take_arbiters(p, section, s) ? -EINVAL : 0;
	if (!strcmp(silence->text, "arbiter"))
		s->on_peer_silence = SILENCE_ARBITER;
	else if (!strcmp(silence->text, "hold"))
		s->on_peer_silence = SILENCE_HOLD;
	else if (!strcmp(silence->text, "release"))
		s->on_peer_silence = SILENCE_RELEASE;
	else
		return config_fail(
		        p, silence->line,
		        "on-peer-silence = '%.40s' is not known; write \"arbiter\", \"hold\" or \"release\"",
		        silence->text);
	if (take_arbiters(p, section, s))
		return -EINVAL;
	if (s->on_peer_silence == SILENCE_ARBITER && !s->n_arbiter)
		return config_fail(
		        p, silence->line,
		        "on-peer-silence = \"arbiter\" without an address; add arbiter = { \"ADDRESS\" "
		        "}, such as the gateway's");
	return 0;
}

int config_take_service(struct config_parser *p, cfg_t *section)
{
	struct config *c = p->config;
	struct config_service s = {.line = config_line_of(section)};
	const struct config_value *interface = config_value_of(section, "interface");

	if (c->n_service == CONFIG_MAX_SERVICES)
		return config_fail(p, s.line, "more than %d services; remove some", CONFIG_MAX_SERVICES);
	if (config_take_name(p, s.line, "service name", cfg_title(section), s.name, sizeof(s.name)))
		return -EINVAL;
	if (!interface)
		return config_fail(p, s.line, "service \"%s\" has no interface; add interface = \"eth0\"",
		                   s.name);
	if (config_take_name(p, interface->line, "interface", interface->text, s.interface,
	                     sizeof(s.interface)) ||
	    take_lists(p, section, &s) || take_timing(p, section, &s) || take_probe(p, section, &s) ||
	    take_silence(p, section, &s) || config_take_calls(p, section, &s))
		return -EINVAL;
	c->service[c->n_service++] = s;
	return 0;
}
