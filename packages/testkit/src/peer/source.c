// Source addresses as Linux chooses them: the one that the route to the destination prefers, and the packet then leaves by the
// route for that source (`ip rule from A1 lookup 1`). usrsctp knows no routes: it takes its addresses in turn, and its raw
// socket asks for the destination's route only, so that a packet from A1 may leave by A0's gateway, which drops it where
// sources are checked (RFC 3704).
//
// Of IPv6 the kernel puts the source in by itself: usrsctp's packets have no header there.
#include "peer.h"
#include <netinet/ip.h>
#include <sys/syscall.h>

#define ROUTE_COUNT 16
#define ROUTE_AGE_MS 100
#define SOURCE_OFFSET 12

static struct route {
	struct in_addr to, from;
	double asked_ms;
} routes[ROUTE_COUNT];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static bool is_local(struct in_addr address)
{
	struct in_addr own;

	for (int i = 0; i < options.local_count; i++)
		if (inet_pton(AF_INET, options.local[i], &own) == 1 && own.s_addr == address.s_addr) return true;
	return false;
}

static struct in_addr ask(struct in_addr to)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = to, .sin_port = htons(9)};
	socklen_t length = sizeof(address);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&address, length) != 0 ||
	    getsockname(fd, (struct sockaddr *)&address, &length) != 0)
		address.sin_addr.s_addr = INADDR_ANY;
	if (fd >= 0) close(fd);
	return address.sin_addr;
}

static struct in_addr preferred(struct in_addr to)
{
	struct route *route = &routes[0];
	struct in_addr from;
	double now = now_ms();

	pthread_mutex_lock(&lock);
	for (int i = 0; i < ROUTE_COUNT; i++) {
		if (routes[i].to.s_addr == to.s_addr) {
			route = &routes[i];
			break;
		}
		if (routes[i].asked_ms < route->asked_ms) route = &routes[i];
	}
	if (route->to.s_addr != to.s_addr || now - route->asked_ms > ROUTE_AGE_MS)
		*route = (struct route){.to = to, .from = ask(to), .asked_ms = now};
	from = route->from;
	pthread_mutex_unlock(&lock);
	return from;
}

// usrsctp sends with sendmsg(2), which is ours. SCTP's checksum does not cover addresses.
ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	const struct sockaddr_in *to = message->msg_name;
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(struct in_pktinfo))];
	} control = {0};
	struct msghdr changed = *message;
	struct in_pktinfo *info;
	struct in_addr from;
	uint8_t *packet;

	if (!options.source_by_route || !to || to->sin_family != AF_INET || message->msg_iovlen == 0 ||
	    message->msg_iov[0].iov_len < sizeof(struct ip))
		return syscall(SYS_sendmsg, fd, message, flags);
	packet = message->msg_iov[0].iov_base;
	from = preferred(to->sin_addr);
	if (is_local(from)) memcpy(packet + SOURCE_OFFSET, &from, sizeof(from));
	control.header.cmsg_level = IPPROTO_IP;
	control.header.cmsg_type = IP_PKTINFO;
	control.header.cmsg_len = CMSG_LEN(sizeof(*info));
	info = (struct in_pktinfo *)CMSG_DATA(&control.header);
	memcpy(&info->ipi_spec_dst, packet + SOURCE_OFFSET, sizeof(info->ipi_spec_dst));
	changed.msg_control = control.bytes;
	changed.msg_controllen = sizeof(control.bytes);
	return syscall(SYS_sendmsg, fd, &changed, flags);
}
