/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The configuration's syntax and meaning: libconfuse splits the text, this file
 * judges every value and says what is wrong in one line with its line number.
 * It never opens a file, asks the machine anything or prints. Called by sipflipd
 * (start, SIGHUP) and by `sipflip check` and `sipflip doctor`.
 */
#include "config.h"

#include <confuse.h>
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "addr.h"
#include "mono.h"
#include "sipflip/wire.h"

#define ECHO_MIN_NS      (500 * NS_PER_US)
#define ECHO_MAX_NS      (10 * NS_PER_S)
#define LEASE_MAX_NS     (60 * NS_PER_S)
#define LEASE_ECHOES     3
#define PROBE_MIN_NS     (1 * NS_PER_MS)
#define PROBE_MAX_NS     (60 * NS_PER_S)
#define RUN_DIR_MAX      90 /* with a socket's name it must fit sockaddr_un.sun_path */
#define MAX_DIALOGS_MAX  1000000
#define RESCUE_RATE_MAX  100000
#define KEY_FILE_DEFAULT "/etc/sipflip/key"

/* Every option's value is kept as its text with where it stood; see keep_value. */
struct value {
	int line;
	int section_line; /* of the top-level section it is in */
	char text[];
};

struct parse {
	const char *file;
	cfg_t *root;
	struct config *config;
	struct config_error *error;
	bool failed;
};

/* libconfuse hands its callbacks no pointer of the caller's. Set only inside config_parse. */
static _Thread_local struct parse *parsing;

__attribute__((format(printf, 3, 4))) static int fail(struct parse *p, int line, const char *format, ...)
{
	va_list ap;
	int n;

	if (p->failed)
		return -EINVAL;
	p->failed = true;
	n = snprintf(p->error->text, sizeof(p->error->text), "%s:%d: ", p->file, line);
	if (n < 0 || (size_t)n >= sizeof(p->error->text))
		return -EINVAL;
	va_start(ap, format);
	vsnprintf(p->error->text + n, sizeof(p->error->text) - (size_t)n, format, ap);
	va_end(ap);
	return -EINVAL;
}

/* --- libconfuse's side ------------------------------------------------------ */

static int keep_value(cfg_t *cfg, cfg_opt_t *opt, const char *text, void *result)
{
	size_t len = strlen(text) + 1;
	struct value *value = malloc(sizeof(*value) + len);

	(void)opt;
	if (!value)
		return -1;
	value->line = cfg->line;
	/* While a section is parsed the root's line stays where the section began. */
	value->section_line = parsing->root->line;
	memcpy(value->text, text, len);
	*(void **)result = value;
	return 0;
}

static void known_keys(const cfg_opt_t *opts, char *buf, size_t size)
{
	size_t used = 0;

	buf[0] = '\0';
	for (; opts && opts->name; opts++) {
		int n;

		/* libconfuse appends an option of its own to every list */
		if (!strncmp(opts->name, "__", 2))
			continue;
		n = snprintf(buf + used, size - used, "%s%s", used ? ", " : "", opts->name);
		if (n < 0 || (size_t)n >= size - used)
			return;
		used += (size_t)n;
	}
}

static const char *advice(const char *what)
{
	static const struct {
		const char *part, *todo;
	} table[] = {
	        {"missing equal sign", "write key = value"},
	        {"missing title", "give it a name in quotes, as in node \"a\" { ... }"},
	        {"missing opening brace", "open it with {"},
	        {"duplicate title", "give each node and each service its own name"},
	        {"premature end", "close every { with a }"},
	        {"unterminated", "close the quotes"},
	        {"closing brace", "remove it or open a section before it"},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (strstr(what, table[i].part))
			return table[i].todo;
	return "see sipflip.conf(5) for the syntax";
}

static void on_confuse_error(cfg_t *cfg, const char *format, va_list ap)
{
	static const char unknown[] = "no such option ";
	char what[160];

	vsnprintf(what, sizeof(what), format, ap);
	for (char *c = what; *c; c++)
		if (iscntrl((unsigned char)*c))
			*c = ' ';
	if (!strncmp(what, unknown, strlen(unknown))) {
		char keys[240];

		known_keys(cfg->opts, keys, sizeof(keys));
		fail(parsing, cfg->line, "unknown key %s; known here: %s", what + strlen(unknown), keys);
		return;
	}
	fail(parsing, cfg->line, "%s; %s", what, advice(what));
}

#define VALUE(name)  CFG_PTR_CB(name, 0, CFGF_NODEFAULT, keep_value, free)
#define VALUES(name) CFG_PTR_LIST_CB(name, 0, CFGF_NODEFAULT, keep_value, free)

static const struct value *value_at(cfg_t *section, const char *key, unsigned int i)
{
	return i < cfg_size(section, key) ? cfg_getnptr(section, key, i) : NULL;
}

static const struct value *value_of(cfg_t *section, const char *key)
{
	return value_at(section, key, 0);
}

/* Where a section began: its values know; an empty one knows only its end. */
static int line_of(cfg_t *section)
{
	for (cfg_opt_t *opt = section->opts; opt && opt->name; opt++) {
		if (opt->type == CFGT_PTR && opt->nvalues)
			return ((struct value *)opt->values[0]->ptr)->section_line;
		if (opt->type == CFGT_SEC && opt->nvalues) {
			cfg_t *inner = opt->values[0]->section;

			for (cfg_opt_t *o = inner->opts; o && o->name; o++)
				if (o->type == CFGT_PTR && o->nvalues)
					return ((struct value *)o->values[0]->ptr)->section_line;
		}
	}
	return section->line;
}

/* --- one value -------------------------------------------------------------- */

/* Letters, digits, '.', '_', '-', first a letter or digit: safe in files, logs and metrics. */
static bool good_name(const char *s, size_t size)
{
	if (!isalnum((unsigned char)s[0]) || strlen(s) >= size)
		return false;
	for (; *s; s++)
		if (!isalnum((unsigned char)*s) && *s != '.' && *s != '_' && *s != '-')
			return false;
	return true;
}

static int take_name(struct parse *p, int line, const char *what, const char *s, char *ret, size_t size)
{
	if (!good_name(s, size))
		return fail(p, line,
		            "%s '%.40s' is not usable; use 1 to %zu letters, digits, '.', '_' or '-'", what,
		            s, size - 1);
	memcpy(ret, s, strlen(s) + 1);
	return 0;
}

static int take_path(struct parse *p, const struct value *v, const char *key, char *ret, size_t size)
{
	size_t len;

	if (!v)
		return 0;
	len = strlen(v->text);
	if (v->text[0] != '/')
		return fail(p, v->line, "%s '%.60s' is not an absolute path; start it with /", key, v->text);
	if (len >= size)
		return fail(p, v->line, "%s is longer than %zu bytes; choose a shorter path", key, size - 1);
	for (const char *c = v->text; *c; c++)
		if (iscntrl((unsigned char)*c) || strchr("\"\\$", *c))
			return fail(p, v->line,
			            "%s contains a character that is not allowed; use a plain path", key);
	memcpy(ret, v->text, len + 1);
	return 0;
}

static int take_number(struct parse *p, const struct value *v, const char *key, long min, long max, long *ret)
{
	char *end;
	long n;

	if (!v)
		return 0;
	errno = 0;
	n = strtol(v->text, &end, 10);
	if (end == v->text || *end || isspace((unsigned char)v->text[0]))
		return fail(p, v->line, "%s = '%.40s' is not a number; write one from %ld to %ld", key,
		            v->text, min, max);
	if (errno || n < min || n > max)
		return fail(p, v->line, "%s = %.40s is out of range; write a number from %ld to %ld", key,
		            v->text, min, max);
	*ret = n;
	return 0;
}

static int take_port(struct parse *p, const struct value *v, const char *key, uint16_t *ret)
{
	long n = *ret;
	int r = take_number(p, v, key, 1, 65535, &n);

	if (!r)
		*ret = (uint16_t)n;
	return r;
}

static int take_bool(struct parse *p, const struct value *v, const char *key, bool *ret)
{
	int b;

	if (!v)
		return 0;
	b = cfg_parse_boolean(v->text);
	if (b < 0)
		return fail(p, v->line, "%s = '%.40s' is neither true nor false; write one of them", key,
		            v->text);
	*ret = b;
	return 0;
}

/* "10ms", "500us", "1s". Returns false when it is anything else. */
static bool parse_duration(const char *s, int64_t *ret_ns)
{
	int64_t unit;
	char *end;
	long n;

	if (!isdigit((unsigned char)s[0]))
		return false;
	errno = 0;
	n = strtol(s, &end, 10);
	if (errno || n > 1000000000)
		return false;
	if (!strcmp(end, "us"))
		unit = NS_PER_US;
	else if (!strcmp(end, "ms"))
		unit = NS_PER_MS;
	else if (!strcmp(end, "s"))
		unit = NS_PER_S;
	else
		return false;
	*ret_ns = n * unit;
	return true;
}

static int take_duration(struct parse *p, const struct value *v, const char *key, int64_t *ret_ns)
{
	if (v && !parse_duration(v->text, ret_ns))
		return fail(p, v->line,
		            "%s = '%.40s' is not a duration; write it as \"500us\", \"10ms\" or \"1s\"", key,
		            v->text);
	return 0;
}

static int take_v4(struct parse *p, int line, const char *what, const char *s, struct inaddr16 *ret)
{
	struct inaddr16 addr;

	if (addr_parse(s, &addr))
		return fail(p, line, "%s '%.60s' is not an address; write an IPv4 address such as 10.9.0.1",
		            what, s);
	if (!addr_is_v4(&addr))
		return fail(p, line, "%s '%.60s' is IPv6, which is not supported yet; use an IPv4 address",
		            what, s);
	if (!addr.b[12] || addr.b[12] == 127 || addr.b[12] >= 224)
		return fail(p, line,
		            "%s '%.60s' is no host's address on a network; use a unicast IPv4 address", what,
		            s);
	*ret = addr;
	return 0;
}

/* --- top level -------------------------------------------------------------- */

static int take_globals(struct parse *p)
{
	struct config *c = p->config;
	const struct value *user = value_of(p->root, "user");
	long rt = 50;

	strcpy(c->key_file, KEY_FILE_DEFAULT);
	strcpy(c->user, "sipflip");
	strcpy(c->run_dir, "/run/sipflip");
	c->echo_port = WIRE_PORT;

	if (take_path(p, value_of(p->root, "key-file"), "key-file", c->key_file, sizeof(c->key_file)) ||
	    take_path(p, value_of(p->root, "run-dir"), "run-dir", c->run_dir, RUN_DIR_MAX) ||
	    (user && take_name(p, user->line, "user", user->text, c->user, sizeof(c->user))) ||
	    take_port(p, value_of(p->root, "echo-port"), "echo-port", &c->echo_port) ||
	    take_number(p, value_of(p->root, "rt-priority"), "rt-priority", 1, 99, &rt))
		return -EINVAL;
	c->rt_priority = (int)rt;

	c->replica_port = c->echo_port + 1;
	if (take_port(p, value_of(p->root, "replica-port"), "replica-port", &c->replica_port))
		return -EINVAL;
	if (!c->replica_port)
		return fail(p, value_of(p->root, "echo-port")->line,
		            "echo-port 65535 leaves no room for replica-port; set replica-port too");
	return 0;
}

static int take_node(struct parse *p, cfg_t *section)
{
	struct config *c = p->config;
	const struct value *address = value_of(section, "address");
	struct config_node node = {.line = line_of(section)};

	if (c->n_node == MAX_NODES - 1)
		return fail(p, node.line, "more than %d nodes; remove some", MAX_NODES - 1);
	if (take_name(p, node.line, "node name", cfg_title(section), node.name, sizeof(node.name)))
		return -EINVAL;
	if (!address)
		return fail(p, node.line, "node \"%s\" has no address; add address = \"...\"", node.name);
	if (take_v4(p, address->line, "address", address->text, &node.addr))
		return -EINVAL;
	for (int i = 1; i <= c->n_node; i++)
		if (addr_equal(&c->node[i].addr, &node.addr))
			return fail(p, address->line,
			            "address %.60s is also that of node \"%s\"; give each node its own",
			            address->text, c->node[i].name);
	c->node[++c->n_node] = node;
	return 0;
}

/* --- a service -------------------------------------------------------------- */

static int take_vip(struct parse *p, const struct value *v, struct config_service *s)
{
	const struct config *c = p->config;
	struct config_vip vip = {.prefix_len = 32};
	char text[ADDR_TEXT_LEN + 8];
	char *slash;

	if (s->n_vip == CONFIG_VIPS)
		return fail(p, v->line, "more than %d VIPs in a service; make another service", CONFIG_VIPS);
	snprintf(text, sizeof(text), "%s", v->text);
	slash = strchr(text, '/');
	if (slash) {
		char *end;
		long n = strtol(slash + 1, &end, 10);

		*slash = '\0';
		if (!strchr(text, ':') && (!isdigit((unsigned char)slash[1]) || *end || n < 1 || n > 32))
			return fail(p, v->line,
			            "vip '%.60s' has a bad prefix length; write one from /1 to /32", v->text);
		vip.prefix_len = (uint8_t)n;
	}
	if (take_v4(p, v->line, "vip", text, &vip.addr))
		return -EINVAL;
	for (int i = 0; i <= c->n_service; i++) {
		const struct config_service *other = i < c->n_service ? &c->service[i] : s;

		for (int k = 0; k < other->n_vip; k++)
			if (addr_equal(&other->vip[k].addr, &vip.addr))
				return fail(p, v->line,
				            "vip %s is already one of service \"%s\"; use each VIP once",
				            text, other->name);
	}
	for (int i = 1; i <= c->n_node; i++)
		if (addr_equal(&c->node[i].addr, &vip.addr))
			return fail(p, v->line,
			            "vip %s is the own address of node \"%s\"; the VIP must be an extra one",
			            text, c->node[i].name);
	s->vip[s->n_vip++] = vip;
	return 0;
}

static int take_sip(struct parse *p, const struct value *v, struct config_service *s)
{
	static const char udp[] = "udp:";
	const char *port = v->text + strlen(udp);
	char *end;
	long n;

	if (!strncasecmp(v->text, "tcp:", 4) || !strncasecmp(v->text, "tls:", 4))
		return fail(p, v->line, "sip '%.40s': only udp for now; write \"udp:PORT\"", v->text);
	if (strncasecmp(v->text, udp, strlen(udp)) || !isdigit((unsigned char)*port))
		return fail(p, v->line, "sip '%.40s' is not understood; write \"udp:5060\"", v->text);
	n = strtol(port, &end, 10);
	if (*end || n < 1 || n > 65535)
		return fail(p, v->line, "sip '%.40s' has no valid port; write one from 1 to 65535", v->text);
	if (s->n_sip == CONFIG_SIP)
		return fail(p, v->line, "more than %d sip ports in a service; remove some", CONFIG_SIP);
	for (int i = 0; i < s->n_sip; i++)
		if (s->sip_port[i] == n)
			return fail(p, v->line, "sip port %ld is there twice; remove one", n);
	s->sip_port[s->n_sip++] = (uint16_t)n;
	return 0;
}

static int take_data_node(struct parse *p, const struct value *v, struct config_service *s)
{
	int number = config_node_by_name(p->config, v->text);

	if (!number)
		return fail(p, v->line,
		            "nodes: there is no node \"%.40s\"; add node \"%.40s\" { address = ... }",
		            v->text, v->text);
	for (int i = 0; i < s->n_node; i++)
		if (s->node[i] == number)
			return fail(p, v->line, "nodes: \"%s\" is there twice; name each node once", v->text);
	if (s->n_node == CONFIG_DATA_NODES)
		return fail(p, v->line, "nodes: more than %d; name the two that run the server",
		            CONFIG_DATA_NODES);
	s->node[s->n_node++] = (uint8_t)number;
	return 0;
}

static int take_lists(struct parse *p, cfg_t *section, struct config_service *s)
{
	const struct value *v;
	unsigned int i;

	for (i = 0; (v = value_at(section, "vip", i)); i++)
		if (take_vip(p, v, s))
			return -EINVAL;
	for (i = 0; (v = value_at(section, "sip", i)); i++)
		if (take_sip(p, v, s))
			return -EINVAL;
	for (i = 0; (v = value_at(section, "nodes", i)); i++)
		if (take_data_node(p, v, s))
			return -EINVAL;
	if (!s->n_vip)
		return fail(p, s->line, "service \"%s\" has no vip; add vip = { \"ADDRESS/PREFIX\" }",
		            s->name);
	if (!s->n_sip)
		s->sip_port[s->n_sip++] = 5060;
	if (s->n_node < CONFIG_DATA_NODES)
		return fail(p, s->line,
		            "service \"%s\" has fewer than two nodes; add nodes = { \"A\", \"B\" }", s->name);
	return 0;
}

static int take_timing(struct parse *p, cfg_t *section, struct config_service *s)
{
	const struct value *v = value_of(section, "timing");
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
	    !parse_duration(echo, &s->echo_ns) || !parse_duration(lease, &s->lease_ns))
		return fail(p, v->line,
		            "timing = '%.60s' is not understood; write \"safe\", \"fast\" or \"echo 2ms "
		            "lease 12ms\"",
		            v->text);
	strcpy(s->timing, "numbers");
	if (s->echo_ns < ECHO_MIN_NS || s->echo_ns > ECHO_MAX_NS)
		return fail(p, v->line, "timing: echo %s is out of range; choose 500us to 10s", echo);
	if (s->lease_ns < LEASE_ECHOES * s->echo_ns)
		return fail(p, v->line, "timing: lease %s is below three echoes of %s; make it longer", lease,
		            echo);
	if (s->lease_ns > LEASE_MAX_NS)
		return fail(p, v->line, "timing: lease %s is out of range; choose at most 60s", lease);
	return 0;
}

static int take_probe(struct parse *p, cfg_t *section, struct config_service *s)
{
	cfg_t *probe = cfg_getsec(section, "probe");
	const struct value *any = value_of(probe, "ceiling");

	s->probe = true;
	s->probe_interval_ns = 10 * NS_PER_MS;
	s->probe_floor_ns = 30 * NS_PER_MS;
	s->probe_ceiling_ns = 1 * NS_PER_S;
	if (take_bool(p, value_of(probe, "enabled"), "enabled", &s->probe) ||
	    take_duration(p, value_of(probe, "interval"), "interval", &s->probe_interval_ns) ||
	    take_duration(p, value_of(probe, "floor"), "floor", &s->probe_floor_ns) ||
	    take_duration(p, value_of(probe, "ceiling"), "ceiling", &s->probe_ceiling_ns))
		return -EINVAL;
	if (value_of(probe, "floor"))
		any = value_of(probe, "floor");
	if (value_of(probe, "interval"))
		any = value_of(probe, "interval");
	if (!any)
		return 0;
	if (s->probe_interval_ns < PROBE_MIN_NS || s->probe_ceiling_ns > PROBE_MAX_NS)
		return fail(p, any->line,
		            "probe: out of range; choose an interval from 1ms and a ceiling up to 60s");
	if (s->probe_interval_ns > s->probe_floor_ns || s->probe_floor_ns > s->probe_ceiling_ns)
		return fail(p, any->line, "probe: wrong order; choose interval <= floor <= ceiling");
	return 0;
}

static int take_witness(struct parse *p, const struct value *v, struct config_service *s)
{
	int number = config_node_by_name(p->config, v->text);

	if (!number)
		return fail(p, v->line,
		            "witness: there is no node \"%.40s\"; add node \"%.40s\" { address = ... }",
		            v->text, v->text);
	for (int i = 0; i < s->n_node; i++)
		if (s->node[i] == number)
			return fail(p, v->line, "witness \"%s\" is also one of nodes; name a third machine",
			            v->text);
	s->witness = (uint8_t)number;
	s->on_peer_silence = SILENCE_WITNESS;
	return 0;
}

static int take_arbiters(struct parse *p, cfg_t *section, struct config_service *s)
{
	const struct config *c = p->config;
	const struct value *v;

	for (unsigned int i = 0; (v = value_at(section, "arbiter", i)); i++) {
		struct inaddr16 addr;

		if (s->on_peer_silence != SILENCE_ARBITER)
			return fail(p, v->line,
			            "arbiter is used only with on-peer-silence = \"arbiter\"; remove one of "
			            "them");
		if (s->n_arbiter == CONFIG_ARBITERS)
			return fail(p, v->line, "more than %d arbiters; remove some", CONFIG_ARBITERS);
		if (take_v4(p, v->line, "arbiter", v->text, &addr))
			return -EINVAL;
		for (int k = 1; k <= c->n_node; k++)
			if (addr_equal(&c->node[k].addr, &addr))
				return fail(
				        p, v->line,
				        "arbiter %s is node \"%s\"; name something else, such as the gateway",
				        v->text, c->node[k].name);
		s->arbiter[s->n_arbiter++] = addr;
	}
	return 0;
}

static int take_silence(struct parse *p, cfg_t *section, struct config_service *s)
{
	const struct value *witness = value_of(section, "witness");
	const struct value *silence = value_of(section, "on-peer-silence");

	if (witness && silence)
		return fail(p, silence->line, "witness and on-peer-silence exclude each other; remove one");
	if (!witness && !silence)
		return fail(p, s->line,
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
		return fail(
		        p, silence->line,
		        "on-peer-silence = '%.40s' is not known; write \"arbiter\", \"hold\" or \"release\"",
		        silence->text);
	if (take_arbiters(p, section, s))
		return -EINVAL;
	if (s->on_peer_silence == SILENCE_ARBITER && !s->n_arbiter)
		return fail(p, silence->line,
		            "on-peer-silence = \"arbiter\" without an address; add arbiter = { \"ADDRESS\" "
		            "}, such as the gateway's");
	return 0;
}

static int take_calls(struct parse *p, cfg_t *section, struct config_service *s)
{
	cfg_t *calls = cfg_getsec(section, "calls");
	const struct value *rescue = value_of(calls, "rescue");
	const struct value *media = value_of(calls, "media");
	const struct value *port = value_of(calls, "port");
	long rate = 200, max_dialogs = 20000;

	s->rescue = RESCUE_AGENT;
	s->rescue_port = 5070;
	if (rescue && !strcmp(rescue->text, "off"))
		s->rescue = RESCUE_OFF;
	else if (rescue && strcmp(rescue->text, "agent"))
		return fail(p, rescue->line, "rescue = '%.40s' is not known; write \"agent\" or \"off\"",
		            rescue->text);
	if (media && !strcmp(media->text, "direct"))
		s->media = MEDIA_DIRECT;
	else if (media && strcmp(media->text, "relay"))
		return fail(p, media->line, "media = '%.40s' is not known; write \"relay\" or \"direct\"",
		            media->text);
	if (take_port(p, port, "port", &s->rescue_port) ||
	    take_number(p, value_of(calls, "rate"), "rate", 1, RESCUE_RATE_MAX, &rate) ||
	    take_number(p, value_of(calls, "max-dialogs"), "max-dialogs", 1, MAX_DIALOGS_MAX, &max_dialogs))
		return -EINVAL;
	s->rescue_rate = (uint32_t)rate;
	s->max_dialogs = (uint32_t)max_dialogs;
	for (int i = 0; i < s->n_sip; i++)
		if (s->sip_port[i] == s->rescue_port)
			return fail(p, port ? port->line : s->line,
			            "calls: port %d is also a sip port of the service; set calls { port = "
			            "... } to a free one",
			            s->rescue_port);
	return 0;
}

static int take_service(struct parse *p, cfg_t *section)
{
	struct config *c = p->config;
	struct config_service s = {.line = line_of(section)};
	const struct value *interface = value_of(section, "interface");

	if (c->n_service == CONFIG_MAX_SERVICES)
		return fail(p, s.line, "more than %d services; remove some", CONFIG_MAX_SERVICES);
	if (take_name(p, s.line, "service name", cfg_title(section), s.name, sizeof(s.name)))
		return -EINVAL;
	if (!interface)
		return fail(p, s.line, "service \"%s\" has no interface; add interface = \"eth0\"", s.name);
	if (take_name(p, interface->line, "interface", interface->text, s.interface, sizeof(s.interface)) ||
	    take_lists(p, section, &s) || take_timing(p, section, &s) || take_probe(p, section, &s) ||
	    take_silence(p, section, &s) || take_calls(p, section, &s))
		return -EINVAL;
	c->service[c->n_service++] = s;
	return 0;
}

static int take_all(struct parse *p)
{
	if (take_globals(p))
		return -EINVAL;
	for (unsigned int i = 0; i < cfg_size(p->root, "node"); i++)
		if (take_node(p, cfg_getnsec(p->root, "node", i)))
			return -EINVAL;
	if (!p->config->n_node)
		return fail(p, p->root->line, "there is no node; add node \"a\" { address = \"...\" }");
	for (unsigned int i = 0; i < cfg_size(p->root, "service"); i++)
		if (take_service(p, cfg_getnsec(p->root, "service", i)))
			return -EINVAL;
	if (!p->config->n_service)
		return fail(p, p->root->line, "there is no service; add service \"pbx\" { ... }");
	return 0;
}

int config_parse(const char *text, const char *file, struct config *ret, struct config_error *ret_error)
{
	cfg_opt_t node[] = {VALUE("address"), CFG_END()};
	cfg_opt_t probe[] = {VALUE("enabled"), VALUE("interval"), VALUE("floor"), VALUE("ceiling"),
	                     CFG_END()};
	cfg_opt_t calls[] = {VALUE("rescue"), VALUE("media"),       VALUE("port"),
	                     VALUE("rate"),   VALUE("max-dialogs"), CFG_END()};
	cfg_opt_t service[] = {VALUE("interface"), VALUES("vip"),
	                       VALUES("sip"),      VALUES("nodes"),
	                       VALUE("timing"),    CFG_SEC("probe", probe, CFGF_NONE),
	                       VALUE("witness"),   VALUE("on-peer-silence"),
	                       VALUES("arbiter"),  CFG_SEC("calls", calls, CFGF_NONE),
	                       CFG_END()};
	const cfg_flag_t named = CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES;
	cfg_opt_t root[] = {VALUE("key-file"),
	                    VALUE("user"),
	                    VALUE("run-dir"),
	                    VALUE("echo-port"),
	                    VALUE("replica-port"),
	                    VALUE("rt-priority"),
	                    CFG_SEC("node", node, named),
	                    CFG_SEC("service", service, named),
	                    CFG_END()};
	struct parse p = {.file = file, .error = ret_error};
	int r = -EINVAL;

	p.config = calloc(1, sizeof(*p.config));
	p.root = p.config ? cfg_init(root, CFGF_NONE) : NULL;
	if (!p.root) {
		fail(&p, 1, "out of memory; free some and try again");
		goto out;
	}
	parsing = &p;
	cfg_set_error_function(p.root, on_confuse_error);
	if (cfg_parse_buf(p.root, text) != CFG_SUCCESS)
		fail(&p, p.root->line, "syntax error; see sipflip.conf(5) for the syntax");
	else
		r = take_all(&p);
	if (!r)
		*ret = *p.config;
out:
	if (p.root)
		cfg_free(p.root);
	parsing = NULL;
	free(p.config);
	return r;
}
