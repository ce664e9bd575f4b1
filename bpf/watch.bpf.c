/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The SIP servers' births and deaths, seen in the kernel: a bind on a service's
 * address, and the first of fatal signal, exit of the thread group and release
 * of the SIP socket. Everything is filtered by the tables servers and sockets;
 * these programs only report, sipflipd judges.
 */
#include "lib/maps.h"

MAP(endpoints);
MAP(servers);
MAP(sockets);
MAP(service_state);
MAP(counters);
MAP(events);

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#include "lib/cursor.h"
#include "lib/events.h"
#include "lib/stats.h"

/* Of sipflipd's network namespace. */
const volatile __u64 netns_cookie = 0;

#define SIGKILL           9
#define SIGCHLD           17
#define SIGCONT           18
#define SIGSTOP           19
#define SIGTSTP           20
#define SIGTTIN           21
#define SIGTTOU           22
#define SIGURG            23
#define SIGWINCH          28
#define SIGNAL_GROUP_EXIT 0x04 /* include/linux/sched/signal.h */
#define SIGNAL_UNKILLABLE 0x40
#define TRACE_DELIVERED   0 /* TRACE_SIGNAL_DELIVERED, include/trace/events/signal.h */
#define AF_INET           2
#define SOCK_DGRAM        2
#define ALLOW             1

/* signal(7): everything else terminates or dumps core by default. */
static __always_inline bool is_fatal_by_default(int sig)
{
	const __u64 not_fatal = 1ULL << SIGCHLD | 1ULL << SIGCONT | 1ULL << SIGSTOP | 1ULL << SIGTSTP |
	                        1ULL << SIGTTIN | 1ULL << SIGTTOU | 1ULL << SIGURG | 1ULL << SIGWINCH;

	return sig > 0 && sig <= 64 && (sig == 64 || !(not_fatal >> sig & 1));
}

struct death {
	__u64 services;
	__u64 now_ns;
};

static long mark_dead(__u32 service, struct death *death)
{
	struct service_state *state;
	__u32 index = service;

	if (!(death->services >> (service & 63) & 1))
		return 0;
	state = bpf_map_lookup_elem(&service_state, &index);
	if (state)
		__sync_val_compare_and_swap(&state->server_dead_ns, 0, death->now_ns);
	return 0;
}

/*
 * The agent's own process is in the table too, for no service. Without it nobody
 * asks the server, so that from now on its silence says nothing.
 */
static long agent_ended(__u32 service, __u32 *tgid)
{
	struct service_state *state = bpf_map_lookup_elem(&service_state, &service);

	if (state && state->agent_pid == *tgid) {
		state->agent_pid = 0;
		state->ok_ns = 0;
	}
	return 0;
}

/* Before the event: whoever wakes up finds the maps say it already. */
static __always_inline void services_dead(__u64 services, __u64 now_ns)
{
	struct death death = {services, now_ns};

	bpf_loop(MAX_SERVICES, mark_dead, &death, 0);
}

static __always_inline void report(enum event_type type, __u64 services, __u32 tgid, __u64 arg, __u64 now_ns)
{
	struct event *event = event_new(type, services, now_ns);

	if (!event)
		return;
	event->tgid = tgid;
	event->arg = arg;
	event_send(event);
}

/* Signs come several for one death; only the first is reported. */
static __always_inline void server_dying(struct server *server, enum event_type type, __u32 tgid, __u64 arg)
{
	__u64 now_ns = bpf_ktime_get_boot_ns();

	if (__sync_val_compare_and_swap(&server->dead_ns, 0, now_ns))
		return;
	services_dead(server->services, now_ns);
	report(type, server->services, tgid, arg, now_ns);
}

static __always_inline void signal_sign(struct server *server, __u32 tgid, int sig)
{
	count_shared(REASON_server_signal);
	server_dying(server, EVENT_SERVER_SIGNAL, tgid, sig);
}

/*
 * Death is certain as soon as the signal is queued, long before its target runs:
 * always with SIGKILL, and with others where the kernel has turned the whole
 * group to exit by then (kernel/signal.c: complete_signal).
 */
SEC("raw_tp/signal_generate")
int BPF_PROG(watch_signal_generate, int sig, void *info, struct task_struct *task, int group, int result)
{
	struct server *server;
	__u32 tgid;

	if (result != TRACE_DELIVERED)
		return 0;
	tgid = BPF_CORE_READ(task, tgid);
	server = bpf_map_lookup_elem(&servers, &tgid);
	if (server && server->services &&
	    (sig == SIGKILL || BPF_CORE_READ(task, signal, flags) & SIGNAL_GROUP_EXIT))
		signal_sign(server, tgid, sig);
	return 0;
}

/*
 * Those that dump core kill when they are delivered and nothing handles them
 * (kernel/signal.c: get_signal). The SIGKILL that ends the other threads of an
 * exec is delivered too, but there the group does not exit.
 */
SEC("raw_tp/signal_deliver")
int BPF_PROG(watch_signal_deliver, int sig, void *info, struct k_sigaction *action)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct server *server;
	struct task_struct *task;
	__u32 flags;

	if (!is_fatal_by_default(sig) || BPF_CORE_READ(action, sa.sa_handler))
		return 0;
	server = bpf_map_lookup_elem(&servers, &tgid);
	if (!server || !server->services)
		return 0;
	task = (struct task_struct *)bpf_get_current_task();
	flags = BPF_CORE_READ(task, signal, flags);
	if (sig == SIGKILL ? flags & SIGNAL_GROUP_EXIT : !(flags & SIGNAL_UNKILLABLE))
		signal_sign(server, tgid, sig);
	return 0;
}

SEC("raw_tp/sched_process_exit")
int BPF_PROG(watch_process_exit, struct task_struct *task)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct server *server = bpf_map_lookup_elem(&servers, &tgid);

	if (!server || BPF_CORE_READ(task, signal, live.counter) != 0)
		return 0;
	if (server->services) {
		count_shared(REASON_server_exit);
		server_dying(server, EVENT_SERVER_EXIT, tgid, 0);
	} else {
		bpf_loop(MAX_SERVICES, agent_ended, &tgid, 0);
	}
	bpf_map_delete_elem(&servers, &tgid);
	return 0;
}

SEC("cgroup/sock_release")
int watch_sock_release(struct bpf_sock *sk)
{
	__u64 cookie, now_ns;
	struct server_socket *known;
	struct server *server;
	struct server_socket socket;

	if (sk->type != SOCK_DGRAM)
		return ALLOW;
	cookie = bpf_get_socket_cookie(sk);
	known = bpf_map_lookup_elem(&sockets, &cookie);
	if (!known)
		return ALLOW;
	socket = *known;
	bpf_map_delete_elem(&sockets, &cookie);
	count_shared(REASON_server_socket_released);
	server = bpf_map_lookup_elem(&servers, &socket.tgid);
	if (!server || server->dead_ns)
		return ALLOW;
	now_ns = bpf_ktime_get_boot_ns();
	services_dead(socket.services, now_ns);
	report(EVENT_SOCKET_RELEASED, socket.services, socket.tgid, cookie, now_ns);
	return ALLOW;
}

/* What the SIP address and port that were just bound serve; 0 = nothing of ours. */
static __always_inline __u64 services_at(struct bpf_sock *sk)
{
	struct endpoint_key key = {.proto = IPPROTO_UDP};
	struct endpoint *endpoint;
	__be32 addr = sk->src_ip4;
	__u32 port = sk->src_port;
	union addr_key mapped_addr = mapped(addr);

	if (addr)
		key.addr = mapped_addr.addr;
	key.port = port;
	endpoint = bpf_map_lookup_elem(&endpoints, &key);
	return endpoint ? endpoint->services : 0;
}

static __always_inline int server_add(__u32 tgid, __u64 services, __u64 now_ns)
{
	struct server fresh = {.services = services, .since_ns = now_ns};
	struct server *server = bpf_map_lookup_elem(&servers, &tgid);

	if (!server)
		return bpf_map_update_elem(&servers, &tgid, &fresh, BPF_ANY);
	__sync_fetch_and_or(&server->services, services);
	return 0;
}

SEC("cgroup/post_bind4")
int watch_post_bind4(struct bpf_sock *sk)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct server_socket socket = {.tgid = tgid};
	__u64 cookie, now_ns;

	if (sk->type != SOCK_DGRAM || bpf_get_netns_cookie(sk) != netns_cookie)
		return ALLOW;
	socket.services = services_at(sk);
	if (!socket.services)
		return ALLOW;
	now_ns = bpf_ktime_get_boot_ns();
	cookie = bpf_get_socket_cookie(sk);
	count_shared(REASON_server_bound);
	if (server_add(tgid, socket.services, now_ns) ||
	    bpf_map_update_elem(&sockets, &cookie, &socket, BPF_ANY))
		count_shared(REASON_servers_full);
	report(EVENT_SERVER_BOUND, socket.services, tgid, cookie, now_ns);
	return ALLOW;
}

char _license[] SEC("license") = "Dual BSD/GPL";
