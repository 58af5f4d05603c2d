/* SPDX-License-Identifier: Apache-2.0
 *
 * A port change moves the CRC32c by Δ · x^(8·length) mod P, since CRC is linear and SCTP's has no pseudo header: nothing
 * of the packet is read, and a corrupt packet stays corrupt. x^(8·length) comes from a table that the loader fills, the
 * carry-less product from sixteen integer products, the reduction from four tables.
 */
#ifndef HOLDFAST_CHECKSUM_H
#define HOLDFAST_CHECKSUM_H

#include "abi.h"

/* x^(8n) mod P for n < HF_POWER_COUNT, reflected. */
const volatile __u32 hf_powers[HF_POWER_COUNT] = {};
/* x^(8 · HF_POWER_COUNT · n) mod P: the upper bits of lengths that only segmentation offload reaches. */
const volatile __u32 hf_high_powers[4] = {};
/* A byte's part of "times x^32 mod P", by its place in the word. */
const volatile __u32 hf_reduction[4][256] = {};

#define STRIDE 0x11111111ULL

/* Carry-less product of two reflected polynomials modulo P. Operands are split into four of every fourth bit, so that
 * at most eight partial products meet in a column of four bits and no carry reaches the next.
 */
static __always_inline __u32 multiply(__u32 a, __u32 b)
{
	__u64 a0 = a & STRIDE, a1 = a & (STRIDE << 1), a2 = a & (STRIDE << 2), a3 = a & (STRIDE << 3);
	__u64 b0 = b & STRIDE, b1 = b & (STRIDE << 1), b2 = b & (STRIDE << 2), b3 = b & (STRIDE << 3);
	__u64 column = 0x1111111111111111ULL;
	__u64 product = ((a0 * b0) ^ (a1 * b3) ^ (a2 * b2) ^ (a3 * b1)) & column;

	product |= ((a0 * b1) ^ (a1 * b0) ^ (a2 * b3) ^ (a3 * b2)) & (column << 1);
	product |= ((a0 * b2) ^ (a1 * b1) ^ (a2 * b0) ^ (a3 * b3)) & (column << 2);
	product |= ((a0 * b3) ^ (a1 * b2) ^ (a2 * b1) ^ (a3 * b0)) & (column << 3);
	/* 63 bits, x^0 at bit 62: one to the left, and the upper word is what is below P already. */
	product <<= 1;
	__u32 low = product;

	return (__u32)(product >> 32) ^ hf_reduction[0][low & 0xff] ^ hf_reduction[1][(low >> 8) & 0xff] ^
	       hf_reduction[2][(low >> 16) & 0xff] ^ hf_reduction[3][low >> 24];
}

/* What to XOR into the checksum of a packet of `length` bytes whose ports change by `delta`. */
static __always_inline __u32 checksum_change(__u32 delta, __u32 length)
{
	if (length >= HF_POWER_COUNT)
		delta = multiply(delta, hf_high_powers[(length / HF_POWER_COUNT) & 3]);
	return multiply(delta, hf_powers[length & (HF_POWER_COUNT - 1)]);
}

static __always_inline __u16 fold(__u64 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* RFC 1624: HC' = ~(~HC + ~m + m'). */
static __always_inline __u16 apply_delta(__u16 checksum, __u32 delta)
{
	__u32 sum = (__u16)~checksum + delta;

	return ~fold(sum);
}

#endif
