// The way of a VIP's packet to an endpoint, and of the answer back to a member's program. A probe from this
// node's own address says nothing of it: strict reverse path filters, a VIP that the endpoint's host takes for
// its own, a policy, or a host without the members' loop let the one pass and not the other. So the owner of a
// VIP sends INITs from it, too, and SYNs to endpoints of TCP. An endpoint that answers with INIT-ACK has made no
// state (RFC 9260 §5.1), one that answers with SYN-ACK is reset before its application hears of it. "Unproven" is
// a warning and no verdict: whom selection takes, and who is dead, is health's (endpoint-health.ts).
import {
  type Address,
  addressesOfEndpoint,
  type Clock,
  familyOf,
  MEMBER_NUMBER_COUNT_MAX,
  type MemberName,
  PROTOCOL_SCTP,
  PROTOCOL_TCP,
  type Protocol,
  type Random,
  type Timer,
} from "@holdfast/model";
import type { Needs } from "../core.ts";
import { TokenBucket } from "../counters/token-bucket.ts";
import type { SctpInput } from "../packet/input.ts";
import { TCP_FLAG } from "../packet/plain/header.ts";
import { segmentPacket } from "../packet/plain/segment.ts";
import { placesOf, type ServiceRegistry } from "../services/registry.ts";
import type { PlainInput } from "../slow-path/plain/input.ts";
import type { EndpointHealth } from "./endpoint-health.ts";
import { numberAnswered, questionOf, tagAnswered } from "./way-packets.ts";

/** A VIP and an endpoint's configured address. */
export interface Way {
  /** SCTP or TCP: datagrams have no answer that everybody gives. */
  readonly protocol: Protocol;
  readonly vip: Address;
  readonly address: Address;
  readonly port: number;
}

export interface UnprovenWay extends Way {
  /** Plain words. */
  readonly reason: string;
}

/** What an endpoint answered to another member's question: whose tag it has, that one knows. */
export interface WayAnswer {
  readonly tag: number;
  readonly port: number;
}

export interface WaySettings {
  /** Between two questions of a way that is not proven. */
  readonly retryMs: number;
  /** … and of one that is. */
  readonly provenMs: number;
  /** Unanswered questions in a row that make "unproven": many, since one that comes and goes helps nobody. */
  readonly missedCount: number;
}

export const WAY_SETTINGS_DEFAULT: WaySettings = { retryMs: 1_000, provenMs: 15_000, missedCount: 5 };

/**
 * Source ports of the questions, one for each member's number, so that a member at which the answer comes in
 * knows whose it is. NAT ports begin at 1,024, but for SCTP's clients that have such a port themselves: the tag
 * tells those.
 */
export const WAY_PORT_FIRST = 901;
/** Questions of one turn, and between two turns: no more than 200 a second, however many ways there are. */
const TURN_COUNT_MAX = 20;
const TURN_MS = 100;
const RELAYED_PER_SECOND = 200;
const RESETS_PER_SECOND = 400;
/** What another member may say: as many as one message has. */
export const UNPROVEN_COUNT_MAX = 4_096;

interface State extends Way {
  /** Of the question that is under way; 0: none is. */
  tag: number;
  sent: boolean;
  missed: number;
  /** false: unproven; undefined: not known. */
  isProven: boolean | undefined;
  /** The entry in a queue with another time is stale. */
  dueMs: number;
}

type WayNeeds = Needs<"fastPath" | "health" | "registry" | "nursery" | "table" | "memberNumber" | "counters">;
/** TCP's part of the room. */
interface TcpSide {
  readonly registry: ServiceRegistry;
  readonly health: EndpointHealth;
}
type Due = readonly [dueMs: number, state: State];

export class Ways {
  readonly #core: () => WayNeeds;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #settings: WaySettings;
  readonly #states = new Map<string, State>();
  readonly #byTag = new Map<number, State>();
  /** Each in the order of its times, since what is added to it is added with one and the same delay. */
  readonly #soon: Due[] = [];
  readonly #later: Due[] = [];
  readonly #others = new Map<MemberName, readonly UnprovenWay[]>();
  readonly #relays: TokenBucket = new TokenBucket(RELAYED_PER_SECOND);
  readonly #resets: TokenBucket = new TokenBucket(RESETS_PER_SECOND);
  readonly #unproven = new Set<State>();
  #tcp: TcpSide | undefined;
  #isChanged = false;
  readonly #isOff: boolean;
  #timer: Timer | undefined;
  #onChange: (unproven: readonly UnprovenWay[]) => void = () => {};
  #onRelay: (member: number, answer: WayAnswer) => void = () => {};

  constructor(
    { clock, random }: { readonly clock: Clock; readonly random: Random },
    core: () => WayNeeds,
    settings: Partial<WaySettings> | false = {},
  ) {
    this.#isOff = settings === false;
    this.#clock = clock;
    this.#random = random;
    this.#core = core;
    this.#settings = { ...WAY_SETTINGS_DEFAULT, ...(settings === false ? {} : settings) };
  }

  /** TCP is proven, too, from here on. */
  serve(tcp: TcpSide | undefined): void {
    this.#tcp = tcp;
  }

  /** Called with all of this member's unproven ways when they are others. */
  onChange(listener: (unproven: readonly UnprovenWay[]) => void): void {
    this.#onChange = listener;
  }

  /** Called with an answer to a question of the member with this number. */
  onRelay(listener: (member: number, answer: WayAnswer) => void): void {
    this.#onRelay = listener;
  }

  /** Replaces what is proven: ways of the VIPs that this member owns. What stays keeps its state. */
  set(ways: readonly Way[]): void {
    if (this.#isOff) return;
    const wanted = new Map(ways.map((way) => [keyOf(way), way]));
    for (const [key, state] of this.#states) {
      if (wanted.has(key)) continue;
      this.#forget(state);
      this.#prove(state, undefined);
      state.dueMs = Number.NaN;
      this.#states.delete(key);
    }
    for (const [key, way] of wanted) {
      if (this.#states.has(key)) continue;
      const state: State = { ...way, tag: 0, sent: false, missed: 0, isProven: undefined, dueMs: 0 };
      this.#states.set(key, state);
      this.#queue(this.#soon, state, this.#settings.retryMs);
    }
    this.#tell();
    this.#schedule();
  }

  /** Unproven ways of this member, and those that others have told. */
  get unproven(): readonly UnprovenWay[] {
    return [...this.#own(), ...[...this.#others.values()].flat()];
  }

  /** What another member says of the VIPs that it owns; none when it is gone. */
  setOther(member: MemberName, unproven: readonly UnprovenWay[]): void {
    if (unproven.length === 0) this.#others.delete(member);
    else this.#others.set(member, unproven.slice(0, UNPROVEN_COUNT_MAX));
  }

  /** An answer that came in at another member. */
  relayed({ tag, port }: WayAnswer): boolean {
    const state = this.#byTag.get(tag);
    if (state === undefined || state.port !== port) return false;
    this.#forget(state);
    state.missed = 0;
    this.#core().counters.count("way-answers");
    this.#prove(state, true);
    this.#queue(this.#later, state, this.#settings.provenMs);
    this.#tell();
    this.#schedule();
    return true;
  }

  /** true: it answers one of these INITs, and is of no session. Its checksum has been looked at. */
  hears({ packet, source, copy }: Pick<SctpInput, "packet" | "source" | "copy">): boolean {
    const number = memberAsking(packet.destinationPort);
    const tag = tagAnswered(packet);
    if (number === undefined || copy || tag === undefined) return false;
    const answer = { tag, port: packet.sourcePort };
    const { registry, nursery, table, memberNumber } = this.#core();
    if (number === memberNumber && this.relayed(answer)) return true;
    // A client may have this port itself, and then it may be its NAT port.
    const identities = registry.identitiesOf(source, packet.sourcePort);
    if (identities.length === 0 || nursery.byAnswer(answer.tag, packet.destinationPort) !== undefined)
      return false;
    if (identities.some((each) => table.byNatPort(each, answer.port, packet.destinationPort).length > 0))
      return false;
    if (number !== memberNumber) this.#relay(number, answer);
    return true;
  }

  /**
   * true: a segment of an endpoint's that answers one of these SYNs, of no connection's. Whatever it has opened
   * there is reset by whoever hears it; so is what it says of a SYN of an earlier time (RFC 5961 §4), which would
   * keep it from answering the next one.
   */
  hearsSegment(input: Pick<PlainInput, "header" | "source" | "destination" | "copy">): boolean {
    const { header, source, destination, copy } = input;
    const number = memberAsking(header.destinationPort);
    if (number === undefined || copy) return false;
    if (this.#tcp?.registry.endpointAddress(source, header.sourcePort) === undefined) return false;
    const tag = numberAnswered(header);
    const isStray = header.flags === TCP_FLAG.ACK && header.sequenceEnd === header.sequence;
    if (tag === undefined && !isStray) return false;
    const { fastPath, memberNumber } = this.#core();
    const nowMs = this.#clock.nowMs();
    if (!header.has(TCP_FLAG.RST) && this.#resets.take(nowMs)) {
      const ends = { source: destination, sourcePort: header.destinationPort, destination: source };
      const reset = { flags: TCP_FLAG.RST, sequence: header.acknowledgment };
      fastPath.send(segmentPacket({ ...ends, destinationPort: header.sourcePort }, reset));
    }
    if (tag === undefined) return true;
    const answer = { tag, port: header.sourcePort };
    if (number === memberNumber) this.relayed(answer);
    else this.#relay(number, answer);
    return true;
  }

  #relay(number: number, answer: WayAnswer): void {
    if (this.#relays.take(this.#clock.nowMs())) this.#onRelay(number, answer);
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    for (const state of this.#states.values()) state.dueMs = Number.NaN;
    this.#states.clear();
    this.#byTag.clear();
    this.#unproven.clear();
  }

  #own(): UnprovenWay[] {
    const { missedCount } = this.#settings;
    return [...this.#unproven].map(({ protocol, vip, address, port, sent }) => {
      const reason = sent
        ? `${missedCount} ${protocol === PROTOCOL_TCP ? "SYNs" : "INITs"} from ${vip} brought no answer back to a member; probes from the member's own address are answered`
        : `there is no way to send there from ${vip}`;
      return { protocol, vip, address, port, reason };
    });
  }

  #prove(state: State, isProven: boolean | undefined): void {
    state.isProven = isProven;
    if (isProven === false ? this.#unproven.has(state) : !this.#unproven.delete(state)) return;
    if (isProven === false) this.#unproven.add(state);
    this.#isChanged = true;
  }

  #tell(): void {
    if (!this.#isChanged) return;
    this.#isChanged = false;
    this.#onChange(this.#own().slice(0, UNPROVEN_COUNT_MAX));
  }

  #queue(queue: Due[], state: State, delayMs: number): void {
    state.dueMs = this.#clock.nowMs() + delayMs;
    queue.push([state.dueMs, state]);
  }

  /** The next one of a queue that is not stale. */
  #head(queue: Due[]): Due | undefined {
    let stale = 0;
    while (stale < queue.length && queue[stale]?.[0] !== queue[stale]?.[1].dueMs) stale++;
    if (stale > 0) queue.splice(0, stale);
    return queue[0];
  }

  #schedule(): void {
    const nextMs = Math.min(
      this.#head(this.#soon)?.[0] ?? Number.POSITIVE_INFINITY,
      this.#head(this.#later)?.[0] ?? Number.POSITIVE_INFINITY,
    );
    this.#timer?.cancel();
    this.#timer = undefined;
    if (nextMs === Number.POSITIVE_INFINITY) return;
    const delayMs = Math.max(TURN_MS, nextMs - this.#clock.nowMs());
    this.#timer = this.#clock.after(delayMs, () => this.#turn());
  }

  #turn(): void {
    const nowMs = this.#clock.nowMs();
    for (let i = 0; i < TURN_COUNT_MAX; i++) {
      const queue = [this.#soon, this.#later].find((each) => (this.#head(each)?.[0] ?? nowMs + 1) <= nowMs);
      const state = queue?.shift()?.[1];
      if (state === undefined) break;
      this.#due(state);
    }
    this.#tell();
    this.#schedule();
  }

  #due(state: State): void {
    const health = state.protocol === PROTOCOL_TCP ? this.#tcp?.health : this.#core().health;
    this.#queue(this.#soon, state, this.#settings.retryMs);
    // Where nobody answers at all, or nobody asks, there is no way to prove.
    if (health?.verdictOf(state)?.verdict !== "up") {
      this.#forget(state);
      state.missed = 0;
      this.#prove(state, undefined);
      return;
    }
    if (state.tag !== 0) {
      state.missed += 1;
      if (state.missed >= this.#settings.missedCount) this.#prove(state, false);
    }
    this.#ask(state);
  }

  #ask(state: State): void {
    const { fastPath, memberNumber, counters } = this.#core();
    const isTcp = state.protocol === PROTOCOL_TCP;
    counters.count(isTcp ? "way-syns" : "way-inits");
    // A SYN is said again as it was: an endpoint that has answered it takes another one for a stranger's.
    if (!isTcp || state.tag === 0) this.#draw(state);
    const packet = questionOf({ ...state, sourcePort: WAY_PORT_FIRST + memberNumber });
    state.sent = packet !== undefined && fastPath.send(packet);
  }

  #draw(state: State): void {
    this.#forget(state);
    let tag = this.#random.uint32();
    while (tag === 0 || this.#byTag.has(tag)) tag = this.#random.uint32();
    state.tag = tag;
    this.#byTag.set(tag, state);
  }

  #forget(state: State): void {
    this.#byTag.delete(state.tag);
    state.tag = 0;
  }
}

/** The number of the member that asked from a port. */
function memberAsking(port: number): number | undefined {
  const number = port - WAY_PORT_FIRST;
  return number >= 0 && number < MEMBER_NUMBER_COUNT_MAX ? number : undefined;
}

/**
 * Of each VIP that this member owns and serves, to the address of each endpoint that takes its packets: of
 * several, each VIP of a family has another (path-mapping/endpoint-addresses.ts); TCP has the first.
 */
export function waysOf(
  {
    registry,
    protocol = PROTOCOL_SCTP,
  }: { readonly registry: ServiceRegistry; readonly protocol?: Protocol },
  owned: ReadonlySet<Address> | undefined,
  unserved: ReadonlySet<Address>,
): Way[] {
  const ways = new Map<string, Way>();
  for (const { service } of registry.entries) {
    const turns = { 4: 0, 6: 0 };
    for (const vip of service.vips) {
      const family = familyOf(vip);
      const turn = protocol === PROTOCOL_SCTP ? turns[family]++ : 0;
      if (owned?.has(vip) !== true || unserved.has(vip)) continue;
      for (const endpoint of placesOf(service)) {
        const all = addressesOfEndpoint(endpoint).filter((address) => familyOf(address) === family);
        const address = all[turn % all.length];
        if (address === undefined) continue;
        const way = { protocol, vip, address, port: endpoint.port };
        ways.set(keyOf(way), way);
      }
    }
  }
  return [...ways.values()];
}

function keyOf({ protocol, vip, address, port }: Way): string {
  return `${protocol} ${vip} ${address} ${port}`;
}
