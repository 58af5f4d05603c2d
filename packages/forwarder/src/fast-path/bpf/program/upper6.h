/* SPDX-License-Identifier: Apache-2.0
 *
 * What stands behind IPv6's extension headers. Included once per hook.
 */

/* Behind the extension headers: offset in the frame, upper protocol in bits 16 to 23, bit 24 for a
 * fragment; or a refusal, whose bit 31 tells it from the rest.
 */
__noinline __u32 NAME(upper6)(CONTEXT *ctx)
{
	void *data = NAME(start)(ctx), *data_end = NAME(end)(ctx);
	struct ipv6hdr *ip = data + IP_OFFSET;
	__u32 offset = IP_OFFSET + sizeof(*ip), end, fragment = 0;
	__u8 next;

	if ((void *)(ip + 1) > data_end)
		return UPPER_REFUSED | HF_DROP_UNREADABLE;
	next = ip->nexthdr;
	end = offset + bpf_ntohs(ip->payload_len);
	if (end > NAME(frame_length)(ctx))
		return UPPER_REFUSED | HF_DROP_IP_TOTAL_LENGTH;
	for (int i = 0; i <= HF_EXTENSION_COUNT_MAX; i++) {
		__u8 head[4];
		__u32 size;

		if (next != NEXT_HOP_BY_HOP && next != NEXT_ROUTING && next != NEXT_FRAGMENT && next != NEXT_DESTINATION)
			return offset | (__u32)next << 16 | fragment;
		if (i == HF_EXTENSION_COUNT_MAX)
			break;
		if (end < offset + 8 || load_bytes(ctx, offset, head, sizeof(head)))
			return UPPER_REFUSED | HF_DROP_IP_EXTENSION_TRUNCATED;
		size = next == NEXT_FRAGMENT ? 8 : (head[1] + 1) * 8;
		if (end < offset + size)
			return UPPER_REFUSED | HF_DROP_IP_EXTENSION_TRUNCATED;
		if (next == NEXT_FRAGMENT) {
			/* An atomic fragment (RFC 6946) is whole. */
			if (head[2] || head[3] & 0xf9)
				fragment = UPPER_FRAGMENT;
			/* What follows the header of a later fragment is payload, whatever it looks like. */
			if (head[2] || head[3] & 0xf8)
				return (offset + size) | (__u32)head[0] << 16 | fragment;
		}
		next = head[0];
		offset += size;
	}
	return UPPER_REFUSED | HF_DROP_IP_EXTENSION_COUNT;
}
