/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Every map, defined once; what is in them: include/sipflip/{abi,event,capture}.h.
 * A program says MAP(name) for each map it uses, before it includes the features
 * that use them. sipflipd pins the maps by name and gives them to the next
 * object, so a definition here is part of the map ABI.
 */
#ifndef SIPFLIP_BPF_MAPS_H
#define SIPFLIP_BPF_MAPS_H

#include "vmlinux.h"

#include <bpf/bpf_helpers.h>

#include "sipflip/abi.h"

#define EVENTS_BYTES  (256 * 1024)
#define CAPTURE_BYTES (32 * 1024 * 1024)
#define HELD_BYTES    (1024 * 1024)
#define MEDIA_BYTES   (256 * 1024)

#define MAP(name) struct name##_map name SEC(".maps")

/* An array that sipflipd maps into its memory: reading or writing it is no system call. */
#define SHARED_ARRAY(name, entries, value_type)                                                              \
	struct name##_map {                                                                                  \
		__uint(type, BPF_MAP_TYPE_ARRAY);                                                            \
		__uint(map_flags, BPF_F_MMAPABLE);                                                           \
		__uint(max_entries, entries);                                                                \
		__type(key, __u32);                                                                          \
		__type(value, value_type);                                                                   \
	}

#define TABLE(name, entries, key_type, value_type)                                                           \
	struct name##_map {                                                                                  \
		__uint(type, BPF_MAP_TYPE_HASH);                                                             \
		__uint(max_entries, entries);                                                                \
		__type(key, key_type);                                                                       \
		__type(value, value_type);                                                                   \
	}

/* Memory only for the entries that are there: the table is made for the most that can be. */
#define SPARSE_TABLE(name, entries, key_type, value_type)                                                    \
	struct name##_map {                                                                                  \
		__uint(type, BPF_MAP_TYPE_HASH);                                                             \
		__uint(map_flags, BPF_F_NO_PREALLOC);                                                        \
		__uint(max_entries, entries);                                                                \
		__type(key, key_type);                                                                       \
		__type(value, value_type);                                                                   \
	}

#define RING(name, bytes)                                                                                    \
	struct name##_map {                                                                                  \
		__uint(type, BPF_MAP_TYPE_RINGBUF);                                                          \
		__uint(max_entries, bytes);                                                                  \
	}

SHARED_ARRAY(ownership, MAX_SERVICES, struct ownership);
SHARED_ARRAY(service_conf, MAX_SERVICES, struct service_conf);
SHARED_ARRAY(service_state, MAX_SERVICES, struct service_state);
SHARED_ARRAY(peers, MAX_SERVICES *MAX_NODES, struct peer);
SHARED_ARRAY(fresh, MAX_SERVICES *MAX_NODES, struct fresh);
SHARED_ARRAY(flow_ports, 65536, __u32);
SHARED_ARRAY(flows, MAX_FLOWS, struct flow);
TABLE(vips, MAX_VIPS, struct inaddr16, struct vip);
TABLE(endpoints, MAX_ENDPOINTS, struct endpoint_key, struct endpoint);
TABLE(servers, MAX_SERVERS, __u32, struct server);
TABLE(sockets, MAX_SERVERS, __u64, struct server_socket);
SPARSE_TABLE(steer, MAX_STEERED, __u64, struct steer);
RING(events, EVENTS_BYTES);
RING(capture, CAPTURE_BYTES);
RING(held, HELD_BYTES);
RING(media, MEDIA_BYTES);

struct keys_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, KEY_SLOTS);
	__type(key, __u32);
	__type(value, struct siphash_key);
};

struct steer_key_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct siphash_key);
};

struct abi_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct abi);
};

/*
 * The head of a SIP datagram while a program looks at it, and zeros behind: words can
 * be read where the text ends. The cursor is here and not on the stack because the
 * verifier then takes it for anything, and does not follow each of its values. Private to XDP and TC on one
 * CPU, which do not interrupt each other.
 */
#define SIP_TEXT_LEN 2048
struct sip_text {
	__u32 len; /* of what is in b[] */
	__u32 at;  /* how far it has been read */
	__u8 b[SIP_TEXT_LEN + 16];
};
struct sip_text_map {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sip_text);
};

struct counters_map {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct counters);
};

#endif
