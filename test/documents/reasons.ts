// What drop and punt reasons mean, for docs/metrics.md. The types hold the lists complete.

type BpfName = Exclude<keyof typeof DROP_REASON, "REASON_COUNT">;
type Dashed<Text extends string> = Text extends `${infer Head}_${infer Tail}`
  ? `${Lowercase<Head>}-${Dashed<Tail>}`
  : Lowercase<Text>;

/** The codec's, of lengths and headers: one line for all of them. */
export const LENGTH_REASONS =
  "Lengths and headers that cannot be: `ip-…`, `packet-…`, `port-zero`, `no-chunk`, `chunk-…`, `parameter-…`, `cause-…`, `init-tag`, `initiate-tag-zero`, `fixed-part-truncated`";

type OfTheCodec = Extract<DropReason, `${"ip" | "packet" | "chunk" | "parameter" | "cause"}-${string}`>;
type Other = "port-zero" | "no-chunk" | "init-tag" | "initiate-tag-zero" | "fixed-part-truncated";

export const FAST_PATH_DROPS: Readonly<
  Record<Exclude<DropReason | Dashed<BpfName>, Exclude<OfTheCodec, "ip-checksum"> | Other>, string>
> = {
  "ip-checksum": "The IPv4 header's checksum is wrong; userspace fast path only.",
  "chunk-count": "Of earlier versions: packets have as many chunks as fit.",
  "not-sctp": "Something else than SCTP, TCP, UDP and ICMP to a VIP.",
  "icmp-other": "ICMP that says nothing about an association.",
  "not-owned": "ARP, neighbour solicitation or ping for a VIP of another member.",
  "port-not-served": "No service on this port of the VIP, and no endpoint behind it.",
  "source-not-allowed":
    "What would begin (an INIT, a SYN, a first datagram) from an address that the service's `allowedSources` do not have.",
  "wrong-tag": "The verification tag is not the association's.",
  "unverified-destination": "DATA for a client address that never proved itself: only HEARTBEATs go there.",
  "punt-rate":
    "More punts of this kind, or from this prefix, than the budget allows; or INITs that would have waited too long.",
  "punt-queue": "The ring to the daemon was full: it is starved, or dead and nobody is to take its VIP over.",
  "punt-size": "Too long for the ring to the daemon.",
  "no-successor": "Of earlier versions: a dead daemon's packets without a successor wait in the ring now.",
  "ttl-expired": "The TTL ended on the way to the dead daemon's successor.",
  unreadable: "The kernel could not hand the packet's bytes over.",
  "foreign-claim": "Somebody else says by ARP or neighbour advertisement that the VIP is his.",
  "tcp-header": "A TCP header that is short, or longer than its packet.",
  "tcp-flags":
    "TCP flags that no stack sends together: none, SYN with FIN or RST, FIN with RST or without ACK.",
  "tcp-window": "A FIN or RST of TCP whose number is far from the connection's: forged, or very late.",
  "udp-length": "A UDP length below 8, or beyond the packet.",
  "send-failed": "The interface did not take the packet.",
};

export const PUNTS: Readonly<Record<PuntReason, string>> = {
  init: "An INIT.",
  initAck: "An INIT-ACK.",
  control: "ABORT, SHUTDOWN and its answers, ERROR: the phase may change.",
  handshake: "COOKIE-ECHO or COOKIE-ACK; TCP in its handshake, or while a PROXY header is not acknowledged.",
  miss: "No flow for these addresses and ports.",
  wrongTag: "The tag is not the flow's, and another may have been committed since.",
  learn: "Forwarded, and a copy given: something can be learned from it.",
  icmp: "An ICMP error: about packets that were sent from a VIP, perhaps.",
  fragment: "A part of a packet.",
  asconf: "A change of addresses (RFC 5061).",
  noNextHop: "The way out has no link-layer address yet.",
  ttlExpired: "The TTL ended here.",
  tooBig: "Longer than the MTU of the way out.",
  probe: "HEARTBEATs for a client address that never proved itself: the next may be another address's.",
  syn: "A TCP SYN: a new connection, or one on old ports.",
  synAck: "A TCP SYN-ACK.",
  datagram: "A UDP datagram without a flow.",
  end: "A FIN or RST of TCP that was forwarded, and a copy given.",
  ndp: "A neighbour solicitation that the fast path does not answer itself.",
};

export const SLOW_PATH_DROPS: Readonly<Record<SlowPathDropReason, string>> = {
  malformed: "Lengths of IP, SCTP, chunks or parameters that cannot be.",
  "bad-checksum": "CRC32c is wrong.",
  "bad-bundling": "Chunks that may not travel together, an INIT with a tag, another chunk without one.",
  "not-sctp": "Something else than SCTP.",
  "source-not-unicast": "From an address that nobody can have.",
  "no-service": "No service on this VIP and port.",
  "no-session": "No member knows an association with these addresses and ports.",
  "session-ended": "The association has ended.",
  "wrong-tag": "The verification tag is not the association's: forged, or very late.",
  "source-not-in-set": "The right tag, from an address that the association does not have.",
  "wrong-phase": "A chunk that the phase does not allow.",
  "no-endpoint": "The service has no endpoint that takes associations.",
  "nat-ports-exhausted": "Every NAT port that this member may use toward the endpoint is taken.",
  "embryo-quota": "Too many unfinished handshakes of one prefix or service.",
  "no-candidate": "COOKIE-ECHO with a tag that no INIT-ACK carried.",
  "init-too-old": "A repeated INIT of a handshake that has gone on since.",
  "init-host-name": "An INIT with a host name, which RFC 9260 forbids.",
  "init-restart-new-addresses": "A restart that brings new addresses (`restartNewAddresses: abort`).",
  "init-two-associations": "An INIT whose addresses belong to two associations.",
  "init-rate": "More INITs than are taken in.",
  "not-ready": "This member does not know yet which NAT ports are taken.",
  "init-ack-unexpected": "An INIT-ACK that nothing was asked for.",
  "unverified-address": "For a client address that never proved itself.",
  "held-too-many": "Too many packets wait for an answer of another member.",
  "question-rate": "More questions to other members than are asked.",
  asconf: "A change of addresses (RFC 5061): refused with an ERROR.",
  "icmp-unrelated": "An ICMP error about a packet that no association sent.",
  "icmp-unsupported": "An ICMP message that is not translated.",
  "icmp-rate": "More ICMP errors than are sent.",
  "fragment-limit": "Too many parts wait for the rest of their packets.",
  "fragment-overlap": "Parts that overlap.",
  "fragment-too-small": "A part too small to be one.",
  "fragment-timeout": "The rest of a packet never came.",
  "ttl-expired": "The TTL ended here.",
  "too-big": "Longer than the MTU of the way out, and may not be cut.",
  "no-path": "No way to the destination.",
  "send-failed": "The interface did not take the packet.",
  "error-causes": "An ERROR of which nothing was left that may be handed on.",
  "endpoint-init-unmatched": "An endpoint's INIT to a NAT port that is nobody's.",
  "icmp-unproven": "An ICMP error about an address that was listed and never proved itself.",
  "vip-not-accepted":
    "A reflected ABORT or SHUTDOWN-COMPLETE on a VIP, or from an address, on which its sender never took part in the association: it knows it on other VIPs only (mixed scopes).",
  "nat-port-taken":
    "`natPort: require`: the client's port is another client's toward this endpoint, or rests. Answered with ABORT.",
  "nat-port-unreachable":
    "`natPort: require`: the member in whose slot the client's port is does not answer. Answered with ABORT.",
  "endpoint-begins":
    "An INIT from an endpoint's own address and port to its own service: no client's, and `endpointsMayBegin` does not send it to a peer.",
  "nat-port-rate": "`natPort: require`: more clients need a port of another member than those are asked for.",
  "syn-rate":
    "One more SYN into an open TCP connection within the second: one was let through to the endpoint.",
  "source-not-allowed":
    "What would begin from an address that the service's `allowedSources` do not have, and the fast path did not see.",
};

export const SLOW_PATH_EVENTS: Readonly<Record<SlowPathEvent, string>> = {
  punts: "Packets from the fast path.",
  forwarded: "Packets sent on.",
  inits: "First INITs.",
  "init-retransmissions": "INITs that came again.",
  "init-reselections": "INITs that came again and went to another endpoint.",
  "init-acks": "INIT-ACKs handed to clients.",
  "init-ack-release-timeouts": "INIT-ACKs that left before another member had their record.",
  "replication-deferred":
    "Records whose replication waits: their prefix has its share of unfinished handshakes.",
  "sessions-committed": "Associations that came up.",
  "restarts-committed": "Associations that restarted.",
  "sessions-ended": "Associations that ended.",
  "generations-aborted": "Handshakes or restarts that their ends gave up.",
  "embryos-evicted": "Unfinished handshakes that made room.",
  "embryos-expired": "Handshakes that nobody went on with.",
  "sessions-idle": "Associations that were silent for too long.",
  "flow-installs": "Flows given to the fast path.",
  "flow-table-full": "Flows that found no room: their packets go through the slow path.",
  "flows-learned": "Flows made because a packet proved them.",
  "addresses-verified": "Client addresses that proved themselves.",
  fallbacks: "Paths that went over to another address, since the one paired with the VIP did not answer.",
  questions: "Questions to other members about an unknown packet.",
  held: "Packets that waited for such an answer.",
  "aborts-sent": "ABORTs of Holdfast's own: an endpoint is gone, an operator removed a session.",
  "shutdown-completes-sent": "SHUTDOWN-COMPLETEs for an association that is known to be over.",
  "errors-sent": "ERRORs of Holdfast's own.",
  "icmp-translated": "ICMP errors handed to the association that they are about.",
  "icmp-sent": "ICMP errors of Holdfast's own.",
  "fragments-reassembled": "Packets put together from parts.",
  "init-acks-of-other-endpoint":
    "INIT-ACKs from another endpoint of the service than the INIT went to: one server with two addresses; the session is that endpoint's.",
  "sessions-adopted": "Associations found in the data plane of an earlier daemon.",
  "inits-again": "INITs that were let through under pressure because they came again.",
  "endpoint-deaths-denied": "Verdicts on an endpoint that did not end an association, since it was heard.",
  "sessions-stray":
    "Sessions ended because their service or endpoint was deleted while nobody ran, as a majority knows.",
  "endpoints-began": "Associations that endpoints began with their service's peer.",
  "connections-begun": "SYNs of new TCP connections that were given an endpoint.",
  "connections-opened": "TCP handshakes that were done.",
  "exchanges-begun": "First datagrams of clients' ports that were given an endpoint.",
  "resets-sent":
    "TCP resets that were made here: connections that an operator took away, and that nobody knows.",
  "leftovers-reset":
    "Old connections that an endpoint had of a NAT port, in TIME-WAIT, and that their new client reset; its SYN was said again.",
  "syns-moved": "SYNs that another endpoint was sent, since theirs could not be reached.",
  "proxy-headers-sent":
    "Headers of the PROXY protocol that endpoints were sent; more than connections: some were sent again.",
  "way-inits":
    "INITs from this member's VIPs to endpoints that are up (`health.proveWays`): does an answer come back?",
  "way-syns":
    "SYNs from this member's VIPs to endpoints of TCP that are up, for the same; what answers is reset before its application hears of it.",
  "way-answers": "Answers to them, also those that came in at another member and were told to this one.",
  "syns-into-connections":
    "SYNs into open TCP connections that were let through to the endpoint, which judges them (RFC 5961).",
  "mss-clamped":
    "SYNs and SYN-ACKs of TCP that offered larger segments than the ways to client and endpoint take.",
  "nat-ports-asked": "Clients whose own port is in another member's slot, or in nobody's.",
  "nat-ports-borrowed": "… and was lent.",
  "nat-ports-lent": "Ports that this member lent, or voted for.",
};

export const FAST_PATH_EVENTS: Readonly<
  Record<
    | "answer.echo"
    | "answer.neighbour"
    | "answer.arp"
    | "divert.packets"
    | "defer.packets"
    | "resolve.packets"
    | "end.unproven"
    | "offer.taken"
    | "divert.returned",
    string
  >
> = {
  "answer.echo": "Pings answered.",
  "answer.neighbour": "Neighbour solicitations answered.",
  "answer.arp": "ARP requests answered.",
  "divert.packets": "Packets sent to a VIP's successor because the daemon is dead.",
  "defer.packets": "Packets that XDP left to the TC program.",
  "resolve.packets": "Packets whose next hop the kernel has to look up.",
  "end.unproven": "FINs and RSTs of TCP that were forwarded and are not believed.",
  "offer.taken":
    "SYNs of `stateless` services of TCP that took an offer, and were forwarded without the daemon.",
  "divert.returned":
    "Packets that wait for a dead daemon, since the VIP's successor sent them here: its daemon is dead as well.",
};

/** Reasons and events of the BPF programs that have no line above. */
export function undocumented(): string[] {
  const drops = Object.keys(DROP_REASONS)
    .filter((name) => name !== "REASON_COUNT")
    .map(dropName)
    .filter((name) => !(name in FAST_PATH_DROPS) && !/^(ip|packet|chunk)-|^port-zero$|^no-chunk$/.test(name));
  const events = Object.keys(EVENT)
    .filter((name) => name !== "COUNT")
    .map(eventName)
    .filter((name) => !(name in FAST_PATH_EVENTS));
  return [...drops, ...events];
}

import type { SlowPathDropReason, SlowPathEvent } from "@holdfast/forwarder";
import type { DropReason, PuntReason } from "@holdfast/forwarder/testing";
import {
  type DROP_REASON,
  DROP_REASON as DROP_REASONS,
  dropName,
  EVENT,
  eventName,
} from "@holdfast/forwarder/testing/programs";
