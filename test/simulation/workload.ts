// Clients, endpoints and the forwarders' part of the story: associations begin, restart, talk, end or vanish; every
// packet reaches some member of its half of the network, which does to its view what a forwarder would do.
import {
  type Address,
  type Candidate,
  candidateKeyOf,
  commitOf,
  currentGeneration,
  type End,
  endOf,
  type Generation,
  generationOf,
  isEnded,
  isLiving,
  type SessionDelta,
  type SessionId,
  sessionIdOf,
} from "@holdfast/model";
import type { Association } from "./associations.ts";
import type { Cluster } from "./cluster.ts";
import { IDLE_LIMIT_MS, type Life, MEMBER_NUMBER_COUNT, type SimulatedMember } from "./member.ts";

const SERVICE_ID = "sctp/203.0.113.1:38412";
const ENDPOINTS = ["10.0.0.1", "10.0.0.2"] as const;
const ENDPOINT_PORT = 9999;
const NAT_PORT_MIN = 4096;
/** NAT ports of one slot at one endpoint: few, so that they are used again soon. */
const SLOT_SIZE = 3;
/** A freed NAT port rests this long at its member. */
const LINGER_MS = 200;
/** Some generations have a path or two whose client address did not answer. */
const PROBED_VIPS_MASK = 0b0110;
/** A client repeats what is not answered: how often, and how many times. */
const [RETRY_MS, RETRY_COUNT_MAX] = [60, 4] as const;

interface Forwarder {
  readonly life: Life;
  readonly changedAtMs: Map<SessionId, number>;
  readonly freedAtMs: Map<string, number>;
  next: number;
}

export class Workload {
  readonly associations: Association[] = [];
  readonly violations: string[] = [];
  /** Since when nothing has been cut, stopped or slowed. */
  quietSinceMs = 0;
  readonly totals = { opened: 0, failed: 0, refused: 0, released: 0 };
  readonly #cluster: Cluster;
  readonly #idleLimitMs: number;
  readonly #endpoints: readonly Address[];
  readonly #forwarders = new Map<number, Forwarder>();
  readonly #byId = new Map<SessionId, Association>();
  #serial = 0;
  #stopped = false;

  constructor(cluster: Cluster, endpointCount: number, idleLimitMs = IDLE_LIMIT_MS) {
    this.#idleLimitMs = idleLimitMs;
    this.#cluster = cluster;
    this.#endpoints = ENDPOINTS.slice(0, endpointCount);
    for (const member of cluster.members) this.follow(member);
  }

  follow(member: SimulatedMember): void {
    member.onLife = (life) => this.#attach(member, life);
  }

  get alive(): Association[] {
    return this.associations.filter((association) => association.state === "alive");
  }

  /** No new packets. */
  stop(): void {
    this.#stopped = true;
  }

  // -------------------------------------------------------------------------------------------------------------

  open(): void {
    const { random, time } = this.#cluster;
    const candidates = this.#cluster.running().filter(({ life }) => life.replica.state?.mayAllocate === true);
    const first = this.#cluster.pick(candidates);
    if (first === undefined) return;
    const serial = ++this.#serial;
    const clients = [`192.0.2.${serial % 200}`, `198.51.100.${serial % 200}`] as const;
    const clientTag = 1 + random.below(0xffff_fffe);
    const endpoint = this.#endpoints[random.below(this.#endpoints.length)] as Address;
    const clientPort = 5000 + random.below(4);
    const id = sessionIdOf(SERVICE_ID, clientPort, clientTag, clients[0], clients);
    const association: Association = {
      name: `a${serial}`,
      id,
      serviceId: SERVICE_ID,
      clients,
      clientPort,
      endpoint,
      endpointPort: ENDPOINT_PORT,
      clientTag,
      natPort: 0,
      candidate: undefined,
      taken: undefined,
      state: "opening",
      anchor: first.member.number,
      uncertain: false,
      lastFactAtMs: time.nowMs,
      lastFactBy: first.member.number,
    };
    this.associations.push(association);
    this.#byId.set(id, association);
    this.totals.opened++;
    this.#init(association, clientTag, first.member, clients[0]);
    // The INIT is repeated to another VIP before the members have talked about it.
    if (random.below(6) === 0) {
      const others = this.#cluster
        .reachedFrom(association.anchor)
        .filter(({ member, life }) => member !== first.member && life.replica.state?.mayAllocate === true);
      const second = this.#cluster.pick(others);
      if (second !== undefined) this.#init(association, clientTag, second.member, clients[1]);
    }
  }

  /** The client lost its state and begins again with a new tag. */
  restart(): void {
    const association = this.#cluster.pick(this.alive);
    if (association === undefined) return;
    const at = this.#memberWith(association);
    if (at === undefined) return;
    const clientTag = 1 + this.#cluster.random.below(0xffff_fffe);
    const record = at.life.view.get(association.id);
    const current = record && currentGeneration(record);
    const old = current?.candidates.get(record?.commit?.candidate ?? "");
    // Where the session timed out, the INIT begins another one: that is `open`.
    if (record === undefined || isEnded(record) || current === undefined || old === undefined) return;
    const begunAtMs = this.#cluster.time.nowMs;
    const forwarded: Candidate = { ...old, endpointTag: 0, echoed: false };
    this.#apply(at.member, association, {
      id: association.id,
      generations: new Map([
        [
          clientTag,
          {
            ...omitOrdinal(current),
            clientTag,
            phase: "init",
            aborted: false,
            candidates: new Map([[candidateKeyOf(forwarded), forwarded]]),
          },
        ],
      ]),
    });
    this.#after(1, () => this.#initAck(association, clientTag, forwarded, begunAtMs));
  }

  talk(): void {
    for (const association of this.alive) {
      const at = this.#memberWith(association);
      if (at === undefined) continue;
      const record = at.life.view.get(association.id);
      if (record === undefined) continue;
      const activity = record.activity + 1;
      const { candidate } = association;
      if (candidate === undefined || record.commit?.clientTag === association.clientTag) {
        at.life.view.apply({ id: association.id, activity });
      } else if (generationOf(record, association.clientTag) !== undefined) {
        // The endpoint talks with another tag than the record says: of two commits in two halves the wrong one won.
        const commit = commitOf(record, association.clientTag, candidate);
        at.life.view.apply({ id: association.id, activity, commit });
      }
    }
  }

  end(): void {
    const association = this.#cluster.pick(this.alive);
    if (association === undefined) return;
    const at = this.#memberWith(association);
    const record = at?.life.view.get(association.id);
    // A member that has not heard of the restart drops what carries the new tag.
    if (at === undefined || record?.commit?.clientTag !== association.clientTag) return;
    this.#apply(at.member, association, { id: association.id, end: endOf(record, "shutdown") });
    association.state = "ended";
  }

  vanish(): void {
    const association = this.#cluster.pick(this.alive);
    if (association !== undefined) association.state = "gone";
  }

  /** Members died or parted: what only the dead one knew is nobody's fault. */
  died(number: number, atMs: number, withinMs: number): void {
    for (const association of this.associations) {
      if (association.lastFactBy === number && atMs - association.lastFactAtMs < withinMs)
        association.uncertain = true;
    }
  }

  // -------------------------------------------------------------------------------------------------------------
  // The handshake, packet by packet.

  #init(association: Association, clientTag: number, member: SimulatedMember, source: Address): void {
    const forwarder = this.#forwarders.get(member.number);
    if (forwarder === undefined) return;
    const natPort = this.#allocate(forwarder, member.number, association);
    if (natPort === undefined) {
      this.totals.refused++;
      if (association.lastFactBy === member.number) association.state = "gone";
      return;
    }
    const { endpoint, endpointPort, clients, clientPort, serviceId } = association;
    const candidate: Candidate = {
      member: member.number,
      endpoint,
      endpointPort,
      natPort,
      endpointTag: 0,
      endpointAddresses: [],
      echoed: false,
    };
    const generation: Generation = {
      clientTag,
      arrivalVip: 0,
      source,
      listed: clients,
      pairing: clients,
      phase: "init",
      aborted: false,
      candidates: new Map([[candidateKeyOf(candidate), candidate]]),
    };
    const id = this.#cluster.fault?.namesBySource
      ? sessionIdOf(serviceId, clientPort, clientTag, source, [])
      : association.id;
    this.#apply(member, association, {
      id,
      protocol: 132,
      serviceId,
      clientPort,
      createdAtMs: Math.floor(forwarder.life.clock.wallMs()),
      clients: new Map(clients.map((client) => [client, client === source])),
      generations: new Map([[clientTag, generation]]),
    });
    const begunAtMs = this.#cluster.time.nowMs;
    this.#after(1 + this.#cluster.random.below(3), () =>
      this.#initAck(association, clientTag, candidate, begunAtMs),
    );
  }

  /** The endpoint answers: to the member that owns the VIP on its side. */
  #initAck(
    association: Association,
    clientTag: number,
    forwarded: Candidate,
    begunAtMs: number,
    tries = 0,
  ): void {
    if (this.#isOver(association)) return;
    const at = this.#cluster.pick(this.#cluster.reachedFrom(association.anchor));
    const generation = at && this.#generationAt(at.life, association, clientTag);
    if (at === undefined || generation === undefined) {
      this.#askAndRetry(at, association, tries, begunAtMs, () =>
        this.#initAck(association, clientTag, forwarded, begunAtMs, tries + 1),
      );
      return;
    }
    const candidate = { ...forwarded, endpointTag: 1 + this.#cluster.random.below(0xffff_fffe) };
    this.#apply(
      at.member,
      association,
      {
        id: association.id,
        generations: new Map([
          [
            clientTag,
            {
              ...generation,
              phase: "initAck",
              candidates: new Map([[candidateKeyOf(candidate), candidate]]),
            },
          ],
        ]),
      },
      true,
    );
    void at.life.replica.released(association.id).then((ok) => {
      if (ok) this.#checkRelease(at.member, association, clientTag, candidate);
      this.#after(1, () => this.#cookieEcho(association, clientTag, candidate, begunAtMs));
    });
  }

  #checkRelease(
    from: SimulatedMember,
    association: Association,
    clientTag: number,
    candidate: Candidate,
  ): void {
    this.totals.released++;
    const key = candidateKeyOf(candidate);
    const holds = (life: Life) => {
      const record = life.view.get(association.id);
      return record !== undefined && generationOf(record, clientTag)?.candidates.has(key) === true;
    };
    const isHeld = this.#cluster.running().some(({ member, life }) => member !== from && holds(life));
    // Who acknowledged may have died since; then somebody is down or was not long ago.
    if (!isHeld && this.#wasQuiet(this.#cluster.time.nowMs - 100)) {
      this.violations.push(
        `${association.name}: its INIT-ACK was released before another member had the record`,
      );
    }
  }

  #cookieEcho(
    association: Association,
    clientTag: number,
    candidate: Candidate,
    begunAtMs: number,
    tries = 0,
  ): void {
    if (this.#isOver(association)) return;
    // A client takes one INIT-ACK, the first, and drops the others (RFC 9260 §5.2.3).
    const key = candidateKeyOf(candidate);
    if (association.taken?.clientTag === clientTag && association.taken.candidate !== key) return;
    association.taken = { clientTag, candidate: key };
    const at = this.#cluster.pick(this.#cluster.reachedFrom(association.anchor));
    const generation = at && this.#generationAt(at.life, association, clientTag);
    const known = generation?.candidates.get(candidateKeyOf(candidate));
    if (at === undefined || generation === undefined || known === undefined) {
      this.#askAndRetry(at, association, tries, begunAtMs, () =>
        this.#cookieEcho(association, clientTag, candidate, begunAtMs, tries + 1),
      );
      return;
    }
    const echoed = { ...known, echoed: true };
    this.#apply(at.member, association, {
      id: association.id,
      generations: new Map([
        [
          clientTag,
          { ...generation, phase: "cookieEchoed", candidates: new Map([[candidateKeyOf(echoed), echoed]]) },
        ],
      ]),
    });
    this.#after(1, () => this.#cookieAck(association, clientTag, echoed, begunAtMs));
  }

  #cookieAck(
    association: Association,
    clientTag: number,
    candidate: Candidate,
    begunAtMs: number,
    tries = 0,
  ): void {
    if (this.#isOver(association)) return;
    // Both INIT-ACKs came: the client has chosen the first.
    if (association.clientTag === clientTag && association.state === "alive") return;
    const at = this.#cluster.pick(this.#cluster.reachedFrom(association.anchor));
    const generation = at && this.#generationAt(at.life, association, clientTag);
    const record = at?.life.view.get(association.id);
    if (at === undefined || generation === undefined || record === undefined) {
      this.#askAndRetry(at, association, tries, begunAtMs, () =>
        this.#cookieAck(association, clientTag, candidate, begunAtMs, tries + 1),
      );
      return;
    }
    this.#apply(
      at.member,
      association,
      {
        id: association.id,
        generations: new Map([
          [clientTag, { ...generation, phase: "established", probedVips: clientTag & PROBED_VIPS_MASK }],
        ]),
        commit: commitOf(record, clientTag, candidate),
      },
      true,
    );
    association.clientTag = clientTag;
    association.natPort = candidate.natPort;
    association.candidate = candidate;
    association.state = "alive";
  }

  /** The member asks the others, and the client repeats itself; in the end it gives up. */
  #askAndRetry(
    at: { life: Life } | undefined,
    association: Association,
    tries: number,
    begunAtMs: number,
    again: () => void,
  ): void {
    if (at !== undefined) {
      const { serviceId, clients, clientPort } = association;
      void at.life.replica.ask({ kind: "client", serviceId, client: clients[0], clientPort });
    }
    if (tries < RETRY_COUNT_MAX) {
      this.#after(RETRY_MS * 2 ** tries, again);
      return;
    }
    this.totals.failed++;
    if (association.state === "alive" || association.state === "opening") association.state = "gone";
    if (this.#wasQuiet(begunAtMs))
      this.violations.push(`${association.name}: its handshake failed without a cause`);
  }

  #generationAt(life: Life, association: Association, clientTag: number): Generation | undefined {
    const record = life.view.get(association.id);
    return record === undefined || isEnded(record) ? undefined : generationOf(record, clientTag);
  }

  #isOver(association: Association): boolean {
    return association.state === "gone" || association.state === "ended" || this.#stopped;
  }

  #wasQuiet(sinceMs: number): boolean {
    return this.quietSinceMs < sinceMs;
  }

  // -------------------------------------------------------------------------------------------------------------
  // What a forwarder does on its own.

  #attach(member: SimulatedMember, life: Life): void {
    const forwarder: Forwarder = { life, changedAtMs: new Map(), freedAtMs: new Map(), next: 0 };
    const closed = new Set<SessionId>();
    this.#forwarders.set(member.number, forwarder);
    life.view.subscribe(({ previous, record }) => {
      const id = (record ?? previous)?.id as SessionId;
      if (record === undefined) {
        forwarder.changedAtMs.delete(id);
        return;
      }
      const association = this.#byId.get(id);
      if (association === undefined)
        this.violations.push(`${member.identity.name} holds ${id}, which never was`);
      if (isEnded(record)) {
        if (record.end?.absorbing === true) closed.add(id);
      } else if (closed.has(id) && association?.state === "ended") {
        this.violations.push(`${member.identity.name}: ${association.name} came back from the dead`);
        closed.delete(id);
      }
      if (
        previous === undefined ||
        previous.activity !== record.activity ||
        previous.commit !== record.commit ||
        previous.generations !== record.generations
      ) {
        forwarder.changedAtMs.set(id, life.clock.nowMs());
      }
    });
    life.clock.every(this.#idleLimitMs / 8, () => this.#sweep(forwarder));
  }

  /** Ends what has been silent, as far as this member knows. */
  #sweep({ life, changedAtMs }: Forwarder): void {
    for (const record of [...life.view.values()]) {
      if (isEnded(record)) continue;
      const silentMs = life.clock.nowMs() - (changedAtMs.get(record.id) ?? 0);
      const embryo = record.commit === undefined;
      if (silentMs < (embryo ? this.#idleLimitMs / 2 : this.#idleLimitMs)) continue;
      const end: End = endOf(record, embryo ? "handshakeTimeout" : "idle");
      life.view.apply({ id: record.id, end: this.#cluster.fault?.end?.(end) ?? end });
    }
  }

  #allocate(forwarder: Forwarder, member: number, association: Association): number | undefined {
    const { fault } = this.#cluster;
    const slot = fault?.slot?.(member) ?? member;
    const { view, clock } = forwarder.life;
    for (let i = 0; i < SLOT_SIZE; i++) {
      const natPort = NAT_PORT_MIN + slot + (forwarder.next++ % SLOT_SIZE) * MEMBER_NUMBER_COUNT;
      const key = `${association.endpoint}/${natPort}`;
      const holders = view.byNatPort(association.endpoint, ENDPOINT_PORT, natPort);
      const isTaken = fault?.ignoresTombstones === true ? holders.some(isLiving) : holders.length > 0;
      if (isTaken) {
        forwarder.freedAtMs.set(key, clock.nowMs());
        continue;
      }
      if (
        fault?.ignoresTombstones !== true &&
        clock.nowMs() - (forwarder.freedAtMs.get(key) ?? 0) < LINGER_MS
      )
        continue;
      const user = this.alive.find(
        (a) => a.endpoint === association.endpoint && a.natPort === natPort && !a.uncertain,
      );
      if (user !== undefined) {
        this.violations.push(
          `NAT port ${natPort} of ${user.name}, which lives, was given to ${association.name}`,
        );
      }
      return natPort;
    }
    return undefined;
  }

  // -------------------------------------------------------------------------------------------------------------

  /** A member that can carry the association, in its half if there is one. */
  #memberWith(association: Association): { member: SimulatedMember; life: Life } | undefined {
    // Whoever does not know the tag in force drops the packet; the client tries again until it meets one who does.
    const knows = ({ life }: { life: Life }) => {
      const record = life.view.get(association.id);
      return record !== undefined && generationOf(record, association.clientTag) !== undefined;
    };
    const near = this.#cluster.reachedFrom(association.anchor).filter(knows);
    const found = this.#cluster.pick(near) ?? this.#cluster.pick(this.#cluster.running().filter(knows));
    // Routers send it where it is carried from now on.
    if (found !== undefined && near.length === 0) association.anchor = found.member.number;
    return found;
  }

  #apply(member: SimulatedMember, association: Association, delta: SessionDelta, urgent = false): void {
    association.lastFactAtMs = this.#cluster.time.nowMs;
    association.lastFactBy = member.number;
    member.life?.view.apply(delta, { urgent });
  }

  #after(delayMs: number, action: () => void): void {
    this.#cluster.time.at(this.#cluster.time.nowMs + delayMs, action);
  }
}

function omitOrdinal(generation: Generation): Generation {
  const { ordinal: _ordinal, ...rest } = generation;
  return rest;
}
