// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
//
// The benchmark's packet generator and sinks. `generate` and `generate_inits` run as live-frame test runs: each run sends
// one packet out of an interface, its checksums right; of the next flow, or an INIT of the next client.
#include <stdbool.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "../program/checksum.h"

#define HEAD_SIZE 46
#define HEAD_SIZE6 66
/* Of the initiate tag in an SCTP packet that begins with an INIT. */
#define TAG_OFFSET 16
/* Clients of one address: ports from the first one on. */
#define PORT_COUNT 32768

struct hf_generator {
	__u32 ifindex;
	__u32 flow_count;
	/* First client address and port, host order; flow n has both plus n. */
	__u32 source;
	__u32 source_port;
	__u32 sctp_length;
	/* Ethernet, IP and SCTP headers of a packet whose source port is the first, and whose source is zero; of IPv6, in its
	 * last four bytes.
	 */
	__u8 head[HEAD_SIZE6];
	/* TCP and UDP only: the checksum of a packet whose source and source port are zero, as it stands there. */
	__u16 checksum;
	/* INITs only: how many addresses there are, a power of two, less one. */
	__u32 source_mask;
	/* TCP and UDP only: where the checksum stands in the frame. */
	__u32 checksum_offset;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct hf_generator);
} hf_generator SEC(".maps");

/* Packets between two looks at the clock. */
#define CLOCK_PERIOD 256

struct hf_progress {
	__u64 next_flow;
	__u64 sent;
	/* When the first packet was sent, and the last whose number is a multiple of CLOCK_PERIOD. */
	__u64 first_ns;
	__u64 last_ns;
	__u64 received;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct hf_progress);
} hf_progress SEC(".maps");

static __always_inline struct hf_progress *progress(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&hf_progress, &zero);
}

static __always_inline void count_sent(struct hf_progress *own)
{
	if (own->sent % CLOCK_PERIOD == 0) {
		own->last_ns = bpf_ktime_get_ns();
		if (!own->sent)
			own->first_ns = own->last_ns;
	}
	own->sent++;
}

/* The number of the flow that the packet is of; it is counted. */
static __always_inline __u32 next_flow(const struct hf_generator *settings, struct hf_progress *own)
{
	__u32 flow = own->next_flow;

	count_sent(own);
	own->next_flow = flow + 1 < settings->flow_count ? flow + 1 : 0;
	return flow;
}

SEC("xdp")
int generate(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 zero = 0, flow, source;
	struct hf_generator *settings = bpf_map_lookup_elem(&hf_generator, &zero);
	struct hf_progress *own = progress();
	struct iphdr *ip = data + ETH_HLEN;
	__be16 *port = data + ETH_HLEN + 20;
	__u32 *checksum = data + ETH_HLEN + 28;
	__be16 wanted;

	if (!settings || !own || data + HEAD_SIZE > end)
		return XDP_ABORTED;
	flow = next_flow(settings, own);
	/* Frames come back as they were left: everything is written anew. */
	__builtin_memcpy(data, settings->head, HEAD_SIZE);
	source = bpf_htonl(settings->source + flow);
	ip->saddr = source;
	ip->check = apply_delta(ip->check, (source & 0xffff) + (source >> 16));
	wanted = bpf_htons(settings->source_port + flow);
	*checksum ^= checksum_change(wanted ^ *port, settings->sctp_length);
	*port = wanted;
	return bpf_redirect(settings->ifindex, 0);
}

/* SCTP over IPv6, of the next flow. */
SEC("xdp")
int generate6(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 zero = 0, flow;
	struct hf_generator *settings = bpf_map_lookup_elem(&hf_generator, &zero);
	struct hf_progress *own = progress();
	struct ipv6hdr *ip = data + ETH_HLEN;
	__be16 *port = data + ETH_HLEN + 40;
	__u32 *checksum = data + ETH_HLEN + 48;
	__be16 wanted;

	if (!settings || !own || data + HEAD_SIZE6 > end)
		return XDP_ABORTED;
	flow = next_flow(settings, own);
	__builtin_memcpy(data, settings->head, HEAD_SIZE6);
	ip->saddr.in6_u.u6_addr32[3] = bpf_htonl(settings->source + flow);
	wanted = bpf_htons(settings->source_port + flow);
	*checksum ^= checksum_change(wanted ^ *port, settings->sctp_length);
	*port = wanted;
	return bpf_redirect(settings->ifindex, 0);
}

/* TCP or UDP, of the next flow. */
SEC("xdp")
int generate_plain(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 zero = 0, flow, source, delta;
	struct hf_generator *settings = bpf_map_lookup_elem(&hf_generator, &zero);
	struct hf_progress *own = progress();
	struct iphdr *ip = data + ETH_HLEN;
	__be16 *port = data + ETH_HLEN + 20;
	__u16 *checksum;

	if (!settings || !own || data + HEAD_SIZE > end)
		return XDP_ABORTED;
	flow = next_flow(settings, own);
	__builtin_memcpy(data, settings->head, HEAD_SIZE);
	checksum = data + (settings->checksum_offset & 63);
	if ((void *)(checksum + 1) > end)
		return XDP_ABORTED;
	source = bpf_htonl(settings->source + (flow & settings->source_mask));
	delta = (source & 0xffff) + (source >> 16);
	ip->saddr = source;
	ip->check = apply_delta(ip->check, delta);
	*port = bpf_htons(settings->source_port + flow);
	*checksum = apply_delta(settings->checksum, delta + *port);
	return bpf_redirect(settings->ifindex, 0);
}

/* Client n has address n modulo the addresses, then the next port, and tag n. The head's source port is the first one, the
 * frame's initiate tag is zero, and so are both in its checksum's sum.
 */
SEC("xdp")
int generate_inits(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 zero = 0, client, source, tag;
	struct hf_generator *settings = bpf_map_lookup_elem(&hf_generator, &zero);
	struct hf_progress *own = progress();
	struct iphdr *ip = data + ETH_HLEN;
	__be16 *port = data + ETH_HLEN + 20;
	__u32 *checksum = data + ETH_HLEN + 28;
	__u32 *initiate_tag = data + ETH_HLEN + 20 + TAG_OFFSET;
	__be16 wanted;

	if (!settings || !own || data + ETH_HLEN + 20 + TAG_OFFSET + 4 > end)
		return XDP_ABORTED;
	count_sent(own);
	/* Processors count for themselves; their clients are others'. */
	client = own->next_flow++ + (bpf_get_smp_processor_id() << 26);
	__builtin_memcpy(data, settings->head, HEAD_SIZE);
	source = bpf_htonl(settings->source + (client & settings->source_mask));
	ip->saddr = source;
	ip->check = apply_delta(ip->check, (source & 0xffff) + (source >> 16));
	wanted = bpf_htons(settings->source_port + (client / (settings->source_mask + 1) & (PORT_COUNT - 1)));
	*checksum ^= checksum_change(wanted ^ *port, settings->sctp_length);
	*port = wanted;
	/* Never zero, which no tag is. */
	tag = bpf_htonl(0x40000000 + (client & 0x3fffffff));
	*checksum ^= checksum_change(tag, settings->sctp_length - TAG_OFFSET);
	*initiate_tag = tag;
	return bpf_redirect(settings->ifindex, 0);
}

static __always_inline void receive(void *data, void *end)
{
	struct ethhdr *eth = data;
	struct ipv6hdr *ip6 = data + ETH_HLEN;
	struct iphdr *ip = data + ETH_HLEN;
	struct hf_progress *own;
	__u8 protocol;

	if ((void *)(ip + 1) > end)
		return;
	protocol = ip->protocol;
	if (eth->h_proto == bpf_htons(ETH_P_IPV6)) {
		if ((void *)(ip6 + 1) > end)
			return;
		protocol = ip6->nexthdr;
	} else if (eth->h_proto != bpf_htons(ETH_P_IP)) {
		return;
	}
	if (protocol != IPPROTO_SCTP && protocol != IPPROTO_TCP && protocol != IPPROTO_UDP)
		return;
	own = progress();
	if (own)
		own->received++;
}

SEC("xdp")
int sink_xdp(struct xdp_md *ctx)
{
	receive((void *)(long)ctx->data, (void *)(long)ctx->data_end);
	return XDP_DROP;
}

SEC("tc")
int sink_tc(struct __sk_buff *ctx)
{
	receive((void *)(long)ctx->data, (void *)(long)ctx->data_end);
	return 2; /* TC_ACT_SHOT */
}

char _license[] SEC("license") = "Dual BSD/GPL";
