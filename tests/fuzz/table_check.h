/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What holds of a dialog table whatever was said to it. For the harnesses that have one. */
#ifndef SIPFLIP_FUZZ_TABLE_CHECK_H
#define SIPFLIP_FUZZ_TABLE_CHECK_H

#include "fuzz.h"

#include "dialog.h"
#include "dialog_table.h"
#include "media_plan.h"
#include "rescue_plan.h"

/* Its fields are within what dialog.h says of them, and it is found by its own key. */
static inline void check_dialog(struct dialog_table *table, struct dialog *d)
{
	struct dialog *peer = dialog_peer(table, d), *of_call;
	bool listed = false;

	CHECK(d->state <= DIALOG_ENDED && d->role <= DIALOG_UAC && d->paired <= PAIRED_AMBIGUOUS);
	CHECK(d->refresher <= REFRESHER_REMOTE && d->acked <= 1 && d->progress < 200);
#define X(field, room) CHECK(d->field &&strlen(d->field) < (room));
	DIALOG_TEXTS(X)
#undef X
	CHECK(d->sdp_in_len <= DIALOG_SDP_LEN && d->sdp_out_len <= DIALOG_SDP_LEN);
	CHECK(d->invite_len <= DIALOG_INVITE_LEN && d->n_streams <= DIALOG_STREAMS);
	CHECK(d->call_id[0] && (d->local_tag[0] || d->remote_tag[0]));
	CHECK(!dialog_is_up(d) || (d->local_tag[0] && d->remote_tag[0]));
	CHECK(d->version && d->version <= table->version && d->call && d->call < table->next_call);
	CHECK(dialog_find(table, d->service, d->call_id, d->local_tag, d->remote_tag) == d);
	CHECK(dialog_is_of_call(table, d, d->call));
	for (of_call = dialog_first_of_call(table, d); of_call;
	     of_call = dialog_next_of_call(table, of_call)) {
		CHECK(of_call->call == d->call && of_call->service == d->service);
		listed = listed || of_call == d;
	}
	CHECK(listed);
	CHECK(!peer || (peer != d && peer->call == d->call && peer->service == d->service));
}

/* Its counts are those of what is in it, and its text stays within the budget. */
static inline void check_table(struct dialog_table *table)
{
	uint32_t used = 0, changed = 0, free_slots = 0, at;
	const struct dialog *prev = NULL, *next;
	struct dialog *d;
	uint64_t bytes = 0;

	for (d = dialog_next(table, NULL); d; d = dialog_next(table, d)) {
		check_dialog(table, d);
		bytes += table->slots[d - table->dialogs].bytes;
		used++;
	}
	CHECK(used == table->used && used <= table->max);
	CHECK(bytes == table->bytes && bytes <= table->bytes_max);
	while ((next = dialog_next_changed(table, 0, prev))) {
		CHECK(!prev || prev->version < next->version);
		prev = next;
		CHECK(++changed <= used);
	}
	CHECK(changed == used);
	for (at = table->free_head; at != DIALOG_NIL; at = table->slots[at].next_call_id)
		CHECK(!table->slots[at].used && ++free_slots <= table->max);
	CHECK(used + free_slots == table->max);
}

/* Equal but for what is each table's own. */
static inline void check_same_dialog(const struct dialog *a, const struct dialog *b)
{
#define X(field, room) CHECK(!strcmp(a->field, b->field));
	DIALOG_TEXTS(X)
#undef X
	CHECK(a->call == b->call && a->state == b->state && a->role == b->role && a->paired == b->paired);
	CHECK(a->at_invite.ns == b->at_invite.ns && a->at_answer.ns == b->at_answer.ns);
	CHECK(a->at_changed.ns == b->at_changed.ns && a->at_refresh.ns == b->at_refresh.ns);
	CHECK(a->at_ended.ns == b->at_ended.ns && a->refresher == b->refresher && a->acked == b->acked);
	CHECK(a->flow_port == b->flow_port && !memcmp(&a->flow_addr, &b->flow_addr, sizeof(a->flow_addr)));
	CHECK(a->local_cseq == b->local_cseq && a->remote_cseq == b->remote_cseq);
	CHECK(a->invite_cseq == b->invite_cseq && a->session_expires_s == b->session_expires_s);
	CHECK(a->flags == b->flags && a->origin == b->origin && a->rseq == b->rseq);
	CHECK(a->progress == b->progress);
	CHECK(a->sdp_in_len == b->sdp_in_len && !memcmp(a->sdp_in, b->sdp_in, a->sdp_in_len));
	CHECK(a->sdp_out_len == b->sdp_out_len && !memcmp(a->sdp_out, b->sdp_out, a->sdp_out_len));
	CHECK(a->invite_len == b->invite_len && !memcmp(a->invite, b->invite, a->invite_len));
	for (unsigned int i = 0; i < DIALOG_STREAMS; i++)
		CHECK(!memcmp(dialog_stream_of(a, i), dialog_stream_of(b, i), sizeof(struct dialog_stream)));
}

/* Nothing is left of a table that has been cleared. */
static inline void check_empties(struct dialog_table *table)
{
	dialog_table_clear(table, 255);
	check_table(table);
	CHECK(!table->used && !table->bytes);
}

/* A plan of a call says the same twice, and the same from either leg. */
static inline void check_plans(struct dialog_table *table, const struct inaddr16 *vip,
                               const struct rescue_policy *policy)
{
	struct dialog *d;

	for (d = dialog_next(table, NULL); d; d = dialog_next(table, d)) {
		struct dialog *peer = dialog_peer(table, d);
		enum rescue_plan plan = rescue_plan_of(table, d, policy);
		struct media_plan ours, theirs;

		CHECK(rescue_plan_of(table, d, policy) == plan && rescue_plan_word(plan)[0]);
		CHECK(strlen(rescue_plan_text(plan)) < 128);
		memset(&ours, 0x5a, sizeof(ours));
		media_plan(d, peer, vip, false, &ours);
		CHECK(ours.path <= MEDIA_PATH_none && ours.why <= MEDIA_WHY_configured);
		for (int i = 0; i < DIALOG_STREAMS; i++) {
			CHECK(!ours.a[i].used || ours.a[i].vip_port);
			CHECK(!ours.b[i].used || (peer && ours.b[i].vip_port));
		}
		if (!peer || dialog_peer(table, peer) != d)
			continue;
		memset(&theirs, 0x5a, sizeof(theirs));
		media_plan(peer, d, vip, false, &theirs);
		CHECK(theirs.path == ours.path && theirs.why == ours.why);
		for (int i = 0; i < DIALOG_STREAMS; i++) {
			CHECK(theirs.a[i].used == ours.b[i].used && theirs.b[i].used == ours.a[i].used);
			CHECK(!ours.a[i].used || (theirs.b[i].vip_port == ours.a[i].vip_port &&
			                          theirs.b[i].remote_port == ours.a[i].remote_port));
		}
	}
}

#endif
