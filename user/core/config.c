/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The configuration's syntax: libconfuse splits the text into sections and
 * values, this file reads the top level and the nodes and has the rest judged
 * (config_service.c, config_value.c). What is wrong is said in one line with its
 * line number. It never opens a file, asks the machine anything or prints. Called
 * by sipflipd (start, SIGHUP) and by `sipflip check` and `sipflip doctor`.
 */
#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "addr.h"
#include "config_value.h"
#include "sipflip/wire.h"

#define RUN_DIR_MAX      90 /* with a socket's name it must fit sockaddr_un.sun_path */
#define KEY_FILE_DEFAULT "/etc/sipflip/key"

/* libconfuse hands its callbacks no pointer of the caller's. Set only while one parses. */
static _Thread_local struct config_parser *parsing;

/* --- libconfuse's side ------------------------------------------------------ */

static int keep_value(cfg_t *cfg, cfg_opt_t *opt, const char *text, void *result)
{
	size_t len = strlen(text) + 1;
	struct config_value *value = malloc(sizeof(*value) + len);

	if (!value)
		return -1;
	value->key = opt->name;
	value->line = cfg->line;
	/* While a section is parsed the root's line stays where the section began. */
	value->section_line = parsing->root->line;
	memcpy(value->text, text, len);
	*(void **)result = value;
	return 0;
}

/* libconfuse drops a value while it parses only when the same key comes again. */
static void drop_value(void *dropped)
{
	struct config_value *value = dropped;

	if (parsing)
		config_fail(parsing, value->line, "%s is given again further down; remove one", value->key);
	free(value);
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
		config_fail(parsing, cfg->line, "unknown key %s; known here: %s", what + strlen(unknown),
		            keys);
		return;
	}
	config_fail(parsing, cfg->line, "%s; %s", what, advice(what));
}

#define VALUE(name)  CFG_PTR_CB(name, 0, CFGF_NODEFAULT, keep_value, drop_value)
#define VALUES(name) CFG_PTR_LIST_CB(name, 0, CFGF_NODEFAULT, keep_value, drop_value)

/*
 * Blanks the comments and checks quotes and braces: libconfuse 3.3 miscounts
 * lines after a comment, and takes the end of the text for a missing brace.
 */
struct preparer {
	struct config_parser *p;
	char *at;
	int line;
	int depth;
	int open_line; /* of the outermost open brace */
};

static int skip_quoted(struct preparer *t)
{
	char quote = *t->at++;

	for (; *t->at && *t->at != '\n' && *t->at != quote; t->at++)
		if (*t->at == '\\' && t->at[1] && t->at[1] != '\n')
			t->at++;
	if (*t->at != quote)
		return config_fail(t->p, t->line,
		                   "the quotes opened here are not closed; close them on this line");
	t->at++;
	return 0;
}

static int blank_comment(struct preparer *t, bool block)
{
	int line = t->line;

	for (; *t->at && (block || *t->at != '\n'); t->at++) {
		if (block && t->at[0] == '*' && t->at[1] == '/') {
			t->at[0] = t->at[1] = ' ';
			t->at += 2;
			return 0;
		}
		if (*t->at == '\n')
			t->line++;
		else
			*t->at = ' ';
	}
	return block ? config_fail(t->p, line, "the comment opened here is not closed; close it with */") : 0;
}

static int prepare(struct config_parser *p, char *text)
{
	struct preparer t = {.p = p, .at = text, .line = 1};

	while (*t.at) {
		char c = *t.at;
		bool fresh = t.at == text || strchr(" \t\r\n{}=,", t.at[-1]);
		bool block = fresh && c == '/' && t.at[1] == '*';

		if (c == '"' || c == '\'') {
			if (skip_quoted(&t))
				return -EINVAL;
			continue;
		}
		if (c == '#' || block || (fresh && c == '/' && t.at[1] == '/')) {
			if (block)
				*t.at++ = ' ', *t.at++ = ' ';
			if (blank_comment(&t, block))
				return -EINVAL;
			continue;
		}
		if (c == '{' && !t.depth++)
			t.open_line = t.line;
		if (c == '}' && --t.depth < 0)
			return config_fail(
			        p, t.line,
			        "there is a } without its {; remove it or open a section before it");
		t.line += c == '\n';
		t.at++;
	}
	if (t.depth)
		return config_fail(p, t.open_line, "the { opened here is not closed; close it with }");
	return 0;
}

/* --- the top level -------------------------------------------------------------- */

static int take_globals(struct config_parser *p)
{
	struct config *c = p->config;
	const struct config_value *user = config_value_of(p->root, "user");
	const struct config_value *control = config_value_of(p->root, "control-group");
	const struct config_value *switchover = config_value_of(p->root, "switchover-group");
	long rt = 50;

	strcpy(c->key_file, KEY_FILE_DEFAULT);
	strcpy(c->user, "sipflip");
	strcpy(c->run_dir, "/run/sipflip");
	c->echo_port = WIRE_PORT;

	if (config_take_path(p, config_value_of(p->root, "key-file"), "key-file", c->key_file,
	                     sizeof(c->key_file)) ||
	    config_take_path(p, config_value_of(p->root, "run-dir"), "run-dir", c->run_dir, RUN_DIR_MAX) ||
	    (user && config_take_name(p, user->line, "user", user->text, c->user, sizeof(c->user))) ||
	    (control && config_take_name(p, control->line, "control-group", control->text, c->control_group,
	                                 sizeof(c->control_group))) ||
	    (switchover && config_take_name(p, switchover->line, "switchover-group", switchover->text,
	                                    c->switchover_group, sizeof(c->switchover_group))) ||
	    config_take_port(p, config_value_of(p->root, "echo-port"), "echo-port", &c->echo_port) ||
	    config_take_number(p, config_value_of(p->root, "rt-priority"), "rt-priority", 1, 99, &rt))
		return -EINVAL;
	c->rt_priority = (int)rt;
	if (switchover && !control)
		return config_fail(p, switchover->line,
		                   "switchover-group without control-group: only root could ask; set "
		                   "control-group too");

	c->replica_port = c->echo_port + 1;
	if (config_take_port(p, config_value_of(p->root, "replica-port"), "replica-port", &c->replica_port))
		return -EINVAL;
	if (!c->replica_port)
		return config_fail(p, config_value_of(p->root, "echo-port")->line,
		                   "echo-port 65535 leaves no room for replica-port; set replica-port too");
	return 0;
}

static int take_node(struct config_parser *p, cfg_t *section)
{
	struct config *c = p->config;
	const struct config_value *address = config_value_of(section, "address");
	struct config_node node = {.line = config_line_of(section)};

	if (c->n_node == MAX_NODES - 1)
		return config_fail(p, node.line, "more than %d nodes; remove some", MAX_NODES - 1);
	if (config_take_name(p, node.line, "node name", cfg_title(section), node.name, sizeof(node.name)))
		return -EINVAL;
	if (!address)
		return config_fail(p, node.line, "node \"%s\" has no address; add address = \"...\"",
		                   node.name);
	if (config_take_v4(p, address->line, "address", address->text, &node.addr))
		return -EINVAL;
	for (int i = 1; i <= c->n_node; i++)
		if (addr_equal(&c->node[i].addr, &node.addr))
			return config_fail(
			        p, address->line,
			        "address %.60s is also that of node \"%s\"; give each node its own",
			        address->text, c->node[i].name);
	c->node[++c->n_node] = node;
	return 0;
}

static bool serves(const struct config_service *service, int node)
{
	for (int i = 0; i < service->n_node; i++)
		if (service->node[i] == node)
			return true;
	return false;
}

/* A witness has no data plane; a node that serves has one, and it takes its own services' messages only. */
static int refuse_serving_witness(struct config_parser *p)
{
	const struct config *c = p->config;

	for (int w = 0; w < c->n_service; w++)
		for (int s = 0; c->service[w].witness && s < c->n_service; s++)
			if (serves(&c->service[s], c->service[w].witness))
				return config_fail(p, c->service[w].line,
				                   "witness \"%s\" of service \"%s\" serves \"%s\"; name a "
				                   "machine as the witness that serves nothing",
				                   c->node[c->service[w].witness].name, c->service[w].name,
				                   c->service[s].name);
	return 0;
}

static int take_all(struct config_parser *p)
{
	if (take_globals(p))
		return -EINVAL;
	for (unsigned int i = 0; i < cfg_size(p->root, "node"); i++)
		if (take_node(p, cfg_getnsec(p->root, "node", i)))
			return -EINVAL;
	if (!p->config->n_node)
		return config_fail(p, p->root->line,
		                   "there is no node; add node \"a\" { address = \"...\" }");
	for (unsigned int i = 0; i < cfg_size(p->root, "service"); i++)
		if (config_take_service(p, cfg_getnsec(p->root, "service", i)))
			return -EINVAL;
	if (!p->config->n_service)
		return config_fail(p, p->root->line, "there is no service; add service \"pbx\" { ... }");
	return refuse_serving_witness(p);
}

int config_parse(const char *text, const char *file, struct config *ret, struct config_error *ret_error)
{
	cfg_opt_t node[] = {VALUE("address"), CFG_END()};
	cfg_opt_t probe[] = {VALUE("enabled"), VALUE("interval"), VALUE("floor"), VALUE("ceiling"),
	                     CFG_END()};
	cfg_opt_t calls[] = {VALUE("rescue"),
	                     VALUE("media"),
	                     VALUE("port"),
	                     VALUE("rate"),
	                     VALUE("max-dialogs"),
	                     VALUE("relay-ports"),
	                     VALUE("link-header"),
	                     VALUE("recover-command"),
	                     VALUE("event-socket"),
	                     VALUE("event-socket-password-file"),
	                     VALUE("event-socket-command"),
	                     CFG_END()};
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
	                    VALUE("control-group"),
	                    VALUE("switchover-group"),
	                    VALUE("echo-port"),
	                    VALUE("replica-port"),
	                    VALUE("rt-priority"),
	                    CFG_SEC("node", node, named),
	                    CFG_SEC("service", service, named),
	                    CFG_END()};
	struct config_parser p = {.file = file, .error = ret_error};
	char *prepared;
	int r = -EINVAL;
	bool bad;

	p.config = calloc(1, sizeof(*p.config));
	prepared = strdup(text);
	p.root = p.config && prepared ? cfg_init(root, CFGF_NONE) : NULL;
	if (!p.root) {
		config_fail(&p, 1, "out of memory; free some and try again");
		goto out;
	}
	if (prepare(&p, prepared))
		goto out;
	parsing = &p;
	cfg_set_error_function(p.root, on_confuse_error);
	bad = cfg_parse_buf(p.root, prepared) != CFG_SUCCESS;
	parsing = NULL;
	if (bad)
		config_fail(&p, p.root->line, "syntax error; see sipflip.conf(5) for the syntax");
	else if (!p.failed)
		r = take_all(&p);
	if (!r)
		*ret = *p.config;
out:
	if (p.root)
		cfg_free(p.root);
	free(prepared);
	free(p.config);
	return r;
}
