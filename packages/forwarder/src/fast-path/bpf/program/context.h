/* SPDX-License-Identifier: Apache-2.0
 *
 * What differs between XDP and TC. Included once per hook, with HF_XDP set to 1 or 0; everything that includes it names
 * its functions with NAME(), so that both hooks live in one object.
 */
#undef NAME
#undef CONTEXT
#undef ACTION_PASS
#undef ACTION_DROP
#undef load_bytes

#if HF_XDP
#define NAME(name) xdp_##name
#define CONTEXT struct xdp_md
#define ACTION_PASS XDP_PASS
#define ACTION_DROP XDP_DROP
#define load_bytes bpf_xdp_load_bytes
#else
#define NAME(name) tc_##name
#define CONTEXT struct __sk_buff
#define ACTION_PASS TC_ACT_UNSPEC
#define ACTION_DROP TC_ACT_SHOT
#define load_bytes bpf_skb_load_bytes
#endif

/* Read anew each time: a value that clang keeps over a branch loses what the verifier knows of it. */
static __always_inline void *NAME(start)(CONTEXT *ctx)
{
	return (void *)(long)*(volatile __u32 *)&ctx->data;
}

static __always_inline void *NAME(end)(CONTEXT *ctx)
{
	return (void *)(long)*(volatile __u32 *)&ctx->data_end;
}

/* Bytes of the whole frame, also of what is not linear. */
static __always_inline __u32 NAME(frame_length)(CONTEXT *ctx)
{
#if HF_XDP
	return bpf_xdp_get_buff_len(ctx);
#else
	return ctx->len;
#endif
}

/* Makes the first `size` bytes linear where that is possible. Packet pointers are void afterwards. */
static __always_inline void NAME(pull)(CONTEXT *ctx, __u32 size)
{
#if !HF_XDP
	bpf_skb_pull_data(ctx, size);
#endif
}

static __always_inline __u32 NAME(ingress)(CONTEXT *ctx)
{
#if HF_XDP
	return ctx->ingress_ifindex;
#else
	return ctx->ifindex;
#endif
}

/* Out of the interface it came in by. Not by XDP_TX: a veth leaves such a frame lying until the next one, unless the
 * other end has an XDP program.
 */
static __always_inline int NAME(reflect)(CONTEXT *ctx)
{
	return bpf_redirect(NAME(ingress)(ctx), 0);
}

/* The checksum is not filled in yet (CHECKSUM_PARTIAL): a local stack leaves that to the device. XDP cannot see it and
 * leaves packets with a zero checksum to TC.
 */
static __always_inline bool NAME(checksum_partial)(CONTEXT *ctx, __u32 checksum)
{
#if HF_XDP
	return false;
#else
	if (!bpf_cast_to_kern_ctx) /* before Linux 6.2 */
		return checksum == 0;
	struct sk_buff___hf *skb = bpf_cast_to_kern_ctx(ctx);

	return BPF_CORE_READ_BITFIELD(skb, ip_summed) == CHECKSUM_PARTIAL;
#endif
}
