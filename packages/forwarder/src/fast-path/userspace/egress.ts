// Whether there is a route to a destination, and how large a packet may be on it: asked of the kernel by
// connecting a datagram socket, which sends nothing, or, where the source or a VRF matters, by a question for
// the route; and remembered for a second.

import { addressFromBytes } from "@holdfast/model";
import { libc, openSocket } from "../../kernel/libc.ts";
import { AF_INET, AF_INET6, AF_UNSPEC, SOCK_DGRAM } from "../../kernel/numbers.ts";
import type { RouteFinder } from "../../netlink/route-finder.ts";
import { BytesMap } from "../reference/bytes-map.ts";
import type { Egress, Leaving } from "../reference/egress.ts";

const IPPROTO_IP = 0;
const IPPROTO_IPV6 = 41;
const IP_MTU = 14;
const IPV6_MTU = 24;
/** Any port but 0. */
const PORT = 9;

/** Routes change rarely, and a packet too many or too few in that time is retransmitted. */
const REMEMBERED_MS = 1_000;
/** At this many destinations everything is forgotten. */
const DESTINATION_COUNT_MAX = 65_536;

const DIRECTION_BYTES = { up: Uint8Array.of(0), down: Uint8Array.of(1) } as const;

interface Answer {
  readonly egress: Egress | undefined;
  readonly untilMs: number;
}

export class EgressTable {
  readonly #nowMs: () => number;
  readonly #sockets = { ipv4: openSocket(AF_INET, SOCK_DGRAM, 0), ipv6: openSocket(AF_INET6, SOCK_DGRAM, 0) };
  readonly #routes: RouteFinder;
  #answers = new BytesMap<Answer>();

  constructor(nowMs: () => number, routes: RouteFinder) {
    this.#nowMs = nowMs;
    this.#routes = routes;
  }

  lookUp(destination: Uint8Array, { flow, newSource }: Leaving): Egress | undefined {
    const isPlain = this.#routes.isPlain;
    const key = isPlain
      ? destination
      : Buffer.concat([destination, newSource, DIRECTION_BYTES[flow.direction]]);
    const nowMs = this.#nowMs();
    const known = this.#answers.get(key);
    if (known !== undefined && known.untilMs > nowMs) return known.egress;
    const egress = isPlain ? this.#ask(destination) : this.#find(destination, flow);
    if (this.#answers.size >= DESTINATION_COUNT_MAX) this.#answers = new BytesMap();
    this.#answers.set(key, { egress, untilMs: nowMs + REMEMBERED_MS });
    return egress;
  }

  /** Routes have changed. */
  forget(): void {
    this.#answers = new BytesMap();
  }

  #find(destination: Uint8Array, { newSource, direction }: Leaving["flow"]): Egress | undefined {
    const found = this.#routes.find(newSource, addressFromBytes(destination), direction);
    if (found === undefined) return undefined;
    const mtu = this.#routes.mtuOf(found);
    return found.vrf === undefined ? { mtu } : { mtu, device: found.vrf };
  }

  close(): void {
    libc().close(this.#sockets.ipv4);
    libc().close(this.#sockets.ipv6);
  }

  #ask(destination: Uint8Array): Egress | undefined {
    const ipv4 = destination.length === 4;
    const fd = ipv4 ? this.#sockets.ipv4 : this.#sockets.ipv6;
    const address = socketAddress(destination);
    if (libc().connect(fd, address, address.length) !== 0) return undefined;
    const value = new Uint8Array(4);
    const length = Uint8Array.of(4, 0, 0, 0);
    const result = libc().getsockopt(
      fd,
      ipv4 ? IPPROTO_IP : IPPROTO_IPV6,
      ipv4 ? IP_MTU : IPV6_MTU,
      value,
      length,
    );
    const mtu = new DataView(value.buffer).getInt32(0, true);
    // Dissolve, or the socket's own address would bind the next question to this route's interface.
    const none = new Uint8Array(16);
    new DataView(none.buffer).setUint16(0, AF_UNSPEC, true);
    libc().connect(fd, none, none.length);
    return result === 0 ? { mtu } : undefined;
  }
}

/** struct sockaddr_in or sockaddr_in6. */
function socketAddress(destination: Uint8Array): Uint8Array {
  const ipv4 = destination.length === 4;
  const bytes = new Uint8Array(ipv4 ? 16 : 28);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, ipv4 ? AF_INET : AF_INET6, true);
  view.setUint16(2, PORT);
  bytes.set(destination, ipv4 ? 4 : 8);
  return bytes;
}
