/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Replays: messages with a good tag that came before, told from fresh ones before
 * anyone is woken. A reflection and a vote carry a time that this node itself has
 * read: each passes once, in order, and an older recording never. Of what carries the
 * sender's time alone each passes once, too, as long as the sender's incarnation is
 * known; it is known by its reflections, which nobody can have recorded earlier.
 * Called by ingress, echo.h and voters, after the tag has been verified. Of the
 * message it reads msg, conf and now_ns. Needs MAP(fresh).
 */
#ifndef SIPFLIP_BPF_FRESH_H
#define SIPFLIP_BPF_FRESH_H

#include "lib/sealed.h"

#define STRANGER_INTERVAL_NS 1000000ULL /* between messages of incarnations that are not known */
#define FOREIGN_LEASES       16         /* so long a reflection speaks for its sender's incarnation */

static __always_inline struct fresh *fresh_of(__u32 service, __u32 node)
{
	__u32 key = service * MAX_NODES + (node & (MAX_NODES - 1));

	return bpf_map_lookup_elem(&fresh, &key);
}

/* Of the incarnation that the sender is known to have. */
static __always_inline bool fresh_knows(const struct message *m, const struct fresh *f)
{
	return f->incarnation == bpf_be64_to_cpu(m->msg->sender_inc);
}

/* An echo of another incarnation than that which answers this node's own echoes: recorded, long ago. */
static __always_inline bool fresh_foreign(const struct message *m, const struct fresh *f)
{
	__u64 reflected_ns = f->newest_ns[WIRE_REFLECT];

	return reflected_ns && !fresh_knows(m, f) &&
	       m->now_ns - reflected_ns < FOREIGN_LEASES * m->conf->lease_ns;
}

/* Later than all before? Two at one instant on two CPUs may both be: user space has the last word. */
static __always_inline bool fresh_newer(struct fresh *f, __u32 type, __u64 at_ns)
{
	__u64 *newest_ns = &f->newest_ns[type & (FRESH_TYPES - 1)];

	if (at_ns <= *newest_ns)
		return false;
	*newest_ns = at_ns;
	return true;
}

static __always_inline void fresh_learn(const struct message *m, struct fresh *f)
{
	if (fresh_knows(m, f))
		return;
	f->incarnation = bpf_be64_to_cpu(m->msg->sender_inc);
	f->newest_ns[WIRE_VOTE_REQ] = 0;
	f->newest_ns[WIRE_REFUSE] = 0;
	f->newest_ns[WIRE_RESIGN] = 0;
}

/* REFLECT, VOTE: `at_ns` is a time that this node sent, and that came back. */
static __always_inline bool fresh_own_time(const struct message *m, struct fresh *f, __u64 at_ns)
{
	return at_ns <= m->now_ns && fresh_newer(f, m->msg->type, at_ns);
}

/* VOTE_REQ, REFUSE, RESIGN: the sender's time only. */
static __always_inline bool fresh_its_time(const struct message *m, struct fresh *f)
{
	if (!fresh_knows(m, f)) {
		if (m->now_ns < f->stranger_ns + STRANGER_INTERVAL_NS)
			return false;
		f->stranger_ns = m->now_ns;
		if (f->newest_ns[WIRE_REFLECT])
			return true; /* its next reflection will tell */
		fresh_learn(m, f);
	}
	return fresh_newer(f, m->msg->type, bpf_be64_to_cpu(m->msg->sent_ns));
}

/* For user space? Each message is taken once. */
static __always_inline bool fresh_take(const struct message *m, struct fresh *f)
{
	const struct wire_msg *msg = m->msg;
	bool ours = bpf_be64_to_cpu(msg->target_inc) == m->conf->incarnation;

	switch (msg->type) {
	case WIRE_REFLECT:
		if (!ours || !fresh_own_time(m, f, bpf_be64_to_cpu(msg->sent_ns)))
			return false;
		fresh_learn(m, f);
		return true;
	case WIRE_VOTE:
		return ours && fresh_own_time(m, f, bpf_be64_to_cpu(msg->grant_ns));
	case WIRE_REFUSE:
		return ours && fresh_its_time(m, f);
	default:
		return fresh_its_time(m, f);
	}
}

#endif
