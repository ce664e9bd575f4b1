/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * sipflip-calls: everything of sipflip that touches SIP. Started by sipflipd with
 * the descriptors of include/sipflip/keeper.h, becomes an unprivileged user before
 * it reads a byte from the network, and runs one sofia-sip loop until sipflipd
 * closes the link. Its death costs no call and no ownership: sipflipd starts it
 * again and the peer's replica tells it what it knew. When sipflipd starts over, the
 * next one gets it from this one, see keepsake.h.
 *
 *   capture ──▶ service ─▶ track ─▶ dialog table ─▶ replica ─▶ peer
 *   prober  ──▶   │  ▲                    ▲
 *                 ▼  │ role               └── rescue, control
 *               link ◀▶ sipflipd
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <sofia-sip/su_log.h>

#include "capture.h"
#include "confine.h"
#include "control.h"
#include "keepsake.h"
#include "link.h"
#include "log.h"
#include "loop.h"
#include "media.h"
#include "privileges.h"
#include "replica.h"
#include "service.h"
#include "tally.h"

#define TICK_NS      (100 * NS_PER_MS)
#define ROLE_WAIT_NS NS_PER_S
#define SPARE_BYTES  (256 * 1024) /* of heap that is not given back */

/*
 * sofia-sip counts in milliseconds, and asks again and again during the last one before a
 * timer of its own: with thousands of transactions that is all of a CPU. It gets its
 * answer when that millisecond is over. Takes the place of libc's for the libraries too.
 */
int epoll_wait(int fd, struct epoll_event *events, int n, int timeout_ms)
{
	return epoll_pwait(fd, events, n, timeout_ms == 0 ? 1 : timeout_ms, NULL);
}

extern su_log_t nta_log[], tport_log[];

struct keeper {
	struct tally_sources sources;
	su_root_t *root;
	struct link *link;
	struct replica *replica;
	struct media *media;
	struct capture *capture; /* NULL = no data plane on this node */
	struct mono capture_at;  /* when it is read at the latest */
	uint64_t roles;          /* services of which the role is known, a bit each */
	uint64_t here;           /* all that are here */
	struct control *control;
	struct service *services[MAX_SERVICES]; /* by number; NULL = not here */
	struct loop_alarm tick;
	uint64_t stray; /* records and messages for a service that is not here */
};

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static struct service *service_of(struct keeper *keeper, unsigned number)
{
	struct service *svc = number < MAX_SERVICES ? keeper->services[number] : NULL;

	if (!svc)
		keeper->stray++;
	return svc;
}

static void begin_capture(struct keeper *keeper)
{
	int rc = keeper->capture ? capture_begin(keeper->capture, loop_now()) : 0;

	if (rc < 0)
		calls_log("capture=off error=\"%s\"", strerror(-rc));
}

/* Before the role is known a datagram can only be held, and there may be a whole restart's worth of them. */
static void on_role(void *context, const struct keeper_role *role)
{
	struct keeper *keeper = context;
	struct service *svc = service_of(keeper, role->head.service);

	if (!svc)
		return;
	service_role(svc, role);
	if (keeper->roles == keeper->here)
		return;
	keeper->roles |= 1ULL << role->head.service;
	if (keeper->roles == keeper->here)
		begin_capture(keeper);
}

static void on_server(void *context, const struct keeper_server *server)
{
	struct service *svc = service_of(context, server->head.service);

	if (svc)
		service_server(svc, server);
}

static void on_closed(void *context)
{
	struct keeper *keeper = context;

	su_root_break(keeper->root);
}

static void on_captured(void *context, const struct capture_record *record)
{
	struct service *svc = service_of(context, record->service);

	if (svc)
		service_captured(svc, record);
}

static void on_tick(void *context)
{
	struct keeper *keeper = context;
	struct mono now = loop_now();
	uint64_t lost = keeper->stray;

	if (keeper->roles != keeper->here && !mono_before(now, keeper->capture_at)) {
		keeper->roles = keeper->here;
		begin_capture(keeper);
	}
	if (keeper->capture) {
		capture_tick(keeper->capture, now);
		lost += capture_counters(keeper->capture)->captured_malformed;
	}
	for (int i = 0; i < MAX_SERVICES; i++)
		if (keeper->services[i])
			service_tick(keeper->services[i], now, lost);
	/*
	 * sofia-sip keeps some 30 KB for 32 s of each call that was re-INVITEd, libzmq a whole
	 * snapshot for a moment. Given back bit by bit it holds up nothing.
	 */
	malloc_trim(SPARE_BYTES);
	loop_alarm_at(&keeper->tick, mono_add(now, TICK_NS));
}

static int start_services(struct keeper *keeper, const struct keeper_conf *conf, int n)
{
	for (int i = 0; i < n; i++) {
		struct service *svc = calloc(1, sizeof(*svc));
		int rc = -ENOMEM;

		if (svc) {
			keeper->services[conf[i].head.service] = svc;
			keeper->here |= 1ULL << conf[i].head.service;
			rc = service_init(svc, keeper->root, &conf[i], keeper->link, keeper->replica,
			                  keeper->media);
		}
		if (rc < 0) {
			calls_log("service=%s error=\"cannot start: %s\"", conf[i].name, strerror(-rc));
			return rc;
		}
	}
	return 0;
}

/* --- what one process leaves to the next -------------------------------------- */

static int keepsakes_of(const struct keeper *keeper, struct keepsake list[MAX_SERVICES])
{
	int n = 0;

	for (int i = 0; i < MAX_SERVICES; i++) {
		struct service *svc = keeper->services[i];

		if (svc)
			list[n++] = (struct keepsake){.name = svc->conf.name,
			                              .service = (uint8_t)i,
			                              .table = &svc->table,
			                              .caught_up = replica_caught_up(keeper->replica, i)};
	}
	return n;
}

static void take_keepsake(struct keeper *keeper)
{
	struct keepsake list[MAX_SERVICES];
	int n = keepsakes_of(keeper, list), rc;
	uint32_t dialogs;

	if (!keepsake_is(KEEPER_FD_TAKE))
		return;
	rc = keepsake_read(KEEPER_FD_TAKE, list, n, &dialogs);
	close(KEEPER_FD_TAKE);
	for (int i = 0; i < n; i++)
		if (list[i].caught_up)
			replica_restored(keeper->replica, list[i].service);
	calls_log("dialogs_restored=%u%s%s%s", dialogs, rc ? " error=\"" : "", rc ? strerror(-rc) : "",
	          rc ? "\"" : "");
}

static void leave_keepsake(const struct keeper *keeper)
{
	struct keepsake list[MAX_SERVICES];
	int n = keepsakes_of(keeper, list), rc = 0;

	if (!keepsake_is(KEEPER_FD_LEAVE))
		return;
	for (int i = 0; i < n && rc == 0; i++)
		rc = keepsake_write(KEEPER_FD_LEAVE, &list[i]);
	if (rc < 0)
		calls_log("error=\"not all calls are left to the next: %s\"", strerror(-rc));
}

static int open_or_none(int fd)
{
	return is_open(fd) ? fd : -1;
}

/* Without the maps, or when they cannot be used, calls are tracked and rescued all the same. */
static int start_media(struct keeper *keeper)
{
	int rc = media_new(keeper->root, open_or_none(KEEPER_FD_PORTS), open_or_none(KEEPER_FD_FLOWS),
	                   open_or_none(KEEPER_FD_STEER), open_or_none(KEEPER_FD_MEDIA), &keeper->media);

	if (rc == 0)
		return 0;
	calls_log("media=off error=\"%s\"", strerror(-rc));
	return media_new(keeper->root, -1, -1, -1, -1, &keeper->media);
}

/* The last lock, with the replica's threads behind it and nothing of the network read yet. */
static int lock_in(void)
{
	int rc = confine_is_possible() ? confine_calls() : 0;

	if (rc < 0)
		calls_log("error=\"system calls cannot be confined: %s\"", strerror(-rc));
	return rc;
}

static int start(struct keeper *keeper, const struct keeper_conf *conf, int n, bool capture, bool control)
{
	static const struct link_handlers handlers = {on_role, on_server, on_closed};
	struct keeper_head hello;
	int rc = link_new(keeper->root, KEEPER_FD_LINK, &handlers, keeper, &keeper->link);

	if (rc < 0)
		return rc;
	link_send(keeper->link, KEEPER_HELLO, 0, &hello, sizeof(hello));
	rc = replica_new(keeper->root, &conf[0], &keeper->replica);
	if (rc < 0)
		return rc;
	rc = lock_in();
	if (rc < 0)
		return rc;
	rc = start_media(keeper);
	if (rc < 0)
		return rc;
	rc = start_services(keeper, conf, n);
	if (rc < 0)
		return rc;
	take_keepsake(keeper);
	if (capture) {
		rc = capture_open(keeper->root, KEEPER_FD_CAPTURE, on_captured, keeper, &keeper->capture);
		if (rc < 0)
			calls_log("capture=off error=\"%s\"", strerror(-rc));
	}
	keeper->capture_at = mono_add(loop_now(), ROLE_WAIT_NS);
	keeper->sources =
	        (struct tally_sources){keeper->link, keeper->replica, keeper->capture, keeper->media};
	if (control) {
		rc = control_new(keeper->root, KEEPER_FD_CONTROL, keeper->services, &keeper->sources,
		                 &keeper->control);
		if (rc < 0)
			calls_log("control=off error=\"%s\"", strerror(-rc));
	}
	rc = loop_alarm_init(&keeper->tick, keeper->root, on_tick, keeper);
	if (rc == 0)
		on_tick(keeper);
	return rc;
}

static void stop(struct keeper *keeper)
{
	control_free(keeper->control);
	if (keeper->capture)
		capture_close(keeper->capture);
	loop_alarm_done(&keeper->tick);
	for (int i = 0; i < MAX_SERVICES; i++) {
		if (keeper->services[i])
			service_done(keeper->services[i]);
	}
	media_free(keeper->media);
	replica_free(keeper->replica);
	link_free(keeper->link);
	su_root_destroy(keeper->root);
	for (int i = 0; i < MAX_SERVICES; i++)
		free(keeper->services[i]);
}

/* Before any thread is there. Without Landlock (kernel's lsm=) files can still only be read. */
static int lock_files(const struct keeper_conf *conf, int n)
{
	uint64_t dialogs = 0;
	int rc;

	if (!confine_is_possible()) {
		calls_log("confined=0 text=\"built with sanitizers\"");
		return 0;
	}
	for (int i = 0; i < n; i++)
		dialogs += conf[i].max_dialogs;
	rc = confine_files(dialogs);
	if (rc < 0)
		calls_log("error=\"files cannot be confined: %s\"", strerror(-rc));
	if (rc == 1)
		calls_log("text=\"this kernel has no Landlock: files can be read as user %s may\"",
		          conf[0].user);
	return rc < 0 ? rc : 0;
}

static int run(const struct keeper_conf *conf, int n, bool capture, bool control)
{
	struct keeper keeper = {.tick = {.fd = -1}};
	int rc;

	su_init();
	su_log_set_level(su_log_default, 0);
	su_log_set_level(nta_log, 0);
	su_log_set_level(tport_log, 0);
	keeper.root = su_root_create(&keeper);
	if (!keeper.root)
		return -ENOMEM;
	rc = start(&keeper, conf, n, capture, control);
	if (rc == 0) {
		calls_log("up=1 pid=%d services=%d uid=%u", getpid(), n, getuid());
		su_root_run(keeper.root);
		leave_keepsake(&keeper);
		tally_log(&keeper.sources, keeper.services);
	} else {
		calls_log("error=\"cannot start: %s\"", strerror(-rc));
	}
	stop(&keeper);
	su_deinit();
	return rc;
}

int main(void)
{
	static struct keeper_conf conf[MAX_SERVICES];
	bool capture = is_open(KEEPER_FD_CAPTURE), control = is_open(KEEPER_FD_CONTROL);
	char err[256];
	int n, rc;

	if (!is_open(KEEPER_FD_LINK)) {
		calls_log("error=\"descriptor 3 is not open: sipflip-calls is started by sipflipd\"");
		return 2;
	}
	close_range(KEEPER_FD_LAST + 1, ~0U, 0);
	signal(SIGPIPE, SIG_IGN);
	rc = link_read_conf(KEEPER_FD_LINK, conf, &n);
	if (rc < 0) {
		calls_log("error=\"no configuration from sipflipd: %s\"", strerror(-rc));
		return rc == -EPIPE ? 0 : 2;
	}
	rc = privileges_drop(conf[0].user, err, sizeof(err));
	if (rc < 0) {
		calls_log("error=\"%s\"", err);
		return 2;
	}
	if (lock_files(conf, n) < 0)
		return 2;
	return run(conf, n, capture, control) < 0;
}
