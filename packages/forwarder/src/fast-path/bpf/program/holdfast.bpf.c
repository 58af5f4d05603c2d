// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
//
// The fast path: an XDP and a TC program from one source, over shared maps.
#include <stdbool.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_core_read.h>

#include "common.h"
#include "tcp-udp.h"

#define HF_XDP 1
#include "pipeline.h"
#undef HF_XDP

#define HF_XDP 0
#include "pipeline.h"
#undef HF_XDP

SEC("xdp.frags")
int holdfast_xdp(struct xdp_md *ctx)
{
	return xdp_frame(ctx);
}

SEC("tc")
int holdfast_tc(struct __sk_buff *ctx)
{
	return tc_frame(ctx);
}

/* Never attached: the daemon runs it to learn how jiffies relate to its own clock. */
SEC("tc")
int holdfast_clock(struct __sk_buff *ctx)
{
	struct hf_clock *clock = (void *)(long)ctx->data;

	if ((void *)(clock + 1) > (void *)(long)ctx->data_end)
		return TC_ACT_SHOT;
	clock->jiffies = bpf_jiffies64();
	clock->time_ns = bpf_ktime_get_ns();
	return TC_ACT_UNSPEC;
}

/* Keeps the types in the object's BTF, from which the TypeScript side is generated. */
enum hf_limits hf_emit_limits;
enum hf_drop_reason hf_emit_drop_reason;
enum hf_punt_reason hf_emit_punt_reason;
enum hf_event hf_emit_event;
enum hf_counter_base hf_emit_counter_base;
enum hf_flow_flag hf_emit_flow_flag;
enum hf_plain_flag hf_emit_plain_flag;
enum hf_nexthop_flag hf_emit_nexthop_flag;
enum hf_local_flag hf_emit_local_flag;
enum hf_interface_flag hf_emit_interface_flag;
enum hf_port_kind hf_emit_port_kind;
enum hf_port_list hf_emit_port_list;
enum hf_allowed_value hf_emit_allowed_value;
enum hf_quick_kind hf_emit_quick_kind;
enum hf_punt_flag hf_emit_punt_flag;
enum hf_budget hf_emit_budget;
struct hf_clock hf_emit_clock;
struct hf_offer hf_emit_offer;
struct hf_offered hf_emit_offered;
struct hf_way_key hf_emit_way_key;
struct hf_quick4 hf_emit_quick4;
struct hf_quick6 hf_emit_quick6;
struct hf_quick6_rest hf_emit_quick6_rest;
struct hf_quick_plain4 hf_emit_quick_plain4;
struct hf_quick_plain6 hf_emit_quick_plain6;
struct hf_quick_plain6_rest hf_emit_quick_plain6_rest;

/* Some helpers are for programs under the GPL only. */
char _license[] SEC("license") = "Dual BSD/GPL";
