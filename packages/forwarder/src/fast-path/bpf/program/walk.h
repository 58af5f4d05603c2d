/* SPDX-License-Identifier: Apache-2.0
 *
 * The walk over the chunks. Included once per hook.
 *
 * RFC 9260 §3.2: a length counts the header, not the padding, and the last chunk's padding may be missing.
 */

/* One stretch of the walk over bytes that need not be linear: the parts in the low word, or a refusal, and in the high
 * word where the next chunk begins. A loop that calls a helper has to keep its counter where the verifier follows it: in
 * a stack slot of eight bytes of its own.
 */
__noinline __u64 NAME(walk_stretch)(CONTEXT *ctx, __u32 offset, __u32 end)
{
	__u32 parts = 0;

	for (__u64 i = 0; i < HF_CHUNK_STRETCH && offset < end; i++) {
		struct sctp_chunk chunk __attribute__((aligned(8)));
		__u32 left = end - offset, length;

		if (left < sizeof(chunk))
			return refusal(HF_DROP_CHUNK_HEADER_TRUNCATED);
		if (load_bytes(ctx, offset, &chunk, sizeof(chunk)))
			return refusal(HF_DROP_UNREADABLE);
		length = bpf_ntohs(chunk.length);
		if (length < sizeof(chunk))
			return refusal(HF_DROP_CHUNK_TOO_SHORT);
		if (length > left)
			return refusal(HF_DROP_CHUNK_OVERRUN);
		parts |= parts_of[chunk.type];
		offset += (length + 3) & ~3U;
	}
	return (__u64)offset << 32 | parts;
}

/* Stretch by stretch, each verified once: RFC 9260 §6.10 knows no limit but the packet's length. */
__noinline __u32 NAME(walk_far)(CONTEXT *ctx, __u32 offset, __u32 end)
{
	__u32 parts = 0;

	for (__u64 i = 0; i < HF_CHUNK_STRETCH_COUNT_MAX; i++) {
		__u64 stretch = NAME(walk_stretch)(ctx, offset, end);
		__u32 passed = stretch;

		if (passed >> 16)
			return passed;
		parts |= passed;
		offset = stretch >> 32;
		if (offset >= end)
			return parts;
	}
	return refusal(HF_DROP_CHUNK_COUNT);
}

/* Walks the chunks in the frame's bytes [offset, end): the parts of all of them, or a refusal. See walk below. */
__noinline __u32 NAME(walk_near)(CONTEXT *ctx, __u32 offset, __u32 end)
{
	void *data = NAME(start)(ctx), *data_end = NAME(end)(ctx);
	__u32 parts = 0, rest;

	if (offset >= end)
		return refusal(HF_DROP_NO_CHUNK);
	for (__u32 i = 0; i < HF_CHUNK_STRETCH; i++) {
		struct sctp_chunk *chunk = data + offset;
		__u32 left = end - offset, length;

		if (left < sizeof(*chunk))
			return refusal(HF_DROP_CHUNK_HEADER_TRUNCATED);
		if (offset >= 0xff00 || (void *)(chunk + 1) > data_end)
			break;
		length = bpf_ntohs(chunk->length);
		if (length < sizeof(*chunk))
			return refusal(HF_DROP_CHUNK_TOO_SHORT);
		if (length > left)
			return refusal(HF_DROP_CHUNK_OVERRUN);
		parts |= parts_of[chunk->type];
		offset += (length + 3) & ~3U;
		if (offset >= end)
			return parts;
	}
	rest = NAME(walk_far)(ctx, offset, end);
	return rest >> 16 ? rest : parts | rest;
}

/* One chunk that fills the packet is the commonest, and needs no loop. */
static __always_inline __u32 NAME(walk)(CONTEXT *ctx, const struct sctp_header *sctp, __u32 offset, __u32 end)
{
	const struct sctp_chunk *chunk = (const void *)(sctp + 1);
	__u32 length;

	if ((void *)(chunk + 1) <= NAME(end)(ctx)) {
		length = bpf_ntohs(chunk->length);
		if (length >= sizeof(*chunk) && offset + length <= end && offset + ((length + 3) & ~3U) >= end)
			return parts_of[chunk->type];
	}
	return NAME(walk_near)(ctx, offset, end);
}
