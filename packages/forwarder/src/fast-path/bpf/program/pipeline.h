/* SPDX-License-Identifier: Apache-2.0
 *
 * From the frame to the verdict. Included twice: HF_XDP 1 and 0.
 *
 * Every function without `static` is verified on its own, which keeps the verifier's work small on every kernel.
 * The order of the tests is the reference translator's (../../reference/translator.ts).
 */
#include "context.h"
#include "punt.h"
#include "walk.h"
#include "leave.h"
#include "quick.h"
#include "answer.h"
#include "decide.h"
#include "upper6.h"
#include "quick-sctp.h"
#include "plain.h"
#include "quick-plain.h"
#include "syn-options.h"
#include "offers.h"
#include "handshake.h"
#include "plain-families.h"
#include "ipv4.h"
#include "ipv6.h"

/* A frame for another station, which a bridge or promiscuous mode lets us see, is not ours to forward: its addressee
 * forwards it too.
 */
static __always_inline bool NAME(for_us)(CONTEXT *ctx, const struct ethhdr *eth)
{
#if HF_XDP
	__u32 ifindex = ctx->ingress_ifindex, slot = ifindex % HF_INTERFACE_SLOT_COUNT;
	struct hf_interface *interface = bpf_map_lookup_elem(&hf_interfaces, &slot);
	const __u16 *destination = (const __u16 *)eth->h_dest;
	const __u16 *own;

	if (!interface || interface->ifindex != ifindex)
		return false;
	own = (const __u16 *)interface->mac;
	if (destination[0] == own[0] && destination[1] == own[1] && destination[2] == own[2])
		return true;
	return eth->h_dest[0] & 1;
#else
	return ctx->pkt_type != 3 /* PACKET_OTHERHOST */ && !ctx->vlan_present;
#endif
}

static __always_inline int NAME(frame6)(CONTEXT *ctx)
{
	int verdict = NAME(quick6)(ctx);

	/* Not from within: the stack has no room for both. */
	if (is_other(verdict)) {
		if (verdict & QUICK_NUMBER)
			NAME(quick_return6)(verdict & QUICK_NUMBER);
		verdict = NAME(forward6)(ctx);
	}
	return verdict == VERDICT_PLAIN ? NAME(frame_plain6)(ctx) : verdict;
}

static __always_inline int NAME(frame)(CONTEXT *ctx)
{
	void *data, *end;
	struct ethhdr *eth;

#if !HF_XDP
	if (ctx->data_end - ctx->data < 128 && ctx->data_end - ctx->data < ctx->len)
		bpf_skb_pull_data(ctx, ctx->len < 128 ? ctx->len : 128);
#endif
	data = NAME(start)(ctx);
	end = NAME(end)(ctx);
	eth = data;
	if ((void *)(eth + 1) > end || !NAME(for_us)(ctx, eth))
		return ACTION_PASS;
#if !HF_XDP
	/* Generic XDP copies what has little headroom and forgets how long the link-layer header was (Linux 6.9 on): the
	 * packet begins with its IP header. It gets a link-layer header again, or TC would read nonsense.
	 */
	if (eth->h_proto != ctx->protocol &&
	    (ctx->protocol == bpf_htons(ETH_P_IP) || ctx->protocol == bpf_htons(ETH_P_IPV6))) {
		if (bpf_skb_change_head(ctx, ETH_HLEN, 0))
			return ACTION_PASS;
		data = NAME(start)(ctx);
		end = NAME(end)(ctx);
		eth = data;
		if ((void *)(eth + 1) > end)
			return ACTION_PASS;
		eth->h_proto = ctx->protocol;
	}
#endif
	if (eth->h_proto == bpf_htons(ETH_P_IP))
		return NAME(forward4)(ctx);
	if (eth->h_proto == bpf_htons(ETH_P_IPV6))
		return NAME(frame6)(ctx);
	if (eth->h_proto == bpf_htons(ETH_P_ARP))
		return NAME(arp)(ctx);
	return ACTION_PASS;
}
