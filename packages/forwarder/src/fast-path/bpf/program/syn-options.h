/* SPDX-License-Identifier: Apache-2.0
 *
 * Options of SYN and SYN-ACK. Included once per hook.
 */

/* What a SYN or SYN-ACK says: the segment size in the upper half (0: nothing that matters), the window
 * scale in the low bits, HF_SCALE_NONE without one. A function of its own for its loop, which reads byte
 * by byte.
 */
__noinline __u32 NAME(syn_options)(CONTEXT *ctx, __u32 offset)
{
	void *data = NAME(start)(ctx), *end = NAME(end)(ctx);
	__u32 at = sizeof(struct tcp_header), said = HF_SCALE_NONE, header;
	struct tcp_header *tcp;

	if (offset > 0x3fff)
		return SYN_UNREADABLE;
	tcp = data + offset;
	if ((void *)(tcp + 1) > end)
		return SYN_UNREADABLE;
	header = (tcp->offset >> 4) * 4;
	for (int i = 0; i < 40; i++) {
		__u8 *option;
		__u32 size;

		/* As in shift_sack. */
		at &= 63;
		option = (void *)tcp + at;
		if (at + 1 >= header)
			break;
		if ((void *)(option + 2) > end)
			return SYN_UNREADABLE;
		if (!option[0])
			break;
		if (option[0] == TCP_OPTION_NOTHING) {
			at++;
			continue;
		}
		size = option[1];
		if (size < 2 || at + size > header)
			break;
		/* Of each the first one counts. */
		if (option[0] == TCP_OPTION_MSS && size == 4 && !(said & SYN_MSS)) {
			if ((void *)(option + 4) > end)
				return SYN_UNREADABLE;
			said |= SYN_MSS | (__u32)option[2] << 24 | (__u32)option[3] << 16;
		} else if (option[0] == TCP_OPTION_SCALE && size == 3 && !(said & SYN_SCALE)) {
			if ((void *)(option + 3) > end)
				return SYN_UNREADABLE;
			said &= ~(__u32)HF_SCALE_NONE;
			said |= SYN_SCALE | (option[2] < TCP_SCALE_MAX ? option[2] : TCP_SCALE_MAX);
		}
		at += size;
	}
	return said;
}
