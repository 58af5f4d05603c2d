// Keeps the stack's timers out of its send call, and the network out until the stack has its options.
//
// In usrsctp 0.9.5 the heartbeat timer checks the stream scheduler whenever the association has bytes to send and nothing in
// flight (sctp_audit_stream_queues_for_size), under another lock than usrsctp_sendv adds to it. When the timer comes between
// the counting of a message and the listing of its stream, it makes an empty list; the stream believes to be on the list and
// never gets there again. The association then lives on in heartbeats, accepts messages, and sends none for ever: one message
// in some hundred thousand, more on a busy machine.
//
// The timer thread does its work between two calls of nanosleep(3), which is therefore ours: it holds the gate while it is
// not asleep, and whoever sends holds it too.
//
// usrsctp opens its raw sockets and begins to read before its options can be set: on a busy machine it lived for some
// milliseconds with others, and answered what it should be silent to. It reads with recvmsg(2), which is ours too.
//
// It reads IPv4 and IPv6 in a thread each. When both bring data of one association, it may forget to give room back that a
// message took: the window shrinks to zero and stays there, and the sender, who probes it in vain, ends the association. So one
// of them at a time has a packet in hand; it is done with it when it reads again.
#include "peer.h"
#include <sys/syscall.h>

// A thread of the stack that sends from its callback may hold what a timer waits for.
#define CALLBACK_WAIT_MS 50
#define TIMERS_WAIT_MS 5000

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t receiving = PTHREAD_MUTEX_INITIALIZER;
static __thread bool holds, receives;
static volatile bool timers_pass, open_to_network;

int nanosleep(const struct timespec *wanted, struct timespec *left)
{
	int failure;

	if (holds) pthread_mutex_unlock(&gate);
	failure = clock_sleep(wanted, left);
	pthread_mutex_lock(&gate);
	holds = true;
	timers_pass = true;
	errno = failure;
	return failure ? -1 : 0;
}

ssize_t gated_send(struct socket *socket, const void *data, size_t size, struct sctp_sndinfo *send)
{
	struct timespec end;
	ssize_t sent;
	bool locked;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_nsec += CALLBACK_WAIT_MS * 1000000L;
	end.tv_sec += end.tv_nsec / 1000000000L;
	end.tv_nsec %= 1000000000L;
	locked = !holds && pthread_mutex_timedlock(&gate, &end) == 0;
	sent = usrsctp_sendv(socket, data, size, NULL, 0, send, sizeof(*send), SCTP_SENDV_SNDINFO, 0);
	if (locked) pthread_mutex_unlock(&gate);
	return sent;
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
	ssize_t length;

	if (receives) pthread_mutex_unlock(&receiving);
	while (!open_to_network) poll(NULL, 0, 1);
	length = syscall(SYS_recvmsg, fd, message, flags);
	pthread_mutex_lock(&receiving);
	receives = true;
	return length;
}

void gate_open(void)
{
	open_to_network = true;
}

// A stack that sleeps by another call would pass by the gate, and nobody would know.
void gate_check(void)
{
	for (int i = 0; !timers_pass; i++) {
		errno = ENOSYS;
		if (i == TIMERS_WAIT_MS) die("the stack's timers do not use nanosleep()");
		poll(NULL, 0, 1);
	}
}
