/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a configuration may say, and what each mistake is answered with. */
#include "config_text.h"

static void smallest_file_gets_the_documented_defaults(void **state)
{
	const struct config_service *s = parsed(SERVICE("\twitness = \"w\""));

	assert_string_equal(config.key_file, "/etc/sipflip/key");
	assert_string_equal(config.user, "sipflip");
	assert_string_equal(config.run_dir, "/run/sipflip");
	assert_int_equal(config.echo_port, 7473);
	assert_int_equal(config.replica_port, 7474);
	assert_int_equal(config.rt_priority, 50);
	assert_int_equal(config.n_node, 3);
	assert_int_equal(config.n_service, 1);
	assert_int_equal(s->line, 4);
	assert_int_equal(config.node[2].line, 2);
	assert_int_equal(s->n_sip, 1);
	assert_int_equal(s->sip_port[0], 5060);
	assert_int_equal(s->vip[0].prefix_len, 24);
	assert_int_equal(addr_to_be32(&s->vip[0].addr), 0x6400090a);
	assert_int_equal(s->node[0], 1);
	assert_int_equal(s->node[1], 2);
	assert_int_equal(s->witness, 3);
	assert_int_equal(s->on_peer_silence, SILENCE_WITNESS);
	assert_string_equal(s->timing, "safe");
	assert_int_equal(s->echo_ns, 5 * NS_PER_MS);
	assert_int_equal(s->lease_ns, 30 * NS_PER_MS);
	assert_true(s->probe);
	assert_int_equal(s->probe_interval_ns, 10 * NS_PER_MS);
	assert_int_equal(s->probe_floor_ns, 30 * NS_PER_MS);
	assert_int_equal(s->probe_ceiling_ns, NS_PER_S);
	assert_int_equal(s->rescue, RESCUE_AGENT);
	assert_int_equal(s->media, MEDIA_RELAY);
	assert_int_equal(s->rescue_port, 5070);
	assert_int_equal(s->rescue_rate, 200);
	assert_int_equal(s->max_dialogs, 20000);
	assert_int_equal(s->relay_port_first, 60000);
	assert_int_equal(s->relay_port_last, 61999);
	assert_string_equal(s->link_header, "");
	assert_string_equal(s->recover_command, "");
	assert_int_equal(s->event_socket_port, 0);
}

static void timing_is_a_word_or_both_numbers(void **state)
{
	const struct config_service *s = parsed(SERVICE("\twitness = \"w\" timing = \"fast\""));

	assert_int_equal(s->echo_ns, NS_PER_MS);
	assert_int_equal(s->lease_ns, 5 * NS_PER_MS);
	s = parsed(SERVICE("\twitness = \"w\" timing = \"echo 500us lease 12ms\""));
	assert_string_equal(s->timing, "numbers");
	assert_int_equal(s->echo_ns, 500 * NS_PER_US);
	assert_int_equal(s->lease_ns, 12 * NS_PER_MS);
	refused(SERVICE("\twitness = \"w\"\n\ttiming = \"slow\""),
	        "f.conf:9: timing = 'slow' is not understood; write \"safe\", \"fast\" or \"echo 2ms lease "
	        "12ms\"");
	refused(SERVICE("\twitness = \"w\"\n\ttiming = \"echo 2ms lease 5ms\""),
	        "f.conf:9: timing: lease 5ms is below three echoes of 2ms; make it longer");
	refused(SERVICE("\twitness = \"w\"\n\ttiming = \"echo 499us lease 5ms\""),
	        "f.conf:9: timing: echo 499us is out of range; choose 500us to 10s");
	refused(SERVICE("\twitness = \"w\"\n\ttiming = \"echo 2 lease 12\""),
	        "f.conf:9: timing = 'echo 2 lease 12' is not understood; write \"safe\", \"fast\" or \"echo "
	        "2ms "
	        "lease 12ms\"");
}

static void silence_of_the_peer_needs_a_decision(void **state)
{
	const struct config_service *s;

	refused(SERVICE(""),
	        "f.conf:4: service \"pbx\" does not say who decides when a node is silent; add witness = "
	        "\"NODE\", or on-peer-silence = \"arbiter\", \"hold\" or \"release\"");
	refused(SERVICE("\twitness = \"w\"\n\ton-peer-silence = \"hold\""),
	        "f.conf:9: witness and on-peer-silence exclude each other; remove one");
	refused(SERVICE("\ton-peer-silence = \"arbiter\""),
	        "f.conf:8: on-peer-silence = \"arbiter\" without an address; add arbiter = { \"ADDRESS\" }, "
	        "such as the "
	        "gateway's");
	refused(SERVICE("\ton-peer-silence = \"wait\""), "f.conf:8: on-peer-silence = 'wait' is not known; "
	                                                 "write \"arbiter\", \"hold\" or \"release\"");
	refused(SERVICE("\ton-peer-silence = \"hold\"\n\tarbiter = { \"10.9.0.254\" }"),
	        "f.conf:9: arbiter is used only with on-peer-silence = \"arbiter\"; remove one of them");
	refused(SERVICE("\ton-peer-silence = \"arbiter\"\n\tarbiter = { \"10.9.0.2\" }"),
	        "f.conf:9: arbiter 10.9.0.2 is node \"b\"; name something else, such as the gateway");
	s = parsed(SERVICE("\ton-peer-silence = \"arbiter\" arbiter = { \"10.9.0.254\" }"));
	assert_int_equal(s->on_peer_silence, SILENCE_ARBITER);
	assert_int_equal(s->n_arbiter, 1);
	assert_int_equal(parsed(SERVICE("\ton-peer-silence = \"release\""))->on_peer_silence,
	                 SILENCE_RELEASE);
	assert_int_equal(parsed(SERVICE("\ton-peer-silence = \"hold\""))->on_peer_silence, SILENCE_HOLD);
}

static void who_may_switch_over_must_be_able_to_ask(void **state)
{
	parsed("control-group = \"ops\"\n" SERVICE("\twitness = \"w\""));
	assert_string_equal(config.control_group, "ops");
	assert_string_equal(config.switchover_group, "");
	refused("switchover-group = \"ops\"\n" SERVICE("\twitness = \"w\""),
	        "f.conf:1: switchover-group without control-group: only root could ask; set control-group "
	        "too");
	refused("control-group = \"o p\"\n" SERVICE("\twitness = \"w\""),
	        "f.conf:1: control-group 'o p' is not usable; use 1 to 31 "
	        "letters, digits, '.', '_' or '-'");
}

static void syntax_errors_name_the_line_and_what_to_do(void **state)
{
	refused("# one\n/* two\nthree */ // three\nfoo = 3\n",
	        "f.conf:4: unknown key 'foo'; known here: key-file, user, run-dir, control-group, "
	        "switchover-group, echo-port, replica-port, "
	        "rt-priority, "
	        "node, service");
	refused(SERVICE("\twitness = \"w\"\n\tcalls {\n\t\trescu = \"off\" }"),
	        "f.conf:10: unknown key 'rescu'; known here: rescue, media, port, rate, max-dialogs, "
	        "relay-ports, "
	        "link-header, recover-command, event-socket, event-socket-password-file, "
	        "event-socket-command");
	refused("\nuser \"x\"\n", "f.conf:2: missing equal sign after option 'user'; write key = value");
	refused("\nuser = \"x\n", "f.conf:2: the quotes opened here are not closed; close them on this line");
	refused("\nnode \"a\" {\n address = \"10.9.0.1\"\n",
	        "f.conf:2: the { opened here is not closed; close it with }");
	refused("\n}\n", "f.conf:2: there is a } without its {; remove it or open a section before it");
	refused("/* x\n", "f.conf:1: the comment opened here is not closed; close it with */");
	refused("node { address = \"10.9.0.1\" }\n", "f.conf:1: missing title for section 'node'; give it a "
	                                             "name in quotes, as in node \"a\" { ... }");
	refused("user = \"x\"\nuser = \"y\"\n", "f.conf:1: user is given again further down; remove one");
	refused(NODES "node \"a\" { address = \"10.9.0.9\" }\n",
	        "f.conf:4: found duplicate title 'a'; give each node and each service its own name");
}

static void something_must_be_configured(void **state)
{
	refused("", "f.conf:1: there is no node; add node \"a\" { address = \"...\" }");
	refused(NODES, "f.conf:4: there is no service; add service \"pbx\" { ... }");
	refused("node \"a\" {\n}\n", "f.conf:2: node \"a\" has no address; add address = \"...\"");
	refused(NODES "service \"pbx\" {\n\tvip = { \"10.9.0.100/24\" }\n}\n",
	        "f.conf:4: service \"pbx\" has no interface; add interface = \"eth0\"");
	refused(NODES "service \"pbx\" {\n\tinterface = \"eth0\"\n}\n",
	        "f.conf:4: service \"pbx\" has no vip; add vip = { \"ADDRESS/PREFIX\" }");
	refused(NODES "service \"pbx\" {\n\tinterface = \"eth0\" vip = { \"10.9.0.100\" }\n\tnodes = { \"a\" "
	              "}\n}\n",
	        "f.conf:4: service \"pbx\" has fewer than two nodes; add nodes = { \"A\", \"B\" }");
}

static void addresses_are_judged(void **state)
{
	refused("node \"a\" { address = \"10.9.0\" }\n",
	        "f.conf:1: address '10.9.0' is not an address; write an IPv4 address such as 10.9.0.1");
	refused("node \"a\" { address = \"127.0.0.1\" }\n",
	        "f.conf:1: address '127.0.0.1' is no host's address on a network; use a unicast IPv4 "
	        "address");
	refused(NODES "node \"x\" { address = \"10.9.0.2\" }\n",
	        "f.conf:4: address 10.9.0.2 is also that of node \"b\"; give each node its own");
	refused(NODES "service \"pbx\" {\n\tinterface = \"eth0\"\n\tvip = { "
	              "\"10.9.0.7\",\n\"2001:db8::1/64\" }\n}\n",
	        "f.conf:7: vip '2001:db8::1' is IPv6, which is not supported yet; use an IPv4 address");
	refused(NODES "service \"pbx\" {\n\tinterface = \"eth0\"\n\tvip = { \"10.9.0.7/33\" }\n}\n",
	        "f.conf:6: vip '10.9.0.7/33' has a bad prefix length; write one from /1 to /32");
	refused(NODES
	        "service \"pbx\" {\n\tinterface = \"eth0\"\n\tvip = { \"10.9.0.7\", \"10.9.0.7\" }\n}\n",
	        "f.conf:6: vip 10.9.0.7 is already one of service \"pbx\"; use each VIP once");
	refused(NODES "service \"pbx\" {\n\tinterface = \"eth0\"\n\tvip = { \"10.9.0.1\" }\n}\n",
	        "f.conf:6: vip 10.9.0.1 is the own address of node \"a\"; the VIP must be an extra one");
	refused(SERVICE("\twitness = \"w\"") "service \"two\" {\n" BASIC "\twitness = \"w\"\n}\n",
	        "f.conf:12: vip 10.9.0.100 is already one of service \"pbx\"; use each VIP once");
	assert_int_equal(parsed(NODES
	                        "service \"p\" { interface = \"e\" vip = \"10.9.0.7\" nodes = {\"a\",\"b\"} "
	                        "on-peer-silence = \"hold\" }")
	                         ->vip[0]
	                         .prefix_len,
	                 32);
}

static void nodes_and_witness_are_judged(void **state)
{
#define WITH_NODES(list)                                                                                     \
	NODES "service \"pbx\" {\n\tinterface = \"eth0\"\n\tvip = { \"10.9.0.100\" }\n\tnodes = " list "\n}" \
	      "\n"
	refused(WITH_NODES("{ \"a\", \"c\" }"),
	        "f.conf:7: nodes: there is no node \"c\"; add node \"c\" { address = ... }");
	refused(WITH_NODES("{ \"a\", \"a\" }"), "f.conf:7: nodes: \"a\" is there twice; name each node once");
	refused(WITH_NODES("{ \"a\", \"b\", \"w\" }"),
	        "f.conf:7: nodes: more than 2; name the two that run the server");
	refused(SERVICE("\twitness = \"b\""),
	        "f.conf:8: witness \"b\" is also one of nodes; name a third machine");
	refused(SERVICE("\twitness = \"x\""),
	        "f.conf:8: witness: there is no node \"x\"; add node \"x\" { address = ... }");
	refused(SERVICE("\twitness = \"w\"") "service \"second\" {\n\tinterface = \"eth0\"\n\tvip = { "
	                                     "\"10.9.0.101\" }\n\tnodes = { \"a\", \"w\" }\n\twitness "
	                                     "= \"b\"\n}\n",
	        "f.conf:4: witness \"w\" of service \"pbx\" serves \"second\"; name a machine as the witness "
	        "that serves nothing");
}

static void ports_and_numbers_are_judged(void **state)
{
	refused("echo-port = 65536\n",
	        "f.conf:1: echo-port = 65536 is out of range; write a number from 1 to 65535");
	refused("echo-port = 0\n", "f.conf:1: echo-port = 0 is out of range; write a number from 1 to 65535");
	refused("echo-port = \"x\"\n",
	        "f.conf:1: echo-port = 'x' is not a number; write one from 1 to 65535");
	refused("echo-port = 65535\n",
	        "f.conf:1: echo-port 65535 leaves no room for replica-port; set replica-port too");
	refused("rt-priority = 100\n",
	        "f.conf:1: rt-priority = 100 is out of range; write a number from 1 to 99");
	refused(SERVICE("\tsip = { \"tls:5061\" }"),
	        "f.conf:8: sip 'tls:5061': only udp for now; write \"udp:PORT\"");
	refused(SERVICE("\tsip = { \"5060\" }"),
	        "f.conf:8: sip '5060' is not understood; write \"udp:5060\"");
	refused(SERVICE("\tsip = { \"udp:70000\" }"),
	        "f.conf:8: sip 'udp:70000' has no valid port; write one from 1 to 65535");
	refused(SERVICE("\tsip = { \"udp:5060\", \"udp:5060\" }"),
	        "f.conf:8: sip port 5060 is there twice; remove one");
	refused(SERVICE("\twitness = \"w\"\n\tcalls { port = 5060 }"),
	        "f.conf:9: calls: port 5060 is also a sip port of the service; set calls { port = ... } to a "
	        "free one");
	refused(SERVICE("\twitness = \"w\"\n\tcalls { rate = many }"),
	        "f.conf:9: rate = 'many' is not a number; write one from 1 to 100000");
	refused(SERVICE("\twitness = \"w\"\n\tcalls { rescue = \"yes\" }"),
	        "f.conf:9: rescue = 'yes' is not known; write \"agent\", \"server\" or \"off\"");
	refused(SERVICE("\twitness = \"w\"\n\tprobe { interval = \"10\" }"),
	        "f.conf:9: interval = '10' is not a duration; write it as \"500us\", \"10ms\" or \"1s\"");
	refused(SERVICE("\twitness = \"w\"\n\tprobe { floor = \"2s\" }"),
	        "f.conf:9: probe: wrong order; choose interval <= floor <= ceiling");
	refused(SERVICE("\twitness = \"w\"\n\tprobe { enabled = \"perhaps\" }"),
	        "f.conf:9: enabled = 'perhaps' is neither true nor false; write one of them");
}

static void names_and_paths_are_judged(void **state)
{
	refused("node \"a b\" { address = \"10.9.0.1\" }\n",
	        "f.conf:1: node name 'a b' is not usable; use 1 to 31 letters, digits, '.', '_' or '-'");
	refused("node \"\" { address = \"10.9.0.1\" }\n",
	        "f.conf:1: node name '' is not usable; use 1 to 31 letters, digits, '.', '_' or '-'");
	refused("node \"n2345678901234567890123456789012\" { address = \"10.9.0.1\" }\n",
	        "f.conf:1: node name 'n2345678901234567890123456789012' is not usable; use 1 to 31 letters, "
	        "digits, '.', "
	        "'_' or '-'");
	refused(NODES "service \"pbx\" {\n\tinterface = \"averylonginterface\"\n}\n",
	        "f.conf:5: interface 'averylonginterface' is not usable; use 1 to 15 letters, digits, '.', "
	        "'_' or '-'");
	refused("key-file = \"key\"\n", "f.conf:1: key-file 'key' is not an absolute path; start it with /");
}

static void more_than_the_tables_hold_is_refused(void **state)
{
	static char text[65536];
	char expected[80];
	int n = 0;

	for (int i = 1; i <= MAX_NODES; i++)
		n += snprintf(text + n, sizeof(text) - (size_t)n,
		              "node \"n%d\" { address = \"10.8.0.%d\" }\n", i, i);
	snprintf(expected, sizeof(expected), "f.conf:%d: more than %d nodes; remove some", MAX_NODES,
	         MAX_NODES - 1);
	refused(text, expected);

	n = snprintf(text, sizeof(text), "%s", NODES);
	for (int i = 0; i <= CONFIG_MAX_SERVICES; i++)
		n += snprintf(text + n, sizeof(text) - (size_t)n,
		              "service \"s%d\" { interface = \"e\" vip = \"10.7.0.%d\" nodes = { \"a\", "
		              "\"b\" } witness = "
		              "\"w\" }\n",
		              i, i + 1);
	snprintf(expected, sizeof(expected), "f.conf:%d: more than %d services; remove some",
	         4 + CONFIG_MAX_SERVICES, CONFIG_MAX_SERVICES);
	refused(text, expected);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(smallest_file_gets_the_documented_defaults),
	        cmocka_unit_test(timing_is_a_word_or_both_numbers),
	        cmocka_unit_test(silence_of_the_peer_needs_a_decision),
	        cmocka_unit_test(who_may_switch_over_must_be_able_to_ask),
	        cmocka_unit_test(syntax_errors_name_the_line_and_what_to_do),
	        cmocka_unit_test(something_must_be_configured),
	        cmocka_unit_test(addresses_are_judged),
	        cmocka_unit_test(nodes_and_witness_are_judged),
	        cmocka_unit_test(ports_and_numbers_are_judged),
	        cmocka_unit_test(names_and_paths_are_judged),
	        cmocka_unit_test(more_than_the_tables_hold_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
