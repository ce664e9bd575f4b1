/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "addr.h"
#include "log.h"
#include "loop.h"
#include "origin.h"
#include "service.h"
#include "warm.h"

#define EXPIRE_BUDGET 512               /* slots a tick */
#define COUNT_NS      (50 * NS_PER_US)  /* pause after a count, for each dialog */
#define COUNT_BUDGET  2000              /* looks at a dialog a tick: half a millisecond */
#define ORPHAN_NS     (100 * NS_PER_MS) /* an heir takes over sooner than that */
#define NEWBORN_NS    NS_PER_S /* a call as young as that when its server became known is that server's */
#define WARM_NS       NS_PER_S

static const char *verdict_name(enum health_verdict verdict)
{
	static const char *const names[] = {"unknown", "ok", "hung", "refused"};

	return verdict < 4 ? names[verdict] : "?";
}

static void on_health(void *context, const struct probe *probe, bool changed)
{
	struct service *svc = context;
	struct keeper_health health;

	memset(&health, 0, sizeof(health));
	probe_health(probe, &health);
	link_send(svc->link, KEEPER_HEALTH, svc->index, &health, sizeof(health));
	if (changed)
		calls_log("service=%s server=%s limit_us=%u p50_us=%u p99_us=%u max_us=%u outstanding=%u",
		          svc->conf.name, verdict_name(probe->verdict), health.limit_us, health.p50_us,
		          health.p99_us, health.max_us, health.outstanding);
}

static void on_prober_bound(void *context, int error)
{
	struct service *svc = context;
	char addr[ADDR_TEXT_LEN];

	if (error)
		calls_log("service=%s prober=waiting vip=%s error=\"%s\"", svc->conf.name,
		          addr_format(&svc->conf.vip, addr), strerror(-error));
}

static void on_rescue_progress(void *context, const struct keeper_rescue *progress)
{
	struct service *svc = context;
	struct keeper_rescue copy = *progress;

	link_send(svc->link, KEEPER_RESCUE, svc->index, &copy, sizeof(copy));
	replica_flush(svc->replica, svc->index);
	if (progress->last_done_ns &&
	    progress->rescued + progress->failed + progress->skipped >= progress->calls)
		calls_log("service=%s rescue=done epoch=%llu calls=%u rescued=%u failed=%u skipped=%u",
		          svc->conf.name, (unsigned long long)progress->epoch, progress->calls,
		          progress->rescued, progress->failed, progress->skipped);
}

static void on_rescue_bound(void *context, int error)
{
	struct service *svc = context;
	char addr[ADDR_TEXT_LEN];

	calls_log("service=%s rescue_port=%s:%u %s%s%s", svc->conf.name, addr_format(&svc->conf.vip, addr),
	          svc->conf.rescue_port, error ? "error=\"" : "bound=1", error ? strerror(-error) : "",
	          error ? "\"" : "");
}

static void on_server_told(void *context, uint64_t epoch, int error, const char *said)
{
	struct service *svc = context;

	calls_log("service=%s recover=%s epoch=%llu%s%s%s said=\"%s\"", svc->conf.name,
	          error ? "failed" : "done", (unsigned long long)epoch, error ? " error=\"" : "",
	          error ? strerror(-error) : "", error ? "\"" : "", said);
}

/* The kernel showed where a phone really is: the standby has to know. */
static void on_media_seen(void *context)
{
	struct service *svc = context;

	replica_flush(svc->replica, svc->index);
}

static bool is_silent(void *context, const struct dialog *dialog, int64_t for_ns)
{
	struct service *svc = context;

	return media_call_is_silent(svc->media, dialog, mono_add(loop_now(), -for_ns));
}

int service_init(struct service *svc, su_root_t *root, const struct keeper_conf *conf, struct link *link,
                 struct replica *replica, struct media *media)
{
	static const struct prober_callbacks prober = {.health = on_health, .bound = on_prober_bound};
	static const struct rescue_callbacks rescue = {.progress = on_rescue_progress,
	                                               .bound = on_rescue_bound};
	uint64_t seed;
	int rc;

	svc->conf = *conf;
	svc->index = conf->head.service;
	svc->link = link;
	svc->replica = replica;
	svc->media = media;
	if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		return -EIO;
	rc = dialog_table_init(&svc->table, conf->max_dialogs, seed);
	if (rc < 0)
		return rc;
	svc->track.table = &svc->table;
	memcpy(svc->track.link_header, conf->link_header, sizeof(conf->link_header));
	rc = media_add_service(media, conf, &svc->table, on_media_seen, svc);
	if (rc < 0)
		return rc;
	svc->table.silence = (struct dialog_silence){is_silent, svc};
	rc = prober_new(root, conf, &prober, svc, &svc->prober);
	if (rc < 0)
		return rc;
	if (conf->rescue_mode == RESCUE_AGENT && conf->rescue_port) {
		rc = rescue_new(root, conf, &svc->track, &rescue, svc, &svc->rescue);
		if (rc < 0)
			return rc;
		rescue_set_media(svc->rescue, media);
	}
	if (conf->rescue_mode == RESCUE_SERVER && conf->event_socket_port) {
		rc = recover_socket_new(root, conf, on_server_told, svc, &svc->recover);
		if (rc < 0)
			return rc;
	}
	return replica_add_service(replica, conf, &svc->table);
}

void service_done(struct service *svc)
{
	if (svc->rescue)
		rescue_free(svc->rescue);
	recover_socket_free(svc->recover);
	prober_free(svc->prober);
	if (svc->media)
		media_remove_service(svc->media, svc->index);
	dialog_table_done(&svc->table);
}

/* --- datagrams -------------------------------------------------------------- */

static void track_held(void *context, const struct capture_record *record)
{
	struct service *svc = context;

	track_datagram(&svc->track, record, loop_now());
}

/* What sipflip-calls says to the server beside it, over the loopback, is no phone's. */
static bool is_own(const struct service *svc, const struct capture_record *record)
{
	return svc->conf.rescue_port && record->remote_port == svc->conf.rescue_port &&
	       addr_equal(&record->remote, &svc->conf.vip);
}

void service_captured(struct service *svc, const struct capture_record *record)
{
	struct mono now;
	struct dialog *dialog;

	if (record->direction == CAPTURE_OUT)
		prober_life(svc->prober, mono_ns(record->at_ns));
	if (is_own(svc, record)) {
		svc->counters.service_own++;
		return;
	}
	if (!svc->owner) {
		svc->counters.service_held_lost += held_add(&svc->held, record);
		svc->counters.service_held++;
		return;
	}
	if (record->at_ns + HELD_AGE_NS < svc->flipped_ns) { /* read once more after a restart */
		svc->counters.service_not_owned++;
		return;
	}
	now = loop_now();
	dialog = track_datagram(&svc->track, record, now);
	if (!dialog)
		return;
	if (svc->rescue)
		rescue_note(svc->rescue, dialog);
	media_flush(svc->media);
	replica_flush(svc->replica, svc->index);
}

/* --- role ------------------------------------------------------------------- */

/* By the agent or by the server itself, as configured; once an epoch. */
static void start_rescue(struct service *svc, const struct keeper_role *role, struct mono now)
{
	svc->rescued_epoch = role->epoch;
	if (svc->recover)
		recover_socket_start(svc->recover, role->epoch, now);
	if (!svc->rescue)
		return;
	calls_log("service=%s rescue=start cause=takeover epoch=%llu dialogs=%u", svc->conf.name,
	          (unsigned long long)role->epoch, svc->table.used);
	svc->resumed = true;
	rescue_start(svc->rescue, role->epoch, role->flipped_ns, now);
}

void service_role(struct service *svc, const struct keeper_role *role)
{
	struct mono now = loop_now();
	bool became = role->owner && !svc->owner;

	if (!role->owner && svc->rescue)
		rescue_stop(svc->rescue);
	if (!role->owner && svc->recover)
		recover_socket_stop(svc->recover);
	svc->owner = role->owner;
	svc->epoch = role->epoch;
	svc->flipped_ns = role->flipped_ns;
	if (!svc->owner)
		svc->server_gone = mono_ns(0);
	media_role(svc->media, svc->index, svc->owner, now);
	replica_role(svc->replica, svc->index, svc->owner, svc->epoch);
	if (!svc->owner)
		return;
	if (became)
		held_take(&svc->held, role->flipped_ns, track_held, svc);
	if (role->rescue && role->epoch > svc->rescued_epoch)
		start_rescue(svc, role, now);
	replica_flush(svc->replica, svc->index);
}

/* Its first datagrams may have come before the news of it. */
static void take_newborn(struct service *svc, struct mono now)
{
	struct dialog *dialog = NULL;

	while ((dialog = dialog_next(&svc->table, dialog)))
		if (!dialog->origin && dialog->state <= DIALOG_CONFIRMED &&
		    mono_diff(now, dialog->at_invite) < NEWBORN_NS)
			dialog_set_origin(&svc->table, dialog, svc->table.origin);
}

void service_server(struct service *svc, const struct keeper_server *server)
{
	struct mono now = loop_now();
	uint64_t origin = server->alive ? origin_of(svc->conf.node, (pid_t)server->tgid) : 0;
	uint64_t before = svc->table.origin;

	prober_server(svc->prober, server->alive ? (pid_t)server->tgid : 0);
	if (origin == before && svc->server_told)
		return;
	svc->server_told = true;
	svc->table.origin = origin;
	if (svc->owner && before)
		svc->server_gone = now;
	if (svc->owner && !before)
		take_newborn(svc, now);
	media_origin_changed(svc->media, svc->index);
	replica_flush(svc->replica, svc->index);
}

/* The local server died and no heir took over: its calls go on here. */
static void rescue_orphans(struct service *svc, struct mono now)
{
	struct mono gone = svc->server_gone;

	if (!mono_is_set(gone) || mono_diff(now, gone) < ORPHAN_NS)
		return;
	svc->server_gone = mono_ns(0);
	if (!svc->owner || !svc->rescue)
		return;
	calls_log("service=%s rescue=start cause=server-gone epoch=%llu dialogs=%u", svc->conf.name,
	          (unsigned long long)svc->epoch, svc->table.used);
	svc->resumed = true;
	rescue_start(svc->rescue, svc->epoch, (uint64_t)gone.ns, now);
}

/* This process came back on the owner: its peer, or the process before it, has told it what was rescued. */
static void resume(struct service *svc, struct mono now)
{
	if (svc->resumed || !svc->owner || !svc->rescue || !svc->server_told ||
	    !replica_caught_up(svc->replica, svc->index))
		return;
	svc->resumed = true;
	rescue_resume(svc->rescue, svc->epoch, now);
}

/* --- what sipflipd hears of it ---------------------------------------------- */

static void tell_warm(struct service *svc, struct mono now)
{
	struct keeper_warm warm;

	if (svc->warmed_version == svc->table.version || mono_before(now, svc->warm_again))
		return;
	svc->warmed_version = svc->table.version;
	svc->warm_again = mono_add(now, WARM_NS);
	warm_collect(&svc->table, &warm);
	if (warm.n == svc->warm_n && warm_hash(&warm) == svc->warm_hash)
		return;
	if (link_send(svc->link, KEEPER_WARM, svc->index, &warm, sizeof(warm)) == 0) {
		svc->warm_n = warm.n;
		svc->warm_hash = warm_hash(&warm);
	}
}

static void tell_calls(struct service *svc, struct mono now, uint64_t lost)
{
	const struct rescue_policy policy = rescue_policy_of(&svc->conf);
	struct replica_status replica;
	struct media_counts media;
	struct keeper_calls calls;

	/* Counting walks the table, some of it a tick: the more there is, the rarer. */
	if (!svc->counts_old && svc->counted_version != svc->table.version &&
	    !mono_before(now, svc->count_again)) {
		svc->counted_version = svc->table.version;
		svc->counts_old = true;
	}
	if (svc->counts_old &&
	    rescue_plan_count(&svc->table, svc->index, &policy, &svc->counting, COUNT_BUDGET, &svc->counts)) {
		svc->counts_old = false;
		svc->count_again = mono_add(now, svc->table.used * COUNT_NS);
	}
	replica_holds(svc->replica, svc->index, svc->counts.dialogs);
	replica_status(svc->replica, svc->index, &replica);
	memset(&calls, 0, sizeof(calls));
	calls.dialogs_here = svc->counts.dialogs;
	calls.calls_here = svc->counts.calls;
	calls.rescuable = svc->rescue ? svc->counts.rescuable : 0;
	calls.dialogs_peer = replica.dialogs_peer;
	calls.replica_up = replica.up;
	calls.captured_lost = (__u32)lost;
	calls.replica_seq = replica.seq;
	media_counts(svc->media, svc->index, &media);
	calls.ringing = svc->counts.ringing;
	calls.relayed = media.relayed;
	calls.flows = media.flows;
	calls.ports_held = media.ports_held;
	calls.head = svc->said.head;
	if (!memcmp(&calls, &svc->said, sizeof(calls)))
		return;
	if (calls.replica_up != svc->said.replica_up)
		calls_log("service=%s replica=%s dialogs=%u dialogs_peer=%u", svc->conf.name,
		          calls.replica_up ? "up" : "down", calls.dialogs_here, calls.dialogs_peer);
	if (link_send(svc->link, KEEPER_CALLS, svc->index, &calls, sizeof(calls)) == 0)
		svc->said = calls;
}

void service_tick(struct service *svc, struct mono now, uint64_t lost)
{
	struct replica_status replica;

	replica_status(svc->replica, svc->index, &replica);
	/* A standby in step lets its owner say what is over. */
	if (svc->owner || !replica.up)
		dialog_table_expire(&svc->table, now, EXPIRE_BUDGET);
	rescue_orphans(svc, now);
	resume(svc, now);
	media_flush(svc->media);
	replica_flush(svc->replica, svc->index);
	tell_warm(svc, now);
	tell_calls(svc, now, lost + svc->track.counters.track_malformed);
}
