/* SPDX-License-Identifier: Apache-2.0
 *
 * Options of SYN and SYN-ACK. Included once per hook.
 */

/* All ones when both are equal, else 0, and never a branch: to the verifier what follows is one path. */
static __always_inline __u32 NAME(when_equal)(__u32 one, __u32 other)
{
	__u32 differs = one ^ other, negated;

	barrier_var(differs);
	negated = -differs;
	barrier_var(negated);
	differs |= negated;
	barrier_var(differs);
	return (differs >> 31) - 1;
}

/* What a SYN or SYN-ACK says: the segment size in the upper half (0: nothing that matters), the window
 * scale in the low bits, HF_SCALE_NONE without one. A function of its own for its loop, which reads byte
 * by byte. Where an option is, the loop finds without branches: with one for each kind the verifier follows
 * as many ways through it as there are orders of options, half of all that it looks at in the program.
 */
__noinline __u32 NAME(syn_options)(CONTEXT *ctx, __u32 offset)
{
	void *data = NAME(start)(ctx), *end = NAME(end)(ctx);
	__u32 at = sizeof(struct tcp_header), said = HF_SCALE_NONE, header;
	/* Of each the first one counts; 0: there is none. */
	__u32 mss_at = 0, scale_at = 0;
	struct tcp_header *tcp;
	__u8 *option;

	if (offset > 0x3fff)
		return SYN_UNREADABLE;
	tcp = data + offset;
	if ((void *)(tcp + 1) > end)
		return SYN_UNREADABLE;
	header = (tcp->offset >> 4) * 4;
	for (int i = 0; i < 40; i++) {
		__u32 kind, size, nothing;

		/* As in shift_sack. */
		at &= 63;
		option = (void *)tcp + at;
		if (at + 1 >= header)
			break;
		if ((void *)(option + 2) > end)
			return SYN_UNREADABLE;
		kind = option[0];
		if (!kind)
			break;
		nothing = NAME(when_equal)(kind, TCP_OPTION_NOTHING);
		size = (option[1] & ~nothing) | (1 & nothing);
		if (size < 2 + nothing || at + size > header)
			break;
		mss_at |= at & NAME(when_equal)(kind, TCP_OPTION_MSS) & NAME(when_equal)(size, 4) &
			  NAME(when_equal)(mss_at, 0);
		scale_at |= at & NAME(when_equal)(kind, TCP_OPTION_SCALE) & NAME(when_equal)(size, 3) &
			    NAME(when_equal)(scale_at, 0);
		at += size;
	}
	if (mss_at) {
		option = (void *)tcp + (mss_at & 63);
		if ((void *)(option + 4) > end)
			return SYN_UNREADABLE;
		said |= SYN_MSS | (__u32)option[2] << 24 | (__u32)option[3] << 16;
	}
	if (scale_at) {
		option = (void *)tcp + (scale_at & 63);
		if ((void *)(option + 3) > end)
			return SYN_UNREADABLE;
		said &= ~(__u32)HF_SCALE_NONE;
		said |= SYN_SCALE | (option[2] < TCP_SCALE_MAX ? option[2] : TCP_SCALE_MAX);
	}
	return said;
}
