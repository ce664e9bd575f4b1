/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a configuration may say of the rescue of calls. */
#include "config_text.h"

#define CALLS(more) SERVICE("\twitness = \"w\"\n\tcalls {\n" more "\n}")
#define PASSWORD    "event-socket-password-file = \"/etc/sipflip/event-socket\"\n"

static void relay_ports_are_a_range_that_nothing_else_uses(void **state)
{
	const struct config_service *s = parsed(CALLS("relay-ports = \"30000-30099\""));

	assert_int_equal(s->relay_port_first, 30000);
	assert_int_equal(s->relay_port_last, 30099);
	refused(CALLS("relay-ports = 30000"),
	        "f.conf:10: relay-ports = '30000' is not a range of ports; write \"60000-61999\"");
	refused(CALLS("relay-ports = \"30000-30099x\""),
	        "f.conf:10: relay-ports = '30000-30099x' is not a range of ports; write \"60000-61999\"");
	refused(CALLS("relay-ports = \"-1-3\""),
	        "f.conf:10: relay-ports = '-1-3' is not a range of ports; write \"60000-61999\"");
	refused(CALLS("relay-ports = \"30000-70000\""),
	        "f.conf:10: relay-ports = 30000-70000 is out of range; write two ports from 1024 to 65535, "
	        "the lower one first");
	refused(CALLS("relay-ports = \"30001-30000\""),
	        "f.conf:10: relay-ports = 30001-30000 is out of range; write two ports from 1024 to 65535, "
	        "the lower one first");
	refused(CALLS("relay-ports = \"5000-6000\""),
	        "f.conf:10: calls: relay-ports 5000-6000 contains 5060, a sip port of the service; set "
	        "relay-ports to a range of free ports");
	refused(CALLS("relay-ports = \"5070-6000\""),
	        "f.conf:10: calls: relay-ports 5070-6000 contains 5070, the port of calls; set relay-ports "
	        "to a range of free ports");
	refused(CALLS("relay-ports = \"7000-7473\""),
	        "f.conf:10: calls: relay-ports 7000-7473 contains 7473, the echo-port; set relay-ports to a "
	        "range of free ports");
	refused(CALLS("relay-ports = \"7474-8000\""),
	        "f.conf:10: calls: relay-ports 7474-8000 contains 7474, the replica-port; set relay-ports to "
	        "a range of free ports");
	refused(SERVICE("\twitness = \"w\"\n\tsip = { \"udp:61000\" }"),
	        "f.conf:4: calls: relay-ports 60000-61999 contains 61000, a sip port of the service; set "
	        "relay-ports to a range of free ports");
}

static void the_link_header_is_a_header_of_the_servers_own(void **state)
{
	assert_string_equal(parsed(CALLS("link-header = \"X-Leg-Call-ID\""))->link_header, "X-Leg-Call-ID");
	assert_string_equal(parsed(CALLS("link-header = \"\""))->link_header, "");
	refused(CALLS("link-header = \"X-Leg:\""),
	        "f.conf:10: link-header 'X-Leg:' is no header's name; write it as \"X-Leg-Call-ID\", without "
	        "the colon");
	refused(CALLS("link-header = \"call-id\""),
	        "f.conf:10: link-header 'call-id' says nothing of the other leg; name the header in which "
	        "the server puts the other leg's Call-ID");
	refused(CALLS("link-header = \"X-2345678901234567890123456789012\""),
	        "f.conf:10: link-header is longer than 31 letters; choose a shorter one");
}

static void a_server_that_recovers_is_told_in_exactly_one_way(void **state)
{
	const struct config_service *s;

	s = parsed(CALLS("rescue = \"server\" recover-command = \"/usr/bin/fs_cli -x 'fsctl recover'\""));
	assert_int_equal(s->rescue, RESCUE_SERVER);
	assert_string_equal(s->recover_command, "/usr/bin/fs_cli -x 'fsctl recover'");
	s = parsed(CALLS("rescue = \"server\" event-socket = \"127.0.0.1:8021\" " PASSWORD));
	assert_int_equal(s->event_socket_port, 8021);
	assert_int_equal(addr_to_be32(&s->event_socket), 0x0100007f);
	assert_string_equal(s->event_socket_password_file, "/etc/sipflip/event-socket");
	assert_string_equal(s->event_socket_command, "fsctl recover");
	s = parsed(CALLS("rescue = \"server\" event-socket = \"127.0.0.1:8021\" " PASSWORD
	                 "event-socket-command = \"sofia recover\""));
	assert_string_equal(s->event_socket_command, "sofia recover");
	refused(CALLS("rescue = \"server\""),
	        "f.conf:10: rescue = \"server\" without saying how the server is told; add recover-command = "
	        "\"/PATH ARGUMENTS\" or event-socket = \"127.0.0.1:8021\"");
	refused(CALLS("rescue = \"server\"\nrecover-command = \"/x\"\nevent-socket = \"127.0.0.1:8021\""),
	        "f.conf:12: recover-command and event-socket exclude each other; remove one");
	refused(CALLS("recover-command = \"/x\""),
	        "f.conf:10: recover-command is used only with rescue = \"server\"; remove it, or set rescue");
	refused(CALLS("rescue = \"off\"\nevent-socket = \"127.0.0.1:8021\""),
	        "f.conf:11: event-socket is used only with rescue = \"server\"; remove it, or set rescue");
	refused(CALLS("rescue = \"server\" recover-command = \"/x\"\n" PASSWORD),
	        "f.conf:11: event-socket-password-file is used only with event-socket; add event-socket = "
	        "\"127.0.0.1:8021\" or remove it");
	refused(CALLS("rescue = \"server\" recover-command = \"fs_cli\""),
	        "f.conf:10: recover-command 'fs_cli' is not an absolute path; start it with /");
	refused(CALLS("rescue = \"server\" event-socket = \"127.0.0.1:8021\""),
	        "f.conf:10: event-socket needs its password; put it in a file that only root can read, and "
	        "add event-socket-password-file = \"/PATH\"");
	refused(CALLS("rescue = \"server\" event-socket = \"localhost:8021\""),
	        "f.conf:10: event-socket = 'localhost:8021' is not understood; write ADDRESS:PORT as in "
	        "\"127.0.0.1:8021\"");
	refused(CALLS("rescue = \"server\" event-socket = \"127.0.0.1\""),
	        "f.conf:10: event-socket = '127.0.0.1' is not understood; write ADDRESS:PORT as in "
	        "\"127.0.0.1:8021\"");
	refused(CALLS("rescue = \"server\" event-socket = \"127.0.0.1:8021\" " PASSWORD
	              "event-socket-command = \"\""),
	        "f.conf:11: event-socket-command is empty or longer than 127 bytes; write one command as in "
	        "\"fsctl recover\"");
	refused(CALLS("rescue = \"server\" event-socket = \"127.0.0.1:8021\" " PASSWORD
	              "event-socket-command = \"a\\nb\""),
	        "f.conf:11: event-socket-command contains a character that is not allowed; write one command "
	        "as in \"fsctl recover\"");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(relay_ports_are_a_range_that_nothing_else_uses),
	        cmocka_unit_test(the_link_header_is_a_header_of_the_servers_own),
	        cmocka_unit_test(a_server_that_recovers_is_told_in_exactly_one_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
