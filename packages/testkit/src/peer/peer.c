// An SCTP host for tests, on libusrsctp over raw sockets: real multi-homed associations with fixed ports, tunable
// timers and numbered messages. It never reconnects unless told to. Every event is one line of JSON on stdout; commands
// are lines on stdin. peer.ts starts it and knows both languages.
//
//   peer --role server --local A[,B…] --port P [--echo]
//   peer --role client --local A[,B…] --port P --remote V --remote-port Q --associations N
//
// Commands: start COUNT | rate PER_SECOND | hold | paths | stats | abort N | shutdown N | send N COUNT SIZE | stop
#include "peer.h"

#define RAW_SOCKET_ROOM (16 * 1024 * 1024)
// usrsctp opens its sockets first thing: their numbers are low.
#define RAW_SOCKET_FD_END 64

struct options options = {
	.rto_initial = 300, .rto_min = 100, .rto_max = 400, .heartbeat = 500, .path_max_retrans = 2,
	.assoc_max_retrans = 10, .init_max_retrans = 8, .rate = 10, .size = 100, .start_rate = 0, .associations = 1,
	.delayed_sack = 20, .clock = 1, .heartbeat_burst = 16,
};
static pthread_mutex_t output_lock = PTHREAD_MUTEX_INITIALIZER;
static FILE *output;
static bool stopping;

double now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1e3 + now.tv_nsec / 1e6;
}

void emit(const char *format, ...)
{
	va_list arguments;

	pthread_mutex_lock(&output_lock);
	va_start(arguments, format);
	vfprintf(output, format, arguments);
	va_end(arguments);
	fputc('\n', output);
	fflush(output);
	pthread_mutex_unlock(&output_lock);
}

void die(const char *what)
{
	emit("{\"event\":\"error\",\"what\":\"%s\",\"reason\":\"%s\"}", what, strerror(errno));
	_exit(1);
}

const char *address_text(const struct sockaddr *address, char *text)
{
	if (address->sa_family == AF_INET6)
		inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)address)->sin6_addr, text, ADDRESS_TEXT_SIZE);
	else if (address->sa_family == AF_INET)
		inet_ntop(AF_INET, &((const struct sockaddr_in *)address)->sin_addr, text, ADDRESS_TEXT_SIZE);
	else
		snprintf(text, ADDRESS_TEXT_SIZE, "family-%d", address->sa_family);
	return text;
}

void parse_address(const char *text, uint16_t port, struct sockaddr_storage *address)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)address;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)address;

	memset(address, 0, sizeof(*address));
	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
	} else if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(port);
	} else {
		errno = EINVAL;
		die(text);
	}
}

socklen_t address_length(const struct sockaddr_storage *address)
{
	return address->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
}

// false: the port is still another socket's.
static bool bind_one(struct socket *socket, const char *text, uint16_t port)
{
	// usrsctp_bindx wants packed sockaddrs; one a call keeps mixed families simple.
	struct sockaddr_storage address;

	parse_address(text, port, &address);
	if (usrsctp_bindx(socket, (struct sockaddr *)&address, 1, SCTP_BINDX_ADD_ADDR) == 0)
		return true;
	if (errno != EADDRINUSE)
		die("bind");
	return false;
}

bool has_v6(void)
{
	for (int i = 0; i < options.local_count; i++)
		if (strchr(options.local[i], ':'))
			return true;
	return options.remote && strchr(options.remote, ':');
}

// A socket bound to the local addresses, with the timers and events of the options; NULL when the port is taken.
struct socket *open_socket(int type, uint16_t port, int (*receive)(struct socket *, union sctp_sockstore, void *, size_t,
		struct sctp_rcvinfo, int, void *), void *context)
{
	static const uint16_t events[] = {
		SCTP_ASSOC_CHANGE, SCTP_PEER_ADDR_CHANGE, SCTP_REMOTE_ERROR, SCTP_SEND_FAILED_EVENT, SCTP_SHUTDOWN_EVENT,
	};
	struct socket *socket = usrsctp_socket(has_v6() ? AF_INET6 : AF_INET, type, IPPROTO_SCTP, receive, NULL, 0, context);
	const int on = 1, off = 0;

	if (!socket)
		die("socket");
	if (has_v6())
		usrsctp_setsockopt(socket, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	usrsctp_setsockopt(socket, IPPROTO_SCTP, SCTP_RECVRCVINFO, &on, sizeof(on));
	usrsctp_setsockopt(socket, IPPROTO_SCTP, SCTP_NODELAY, &on, sizeof(on));
	for (size_t i = 0; i < sizeof(events) / sizeof(*events); i++) {
		struct sctp_event event = {.se_assoc_id = SCTP_FUTURE_ASSOC, .se_type = events[i], .se_on = 1};

		if (usrsctp_setsockopt(socket, IPPROTO_SCTP, SCTP_EVENT, &event, sizeof(event)) != 0)
			die("event");
	}
	if (options.no_heartbeat || options.path_mtu) {
		struct sctp_paddrparams parameters = {.spp_assoc_id = SCTP_FUTURE_ASSOC};

		if (options.no_heartbeat)
			parameters.spp_flags |= SPP_HB_DISABLE;
		if (options.path_mtu) {
			parameters.spp_flags |= SPP_PMTUD_DISABLE;
			parameters.spp_pathmtu = options.path_mtu;
		}
		usrsctp_setsockopt(socket, IPPROTO_SCTP, SCTP_PEER_ADDR_PARAMS, &parameters, sizeof(parameters));
	}
	if (options.auth) {
		// RFC 4895: this side accepts no DATA without a valid AUTH in front.
		struct sctp_authchunk chunk = {.sauth_chunk = 0};

		if (usrsctp_setsockopt(socket, IPPROTO_SCTP, SCTP_AUTH_CHUNK, &chunk, sizeof(chunk)) != 0)
			die("auth");
	}
	usrsctp_set_non_blocking(socket, 1);
	for (int i = 0; i < options.local_count; i++)
		if (!bind_one(socket, options.local[i], port)) {
			usrsctp_close(socket);
			return NULL;
		}
	return socket;
}

void emit_paths(struct socket *socket, sctp_assoc_t association, uint32_t id, const char *event)
{
	struct sockaddr *addresses = NULL, *at;
	int count = usrsctp_getpaddrs(socket, association, &addresses);
	char line[2048], text[ADDRESS_TEXT_SIZE];
	size_t used = 0;

	at = addresses;
	for (int i = 0; i < count && used < sizeof(line) - 200; i++) {
		struct sctp_paddrinfo info = {.spinfo_assoc_id = association};
		socklen_t length = sizeof(info);
		size_t size = at->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
		const char *state = "unknown";

		memcpy(&info.spinfo_address, at, size);
		if (usrsctp_getsockopt(socket, IPPROTO_SCTP, SCTP_GET_PEER_ADDR_INFO, &info, &length) == 0)
			state = info.spinfo_state & SCTP_UNCONFIRMED ? "unconfirmed" :
				info.spinfo_state & SCTP_ACTIVE ? "active" : "inactive";
		used += snprintf(line + used, sizeof(line) - used, "%s{\"address\":\"%s\",\"state\":\"%s\",\"rtoMs\":%u,\"mtu\":%u}",
				 i ? "," : "", address_text(at, text), state, info.spinfo_rto, info.spinfo_mtu);
		at = (struct sockaddr *)((char *)at + size);
	}
	line[used] = 0;
	if (count > 0)
		usrsctp_freepaddrs(addresses);
	emit("{\"event\":\"%s\",\"id\":%u,\"atMs\":%.3f,\"paths\":[%s]}", event, id, now_ms(), line);
}

void emit_path_change(uint32_t id, const struct sctp_paddr_change *change)
{
	static const char *const names[] = {"?", "reachable", "unreachable", "removed", "added", "madePrimary", "confirmed"};
	const char *state = change->spc_state < sizeof(names) / sizeof(*names) ? names[change->spc_state] : "?";
	char text[ADDRESS_TEXT_SIZE];

	emit("{\"event\":\"path\",\"id\":%u,\"atMs\":%.3f,\"address\":\"%s\",\"state\":\"%s\"}", id, now_ms(),
	     address_text((const struct sockaddr *)&change->spc_aaddr, text), state);
}

// usrsctp's raw sockets have room for some 200 packets. When a busy machine keeps the stack from reading for some
// milliseconds, a thousand associations send more; and Linux (6.16 and later) answers a packet that finds every raw
// socket full with "protocol unreachable", as if nobody here spoke SCTP.
static void widen_raw_sockets(void)
{
	const int room = RAW_SOCKET_ROOM;

	for (int fd = 3; fd < RAW_SOCKET_FD_END; fd++) {
		int type = 0, protocol = 0;
		socklen_t length = sizeof(int);

		if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) != 0 || type != SOCK_RAW) continue;
		if (getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &length) != 0 || protocol != IPPROTO_SCTP) continue;
		if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)) != 0) die("receive buffer");
	}
}

static void set_timers(void)
{
	usrsctp_sysctl_set_sctp_no_csum_on_loopback(0);
	usrsctp_sysctl_set_sctp_blackhole(options.blackhole);
	usrsctp_sysctl_set_sctp_asconf_enable(options.no_asconf ? 0 : 1);
	usrsctp_sysctl_set_sctp_auto_asconf(0);
	usrsctp_sysctl_set_sctp_rto_initial_default(options.rto_initial);
	usrsctp_sysctl_set_sctp_rto_min_default(options.rto_min);
	usrsctp_sysctl_set_sctp_rto_max_default(options.rto_max);
	usrsctp_sysctl_set_sctp_init_rto_max_default(options.rto_max);
	usrsctp_sysctl_set_sctp_heartbeat_interval_default(options.heartbeat);
	usrsctp_sysctl_set_sctp_path_rtx_max_default(options.path_max_retrans);
	usrsctp_sysctl_set_sctp_assoc_rtx_max_default(options.assoc_max_retrans);
	usrsctp_sysctl_set_sctp_init_rtx_max_default(options.init_max_retrans);
	usrsctp_sysctl_set_sctp_delayed_sack_time_default(options.delayed_sack);
	usrsctp_sysctl_set_sctp_hb_maxburst(options.heartbeat_burst);
	usrsctp_sysctl_set_sctp_nr_outgoing_streams_default(2);
	// Room for a thousand associations and more in one process.
	usrsctp_sysctl_set_sctp_max_chunks_on_queue(4096);
	usrsctp_sysctl_set_sctp_vtag_time_wait(1);
}

static void split_local(char *list)
{
	for (char *one = strtok(list, ","); one && options.local_count < LOCAL_COUNT_MAX; one = strtok(NULL, ","))
		options.local[options.local_count++] = one;
}

static void parse_options(int count, char **words)
{
	enum { FIRST = 256, ROLE, LOCAL, PORT, REMOTE, REMOTE_PORT, ASSOCIATIONS, ID, RTO_INITIAL, RTO_MIN, RTO_MAX, HEARTBEAT,
	       PATH_MAX, ASSOC_MAX, INIT_MAX, RATE, SIZE, START_RATE, ECHO_BACK, RECONNECT, NO_HEARTBEAT, NO_ASCONF, BLACKHOLE,
	       SACK, PATH_MTU, AUTH, CLOCK, SOURCE_BY_ROUTE, HEARTBEAT_BURST };
	static const struct option names[] = {
		{"role", 1, 0, ROLE}, {"local", 1, 0, LOCAL}, {"port", 1, 0, PORT}, {"remote", 1, 0, REMOTE},
		{"remote-port", 1, 0, REMOTE_PORT}, {"associations", 1, 0, ASSOCIATIONS}, {"id", 1, 0, ID},
		{"rto-initial", 1, 0, RTO_INITIAL}, {"rto-min", 1, 0, RTO_MIN}, {"rto-max", 1, 0, RTO_MAX},
		{"heartbeat", 1, 0, HEARTBEAT}, {"path-max-retrans", 1, 0, PATH_MAX}, {"assoc-max-retrans", 1, 0, ASSOC_MAX},
		{"init-max-retrans", 1, 0, INIT_MAX}, {"rate", 1, 0, RATE}, {"size", 1, 0, SIZE}, {"start-rate", 1, 0, START_RATE},
		{"echo", 0, 0, ECHO_BACK}, {"reconnect", 0, 0, RECONNECT}, {"no-heartbeat", 0, 0, NO_HEARTBEAT},
		{"no-asconf", 0, 0, NO_ASCONF}, {"blackhole", 0, 0, BLACKHOLE}, {"delayed-sack", 1, 0, SACK},
		{"auth", 0, 0, AUTH}, {"path-mtu", 1, 0, PATH_MTU}, {"clock", 1, 0, CLOCK},
		{"source-by-route", 0, 0, SOURCE_BY_ROUTE}, {"heartbeat-burst", 1, 0, HEARTBEAT_BURST}, {0},
	};

	for (int key; (key = getopt_long(count, words, "", names, NULL)) != -1;) {
		int number = optarg ? atoi(optarg) : 0;

		switch (key) {
		case ROLE: options.server = !strcmp(optarg, "server"); break;
		case LOCAL: split_local(optarg); break;
		case PORT: options.port = number; break;
		case REMOTE: options.remote = optarg; break;
		case REMOTE_PORT: options.remote_port = number; break;
		case ASSOCIATIONS: options.associations = number; break;
		case ID: options.id = number; break;
		case RTO_INITIAL: options.rto_initial = number; break;
		case RTO_MIN: options.rto_min = number; break;
		case RTO_MAX: options.rto_max = number; break;
		case HEARTBEAT: options.heartbeat = number; break;
		case PATH_MAX: options.path_max_retrans = number; break;
		case ASSOC_MAX: options.assoc_max_retrans = number; break;
		case INIT_MAX: options.init_max_retrans = number; break;
		case RATE: options.rate = atof(optarg); break;
		case SIZE: options.size = number; break;
		case START_RATE: options.start_rate = number; break;
		case ECHO_BACK: options.echo = true; break;
		case RECONNECT: options.reconnect = true; break;
		case NO_HEARTBEAT: options.no_heartbeat = true; break;
		case NO_ASCONF: options.no_asconf = true; break;
		case BLACKHOLE: options.blackhole = 2; break;
		case AUTH: options.auth = true; break;
		case SACK: options.delayed_sack = number; break;
		case PATH_MTU: options.path_mtu = number; break;
		case CLOCK: options.clock = number; break;
		case SOURCE_BY_ROUTE: options.source_by_route = true; break;
		case HEARTBEAT_BURST: options.heartbeat_burst = number; break;
		default: errno = EINVAL; die("option");
		}
	}
	if (options.local_count == 0 || options.port == 0 || (!options.server && (!options.remote || !options.remote_port))) {
		errno = EINVAL;
		die("--local and --port are needed, a client needs --remote and --remote-port too");
	}
	if (options.clock < 1 || options.clock > 100) {
		errno = EINVAL;
		die("--clock takes 1 to 100");
	}
	if (options.size < (int)sizeof(struct message)) options.size = sizeof(struct message);
	if (options.size > SIZE_MAX_BYTES) options.size = SIZE_MAX_BYTES;
}

static void run_command(char *line)
{
	char word[32] = "";
	long a = 0, b = 0, c = 0;
	double rate;

	if (sscanf(line, "%31s %ld %ld %ld", word, &a, &b, &c) < 1) return;
	if (!strcmp(word, "stop")) stopping = true;
	else if (!strcmp(word, "stats")) options.server ? server_stats("stats") : client_stats("stats");
	else if (!strcmp(word, "paths")) options.server ? server_paths() : client_paths();
	else if (options.server) server_command(word, a, b, c);
	else if (!strcmp(word, "rate") && sscanf(line, "%*s %lf", &rate) == 1) client_rate(rate);
	else client_command(word, a, b, c);
}

int main(int count, char **words)
{
	struct pollfd input = {.fd = 0, .events = POLLIN};
	char buffer[4096];
	size_t used = 0;
	int sink;

	// usrsctp of some distributions prints megabytes to stdout and stderr: keep stdout's file, give it /dev/null.
	output = fdopen(dup(1), "w");
	sink = open("/dev/null", O_WRONLY);
	if (!output || sink < 0) return 1;
	parse_options(count, words);
	dup2(sink, 1);
	dup2(sink, 2);
	signal(SIGPIPE, SIG_IGN);
	clock_start();
	usrsctp_init(0, NULL, NULL);
	widen_raw_sockets();
	set_timers();
	gate_open();
	if (options.server) server_start();
	else client_start();
	icmp_start();
	gate_check();
	emit("{\"event\":\"ready\",\"pid\":%d,\"atMs\":%.3f}", getpid(), now_ms());
	while (!stopping) {
		int ready = poll(&input, 1, options.server ? 50 : 2);

		if (ready > 0) {
			ssize_t got = read(0, buffer + used, sizeof(buffer) - 1 - used);

			if (got <= 0) break; // whoever started us is gone
			used += got;
			buffer[used] = 0;
			for (char *end; (end = strchr(buffer, '\n'));) {
				*end = 0;
				run_command(buffer);
				used -= end + 1 - buffer;
				memmove(buffer, end + 1, used + 1);
			}
			if (used == sizeof(buffer) - 1) used = 0;
		}
		if (!options.server) client_turn();
	}
	options.server ? server_stats("report") : client_stats("report");
	// usrsctp_finish may hang; the kernel cleans up faster.
	fflush(output);
	_exit(0);
}
