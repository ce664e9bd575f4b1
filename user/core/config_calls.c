/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The `calls` section of a service: what a takeover does with the calls that were
 * up, where their media goes, and how a server that recovers them itself is told.
 * Settings that exclude each other are refused here. Called by config_service.c.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "addr.h"
#include "config_value.h"

#define MAX_DIALOGS_MAX      1000000
#define RESCUE_RATE_MAX      100000
#define RELAY_PORT_FIRST     60000
#define RELAY_PORT_LAST      61999
#define RELAY_PORT_MIN       1024
#define EVENT_SOCKET_COMMAND "fsctl recover"
#define HOW_SERVER_IS_TOLD   "recover-command = \"/PATH ARGUMENTS\" or event-socket = \"127.0.0.1:8021\""

static int take_words(struct config_parser *p, cfg_t *calls, struct config_service *s)
{
	const struct config_value *rescue = config_value_of(calls, "rescue");
	const struct config_value *media = config_value_of(calls, "media");

	s->rescue = RESCUE_AGENT;
	if (rescue && !strcmp(rescue->text, "off"))
		s->rescue = RESCUE_OFF;
	else if (rescue && !strcmp(rescue->text, "server"))
		s->rescue = RESCUE_SERVER;
	else if (rescue && strcmp(rescue->text, "agent"))
		return config_fail(p, rescue->line,
		                   "rescue = '%.40s' is not known; write \"agent\", \"server\" or \"off\"",
		                   rescue->text);
	if (media && !strcmp(media->text, "direct"))
		s->media = MEDIA_DIRECT;
	else if (media && strcmp(media->text, "relay"))
		return config_fail(p, media->line,
		                   "media = '%.40s' is not known; write \"relay\" or \"direct\"",
		                   media->text);
	return 0;
}

static int take_numbers(struct config_parser *p, cfg_t *calls, struct config_service *s)
{
	const struct config_value *port = config_value_of(calls, "port");
	long rate = 200, max_dialogs = 20000;

	s->rescue_port = 5070;
	if (config_take_port(p, port, "port", &s->rescue_port) ||
	    config_take_number(p, config_value_of(calls, "rate"), "rate", 1, RESCUE_RATE_MAX, &rate) ||
	    config_take_number(p, config_value_of(calls, "max-dialogs"), "max-dialogs", 1, MAX_DIALOGS_MAX,
	                       &max_dialogs))
		return -EINVAL;
	s->rescue_rate = (uint32_t)rate;
	s->max_dialogs = (uint32_t)max_dialogs;
	for (int i = 0; i < s->n_sip; i++)
		if (s->sip_port[i] == s->rescue_port)
			return config_fail(
			        p, port ? port->line : s->line,
			        "calls: port %d is also a sip port of the service; set calls { port = "
			        "... } to a free one",
			        s->rescue_port);
	return 0;
}

static int relay_port_taken(struct config_parser *p, int line, const struct config_service *s, int port,
                            const char *what)
{
	if (port < s->relay_port_first || port > s->relay_port_last)
		return 0;
	return config_fail(p, line,
	                   "calls: relay-ports %d-%d contains %d, %s; set relay-ports to a range of free "
	                   "ports",
	                   s->relay_port_first, s->relay_port_last, port, what);
}

static int take_relay_ports(struct config_parser *p, cfg_t *calls, struct config_service *s)
{
	const struct config_value *v = config_value_of(calls, "relay-ports");
	int line = v ? v->line : s->line;
	unsigned int first = RELAY_PORT_FIRST, last = RELAY_PORT_LAST;
	int end = 0;

	if (v && (sscanf(v->text, "%5u-%5u%n", &first, &last, &end) != 2 || v->text[end] ||
	          !isdigit((unsigned char)v->text[0])))
		return config_fail(p, line,
		                   "relay-ports = '%.40s' is not a range of ports; write \"60000-61999\"",
		                   v->text);
	if (first < RELAY_PORT_MIN || last > 65535 || last <= first)
		return config_fail(
		        p, line,
		        "relay-ports = %.40s is out of range; write two ports from %d to 65535, the "
		        "lower one first",
		        v->text, RELAY_PORT_MIN);
	s->relay_port_first = (uint16_t)first;
	s->relay_port_last = (uint16_t)last;
	for (int i = 0; i < s->n_sip; i++)
		if (relay_port_taken(p, line, s, s->sip_port[i], "a sip port of the service"))
			return -EINVAL;
	return relay_port_taken(p, line, s, s->rescue_port, "the port of calls") ||
	                       relay_port_taken(p, line, s, p->config->echo_port, "the echo-port") ||
	                       relay_port_taken(p, line, s, p->config->replica_port, "the replica-port")
	               ? -EINVAL
	               : 0;
}

/* RFC 3261 25.1: a header's name is a token; those that every message has say nothing of the other leg. */
static int take_link_header(struct config_parser *p, cfg_t *calls, struct config_service *s)
{
	static const char *const taken[] = {"Call-ID", "i", "Via", "From", "To", "CSeq"};
	const struct config_value *v = config_value_of(calls, "link-header");
	size_t len = v ? strlen(v->text) : 0;

	if (!len)
		return 0;
	if (len >= sizeof(s->link_header))
		return config_fail(p, v->line, "link-header is longer than %zu letters; choose a shorter one",
		                   sizeof(s->link_header) - 1);
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)v->text[i]) && !strchr("-.!%*_+`'~", v->text[i]))
			return config_fail(p, v->line,
			                   "link-header '%.40s' is no header's name; write it as "
			                   "\"X-Leg-Call-ID\", without the colon",
			                   v->text);
	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
		if (!strcasecmp(taken[i], v->text))
			return config_fail(
			        p, v->line,
			        "link-header '%.40s' says nothing of the other leg; name the header "
			        "in which the server puts the other leg's Call-ID",
			        v->text);
	memcpy(s->link_header, v->text, len + 1);
	return 0;
}

static int take_event_socket(struct config_parser *p, cfg_t *calls, struct config_service *s)
{
	const struct config_value *v = config_value_of(calls, "event-socket");
	const struct config_value *file = config_value_of(calls, "event-socket-password-file");
	const struct config_value *command = config_value_of(calls, "event-socket-command");
	const struct config_value *alone = file ? file : command;
	char addr[ADDR_TEXT_LEN + 8];
	char *colon, *end = NULL;
	long port;

	if (!v && alone)
		return config_fail(p, alone->line,
		                   "%s is used only with event-socket; add event-socket = "
		                   "\"127.0.0.1:8021\" or remove it",
		                   alone->key);
	if (!v)
		return 0;
	snprintf(addr, sizeof(addr), "%s", v->text);
	colon = strchr(addr, ':');
	if (colon)
		*colon = '\0';
	port = colon && isdigit((unsigned char)colon[1]) ? strtol(colon + 1, &end, 10) : 0;
	if (port < 1 || port > 65535 || *end || addr_parse(addr, &s->event_socket) ||
	    !addr_is_v4(&s->event_socket) || !s->event_socket.b[12] || s->event_socket.b[12] >= 224)
		return config_fail(p, v->line,
		                   "event-socket = '%.40s' is not understood; write ADDRESS:PORT as in "
		                   "\"127.0.0.1:8021\"",
		                   v->text);
	s->event_socket_port = (uint16_t)port;
	if (!file)
		return config_fail(p, v->line,
		                   "event-socket needs its password; put it in a file that only root can "
		                   "read, and add event-socket-password-file = \"/PATH\"");
	strcpy(s->event_socket_command, EVENT_SOCKET_COMMAND);
	if (config_take_path(p, file, "event-socket-password-file", s->event_socket_password_file,
	                     sizeof(s->event_socket_password_file)))
		return -EINVAL;
	if (!command)
		return 0;
	/* one line of the event socket's protocol */
	for (const char *c = command->text; *c; c++)
		if (iscntrl((unsigned char)*c) || strchr("\"\\$", *c))
			return config_fail(p, command->line,
			                   "event-socket-command contains a character that is not allowed; "
			                   "write one command as in \"fsctl recover\"");
	if (!command->text[0] || command->text[0] == ' ' ||
	    strlen(command->text) >= sizeof(s->event_socket_command))
		return config_fail(p, command->line,
		                   "event-socket-command is empty or longer than %zu bytes; write one "
		                   "command as in \"fsctl recover\"",
		                   sizeof(s->event_socket_command) - 1);
	strcpy(s->event_socket_command, command->text);
	return 0;
}

/* rescue = "server" needs to be told how, and only it. */
static int take_recovery(struct config_parser *p, cfg_t *calls, struct config_service *s)
{
	const struct config_value *rescue = config_value_of(calls, "rescue");
	const struct config_value *command = config_value_of(calls, "recover-command");
	const struct config_value *event_socket = config_value_of(calls, "event-socket");
	const struct config_value *any = command ? command : event_socket;

	if (any && s->rescue != RESCUE_SERVER)
		return config_fail(p, any->line,
		                   "%s is used only with rescue = \"server\"; remove it, or set rescue",
		                   any->key);
	if (command && event_socket)
		return config_fail(p, event_socket->line,
		                   "recover-command and event-socket exclude each other; remove one");
	if (s->rescue == RESCUE_SERVER && !any)
		return config_fail(
		        p, rescue->line,
		        "rescue = \"server\" without saying how the server is told; add " HOW_SERVER_IS_TOLD);
	if (config_take_path(p, command, "recover-command", s->recover_command, sizeof(s->recover_command)))
		return -EINVAL;
	return take_event_socket(p, calls, s);
}

int config_take_calls(struct config_parser *p, cfg_t *section, struct config_service *s)
{
	cfg_t *calls = cfg_getsec(section, "calls");

	return take_words(p, calls, s) || take_numbers(p, calls, s) || take_relay_ports(p, calls, s) ||
	                       take_link_header(p, calls, s) || take_recovery(p, calls, s)
	               ? -EINVAL
	               : 0;
}
