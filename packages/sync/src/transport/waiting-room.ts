// Connections between their TCP accept and their link: not authenticated yet, so anybody's. Each has an
// absolute time, since one that sends a byte now and then is never idle; strangers share a bounded number of
// places, each source a few of them; and members' configured addresses have places that no stranger can take.
import type { Socket } from "node:net";

/** From the TCP accept to the upgraded connection, TLS handshake and certificate included. */
export const WAITING_MS = 5_000;
/**
 * A place stays taken for this long at least: a source's handshakes cost processor, however soon they are
 * given up.
 */
const PLACE_MS = 1_000;
/** Strangers' connections; beyond, a new one is closed at once. */
export const STRANGER_COUNT_MAX = 128;
/** … of one source (an IPv4 address, an IPv6 /64). */
export const STRANGER_COUNT_MAX_PER_SOURCE = 8;
/** Of one configured address of a member. */
export const MEMBER_COUNT_MAX_PER_ADDRESS = 32;

export interface WaitingRoomOptions {
  /** Whether an address is configured as a member's. */
  readonly isMember: (address: string) => boolean;
  /** Why it was closed: `too-many` of the source or of all, or `too-slow`. */
  readonly refused: (reason: "too-many" | "too-slow", explanation: string, remote: string) => void;
  readonly waitingMs?: number;
  readonly placeMs?: number;
}

interface Waiting {
  readonly socket: Socket;
  readonly place: Place;
  readonly timer: ReturnType<typeof setTimeout>;
  readonly sinceMs: number;
}

interface Place {
  readonly source: string;
  readonly isMember: boolean;
}

export class WaitingRoom {
  readonly #options: WaitingRoomOptions;
  readonly #countBySource = new Map<string, number>();
  /** By both ends: a TLS socket and the TCP socket below it have the same. */
  readonly #waiting = new Map<string, Waiting>();
  #strangerCount = 0;

  constructor(options: WaitingRoomOptions) {
    this.#options = options;
  }

  /** A connection was accepted. false: there is no place for it, and it is closed. */
  enter(socket: Socket): boolean {
    const { isMember, refused, waitingMs = WAITING_MS } = this.#options;
    const address = plainAddress(socket.remoteAddress ?? "");
    const remote = `${address}:${socket.remotePort ?? 0}`;
    const member = isMember(address);
    const place: Place = { source: member ? address : sourceOf(address), isMember: member };
    const ofSource = this.#countBySource.get(place.source) ?? 0;
    const most = member ? MEMBER_COUNT_MAX_PER_ADDRESS : STRANGER_COUNT_MAX_PER_SOURCE;
    if (ofSource >= most || (!member && this.#strangerCount >= STRANGER_COUNT_MAX)) {
      refused(
        "too-many",
        `${ofSource} connections of ${place.source} wait, ${this.#strangerCount} of all strangers`,
        remote,
      );
      socket.destroy();
      return false;
    }
    this.#count(place, 1);
    const name = nameOf(socket);
    const timer = setTimeout(() => {
      refused("too-slow", `it was not authenticated within ${waitingMs} ms`, remote);
      socket.destroy();
    }, waitingMs);
    this.#waiting.set(name, { socket, place, timer, sinceMs: performance.now() });
    socket.once("close", () => this.#leave(name, false));
    return true;
  }

  /** It is a member's link now, which has times of its own. */
  authenticated(socket: Socket): void {
    this.#leave(nameOf(socket), true);
  }

  close(): void {
    for (const { socket } of this.#waiting.values()) socket.destroy();
  }

  #leave(name: string, isAuthenticated: boolean): void {
    const waiting = this.#waiting.get(name);
    if (waiting === undefined) return;
    this.#waiting.delete(name);
    clearTimeout(waiting.timer);
    const { placeMs = PLACE_MS } = this.#options;
    const { place, sinceMs } = waiting;
    const leftMs = isAuthenticated || place.isMember ? 0 : placeMs - (performance.now() - sinceMs);
    if (leftMs <= 0) this.#count(place, -1);
    else setTimeout(() => this.#count(place, -1), leftMs).unref();
  }

  #count({ source, isMember }: Place, by: 1 | -1): void {
    const count = (this.#countBySource.get(source) ?? 0) + by;
    if (count <= 0) this.#countBySource.delete(source);
    else this.#countBySource.set(source, count);
    if (!isMember) this.#strangerCount += by;
  }
}

function nameOf({ remoteAddress, remotePort, localAddress, localPort }: Socket): string {
  return `${remoteAddress}|${remotePort}|${localAddress}|${localPort}`;
}

/** IPv4 as it is written in configurations, also when the socket is of both families. */
export function plainAddress(address: string): string {
  return address.startsWith("::ffff:") && address.includes(".") ? address.slice("::ffff:".length) : address;
}

/** What counts as one source. */
function sourceOf(address: string): string {
  if (!address.includes(":")) return address;
  const [head = ""] = address.split("::");
  const groups = head.split(":").filter((group) => group !== "");
  while (groups.length < 4) groups.push("0");
  return `${groups.slice(0, 4).join(":")}::/64`;
}
