/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Losses, cuts, restarts and spoiled bytes between two tables: they are equal in the end. */
#include "replica_pair.h"

static uint32_t draw(uint32_t *seed, uint32_t below)
{
	*seed = *seed * 1664525u + 1013904223u;
	return (uint32_t)(((uint64_t)(*seed >> 4) * below) >> 28);
}

static void random_step(struct pair *p, uint32_t *seed)
{
	struct node *owner = p->a.session.owner ? &p->a : &p->b;
	int n = draw(seed, 60);

	switch (draw(seed, 40)) {
	case 0:
		node_restart(draw(seed, 2) ? &p->a : &p->b);
		break;
	case 1:
		p->a.cut = draw(seed, 2);
		p->b.cut = draw(seed, 2);
		break;
	case 2: /* switchover */
		replica_session_role(&owner->session, false, owner->session.epoch + 0x100);
		turns(p, draw(seed, 3));
		replica_session_role(&owner->other->session, true, owner->session.epoch);
		break;
	case 35: /* takeover: for a while the old owner does not know */
		replica_session_role(&owner->other->session, true, owner->session.epoch + 0x100);
		if (get(owner, n))
			drop(owner, n);
		put_dialog(p, owner, n + 1);
		turns(p, draw(seed, 3));
		replica_session_role(&owner->session, false, owner->session.epoch + 0x100);
		break;
	case 3:
		wire_empty(&p->a.in);
		break;
	case 4:
		wire_empty(&p->b.in);
		break;
	case 5 ... 14:
		if (get(owner, n))
			drop(owner, n);
		break;
	case 15 ... 24:
		if (get(owner, n))
			dialog_take_cseq(&owner->table, get(owner, n), 1);
		break;
	case 25 ... 34:
		put_dialog(p, owner, n);
		break;
	default:
		turns(p, draw(seed, 8));
	}
}

static void tables_are_equal_after_any_losses_restarts_and_switchovers(void **state)
{
	for (uint32_t run = 1; run <= 40; run++) {
		struct pair p;
		uint32_t seed = run * 2654435761u;

		pair_start(&p);
		for (int i = 0; i < 400; i++)
			random_step(&p, &seed);
		p.a.cut = p.b.cut = false;
		turns(&p, 60);
		assert_same_tables(&p);
		assert_true(is_up(&p, &p.a));
		assert_true(is_up(&p, &p.b));
		pair_done(&p);
	}
}

/* A good message of the owner's, to be spoiled. */
static size_t capture_message(struct pair *p, uint8_t *buf, size_t size)
{
	size_t len;

	p->a.session.out.active = true;
	replica_session_flush(&p->a.session, p->now);
	assert_true(p->b.in.n > 0);
	len = p->b.in.queue[0].len;
	assert_true(len <= size);
	memcpy(buf, p->b.in.queue[0].buf, len);
	wire_empty(&p->b.in);
	return len;
}

static void give(struct pair *p, const uint8_t *buf, size_t len, enum replica_channel channel)
{
	const Replica__Envelope *e = replica_unpack(buf, len);

	if (e)
		replica_session_handle(&p->b.session, channel, e, p->now);
	wire_empty(&p->a.in);
}

static void spoiled_messages_do_no_harm(void **state)
{
	static uint8_t good[REPLICA_MESSAGE_MAX], bad[REPLICA_MESSAGE_MAX];
	struct pair p;
	uint32_t seed = 42;
	size_t len;

	pair_start(&p);
	for (int i = 0; i < 5; i++)
		put_dialog(&p, &p.a, i);
	len = capture_message(&p, good, sizeof(good));
	for (size_t cut = 0; cut < len; cut += 1 + cut / 50)
		give(&p, good, cut, REPLICA_TO_SERVER);
	for (int i = 0; i < 20000; i++) {
		memcpy(bad, good, len);
		for (uint32_t flips = 1 + draw(&seed, 4); flips; flips--)
			bad[draw(&seed, i % 2 ? 200 : (uint32_t)len)] ^= 1 << draw(&seed, 8);
		give(&p, bad, len, draw(&seed, 2) ? REPLICA_TO_SERVER : REPLICA_TO_CLIENT);
	}
	for (struct dialog *d = dialog_next(&p.b.table, NULL); d; d = dialog_next(&p.b.table, d)) {
		assert_true(d->sdp_in_len <= DIALOG_SDP_LEN);
		assert_true(d->state <= DIALOG_ENDED);
		assert_true(strlen(d->remote) < DIALOG_NAME_ADDR_LEN);
	}
	assert_true(p.b.counters.replica_malformed > 0);
	/* and the truth still gets through */
	p.a.session.out.active = false;
	turns(&p, 60);
	assert_same_tables(&p);
	pair_done(&p);
}

static void a_dialog_that_cannot_be_decoded_is_asked_for_again(void **state)
{
	static uint8_t buf[REPLICA_MESSAGE_MAX];
	const Replica__Envelope *e;
	struct pair p;
	size_t len;

	pair_start(&p);
	turns(&p, 8);
	put_dialog(&p, &p.a, 1);
	put_dialog(&p, &p.a, 2);
	replica_session_flush(&p.a.session, p.now);
	e = replica_unpack(p.b.in.queue[0].buf, p.b.in.queue[0].len);
	e->records->dialogs[0]->flow_port = 65536;
	assert_int_equal(replica_pack(e, buf, sizeof(buf), &len), 0);
	wire_empty(&p.b.in);
	replica_session_handle(&p.b.session, REPLICA_TO_SERVER, replica_unpack(buf, len), p.now);
	assert_int_equal(p.b.counters.replica_malformed, 1);
	assert_null(get(&p.b, 1));
	assert_non_null(get(&p.b, 2));
	turns(&p, 2);
	assert_false(is_up(&p, &p.b));
	turns(&p, 70);
	assert_same_tables(&p);
	assert_true(is_up(&p, &p.a));
	pair_done(&p);
}

static void a_stream_cut_or_spoiled_at_any_byte_does_no_harm(void **state)
{
	static uint8_t good[REPLICA_MESSAGE_MAX], bad[REPLICA_MESSAGE_MAX];
	struct pair p;
	size_t len;

	pair_start(&p);
	put_dialog(&p, &p.a, 4); /* rings: all that there can be is in it */
	put_dialog(&p, &p.a, 5);
	drop(&p.a, 5);
	len = capture_message(&p, good, sizeof(good));
	for (size_t at = 0; at < len; at++) {
		give(&p, good, at, REPLICA_TO_SERVER);
		for (int bit = 0; bit < 8; bit++) {
			memcpy(bad, good, len);
			bad[at] ^= (uint8_t)(1 << bit);
			give(&p, bad, len, REPLICA_TO_SERVER);
		}
	}
	assert_true(p.b.counters.replica_malformed > 0);
	p.a.session.out.active = false;
	turns(&p, 80);
	assert_same_tables(&p);
	assert_true(is_up(&p, &p.b));
	pair_done(&p);
}

static void a_field_that_does_not_fit_is_refused(void **state)
{
	static char huge[DIALOG_CALL_ID_LEN + 1];
	struct dialog_key key;
	struct dialog d;
	uint8_t addr[16] = {0};
	Replica__Dialog from = REPLICA__DIALOG__INIT;
	Replica__Key from_key = REPLICA__KEY__INIT;

	memset(huge, 'h', sizeof(huge));
	from.flow_addr = (ProtobufCBinaryData){16, addr};
	assert_int_equal(replica_decode_dialog(&from, 3, &d), 0);
	from.call_id = (ProtobufCBinaryData){DIALOG_CALL_ID_LEN - 1, (uint8_t *)huge};
	assert_int_equal(replica_decode_dialog(&from, 3, &d), 0);
	assert_int_equal(strlen(d.call_id), DIALOG_CALL_ID_LEN - 1);
	from.call_id.len = DIALOG_CALL_ID_LEN;
	assert_int_equal(replica_decode_dialog(&from, 3, &d), -EINVAL);
	from.call_id = (ProtobufCBinaryData){3, (uint8_t *)"a\0b"};
	assert_int_equal(replica_decode_dialog(&from, 3, &d), -EINVAL);
	from.call_id.len = 1;
	from.flow_port = 65536;
	assert_int_equal(replica_decode_dialog(&from, 3, &d), -EINVAL);
	from.flow_port = 0;
	from.flow_addr.len = 4;
	assert_int_equal(replica_decode_dialog(&from, 3, &d), -EINVAL);
	from_key.local_tag = (ProtobufCBinaryData){DIALOG_TAG_LEN, (uint8_t *)huge};
	assert_int_equal(replica_decode_key(&from_key, 3, &key), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(tables_are_equal_after_any_losses_restarts_and_switchovers),
	        cmocka_unit_test(spoiled_messages_do_no_harm),
	        cmocka_unit_test(a_dialog_that_cannot_be_decoded_is_asked_for_again),
	        cmocka_unit_test(a_stream_cut_or_spoiled_at_any_byte_does_no_harm),
	        cmocka_unit_test(a_field_that_does_not_fit_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
