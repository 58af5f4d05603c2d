// Path MTU discovery (RFC 1191, RFC 8201, RFC 9260 §7.3). usrsctp reads SCTP packets only, so ICMP is heard here, and what
// it says is handed on through the socket API. The tag in the quoted packet is not compared: no attacker lives in a lab
// where this matters, and what is under test compares it.
#include "peer.h"
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <linux/filter.h>

#define SCTP_HEADER_SIZE 12
#define PORTS_SIZE 4
#define ERROR_HEADER_SIZE 8

static int sockets[2];

static void lower(const struct sockaddr_storage *remote, uint16_t local_port, uint32_t mtu)
{
	struct socket *socket = options.server ? server_socket(local_port) : client_socket(local_port);
	uint32_t overhead = SCTP_HEADER_SIZE + (remote->ss_family == AF_INET6 ? 40 : 20);
	struct sctp_paddrparams path = {0};
	socklen_t length = sizeof(path);
	char text[ADDRESS_TEXT_SIZE];

	if (!socket || mtu <= overhead) return;
	memcpy(&path.spp_address, remote, sizeof(*remote));
	if (usrsctp_getsockopt(socket, IPPROTO_SCTP, SCTP_PEER_ADDR_PARAMS, &path, &length) != 0) return;
	if (path.spp_pathmtu <= mtu - overhead) return;
	path.spp_pathmtu = mtu - overhead;
	path.spp_flags = SPP_PMTUD_DISABLE; // no probing of its own: the figure stands
	path.spp_pathmaxrxt = 0;
	path.spp_hbinterval = 0;
	if (usrsctp_setsockopt(socket, IPPROTO_SCTP, SCTP_PEER_ADDR_PARAMS, &path, sizeof(path)) != 0) return;
	emit("{\"event\":\"pathMtu\",\"atMs\":%.3f,\"port\":%u,\"address\":\"%s\",\"mtu\":%u}", now_ms(), local_port,
	     address_text((const struct sockaddr *)remote, text), mtu);
}

static void hear_v4(const uint8_t *packet, size_t length)
{
	const struct ip *inner;
	const uint8_t *error, *ports;
	struct sockaddr_storage remote = {0};
	struct sockaddr_in *address = (struct sockaddr_in *)&remote;
	size_t header;

	if (length < sizeof(struct ip)) return;
	header = ((const struct ip *)packet)->ip_hl * 4;
	error = packet + header;
	if (length < header + ERROR_HEADER_SIZE + sizeof(*inner)) return;
	if (error[0] != ICMP_UNREACH || error[1] != ICMP_UNREACH_NEEDFRAG) return;
	inner = (const struct ip *)(error + ERROR_HEADER_SIZE);
	ports = (const uint8_t *)inner + inner->ip_hl * 4;
	if (inner->ip_p != IPPROTO_SCTP || ports + PORTS_SIZE > packet + length) return;
	address->sin_family = AF_INET;
	address->sin_addr = inner->ip_dst;
	memcpy(&address->sin_port, ports + 2, 2);
	lower(&remote, ports[0] << 8 | ports[1], error[6] << 8 | error[7]);
}

static void hear_v6(const uint8_t *error, size_t length)
{
	const uint8_t *inner = error + ERROR_HEADER_SIZE, *ports = inner + 40;
	struct sockaddr_storage remote = {0};
	struct sockaddr_in6 *address = (struct sockaddr_in6 *)&remote;
	uint8_t next;

	if (length < ERROR_HEADER_SIZE + 40 + PORTS_SIZE || error[0] != ICMP6_PACKET_TOO_BIG) return;
	next = inner[6];
	if (next == IPPROTO_FRAGMENT && length >= ERROR_HEADER_SIZE + 40 + 8 + PORTS_SIZE) {
		next = inner[40];
		ports += 8;
	}
	if (next != IPPROTO_SCTP) return;
	address->sin6_family = AF_INET6;
	memcpy(&address->sin6_addr, inner + 24, 16);
	memcpy(&address->sin6_port, ports + 2, 2);
	lower(&remote, ports[0] << 8 | ports[1], (uint32_t)error[4] << 24 | error[5] << 16 | error[6] << 8 | error[7]);
}

static void *listen_for_errors(void *context)
{
	struct pollfd inputs[2] = {{.fd = sockets[0], .events = POLLIN}, {.fd = sockets[1], .events = POLLIN}};
	_Alignas(8) uint8_t packet[2048];

	(void)context;
	for (;;) {
		poll(inputs, 2, -1);
		for (int i = 0; i < 2; i++) {
			ssize_t length = inputs[i].revents ? recv(inputs[i].fd, packet, sizeof(packet), MSG_DONTWAIT) : -1;

			if (length > 0) i ? hear_v6(packet, length) : hear_v4(packet, length);
		}
	}
	return NULL;
}

// What was sent too big is sent again in fragments, and over IPv6 the sender makes them. Linux learns a path's MTU for raw
// sockets of IPv4; of IPv6 only for one that wants errors. This one wants nothing else.
static void let_kernel_learn(void)
{
	struct sock_filter nothing = BPF_STMT(BPF_RET | BPF_K, 0);
	struct sock_fprog program = {.len = 1, .filter = &nothing};
	int fd = socket(AF_INET6, SOCK_RAW, IPPROTO_SCTP), on = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) != 0 ||
	    setsockopt(fd, IPPROTO_IPV6, IPV6_RECVERR, &on, sizeof(on)) != 0)
		die("icmp");
}

void icmp_start(void)
{
	pthread_t thread;

	if (has_v6()) let_kernel_learn();

	sockets[0] = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
	sockets[1] = has_v6() ? socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6) : -1;
	if (sockets[0] < 0 || (has_v6() && sockets[1] < 0) || pthread_create(&thread, NULL, listen_for_errors, NULL) != 0)
		die("icmp");
}
