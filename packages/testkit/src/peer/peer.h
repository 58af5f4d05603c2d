// What the parts of the test peer share.
#ifndef PEER_H
#define PEER_H
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#include <usrsctp.h>

#define LOCAL_COUNT_MAX 8
#define SIZE_MAX_BYTES 65536
#define ADDRESS_TEXT_SIZE 64
#define MESSAGE_MAGIC 0x484f4c44u /* "HOLD" */

struct options {
	bool server, echo, reconnect, no_heartbeat, no_asconf, auth;
	char *local[LOCAL_COUNT_MAX];
	int local_count;
	uint16_t port, remote_port;
	const char *remote;
	int associations, blackhole;
	uint32_t id;
	int rto_initial, rto_min, rto_max, heartbeat, path_max_retrans, assoc_max_retrans, init_max_retrans, delayed_sack;
	double rate; /* messages per second and association */
	int size;
	uint32_t path_mtu; /* of every path, without IP and SCTP headers; 0: the interface's */
	int start_rate; /* associations per second, 0: all at once */
	int clock; /* the stack's seconds in one of ours */
	bool source_by_route;
	int heartbeat_burst;
};

/* The head of each numbered message, network byte order. */
struct message {
	uint32_t magic;
	uint32_t client; /* --id plus the index of the association */
	uint32_t number; /* 1, 2, … */
	uint32_t size;
};

extern struct options options;
double now_ms(void);
void emit(const char *format, ...) __attribute__((format(printf, 1, 2)));
void die(const char *what) __attribute__((noreturn));
const char *address_text(const struct sockaddr *address, char *text);
void parse_address(const char *text, uint16_t port, struct sockaddr_storage *address);
bool has_v6(void);
socklen_t address_length(const struct sockaddr_storage *address);
struct socket *open_socket(int type, uint16_t port, int (*receive)(struct socket *, union sctp_sockstore, void *, size_t,
	struct sctp_rcvinfo, int, void *), void *context);
void emit_paths(struct socket *socket, sctp_assoc_t association, uint32_t id, const char *event);
void emit_path_change(uint32_t id, const struct sctp_paddr_change *change);

/* usrsctp_sendv, never at the same time as the stack's timers; see gate.c. */
ssize_t gated_send(struct socket *socket, const void *data, size_t size, struct sctp_sndinfo *send);
/* The stack has its options: it may read what arrived, and arrives. */
void gate_open(void);
/* Once the stack runs: its timers do pass the gate, or this process ends with an error. */
void gate_check(void);

/* The stack's clock: nanosleep(3) at its pace. See clock.c. */
int clock_sleep(const struct timespec *wanted, struct timespec *left);
void clock_start(void);

/* ICMP said that packets of `local_port` to `remote` (address and port) must be at most `mtu` bytes long. */
void icmp_start(void);
struct socket *server_socket(uint16_t local_port);
struct socket *client_socket(uint16_t local_port);

void server_start(void);
void server_stats(const char *event);
void server_paths(void);
void server_command(const char *word, long a, long b, long c);

void client_start(void);
void client_turn(void);
void client_rate(double rate);
void client_stats(const char *event);
void client_paths(void);
void client_command(const char *word, long a, long b, long c);

/* Which numbers of one sender arrived. */
struct receipt {
	uint32_t received, duplicates, out_of_order, corrupt, highest, room;
	uint8_t *seen;
	double first_ms, last_ms, longest_gap_ms, longest_gap_at_ms;
	float *gaps; /* ms, since they were last asked for */
	uint32_t gap_count, gap_room;
};
void receipt_note(struct receipt *receipt, uint32_t number);
/* Emits the times between messages since the last call, which begins to keep them. */
void receipt_gaps(struct receipt *receipt, uint32_t client);
uint32_t receipt_missing(const struct receipt *receipt, uint32_t sent);
#endif
