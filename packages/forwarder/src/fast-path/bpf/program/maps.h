/* SPDX-License-Identifier: Apache-2.0
 *
 * The maps, shared by all programs and pinned.
 */
#ifndef HOLDFAST_MAPS_H
#define HOLDFAST_MAPS_H

#include "abi.h"

/* Not LRU: nothing is evicted silently. The loader sets max_entries. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 262144);
	__type(key, struct hf_flow4_key);
	__type(value, struct hf_flow4);
} hf_flows4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 262144);
	__type(key, struct hf_flow6_key);
	__type(value, struct hf_flow6);
} hf_flows6 SEC(".maps");

/* TCP and UDP. Without room beforehand: who serves SCTP alone pays for the buckets. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 262144);
	__type(key, struct hf_flow4_key);
	__type(value, struct hf_plain4);
} hf_plain4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 262144);
	__type(key, struct hf_flow6_key);
	__type(value, struct hf_plain6);
} hf_plain6 SEC(".maps");

/* Where packets of established flows look first; docs/decisions/0451. Not pinned: the daemon fills it anew. The loader
 * sets max_entries, and the constants.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct hf_quick_bucket);
} hf_quick_buckets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct hf_quick_line);
} hf_quick_lines SEC(".maps");

/* Buckets, less one: a power of two, less one. */
const volatile __u32 hf_quick_mask = 0;
const volatile __u32 hf_quick_seed = 0;

/* Of services whose SYNs are forwarded by the programs: a queue each. Not pinned, as the numbers in them
 * are nobody's without the daemon that reserved them.
 */
struct offer_queue {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, HF_OFFER_COUNT_MAX);
	__type(value, struct hf_offer);
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(max_entries, HF_OFFERED_COUNT_MAX);
	__type(key, struct hf_offered);
	__array(values, struct offer_queue);
} hf_offers SEC(".maps");

/* Next hops toward clients that have been served from there. Not pinned. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, HF_WAY_COUNT_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct hf_way_key);
	__type(value, __u32);
} hf_ways SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, HF_NEXTHOP_COUNT_MAX);
	__type(key, __u32);
	__type(value, struct hf_nexthop);
} hf_nexthops SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct hf_address);
	__type(value, struct hf_local);
} hf_local SEC(".maps");

/* Ports of services at VIPs, and of endpoints. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct hf_port_key);
	__type(value, __u32);
} hf_ports SEC(".maps");

/* Whose addresses may begin at a port with a list. Not pinned: the daemon writes it anew. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 1048576);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct hf_allowed_key);
	__type(value, __u32);
} hf_allowed SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, HF_INTERFACE_SLOT_COUNT);
	__type(key, __u32);
	__type(value, struct hf_interface);
} hf_interfaces SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct hf_state);
} hf_state SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, HF_COUNTER_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} hf_counters SEC(".maps");

/* Theoretical arrival times (GCRA), ns: the global ones, then the prefixes. Races cost exactness only. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, HF_BUDGET_SLOT_COUNT + HF_BUCKET_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} hf_buckets SEC(".maps");

/* Refused INITs, at a place that follows from what they are; another one takes the place over. Not pinned. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, HF_KNOCK_COUNT);
	__type(key, __u32);
	__type(value, struct hf_knock);
} hf_knocks SEC(".maps");

/* Addresses of established associations, as their packets show them. Not pinned; tests map and empty it. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, HF_SOURCE_COUNT);
	__type(key, __u32);
	__type(value, struct hf_source);
} hf_sources SEC(".maps");

/* Punts that a flood cannot forge, INITs that come again, and the rest: a full ring of the second leaves the first alone. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4 << 20);
} hf_proven SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4 << 20);
} hf_unproven SEC(".maps");

struct hf_scratch {
	struct hf_punt head;
	__u8 packet[HF_PUNT_SIZE_MAX];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct hf_scratch);
} hf_scratch SEC(".maps");

/* In the place of a packet there: what a SYN makes, since the stack has no room. */
struct hf_making {
	struct hf_offered service;
	struct hf_way_key way;
	struct hf_offer offer;
	__u32 back;
	/* Jiffies since the connection that gives way was heard of. */
	__u32 age;
	union {
		struct {
			struct hf_flow4_key key4, reverse4;
			struct hf_plain4 flow4;
		};
		struct {
			struct hf_flow6_key key6, reverse6;
			struct hf_plain6 flow6;
		};
	};
};

#endif
