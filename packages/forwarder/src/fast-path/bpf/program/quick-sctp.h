/* SPDX-License-Identifier: Apache-2.0
 *
 * Quick flows of SCTP. Included once per hook.
 */

/* `ports`: the new ones; `size`: of the SCTP packet. Most flows have few lengths: the last one's change is kept. */
static __always_inline void NAME(quick_ports)(struct sctp_header *sctp, __u32 ports, __u64 *last, bool partial, __u32 size)
{
	__u64 change;

	if (!partial) {
		change = *(volatile __u64 *)last;
		if (change >> 32 != size) {
			change = (__u64)size << 32 | checksum_change(*(__u32 *)sctp ^ ports, size);
			*(volatile __u64 *)last = change;
		}
		sctp->checksum ^= (__u32)change;
	}
	*(__u32 *)sctp = ports;
}

/* Passes the packet on and returns the next hop, or does nothing. `length`: of the IP header. */
static __always_inline struct hf_nexthop *NAME(quick4)(CONTEXT *ctx, struct hf_quick4 *flow, struct iphdr *ip,
						       struct sctp_header *sctp, __u32 length, __u32 total)
{
	__u32 parts = NAME(checksum_partial)(ctx, sctp->checksum) ? PART_PARTIAL : 0, now = coarse_now();
	struct hf_nexthop *nexthop;
	bool reply;

	parts |= NAME(walk)(ctx, sctp, IP_OFFSET + length + sizeof(*sctp), IP_OFFSET + total);
	if (parts >> 16 || parts & PART_SLOW || sctp->tag != flow->tag || ip->ttl <= 1)
		return 0;
#if HF_XDP
	if (!sctp->checksum)
		return 0;
#endif
	if (NAME(quick_is_due)(&flow->counts, now))
		return 0;
	reply = flow->reply_destination && !(parts & PART_PATH);
	nexthop = NAME(quick_nexthop)(ctx, reply ? flow->reply_nexthop : flow->nexthop, total);
	if (!nexthop)
		return 0;
	if (NAME(quick_note)(&flow->counts, nexthop, now, total))
		note_source(mark4(ip->saddr), now);
	ip->check = apply_delta(ip->check, reply ? flow->reply_checksum_delta : flow->checksum_delta);
	ip->ttl--;
	ip->saddr = flow->new_source;
	ip->daddr = reply ? flow->reply_destination : flow->new_destination;
	NAME(quick_ports)(sctp, *(__u32 *)&flow->new_source_port, &flow->change, NAME(is_partial)(parts), total - length);
	return nexthop;
}

/* The packet goes the usual way: what the quick flow counted goes with it. */
static __always_inline void NAME(quick_fold)(struct hf_quick_counts *counts, struct hf_flow_head *flow)
{
	flow->packets += counts->packets;
	flow->bytes += counts->bytes;
	counts->packets = 0;
	counts->bytes = 0;
	counts->folded = coarse_now();
}

/* The next packet of a flow of IPv6 goes the usual way, as of IPv4. A function of its own for its stack. */
__noinline int NAME(quick_return6)(__u32 number)
{
	struct hf_quick6 *quick = bpf_map_lookup_elem(&hf_quick_lines, &number);
	struct hf_flow6_key key = {};
	struct hf_flow6 *flow;

	if (!quick)
		return 0;
	__builtin_memcpy(key.source, quick->source, 16);
	__builtin_memcpy(key.destination, quick->destination, 16);
	key.source_port = quick->source_port;
	key.destination_port = quick->destination_port;
	set_protocol(key, IPPROTO_SCTP_NUMBER);
	flow = bpf_map_lookup_elem(&hf_flows6, &key);
	if (flow)
		NAME(quick_fold)(&quick->counts, &flow->head);
	return 0;
}

/* As quick4. `size`: of the SCTP packet, which follows the header. */
static __always_inline struct hf_nexthop *NAME(quick_pass6)(CONTEXT *ctx, struct hf_quick6 *flow,
							    struct hf_quick6_rest *rest, struct ipv6hdr *ip, __u32 size)
{
	struct sctp_header *sctp = (void *)(ip + 1);
	__u32 parts = NAME(checksum_partial)(ctx, sctp->checksum) ? PART_PARTIAL : 0, now = coarse_now();
	struct hf_nexthop *nexthop;
	bool reply;

	parts |= NAME(walk)(ctx, sctp, IP_OFFSET + sizeof(*ip) + sizeof(*sctp), IP_OFFSET + sizeof(*ip) + size);
	if (parts >> 16 || parts & PART_SLOW || sctp->tag != flow->tag || ip->hop_limit <= 1)
		return 0;
#if HF_XDP
	if (!sctp->checksum)
		return 0;
#endif
	if (NAME(quick_is_due)(&flow->counts, now))
		return 0;
	reply = !(parts & PART_PATH) && rest->has_reply;
	nexthop = NAME(quick_nexthop)(ctx, reply ? flow->reply_nexthop : flow->nexthop, sizeof(*ip) + size);
	if (!nexthop)
		return 0;
	if (NAME(quick_note)(&flow->counts, nexthop, now, sizeof(*ip) + size))
		note_source(mark6(&ip->saddr), now);
	ip->hop_limit--;
	__builtin_memcpy(&ip->saddr, rest->new_source, 16);
	__builtin_memcpy(&ip->daddr, reply ? rest->reply_destination : rest->new_destination, 16);
	NAME(quick_ports)(sctp, *(__u32 *)&flow->new_source_port, &rest->change, NAME(is_partial)(parts), size);
	return nexthop;
}

/* The verdict; or, with VERDICT_OTHER, the number of the flow that was found, or 0. */
__noinline int NAME(quick6)(CONTEXT *ctx)
{
	void *data = NAME(start)(ctx), *end = NAME(end)(ctx);
	struct ipv6hdr *ip = data + IP_OFFSET;
	struct sctp_header *sctp = (void *)(ip + 1);
	struct hf_nexthop *nexthop;
	struct hf_quick6_rest *rest;
	struct hf_quick6 *flow;
	__u32 size, number, next;

	if ((void *)(sctp + 1) > end || *(__u8 *)ip >> 4 != 6 || ip->nexthdr != IPPROTO_SCTP_NUMBER)
		return VERDICT_OTHER;
	size = bpf_ntohs(ip->payload_len);
	/* Verifiers of Linux 5.15 and before do not know what a swap of bytes leaves. */
	asm volatile("%0 &= 0xffff" : "+r"(size));
	if (size < sizeof(*sctp) ||
	    ((void *)sctp + size > end && IP_OFFSET + sizeof(*ip) + size > NAME(frame_length)(ctx)))
		return VERDICT_OTHER;
	number = NAME(quick_find6)(&ip->saddr, &ip->daddr, *(__u32 *)sctp, HF_QUICK_KIND_SCTP6);
	next = number + 1;
	flow = bpf_map_lookup_elem(&hf_quick_lines, &number);
	rest = bpf_map_lookup_elem(&hf_quick_lines, &next);
	if (!number || !flow || !rest)
		return VERDICT_OTHER;
	nexthop = NAME(quick_pass6)(ctx, flow, rest, ip, size);
	return nexthop ? NAME(leave)(ctx, data, nexthop) : (int)(VERDICT_OTHER | number);
}
