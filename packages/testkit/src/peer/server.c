// The endpoint's side: one socket for all associations; what arrived is counted by the sender's number, so that a client
// that had to come back is seen as the same sender.
#include "peer.h"

#define SENDER_COUNT_MAX 65536
#define ASSOCIATION_COUNT_MAX 65536

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct socket *listener;
static struct receipt *senders[SENDER_COUNT_MAX];
static sctp_assoc_t living[ASSOCIATION_COUNT_MAX];
static int living_count;
static unsigned ups, losts, restarts, shutdowns;

static void remember(sctp_assoc_t association)
{
	if (living_count < ASSOCIATION_COUNT_MAX) living[living_count++] = association;
}

static void forget(sctp_assoc_t association)
{
	for (int i = 0; i < living_count; i++)
		if (living[i] == association) {
			living[i] = living[--living_count];
			return;
		}
}

static void on_notification(const union sctp_notification *notification)
{
	const struct sctp_assoc_change *change = &notification->sn_assoc_change;

	if (notification->sn_header.sn_type == SCTP_PEER_ADDR_CHANGE) {
		emit_path_change(notification->sn_paddr_change.spc_assoc_id, &notification->sn_paddr_change);
		return;
	}
	if (notification->sn_header.sn_type == SCTP_REMOTE_ERROR) {
		emit("{\"event\":\"remoteError\",\"id\":%u,\"atMs\":%.3f,\"cause\":%u}", notification->sn_remote_error.sre_assoc_id,
		     now_ms(), ntohs(notification->sn_remote_error.sre_error));
		return;
	}
	if (notification->sn_header.sn_type != SCTP_ASSOC_CHANGE) return;
	pthread_mutex_lock(&lock);
	switch (change->sac_state) {
	case SCTP_COMM_UP: ups++; remember(change->sac_assoc_id); break;
	case SCTP_COMM_LOST: losts++; forget(change->sac_assoc_id); break;
	case SCTP_RESTART: restarts++; break;
	case SCTP_SHUTDOWN_COMP: shutdowns++; forget(change->sac_assoc_id); break;
	}
	pthread_mutex_unlock(&lock);
	if (change->sac_state == SCTP_COMM_UP || change->sac_state == SCTP_RESTART)
		emit_paths(listener, change->sac_assoc_id, change->sac_assoc_id, change->sac_state == SCTP_COMM_UP ? "up" : "restart");
	else
		emit("{\"event\":\"%s\",\"id\":%u,\"atMs\":%.3f,\"error\":%u}",
		     change->sac_state == SCTP_COMM_LOST ? "lost" : change->sac_state == SCTP_SHUTDOWN_COMP ? "shutdown" : "cannotStart",
		     change->sac_assoc_id, now_ms(), change->sac_error);
}

static int receive(struct socket *socket, union sctp_sockstore from, void *data, size_t length, struct sctp_rcvinfo info,
		   int flags, void *context)
{
	const struct message *message = data;
	uint32_t client;

	(void)from;
	(void)context;
	if (!data) return 1;
	if (flags & MSG_NOTIFICATION) {
		on_notification(data);
	} else if (length >= sizeof(*message) && ntohl(message->magic) == MESSAGE_MAGIC) {
		client = ntohl(message->client);
		pthread_mutex_lock(&lock);
		if (client < SENDER_COUNT_MAX) {
			if (!senders[client]) senders[client] = calloc(1, sizeof(struct receipt));
			if (senders[client]) {
				if (ntohl(message->size) != length) senders[client]->corrupt++;
				receipt_note(senders[client], ntohl(message->number));
			}
		}
		pthread_mutex_unlock(&lock);
		if (options.echo) {
			struct sctp_sndinfo send = {.snd_sid = info.rcv_sid, .snd_ppid = info.rcv_ppid, .snd_assoc_id = info.rcv_assoc_id};

			gated_send(socket, data, length, &send);
		}
	}
	free(data);
	return 1;
}

void server_start(void)
{
	listener = open_socket(SOCK_SEQPACKET, options.port, receive, NULL);
	if (!listener)
		die("bind");
	if (usrsctp_listen(listener, 4096) != 0) die("listen");
}

struct socket *server_socket(uint16_t local_port)
{
	return local_port == options.port ? listener : NULL;
}

void server_stats(const char *event)
{
	pthread_mutex_lock(&lock);
	emit("{\"event\":\"%s\",\"atMs\":%.3f,\"ups\":%u,\"lost\":%u,\"restarts\":%u,\"shutdowns\":%u,\"living\":%d}", event, now_ms(), ups,
	     losts, restarts, shutdowns, living_count);
	for (uint32_t client = 0; client < SENDER_COUNT_MAX; client++) {
		const struct receipt *receipt = senders[client];

		if (receipt)
			emit("{\"event\":\"receipt\",\"client\":%u,\"received\":%u,\"highest\":%u,\"missing\":%u,\"duplicates\":%u,"
			     "\"outOfOrder\":%u,\"corrupt\":%u,\"longestGapMs\":%.1f,\"longestGapAtMs\":%.1f,\"lastMs\":%.3f}",
			     client, receipt->received, receipt->highest, receipt_missing(receipt, receipt->highest),
			     receipt->duplicates, receipt->out_of_order, receipt->corrupt, receipt->longest_gap_ms,
			     receipt->longest_gap_at_ms, receipt->last_ms);
	}
	emit("{\"event\":\"%sEnd\"}", event);
	pthread_mutex_unlock(&lock);
}

static void gaps(void)
{
	pthread_mutex_lock(&lock);
	for (uint32_t client = 0; client < SENDER_COUNT_MAX; client++)
		if (senders[client]) receipt_gaps(senders[client], client);
	emit("{\"event\":\"gapsEnd\"}");
	pthread_mutex_unlock(&lock);
}

void server_paths(void)
{
	pthread_mutex_lock(&lock);
	for (int i = 0; i < living_count; i++) emit_paths(listener, living[i], living[i], "paths");
	pthread_mutex_unlock(&lock);
	emit("{\"event\":\"pathsEnd\"}");
}

// abort and shutdown from the endpoint's side; gaps
void server_command(const char *word, long a, long b, long c)
{
	struct sctp_sndinfo send = {.snd_flags = SCTP_ABORT};

	(void)b;
	(void)c;
	if (!strcmp(word, "gaps")) {
		gaps();
		return;
	}
	if (!strcmp(word, "shutdown")) send.snd_flags = SCTP_EOF;
	else if (strcmp(word, "abort")) return;
	pthread_mutex_lock(&lock);
	sctp_assoc_t chosen[ASSOCIATION_COUNT_MAX];
	int count = living_count;

	memcpy(chosen, living, sizeof(*living) * count);
	pthread_mutex_unlock(&lock);
	for (int i = 0; i < count; i++)
		if (a == 0 || chosen[i] == (sctp_assoc_t)a) {
			send.snd_assoc_id = chosen[i];
			gated_send(listener, NULL, 0, &send);
		}
}
