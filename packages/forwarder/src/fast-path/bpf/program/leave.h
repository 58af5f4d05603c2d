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

static __always_inline int NAME(leave)(CONTEXT *ctx, void *frame, struct hf_nexthop *nexthop)
{
#if !HF_XDP
	if (!(nexthop->flags & HF_NEXTHOP_RESOLVED)) {
		struct bpf_redir_neigh neighbour = {};

		neighbour.nh_family = nexthop->flags & HF_NEXTHOP_V6 ? 10 /* AF_INET6 */ : 2 /* AF_INET */;
		__builtin_memcpy(neighbour.ipv6_nh, nexthop->gateway, 16);
		count(HF_COUNTER_EVENT + HF_EVENT_RESOLVE_PACKETS);
		return bpf_redirect_neigh(nexthop->ifindex, &neighbour, sizeof(neighbour), 0);
	}
#endif
	__builtin_memcpy(frame, nexthop->macs, 12);
	return bpf_redirect(nexthop->ifindex, 0);
}
