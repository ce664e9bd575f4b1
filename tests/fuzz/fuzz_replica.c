/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a peer with the right key sends to the replica: bytes, envelope, session, table.
 * A standby and an owner get the same messages. Their tables hold what check_table asks
 * after each, an owner's calls are not spoilt by a peer once it has caught up, and what
 * the sessions send in turn is a message that reads.
 */
#include "table_check.h"

#include <errno.h>

#include "../../user/calls/replica_session.h"
#include "addr.h"

#define NAME     "pbx"
#define SERVICE  3
#define MESSAGES 24

static struct inaddr16 vip;

struct node {
	struct dialog_table table;
	struct replica_session session;
	struct replica_counters counters;
	bool full;
};

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	return addr_parse("10.9.0.100", &vip);
}

/* replica_unpack() has one arena: what is being handled there must not be lost, so only the head is read. */
static int sent(void *context, enum replica_channel channel, const void *buf, size_t len)
{
	const struct node *node = context;
	Replica__Envelope *e = replica__envelope__unpack(NULL, len, buf);

	CHECK(len <= REPLICA_MESSAGE_MAX && e && e->version == REPLICA_VERSION && e->instance == 0x4711);
	CHECK(e->service.len == strlen(NAME) && !memcmp(e->service.data, NAME, e->service.len));
	CHECK(e->body_case != REPLICA__ENVELOPE__BODY__NOT_SET);
	replica__envelope__free_unpacked(e, NULL);
	return node->full ? -EAGAIN : 0;
}

static void node_start(struct node *node, bool owner)
{
	struct dialog d = {.call = 5,
	                   .state = DIALOG_CONFIRMED,
	                   .service = SERVICE,
	                   .call_id = "own",
	                   .local_tag = "l",
	                   .remote_tag = "r",
	                   .local_cseq = 10,
	                   .origin = 9};

	*node = (struct node){.full = false};
	CHECK(!dialog_table_init(&node->table, 8, 7));
	replica_session_init(&node->session, SERVICE, NAME, &node->table, 0x4711, sent, node,
	                     &node->counters);
	replica_session_role(&node->session, owner, 0x702);
	CHECK(!dialog_table_apply(&node->table, &d, 0));
	/* as after its start and a first meeting: nothing that the peer kept is wanted any more */
	node->session.caught_up = owner;
}

static void node_end(struct node *node)
{
	struct rescue_policy policy = {.vip = vip};

	check_plans(&node->table, &vip, &policy);
	check_empties(&node->table);
	dialog_table_done(&node->table);
}

/* As replica.c does before it gives a message to the session. */
static bool is_for_us(const Replica__Envelope *e)
{
	return e && e->version == REPLICA_VERSION && e->instance && e->service.len == strlen(NAME) &&
	       !memcmp(e->service.data, NAME, e->service.len);
}

static void hear(struct node *node, const struct part *part, uint8_t how, struct mono now)
{
	const Replica__Envelope *e = replica_unpack(part->at, part->len);
	struct replica_status status;

	node->full = how & 2;
	if (is_for_us(e))
		replica_session_handle(&node->session, how & 1 ? REPLICA_TO_CLIENT : REPLICA_TO_SERVER, e,
		                       now);
	check_table(&node->table);
	for (int i = 0; i < 8 && replica_session_flush(&node->session, now); i++)
		CHECK(i < 7 || node->full || node->session.out.active);
	replica_session_tick(&node->session, now);
	replica_session_status(&node->session, now, &status);
	CHECK(status.up <= 1);
	check_table(&node->table);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct node standby, owner;
	struct mono now = mono_ns(1000 * NS_PER_S);
	struct dialog *own;
	struct part part;
	uint8_t how;

	node_start(&standby, false);
	node_start(&owner, true);
	for (int n = 0; n < MESSAGES && part_next(&data, &size, &how, &part); n++) {
		now = mono_add(now, (how >> 4) * 100 * NS_PER_MS);
		hear(&standby, &part, how, now);
		hear(&owner, &part, how, now);
		free(part.at);
	}
	own = dialog_find(&owner.table, SERVICE, "own", "l", "r");
	CHECK(own && own->local_cseq == 10 && own->origin == 9 && own->state == DIALOG_CONFIRMED);
	node_end(&standby);
	node_end(&owner);
	return 0;
}
