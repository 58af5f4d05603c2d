// The client's side: N associations, each from its own port, each with its own numbered messages.
#include "peer.h"

#define ASSOCIATION_COUNT_MAX 65536
#define RECONNECT_MS 20
#define GET_SNDBUF_USE 0x00001101 /* SCTP_GET_SNDBUF_USE of netinet/sctp.h */

struct association {
	struct socket *socket;
	uint32_t id;
	uint16_t port;
	bool connecting, up, ended, was_up;
	unsigned ups, losts, restarts, shutdowns, cannot_start, retries;
	uint32_t sent; /* numbers handed to the stack */
	uint32_t burst, burst_size;
	double due_ms, connected_ms, ended_ms, reconnect_ms;
	struct receipt echoes;
};

static struct association *associations;
static int started;
static double start_ms;
static bool holding;
static char payload[SIZE_MAX_BYTES];

static void on_change(struct association *association, const struct sctp_assoc_change *change)
{
	const char *event = "?";

	switch (change->sac_state) {
	case SCTP_COMM_UP:
		association->ups++;
		association->up = association->was_up = true;
		association->connecting = false;
		association->connected_ms = now_ms();
		association->due_ms = 0;
		event = "up";
		break;
	case SCTP_RESTART: association->restarts++; event = "restart"; break;
	case SCTP_COMM_LOST: association->losts++; event = "lost"; break;
	case SCTP_SHUTDOWN_COMP: association->shutdowns++; event = "shutdown"; break;
	case SCTP_CANT_STR_ASSOC: association->cannot_start++; event = "cannotStart"; break;
	}
	if (change->sac_state == SCTP_COMM_LOST || change->sac_state == SCTP_SHUTDOWN_COMP || change->sac_state == SCTP_CANT_STR_ASSOC) {
		association->up = association->connecting = false;
		association->ended_ms = now_ms();
		// An ABORT comes over every path: the stack still holds the association while it reads the copies.
		association->reconnect_ms = association->ended_ms + RECONNECT_MS;
		// Last: from here on the main thread may begin anew.
		__atomic_store_n(&association->ended, true, __ATOMIC_RELEASE);
	}
	emit("{\"event\":\"%s\",\"id\":%u,\"port\":%u,\"atMs\":%.3f,\"error\":%u}", event, association->id, association->port, now_ms(),
	     change->sac_error);
}

static int receive(struct socket *socket, union sctp_sockstore from, void *data, size_t length, struct sctp_rcvinfo info,
		   int flags, void *context)
{
	struct association *association = context;
	const union sctp_notification *notification = data;
	const struct message *message = data;

	(void)socket;
	(void)from;
	(void)info;
	if (!data) return 1;
	if (flags & MSG_NOTIFICATION) {
		switch (notification->sn_header.sn_type) {
		case SCTP_ASSOC_CHANGE: on_change(association, &notification->sn_assoc_change); break;
		case SCTP_PEER_ADDR_CHANGE: emit_path_change(association->id, &notification->sn_paddr_change); break;
		case SCTP_REMOTE_ERROR:
			emit("{\"event\":\"remoteError\",\"id\":%u,\"atMs\":%.3f,\"cause\":%u}", association->id, now_ms(),
			     ntohs(notification->sn_remote_error.sre_error));
			break;
		case SCTP_SEND_FAILED_EVENT:
			emit("{\"event\":\"sendFailed\",\"id\":%u,\"atMs\":%.3f}", association->id, now_ms());
			break;
		}
	} else if (length >= sizeof(*message) && ntohl(message->magic) == MESSAGE_MAGIC) {
		receipt_note(&association->echoes, ntohl(message->number));
	}
	free(data);
	return 1;
}

static void open_association(struct association *association)
{
	struct sockaddr_storage remote;

	association->socket = open_socket(SOCK_STREAM, association->port, receive, association);
	if (!association->socket) {
		if (!association->was_up) die("bind");
		return; // tried again
	}
	association->connecting = true;
	association->ended = false;
	parse_address(options.remote, options.remote_port, &remote);
	if (usrsctp_connect(association->socket, (struct sockaddr *)&remote, address_length(&remote)) != 0 && errno != EINPROGRESS)
		die("connect");
}

void client_start(void)
{
	if (options.associations > ASSOCIATION_COUNT_MAX) options.associations = ASSOCIATION_COUNT_MAX;
	associations = calloc(options.associations, sizeof(*associations));
	if (!associations) die("memory");
	for (uint32_t i = 0; i < sizeof(payload); i++) payload[i] = 'a' + i % 26;
	start_ms = now_ms();
}

static void send_due(struct association *association, double now)
{
	// A burst is sent as fast as the stack takes it, then the steady rate goes on.
	for (int turn = 0; turn < 64; turn++) {
		bool burst = association->burst > 0;
		uint32_t size = burst ? association->burst_size : (uint32_t)options.size;
		struct message *message = (struct message *)payload;
		struct sctp_sndinfo send = {.snd_sid = 0, .snd_ppid = htonl(60)};

		if (!burst) {
			if (holding || options.rate <= 0) return;
			if (association->due_ms == 0) association->due_ms = now;
			if (association->due_ms > now) return;
		}
		message->magic = htonl(MESSAGE_MAGIC);
		message->client = htonl(association->id);
		message->number = htonl(association->sent + 1);
		message->size = htonl(size);
		if (gated_send(association->socket, payload, size, &send) < 0)
			return; // no room, or gone: the same number is tried again
		association->sent++;
		if (burst) association->burst--;
		else association->due_ms += 1000 / options.rate;
	}
}

// A socket whose association is over. Without a lingering time of zero the stack may wait for what the association still
// had to send, and holds the port for ever.
static void drop_socket(struct socket *socket)
{
	const struct linger at_once = {.l_onoff = 1, .l_linger = 0};

	usrsctp_setsockopt(socket, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	usrsctp_close(socket);
}

void client_turn(void)
{
	double now = now_ms();
	int wanted = options.associations;

	if (options.start_rate > 0) {
		double allowed = (now - start_ms) * options.start_rate / 1000 + 1;

		if (allowed < wanted) wanted = allowed;
	}
	for (int batch = 0; started < wanted && batch < 200; batch++, started++) {
		associations[started].id = options.id + started;
		associations[started].port = options.port + started;
		open_association(&associations[started]);
	}
	for (int i = 0; i < started; i++) {
		struct association *association = &associations[i];

		if (association->up) send_due(association, now);
		else if (__atomic_load_n(&association->ended, __ATOMIC_ACQUIRE) && options.reconnect && now >= association->reconnect_ms) {
			// The port is free for a new association only when the old socket is closed.
			association->reconnect_ms = now + RECONNECT_MS;
			association->retries++;
			if (association->socket) drop_socket(association->socket);
			open_association(association);
		}
	}
}

struct socket *client_socket(uint16_t local_port)
{
	int index = local_port - options.port;

	return index >= 0 && index < started && associations[index].up ? associations[index].socket : NULL;
}

void client_rate(double rate)
{
	options.rate = rate;
	for (int i = 0; i < started; i++) associations[i].due_ms = 0;
}

// Messages that the stack still holds: in flight, or not sent yet. SCTP_STATUS has only the first (its "pending" ones are
// received); of the rest the stack tells the bytes, under a name that usrsctp.h leaves out.
static int held_messages(const struct association *association)
{
	struct sctp_status status = {0};
	struct { sctp_assoc_t association; uint32_t to_send, to_read; } bytes = {0};
	socklen_t length = sizeof(status);

	if (!association->up || usrsctp_getsockopt(association->socket, IPPROTO_SCTP, SCTP_STATUS, &status, &length) != 0)
		return -1;
	length = sizeof(bytes);
	if (usrsctp_getsockopt(association->socket, IPPROTO_SCTP, GET_SNDBUF_USE, &bytes, &length) != 0) return -1;
	if (status.sstat_unackdata > 0) return status.sstat_unackdata;
	return bytes.to_send > 0;
}

void client_stats(const char *event)
{
	emit("{\"event\":\"%s\",\"atMs\":%.3f,\"started\":%d}", event, now_ms(), started);
	for (int i = 0; i < started; i++) {
		const struct association *association = &associations[i];

		emit("{\"event\":\"association\",\"id\":%u,\"port\":%u,\"up\":%s,\"ups\":%u,\"lost\":%u,\"restarts\":%u,\"shutdowns\":%u,"
		     "\"cannotStart\":%u,\"retries\":%u,\"sent\":%u,\"unacknowledged\":%d,\"echoes\":%u,\"echoMissing\":%u,\"echoDuplicates\":%u,"
		     "\"longestEchoGapMs\":%.1f,\"endedMs\":%.3f,\"upMs\":%.3f}",
		     association->id, association->port, association->up ? "true" : "false", association->ups, association->losts,
		     association->restarts, association->shutdowns, association->cannot_start, association->retries, association->sent,
		     held_messages(association), association->echoes.received,
		     receipt_missing(&association->echoes, association->sent), association->echoes.duplicates,
		     association->echoes.longest_gap_ms, association->ended_ms, association->connected_ms);
	}
	emit("{\"event\":\"%sEnd\"}", event);
}

void client_paths(void)
{
	for (int i = 0; i < started; i++)
		if (associations[i].up) emit_paths(associations[i].socket, 0, associations[i].id, "paths");
	emit("{\"event\":\"pathsEnd\"}");
}

static void end_one(struct association *association, uint16_t flag)
{
	struct sctp_sndinfo send = {.snd_flags = flag};

	if (!association->up) return;
	if (flag == SCTP_EOF) usrsctp_shutdown(association->socket, SHUT_WR);
	else gated_send(association->socket, NULL, 0, &send);
}

static void set_primary(struct association *association, long index)
{
	struct sockaddr *addresses = NULL, *at;
	int count = usrsctp_getpaddrs(association->socket, 0, &addresses);
	struct sctp_setprim primary = {0};

	at = addresses;
	for (int i = 0; i < count; i++) {
		size_t size = at->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);

		if (i == index) {
			memcpy(&primary.ssp_addr, at, size);
			usrsctp_setsockopt(association->socket, IPPROTO_SCTP, SCTP_PRIMARY_ADDR, &primary, sizeof(primary));
		}
		at = (struct sockaddr *)((char *)at + size);
	}
	if (count > 0) usrsctp_freepaddrs(addresses);
}

// abort|shutdown ID, send ID COUNT SIZE, primary ID INDEX; ID -1 means all. hold and go stop and continue the numbers.
void client_command(const char *word, long a, long b, long c)
{
	if (!strcmp(word, "hold")) holding = true;
	else if (!strcmp(word, "go")) {
		holding = false;
		client_rate(options.rate);
	}
	for (int i = 0; i < started; i++) {
		struct association *association = &associations[i];

		if (a != -1 && association->id != (uint32_t)a) continue;
		if (!strcmp(word, "abort")) end_one(association, SCTP_ABORT);
		else if (!strcmp(word, "shutdown")) end_one(association, SCTP_EOF);
		else if (!strcmp(word, "primary")) set_primary(association, b);
		else if (!strcmp(word, "send")) {
			association->burst = b;
			association->burst_size = c < (long)sizeof(struct message) ? (long)sizeof(struct message) : c > SIZE_MAX_BYTES ? SIZE_MAX_BYTES : c;
		}
	}
}
