/* SPDX-License-Identifier: Apache-2.0
 *
 * Layouts and numbers of the protocols around SCTP.
 */
#ifndef HOLDFAST_WIRE_H
#define HOLDFAST_WIRE_H

#define FRAGMENT_MASK bpf_htons(0x3fff)

#define ARP_REQUEST 1
#define ARP_REPLY 2
#define ICMP_ECHO_REQUEST 8
#define ICMP_UNREACHABLE 3
#define ICMP_TIME_EXCEEDED 11
#define ICMP_PARAMETER_PROBLEM 12
#define ANSWER_HOP_LIMIT 64
#define ICMP6_ERROR_MAX 4
#define ICMP6_ECHO_REQUEST 128
#define ICMP6_ECHO_REPLY 129
#define ICMP6_SOLICITATION 135
#define ICMP6_ADVERTISEMENT 136
#define ND_SOLICITED_OVERRIDE bpf_htonl(0x60000000)
/* Type to target, without an option. */
#define ND_SIZE_LEAST 24
#define ND_OPTION_SOURCE 1
#define ND_OPTION_TARGET 2

#define NEXT_HOP_BY_HOP 0
#define NEXT_ROUTING 43
#define NEXT_FRAGMENT 44
#define NEXT_DESTINATION 60
#define UPPER_FRAGMENT (1U << 24)
#define UPPER_REFUSED (1U << 31)

struct arp_frame {
	struct ethhdr eth;
	__be16 hardware_type;
	__be16 protocol_type;
	__u8 hardware_size;
	__u8 protocol_size;
	__be16 operation;
	__u8 sender_mac[6];
	__u8 sender[4];
	__u8 target_mac[6];
	__u8 target[4];
} __attribute__((packed));

struct icmp_header {
	__u8 type;
	__u8 code;
	__u16 checksum;
	__be16 id;
	__be16 sequence;
};

/* RFC 4861 §4.3, §4.4: a solicitation or advertisement with one link-layer address option. */
struct nd_message {
	__u8 type;
	__u8 code;
	__u16 checksum;
	__be32 flags;
	__u8 target[16];
	__u8 option_type;
	__u8 option_size;
	__u8 mac[6];
};

#endif
