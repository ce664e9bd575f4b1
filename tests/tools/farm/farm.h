/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The phones of callfarm: their calls (farm_call.c speaks SIP) and their media
 * (farm_media.c sends and counts RTP, farm_report.c tells). One process plays either all callers or
 * all callees, on one address: one SIP socket for all, an RTP port for each call.
 * All times are CLOCK_BOOTTIME, which every namespace of a machine shares.
 */
#ifndef FARM_FARM_H
#define FARM_FARM_H

#include "siptext.h"

#define FARM_CALLS_MAX 16000
#define FARM_BUCKETS   65536
#define FARM_WHEEL     4096 /* slots of 1 ms: no stream is slower than this */
#define FARM_STRANGE   4    /* requests in no dialog of ours that are kept to be shown */

enum farm_state { FARM_NEW, FARM_CALLING, FARM_UP, FARM_ENDING, FARM_ENDED, FARM_FAILED };
enum farm_act { ACT_NONE, ACT_INVITE, ACT_HOLD, ACT_RESUME, ACT_BYE };

struct farm_repeat { /* repeated until answered */
	char *text;  /* NULL = nothing waits */
	size_t len;
	int64_t next_ns, pause_ns, until_ns;
};

/* What came from the other phone since the window began. */
struct farm_rx {
	uint32_t next_seq; /* 1 + highest; 0 = nothing came yet. Not reset with the window */
	uint64_t missing;  /* bit n: seq next_seq - 1 - n is still missing */
	int64_t last_ns;   /* not reset */
	uint32_t received, lost, duplicates, foreign, wrong_source;
	int64_t gap_ns, gap_at_ns, first_after_mark_ns;
};

struct farm_tx {
	uint32_t seq;
	int64_t next_ns;
	int64_t last_ns;
	int64_t pause_ns; /* longest between two of its packets in the window */
	bool queued, stopped;
};

struct farm_seen { /* what the other end of the dialog did */
	uint32_t reinvites, updates, others, repeats;
	uint32_t cseq_bad, tag_bad;
	uint32_t origin_raised, origin_same, origin_bad; /* o= of each new SDP */
	uint32_t moved;                                  /* RTP address changed */
	uint32_t holds, resumes, byes;
	int64_t first_reinvite_ns, last_reinvite_ns;
};

struct farm_call {
	struct farm_call *next;  /* in its bucket */
	struct farm_call *wheel; /* in its slot */
	uint32_t index;
	enum farm_state state;
	char call_id[96], tag[24], theirs_tag[64];
	char ours[128], theirs[192], target[160];
	struct sockaddr_in flow;
	uint32_t cseq, their_cseq;
	uint64_t sdp_id, sdp_version, their_sdp_id, their_sdp_version;
	const char *direction; /* of our last SDP */
	struct farm_repeat request, answer;
	enum farm_act act;   /* what `request` is */
	enum farm_act retry; /* after a 491 */
	int64_t retry_ns;
	uint32_t retries;
	int hold_status, resume_status, bye_status, invite_status; /* 0 = never answered; last final one */
	int64_t invited_ns, answered_ns, acked_ns, ended_ns;
	int fd;
	uint16_t port;
	struct sockaddr_in rtp; /* the VIP's */
	struct farm_rx rx;
	struct farm_tx tx;
	struct farm_seen seen;
};

struct farm {
	/* options */
	struct sockaddr_in bind, vip;
	bool calls_out; /* the callers' side */
	uint32_t caller_base, callee_base;
	uint32_t sample;
	int64_t sample_ns, other_ns;
	uint16_t rtp_first;
	size_t payload;
	/* state */
	int sip, epoll;
	char host[INET_ADDRSTRLEN];
	uint32_t run;
	struct farm_call *call[FARM_CALLS_MAX];
	struct farm_call *bucket[FARM_BUCKETS];
	struct farm_call *slot[FARM_WHEEL];
	uint32_t n;
	int64_t wheel_ms, mark_ns, window_ns;
	int64_t realtime_offset_ns; /* CLOCK_REALTIME - CLOCK_BOOTTIME */
	bool busy;                  /* told to do something that is not done yet */
	char *strange[FARM_STRANGE];
	uint32_t n_strange;
	uint64_t sent, unsent, late_max_ns, unknown, malformed, timeouts, refused;
};

/* farm_media.c */
int farm_media_open(struct farm *farm, struct farm_call *call);
void farm_media_close(struct farm_call *call);
void farm_media_start(struct farm *farm, struct farm_call *call);
void farm_media_read(struct farm *farm, struct farm_call *call);
void farm_media_send_due(struct farm *farm, int64_t now_ns);
void farm_media_window(struct farm *farm, int64_t now_ns);
int64_t farm_media_interval_ns(const struct farm *farm, const struct farm_call *call);

/* farm_call.c */
int farm_call_place(struct farm *farm, uint32_t index);
/* A call without SIP: its RTP goes to addr:port, from now on or instead of where it went. */
int farm_call_wire(struct farm *farm, uint32_t index, const char *addr, uint16_t port);
int farm_call_reinvite(struct farm *farm, struct farm_call *call, enum farm_act act);
int farm_call_bye(struct farm *farm, struct farm_call *call);
void farm_call_datagram(struct farm *farm, const char *text, size_t len, const struct sockaddr_in *from,
                        int64_t at_ns);
void farm_call_tick(struct farm *farm, int64_t now_ns);

/* farm_report.c */
void farm_status(const struct farm *farm);
/* What has arrived is read first; csv NULL or "" = no table. */
void farm_report(struct farm *farm, const char *csv);

#endif
