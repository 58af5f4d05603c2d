// usrsctp-pair server ADDRESS | client ADDRESS SERVER BYTES PATH_MTU: one association over raw IP, one message.
// The server prints each message's size; the client prints when it is connected. PATH_MTU 0 leaves the stack's own.
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <usrsctp.h>

static struct sockaddr_in at(const char *text, int port) {
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
	inet_pton(AF_INET, text, &address.sin_addr);
	return address;
}

int main(int count, char **values) {
	if (count < 3) return 2;
	usrsctp_init(0, NULL, NULL);
	usrsctp_sysctl_set_sctp_no_csum_on_loopback(0);
	struct socket *sock = usrsctp_socket(AF_INET, SOCK_STREAM, IPPROTO_SCTP, NULL, NULL, 0, NULL);
	int server = strcmp(values[1], "server") == 0;
	struct sockaddr_in own = at(values[2], server ? 9999 : 0);
	if (usrsctp_bind(sock, (struct sockaddr *)&own, sizeof own) < 0) { perror("bind"); return 1; }
	if (server) {
		usrsctp_listen(sock, 1);
		printf("listening\n");
		fflush(stdout);
		struct socket *peer = usrsctp_accept(sock, NULL, NULL);
		static char data[65536];
		for (;;) {
			struct sctp_rcvinfo info;
			struct sockaddr_in sender;
			socklen_t size = sizeof info, from = sizeof sender;
			unsigned int type;
			int flags = 0;
			ssize_t length = usrsctp_recvv(peer, data, sizeof data, (struct sockaddr *)&sender, &from, &info, &size, &type, &flags);
			if (length <= 0) { perror("recvv"); return 0; }
			printf("received %zd\n", length);
			fflush(stdout);
		}
	}
	struct sockaddr_in remote = at(values[3], 9999);
	int mtu = atoi(values[5]);
	if (mtu > 0) {
		struct sctp_paddrparams parameters = { .spp_pathmtu = mtu, .spp_flags = SPP_PMTUD_DISABLE };
		if (usrsctp_setsockopt(sock, IPPROTO_SCTP, SCTP_PEER_ADDR_PARAMS, &parameters, sizeof parameters) < 0) perror("path mtu");
	}
	if (usrsctp_connect(sock, (struct sockaddr *)&remote, sizeof remote) < 0) { perror("connect"); return 1; }
	printf("connected\n");
	fflush(stdout);
	static char message[65536];
	usrsctp_sendv(sock, message, atoi(values[4]), NULL, 0, NULL, 0, SCTP_SENDV_NOINFO, 0);
	sleep(300);
	return 0;
}
