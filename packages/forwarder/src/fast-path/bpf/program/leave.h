/* SPDX-License-Identifier: Apache-2.0
 *
 * Out of the next hop's interface. Included once per hook.
 */

/* A super-packet of a local stack: the device cuts it, and its parts fit. */
static __always_inline bool NAME(segmented)(CONTEXT *ctx)
{
#if HF_XDP
	return false;
#else
	return ctx->gso_segs > 1;
#endif
}

#if !HF_XDP
/* To the other end of a veth, if nothing of the packet is left to the device, and it came to this host alone:
 * whoever takes it there does not ask that anew. A function of its own for its stack.
 */
__noinline int NAME(hand_over)(CONTEXT *ctx, __u32 ifindex)
{
	if (bpf_cast_to_kern_ctx && !NAME(checksum_partial)(ctx, 1) && ctx->gso_segs <= 1 &&
	    ctx->pkt_type == 0 /* PACKET_HOST */)
		return bpf_redirect_peer(ifindex, 0);
	return bpf_redirect(ifindex, 0);
}

/* The kernel looks the neighbour up. For its stack, too. */
static __noinline int NAME(resolve)(const struct hf_nexthop *nexthop)
{
	struct bpf_redir_neigh neighbour = {};

	neighbour.nh_family = nexthop->flags & HF_NEXTHOP_V6 ? 10 /* AF_INET6 */ : 2 /* AF_INET */;
	__builtin_memcpy(neighbour.ipv6_nh, nexthop->gateway, 16);
	count(HF_COUNTER_EVENT + HF_EVENT_RESOLVE_PACKETS);
	return bpf_redirect_neigh(nexthop->ifindex, &neighbour, sizeof(neighbour), 0);
}
#endif

static __always_inline int NAME(leave)(CONTEXT *ctx, void *frame, struct hf_nexthop *nexthop)
{
#if !HF_XDP
	if (!(nexthop->flags & HF_NEXTHOP_RESOLVED))
		return NAME(resolve)(nexthop);
#endif
	__builtin_memcpy(frame, nexthop->macs, 12);
#if !HF_XDP
	if (nexthop->flags & HF_NEXTHOP_ACROSS)
		return NAME(hand_over)(ctx, nexthop->ifindex);
#endif
	return bpf_redirect(nexthop->ifindex, 0);
}
