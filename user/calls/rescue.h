/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The agent that goes on with the calls of a server that died: one for each
 * service, on its own SIP port of the VIP, to which the kernel steers what belongs
 * to these calls; phones only ever see the VIP's SIP port. After a takeover it
 * re-INVITEs the legs inside their dialogs (rescue_plan.h, rescue_step.h), and from
 * then on it is their back-to-back user agent. All it knows of a call is in the
 * dialog table, which the replica carries, so that a restart of this process or a
 * second takeover finds it again.
 */
#ifndef SIPFLIP_CALLS_RESCUE_H
#define SIPFLIP_CALLS_RESCUE_H

#include <sofia-sip/su_wait.h>

#include "sipflip/control.h"
#include "sipflip/keeper.h"
#include "track.h"

#define RESCUE_OUTCOMES 256 /* kept for CTL_OUTCOMES; older ones go */

struct media;
struct rescue;

struct rescue_callbacks {
	/* At each change of the figures while a rescue runs, and at its end; head is not filled in. */
	void (*progress)(void *context, const struct keeper_rescue *progress);
	/* The port could not be bound (or now it could: error 0); tried again every second. */
	void (*bound)(void *context, int error);
	/* Instead of media_is_silent(); NULL = that. */
	bool (*silent)(void *context, const struct dialog *dialog, struct mono since);
};

/*
 * Binds VIP:conf->rescue_port (UDP) now or as soon as it can; works on the standby
 * too. root, track (and its table) outlive it; conf is copied. 0 or -errno.
 */
int rescue_new(su_root_t *root, const struct keeper_conf *conf, struct track *track,
               const struct rescue_callbacks *callbacks, void *context, struct rescue **ret);
void rescue_free(struct rescue *rescue);

/* Before the loop runs; the media outlives the rescue. Without it every stream is taken to be alive. */
void rescue_set_media(struct rescue *rescue, struct media *media);

/*
 * Ownership came from another node, or the server here died and this node stayed
 * owner: rescues every call that the server that runs here now (table->origin, 0 =
 * none) does not hold. In a new epoch also those that an agent has rescued before.
 */
void rescue_start(struct rescue *rescue, uint64_t epoch, uint64_t flipped_ns, struct mono now);
/*
 * This process came back on the node that owns the service: to be called once the replica is in step
 * (or the peer is not there) and table->origin is known. Goes on with calls that nobody holds yet, and
 * with what the agent owes those that it holds (session timers).
 */
void rescue_resume(struct rescue *rescue, uint64_t epoch, struct mono now);
/* Ownership went: sends nothing any more; the dialogs stay in the table. */
void rescue_stop(struct rescue *rescue);

/*
 * To be told of each dialog that track_datagram changed while this node owns: a
 * phone that hangs up at the new server before it was re-INVITEd is heard there.
 */
void rescue_note(struct rescue *rescue, struct dialog *dialog);

/* Oldest first; i from 0. NULL past the last one. head is not filled in. */
const struct ctl_outcome *rescue_outcome(const struct rescue *rescue, uint32_t i);

#define RESCUE_COUNTERS(X)                                                                                   \
	X(rescue_invites, "re-INVITEs sent")                                                                 \
	X(rescue_rescued, "calls that go on after their re-INVITEs, or rang on to their end")                \
	X(rescue_kept, "legs that refused or ignored their re-INVITE and go on as they were")                \
	X(rescue_failed, "calls of which a leg was gone, or refused what only both could give")              \
	X(rescue_skipped, "calls that could not be rescued, see their plan")                                 \
	X(rescue_challenged, "re-INVITEs answered with a demand for credentials")                            \
	X(rescue_orphans, "calls found without a server after the takeover's own")                           \
	X(rescue_refreshes, "session refreshes sent (RFC 4028)")                                             \
	X(rescue_expired, "calls ended because a phone refreshed its session no more")                       \
	X(rescue_too_early, "requests left to be asked again: this process did not know its calls yet")      \
	X(rescue_unknown_dialog, "in-dialog request at the rescue port for no known dialog: 481")            \
	X(rescue_passed_bye, "BYEs passed to the other leg")                                                 \
	X(rescue_passed_offer, "offers in re-INVITE or UPDATE passed to the other leg")                      \
	X(rescue_refused_request, "requests at the rescue port answered with a refusal")                     \
	X(rescue_send_failed, "requests that could not be made or sent")                                     \
	X(rescue_stray_response, "responses at the rescue port that nobody waits for")                       \
	X(rescue_passed_request, "INFO, MESSAGE, NOTIFY, SUBSCRIBE and REFER passed to the other leg")       \
	X(rescue_passed_cancel, "CANCELs of an offer passed to the other leg")                               \
	X(rescue_sent_prack, "reliable provisional answers to an offer acknowledged with PRACK")             \
	X(rescue_refreshed, "session refreshes of phones answered here")                                     \
	X(rescue_glare, "offers refused because another one is under way: 491 or 500")                       \
	X(rescue_leg_over, "legs that answered 481 or 408, or no offer at all: both legs end")               \
	X(rescue_pass_challenged, "requests passed across that the other phone wanted credentials for: 403") \
	X(rescue_bad_answer, "offers answered 2xx without an SDP that reads: 488")                           \
	X(rescue_offer_undone, "offers taken by one phone after the other cancelled: old session offered")   \
	X(rescue_no_ack, "answers waited for in an ACK that never came")                                     \
	X(rescue_pass_overdue, "exchanges given up: no answer for three minutes")                            \
	X(rescue_too_large, "requests refused because their body is too large: 413")                         \
	X(rescue_old_cseq, "requests refused because their CSeq is below the last one: 500")                 \
	X(rescue_stray_ack, "ACKs of answers that the dead server gave")                                     \
	X(rescue_stray_acked, "2xx of re-INVITEs that nobody here waits for, acknowledged")                  \
	X(rescue_refer_mapped, "REFERs whose Replaces was put into the third phone's words")                 \
	X(rescue_refer_unmapped, "REFERs refused because their Replaces names no known dialog: 603")         \
	X(rescue_exchange_full, "exchanges refused: too many at once")                                       \
	X(rescue_ring_calls, "ringing calls taken up after a takeover")                                      \
	X(rescue_ring_answered, "ringing calls answered after a takeover")                                   \
	X(rescue_ring_refused, "ringing calls that all callees refused")                                     \
	X(rescue_ring_cancelled, "ringing calls that the caller gave up")                                    \
	X(rescue_ring_timeout, "ringing calls that nobody answered in time")                                 \
	X(rescue_ring_cancels, "CANCELs sent to callees")                                                    \
	X(rescue_ring_pracks, "reliable 1xx of callees acknowledged")                                        \
	X(rescue_ring_pracked, "PRACKs of callers for reliable 1xx of the dead server answered")             \
	X(rescue_ring_unwanted, "callees that answered when nobody waited for them: BYE")                    \
	X(rescue_ring_challenged,                                                                            \
	  "ringing calls refused because a callee wants the dead server's credentials")                      \
	X(rescue_ring_no_invite, "ringing legs left alone: their INVITE was not kept")                       \
	X(rescue_ring_no_port,                                                                               \
	  "ringing calls answered with the other phone's own address: no relay port free")                   \
	X(rescue_ring_full, "ringing legs left alone: too many at once")                                     \
	X(rescue_join_calls, "calls of single legs made to the local server")                                \
	X(rescue_joined, "single legs joined to the local server")                                           \
	X(rescue_join_resumed, "joined legs that another process of sipflip-calls went on with")             \
	X(rescue_join_failed, "single legs that could not be joined, or whose joining ended early")          \
	X(rescue_join_challenged, "joins refused because the local server wants credentials")                \
	X(rescue_join_passed, "requests passed between joined phones and the local server")                  \
	X(rescue_join_full, "single legs not joined: too many at once")

struct rescue_counters {
#define X(name, help) uint64_t name;
	RESCUE_COUNTERS(X)
#undef X
};
const struct rescue_counters *rescue_counters(const struct rescue *rescue);

#endif
