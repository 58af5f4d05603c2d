// usrsctp-addresses PORT ADDRESS...: starts the stack, says so, waits for a line of input, then says which local addresses a
// wildcard socket has, and whether each ADDRESS can be bound to.
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <usrsctp.h>

static struct socket *bound(const char *text, int port) {
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
	inet_pton(AF_INET, text, &address.sin_addr);
	struct socket *sock = usrsctp_socket(AF_INET, SOCK_STREAM, IPPROTO_SCTP, NULL, NULL, 0, NULL);
	return usrsctp_bind(sock, (struct sockaddr *)&address, sizeof address) < 0 ? NULL : sock;
}

int main(int count, char **values) {
	usrsctp_init(0, NULL, NULL);
	usrsctp_sysctl_set_sctp_blackhole(1);
	printf("started\n");
	fflush(stdout);
	if (getchar() == EOF) return 1;
	int port = atoi(values[1]);
	struct socket *wildcard = bound("0.0.0.0", port);
	struct sockaddr *all = NULL;
	int addresses = wildcard == NULL ? 0 : usrsctp_getladdrs(wildcard, 0, &all);
	for (int i = 0; i < addresses; i++) printf("lists %s\n", inet_ntoa(((struct sockaddr_in *)all)[i].sin_addr));
	for (int i = 2; i < count; i++) printf("%s %s\n", bound(values[i], port + i) != NULL ? "binds" : "refuses", values[i]);
	return 0;
}
