/* SPDX-License-Identifier: Apache-2.0
 *
 * What does not depend on the hook: chunk classes, budgets, addresses.
 */
#ifndef HOLDFAST_COMMON_H
#define HOLDFAST_COMMON_H

#include "checksum.h"
#include "maps.h"
#include "wire.h"

#define IPPROTO_SCTP_NUMBER 132
#define CHECKSUM_PARTIAL 3
/* Of a key: the protocol and the bytes behind it, which are compared as well. */
#define set_protocol(key, number)                                                                                      \
	do {                                                                                                           \
		(key).protocol = (number);                                                                             \
		(key).spare[0] = (key).spare[1] = (key).spare[2] = 0;                                                  \
	} while (0)
#define TC_ACT_UNSPEC (-1)
#define TC_ACT_SHOT 2
#define ETH_HLEN 14
#define IP_OFFSET ETH_HLEN
/* "TTL less one" as a summand of the header checksum, words as a little-endian host loads them. */
#define TTL_DELTA 0xfffe
/* What redirects to other devices fails unseen: the program counts a packet that nobody gets. */
#define NEXTHOP_FOR_XDP (HF_NEXTHOP_RESOLVED | HF_NEXTHOP_XDP)

struct sctp_header {
	__be16 source_port;
	__be16 destination_port;
	__be32 tag;
	__le32 checksum;
};

struct sctp_chunk {
	__u8 type;
	__u8 flags;
	__be16 length;
};

/* SCTP header and the beginning of an INIT. */
struct hf_init_head {
	struct sctp_header sctp;
	struct sctp_chunk chunk;
	__be32 initiate_tag;
};

/* Only the field that is read; CO-RE finds it in the running kernel. */
struct sk_buff___hf {
	__u8 ip_summed : 2;
} __attribute__((preserve_access_index));

extern void *bpf_cast_to_kern_ctx(void *) __ksym __weak;

/* A chunk type's part in the decision, as bits that are OR-ed over the packet. */
enum part {
	PART_INIT = 1,
	PART_INIT_ACK = 2,
	PART_ASCONF = 4,
	PART_CONTROL = 8,
	PART_HANDSHAKE = 16,
	/* Probes or carries a path: goes to the address paired with the VIP, not to the one last heard. */
	PART_PATH = 32,
	PART_NOT_HEARTBEAT = 64,
	/* What the slow path decides. */
	PART_SLOW = 31,
	/* Not of a chunk: the checksum is not filled in yet. It travels with them, as registers are few. */
	PART_PARTIAL = 256,
};

#define OTHER PART_NOT_HEARTBEAT
static const volatile __u8 parts_of[256] = {
	[0 ... 255] = OTHER,
	[0] = PART_PATH | OTHER,	/* DATA */
	[1] = PART_INIT | OTHER,
	[2] = PART_INIT_ACK | OTHER,
	[4] = PART_PATH,		/* HEARTBEAT */
	[6] = PART_CONTROL | OTHER,	/* ABORT */
	[7] = PART_CONTROL | OTHER,	/* SHUTDOWN */
	[8] = PART_CONTROL | OTHER,	/* SHUTDOWN-ACK */
	[9] = PART_CONTROL | OTHER,	/* ERROR */
	[10] = PART_HANDSHAKE | OTHER,	/* COOKIE-ECHO */
	[11] = PART_HANDSHAKE | OTHER,	/* COOKIE-ACK */
	[14] = PART_CONTROL | OTHER,	/* SHUTDOWN-COMPLETE */
	[64] = PART_PATH | OTHER,	/* I-DATA */
	[0x80] = PART_ASCONF | OTHER,	/* ASCONF-ACK */
	[0x82] = PART_PATH | OTHER,	/* RE-CONFIG */
	[0xc0] = PART_PATH | OTHER,	/* FORWARD-TSN */
	[0xc1] = PART_ASCONF | OTHER,
	[0xc2] = PART_PATH | OTHER,	/* I-FORWARD-TSN */
};
#undef OTHER

/* Tells a refusal from the detail of a punt. */
#define REFUSED (1u << 31)

/* A drop reason as a return value beside others: in the upper half, one up. */
static __always_inline __u32 refusal(__u32 reason)
{
	return (reason + 1) << 16;
}

/* By the most telling chunk of the packet. */
static __always_inline __u32 punt_reason(__u32 parts)
{
	if (parts & PART_INIT)
		return HF_PUNT_INIT;
	if (parts & PART_INIT_ACK)
		return HF_PUNT_INIT_ACK;
	if (parts & PART_ASCONF)
		return HF_PUNT_ASCONF;
	if (parts & PART_CONTROL)
		return HF_PUNT_CONTROL;
	if (parts & PART_HANDSHAKE)
		return HF_PUNT_HANDSHAKE;
	return HF_PUNT_MISS;
}

static __always_inline void count(__u32 counter)
{
	__u64 *value = bpf_map_lookup_elem(&hf_counters, &counter);

	if (value)
		*value += 1;
}

static __always_inline void map_address4(struct hf_address *address, __be32 ipv4)
{
	__u32 *words = (__u32 *)address;

	words[0] = 0;
	words[1] = 0;
	words[2] = bpf_htonl(0xffff);
	words[3] = ipv4;
}

static __always_inline bool alive(const struct hf_state *state, __u64 now)
{
	/* The sign of life may be written between the two clocks' readings. */
	return (__s64)(now - state->alive_ns) <= (__s64)state->dead_after_ns;
}

/* GCRA: one punt moves the theoretical arrival time by its cost, 2^shift times that of the rate; a burst may run ahead of
 * the clock.
 */
static __always_inline bool take_from(__u64 *at, const struct hf_budget_rate *rate, __u64 now, __u32 shift)
{
	__u64 from = *at;

	if ((__s64)(from - now) < 0)
		from = now;
	if (from - now > rate->burst_ns)
		return false;
	*at = from + (rate->cost_ns << shift);
	return true;
}

static __always_inline bool take(const struct hf_state *state, __u64 now, __u32 budget)
{
	__u64 *at = bpf_map_lookup_elem(&hf_buckets, &budget);

	/* The barrier makes the bound one on the register that is used. */
	asm volatile("" : "+r"(budget));
	return at && take_from(at, &state->rates[budget & (HF_BUDGET_SLOT_COUNT - 1)], now, 0);
}

/* A small budget, of which no prefix may have more than a part: its places are other ones than those of all kinds. */
static __always_inline bool is_small(__u32 budget)
{
	return budget == HF_BUDGET_WRONG_TAG || budget == HF_BUDGET_FRAGMENT || budget == HF_BUDGET_ICMP ||
	       budget == HF_BUDGET_NDP;
}

/* An INIT makes much more work than another packet: of a prefix the slow path gets so many times fewer. */
#define INIT_PREFIX_SHIFT 3

static __always_inline bool take_prefix(const struct hf_state *state, __u64 now, __u32 prefix, __u32 budget)
{
	__u32 index = HF_BUDGET_SLOT_COUNT;
	__u64 *at;

	bool is_init = budget == HF_BUDGET_INIT || budget == HF_BUDGET_INIT_AGAIN;
	bool is_syn = budget == HF_BUDGET_SYN || budget == HF_BUDGET_SYN_AGAIN;

	if (!is_small(budget) && !is_init && !is_syn) {
		index += prefix % HF_BUCKET_COUNT;
		at = bpf_map_lookup_elem(&hf_buckets, &index);
		return at && take_from(at, &state->rates[HF_BUDGET_PREFIX], now, 0);
	}
	/* A flood of INITs takes nothing of what the prefix's handshakes need to go on. */
	index += (prefix ^ budget * 0x9e3779b1) % HF_BUCKET_COUNT;
	at = bpf_map_lookup_elem(&hf_buckets, &index);
	if (is_init)
		return at && take_from(at, &state->rates[HF_BUDGET_PREFIX], now, INIT_PREFIX_SHIFT);
	if (is_syn)
		return at && take_from(at, &state->rates[HF_BUDGET_PREFIX], now, 0);
	return at && take_from(at, &state->rates[HF_BUDGET_FLOW], now, 0);
}

/* The same in 32 bits, of a flow or a source, so that none can eat what all of them share. A function of its own: the
 * callers need what it would take of their stacks.
 */
static __noinline bool take_fine(__u32 *at, __u32 budget)
{
	__u32 zero = 0, now = bpf_ktime_get_ns() >> HF_FINE_SHIFT, from = *at;
	struct hf_state *state = bpf_map_lookup_elem(&hf_state, &zero);
	__u32 burst;

	if (!state)
		return false;
	burst = state->rates[budget].burst_ns >> HF_FINE_SHIFT;
	/* Far ahead of the clock is what is left of its last turn. */
	if ((__s32)(from - now) < 0 || from - now > 2 * burst + (1 << 20))
		from = now;
	if (from - now > burst)
		return false;
	*at = from + (__u32)(state->rates[budget].cost_ns >> HF_FINE_SHIFT);
	return true;
}

static __always_inline bool take_flow(__u32 *at)
{
	return take_fine(at, HF_BUDGET_FLOW);
}

static __always_inline __u32 budget_of(__u32 reason, __u32 flags)
{
	if (reason == HF_PUNT_NO_NEXT_HOP)
		return HF_BUDGET_BULK;
	if (reason == HF_PUNT_TTL_EXPIRED || reason == HF_PUNT_TOO_BIG)
		return HF_BUDGET_ERROR;
	if (reason == HF_PUNT_FRAGMENT)
		return flags & HF_PUNT_PROVEN ? HF_BUDGET_FRAGMENT_KNOWN : HF_BUDGET_FRAGMENT;
	if (reason == HF_PUNT_END)
		return HF_BUDGET_END;
	/* An endpoint's without a flow is nobody's answer: only after a take-over somebody may know it. */
	if (reason == HF_PUNT_DATAGRAM)
		return flags & HF_PUNT_PROVEN ? HF_BUDGET_STRAY : HF_BUDGET_DATAGRAM;
	if (flags & HF_PUNT_PROVEN)
		return HF_BUDGET_PROVEN;
	if (reason == HF_PUNT_SYN)
		return HF_BUDGET_SYN;
	if (flags & HF_PUNT_PLAIN)
		return HF_BUDGET_STRAY;
	switch (reason) {
	case HF_PUNT_ICMP:
		return HF_BUDGET_ICMP;
	case HF_PUNT_NDP:
		return HF_BUDGET_NDP;
	case HF_PUNT_INIT:
		return HF_BUDGET_INIT;
	case HF_PUNT_INIT_ACK:
		return HF_BUDGET_INIT_ACK;
	case HF_PUNT_HANDSHAKE:
	case HF_PUNT_LEARN:
	case HF_PUNT_PROBE:
		return HF_BUDGET_HANDSHAKE;
	case HF_PUNT_WRONG_TAG:
	case HF_PUNT_CONTROL:
	case HF_PUNT_ASCONF:
		return HF_BUDGET_WRONG_TAG;
	case HF_PUNT_MISS:
		return HF_BUDGET_MISS;
	}
	return HF_BUDGET_ERROR;
}

static __always_inline __u32 coarse_now(void)
{
	return bpf_jiffies64();
}

static __always_inline struct hf_nexthop *nexthop_at(__u32 slot)
{
	return bpf_map_lookup_elem(&hf_nexthops, &slot);
}

/* Keeps the entry's neighbour fresh while it is used; one write in some jiffies is enough. */
static __always_inline void use_nexthop(struct hf_nexthop *nexthop, __u32 now)
{
	if (now - nexthop->used > HF_USED_PERIOD)
		nexthop->used = now;
}

static __always_inline __u32 mark4(__be32 address)
{
	__u32 mark = address * 0x9e3779b1;

	mark = (mark >> 15 ^ mark) * 0x85ebca6b;
	return (mark >> 13 ^ mark) | 1;
}

static __always_inline __u32 mark6(const struct in6_addr *address)
{
	__u32 mark = address->in6_u.u6_addr32[0] * 0x9e3779b1 ^ address->in6_u.u6_addr32[1];

	mark = mark * 0x9e3779b1 ^ address->in6_u.u6_addr32[2];
	mark = mark * 0x9e3779b1 ^ address->in6_u.u6_addr32[3];
	mark = (mark >> 15 ^ mark) * 0x85ebca6b;
	return (mark >> 13 ^ mark) | 1;
}

static __always_inline struct hf_source *source_of(__u32 mark)
{
	__u32 slot = (mark >> 1) & (HF_SOURCE_COUNT - 1);

	return bpf_map_lookup_elem(&hf_sources, &slot);
}

/* A packet with the right tag came from there. Once in some jiffies and flow is enough. */
static __always_inline void note_source(__u32 mark, __u32 now)
{
	struct hf_source *source = source_of(mark);

	if (!source)
		return;
	if (source->mark != mark) {
		source->mark = mark;
		source->punt_at = 0;
	}
	source->seen = now;
}

/* What is added to the detail of a fragment's punt: later fragments show nothing but addresses, so that those are what
 * tells an association's from a stranger's. A stranger who uses a client's address harms that client alone.
 */
static __always_inline __u32 fragment_detail(__u32 mark)
{
	struct hf_source *source = source_of(mark);

	if (!source || source->mark != mark || coarse_now() - source->seen > HF_SOURCE_AGE)
		return HF_PUNT_FRAGMENT;
	if (!take_fine(&source->punt_at, HF_BUDGET_SOURCE))
		return REFUSED;
	return HF_PUNT_FRAGMENT | HF_PUNT_PROVEN << 16;
}

/* 0: nothing has it. Of a service, otherwise, see enum hf_port_list. */
static __always_inline __u32 port_list(const struct hf_address *address, __be16 port, __u16 kind, __u8 protocol)
{
	struct hf_port_key key = {};
	__u32 *value;

	__builtin_memcpy(key.address, address->bytes, 16);
	key.port = port;
	key.kind = kind;
	set_protocol(key, protocol);
	value = bpf_map_lookup_elem(&hf_ports, &key);
	return value ? *value : 0;
}

static __always_inline bool port_known(const struct hf_address *address, __be16 port, __u16 kind, __u8 protocol)
{
	return port_list(address, port, kind, protocol) != 0;
}

/* Whether what begins at a port with this list may come from there. */
static __noinline bool source_refused(const struct hf_address *source, __u32 list)
{
	struct hf_allowed_key key;
	__u32 *value;

	if (list < HF_PORT_LIST_FIRST)
		return false;
	key.prefix_length = 32 + 128;
	key.list = list;
	__builtin_memcpy(key.address, source->bytes, 16);
	value = bpf_map_lookup_elem(&hf_allowed, &key);
	return value && *value == HF_ALLOWED_NO;
}

/* Some endpoint has this port: a session's may speak from an address that is its own and that nobody configured. */
static __always_inline bool endpoint_port(struct hf_address *scratch, __be16 port)
{
	__builtin_memset(scratch, 0, sizeof(*scratch));
	return port_known(scratch, port, HF_PORT_ENDPOINT, IPPROTO_SCTP_NUMBER);
}

static __always_inline bool equal6(const void *a, const void *b)
{
	const __u64 *x = a, *y = b;

	return x[0] == y[0] && x[1] == y[1];
}

#endif
