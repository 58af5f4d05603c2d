// After a restart of the daemon the fast path still holds the flows of an earlier run, and forwards. They are
// adopted: first their NAT ports and handles are marked as taken, then records from the store or from other
// members claim them. Of what nobody claims the others are asked, since a session that ended meanwhile leaves
// a tombstone that names no port; and what nobody knows becomes a record of its own, made from the flows.
import {
  type Address,
  type Candidate,
  candidateKeyOf,
  currentCandidate,
  currentGeneration,
  endOf,
  type Generation,
  generationOf,
  isLiving,
  memberNumberOfPort,
  type Place,
  placeKey,
  type SessionRecord,
  sessionIdOf,
} from "@holdfast/model";
import type { Core } from "../core.ts";
import type { Flow } from "../fast-path/port.ts";
import { flowKeyText } from "../path-mapping/flows.ts";
import { withLearned } from "../sessions/local-session.ts";

/** Orphans made into records in one turn. */
const ADOPTED_COUNT_MAX_PER_TURN = 256;
/** Orphans that the others are asked about at once; the rest wait for their turn. */
const ASKED_COUNT_MAX = 1_024;

/** An orphan that the others are asked about, and what its flows say. */
interface Asked {
  readonly record: SessionRecord;
  isAnswered: boolean;
}

export class Adoption {
  readonly #core: Core;
  readonly #memberNumberCount: number;
  /** Flows of the earlier run by handle, not yet claimed. */
  readonly #orphans = new Map<number, Flow[]>();
  readonly #asked = new Map<number, Asked>();
  /** "endpoint|port|NAT port|client's tag" → handle. */
  readonly #byDown = new Map<string, number>();
  /**
   * Records made from flows: should the true one arrive later, it takes over. By NAT port and tag as above.
   */
  readonly #made = new Map<string, string>();
  readonly #begunMs: number;

  constructor(core: Core, memberNumberCount: number) {
    this.#core = core;
    this.#memberNumberCount = memberNumberCount;
    this.#begunMs = core.clock.nowMs();
    let cursor: unknown;
    do {
      cursor = core.fastPath.sweep(cursor, (flow) => {
        this.#collect(flow);
        return "keep";
      });
    } while (cursor !== undefined);
  }

  get orphanCount(): number {
    return this.#orphans.size;
  }

  isOrphan(handle: number): boolean {
    return this.#orphans.has(handle);
  }

  /**
   * A committed record: takes over the flows of the earlier run, handle, learned addresses and counters
   * included.
   */
  claim(record: SessionRecord): void {
    if ((this.#byDown.size === 0 && this.#made.size === 0) || !isLiving(record)) return;
    const key = downKeyOf(record);
    if (key === undefined) return;
    const made = this.#made.get(key);
    if (made !== undefined && made !== record.id) this.#supersede(made, key);
    const handle = this.#byDown.get(key);
    // Services come after the records of the store: until then the flows stay as they are.
    if (handle === undefined || this.#core.registry.get(record.serviceId) === undefined) return;
    const flows = this.#orphans.get(handle) ?? [];
    this.#forget(handle, flows);
    const { sessions, registry, limits, fastPath } = this.#core;
    if (sessions.get(record.id) !== undefined || sessions.byHandle(handle) !== undefined) return;
    const local = sessions.ensure(record.id, handle);
    const entry = registry.get(record.serviceId);
    for (const flow of flows) {
      const vip = flow.direction === "up" ? entry?.vipIndex.get(flow.key.destination) : undefined;
      if (vip === undefined || currentGeneration(record)?.pairing[vip] === flow.key.source) continue;
      const learned = withLearned(
        local.paths.learnedClients,
        vip,
        flow.key.source,
        limits.learnedFlowCountMax,
      );
      if (learned !== undefined) local.paths = { ...local.paths, learnedClients: learned };
    }
    sessions.refresh(local, record);
    const wanted = new Set(sessions.flows(local).map((flow) => flowKeyText(flow.key)));
    for (const flow of flows) if (!wanted.has(flowKeyText(flow.key))) fastPath.remove(flow.key);
  }

  /** Housekeeping: after the grace, what is left becomes records, a bounded number a turn. */
  tick(nowMs: number): void {
    if (this.#orphans.size === 0 || nowMs - this.#begunMs < this.#core.limits.adoptionGraceMs) return;
    if (!this.#core.isReady()) return;
    let count = 0;
    for (const [handle, flows] of this.#orphans) {
      const asked = this.#asked.get(handle);
      if (asked === undefined) {
        if (this.#asked.size >= ASKED_COUNT_MAX || ++count > ADOPTED_COUNT_MAX_PER_TURN) return;
        const record = recordOf(this.#core, flows, this.#memberNumberCount);
        if (record === undefined) this.#discard(handle, flows, nowMs);
        else this.#ask(handle, record);
        continue;
      }
      if (!asked.isAnswered) continue;
      if (++count > ADOPTED_COUNT_MAX_PER_TURN) return;
      const { record } = asked;
      if (this.#isOver(record)) {
        this.#discard(handle, flows, nowMs);
        continue;
      }
      this.#core.counters.count("sessions-adopted");
      const key = downKeyOf(record);
      if (key !== undefined) this.#made.set(key, record.id);
      this.#core.adopted.add(record.id);
      // The change comes back through `claim`, with this handle.
      this.#core.table.apply(record);
      this.#forget(handle, flows);
    }
  }

  #ask(handle: number, record: SessionRecord): void {
    const candidate = currentCandidate(record);
    if (candidate === undefined) return;
    const asked: Asked = { record, isAnswered: false };
    this.#asked.set(handle, asked);
    const answered = () => {
      asked.isAnswered = true;
    };
    const { endpoint, endpointPort, natPort } = candidate;
    this.#core.replication.ask({ kind: "natPort", endpoint, endpointPort, natPort }).then(answered, answered);
  }

  /**
   * The session has ended, or has begun anew with other tags: under a name that the flows do not tell when
   * they do not know all of its addresses. A living one with these tags would have claimed them.
   */
  #isOver(record: SessionRecord): boolean {
    const { table } = this.#core;
    const known = table.get(record.id);
    if (known !== undefined && !isLiving(known)) return true;
    const candidate = currentCandidate(record);
    const clientTag = record.commit?.clientTag;
    if (candidate === undefined || clientTag === undefined) return true;
    return table
      .byNatPort(candidate.endpoint, candidate.endpointPort, candidate.natPort)
      .some((other) => other.id !== record.id && generationOf(other, clientTag) !== undefined);
  }

  #discard(handle: number, flows: readonly Flow[], nowMs: number): void {
    this.#forget(handle, flows);
    const wanted = this.#wantedKeys(flows);
    for (const { key } of flows) if (!wanted.has(flowKeyText(key))) this.#core.fastPath.remove(key);
    this.#giveBack(flows, nowMs);
  }

  /** Of the flows of whoever holds their NAT ports now: a flow has one key, whatever its tags are. */
  #wantedKeys(flows: readonly Flow[]): ReadonlySet<string> {
    const { table, sessions } = this.#core;
    const keys = new Set<string>();
    for (const { direction, key } of flows) {
      if (direction !== "down") continue;
      for (const { id } of table.byNatPort(key.source, key.sourcePort, key.destinationPort)) {
        const local = sessions.get(id);
        for (const flow of local === undefined ? [] : sessions.flows(local)) keys.add(flowKeyText(flow.key));
      }
    }
    return keys;
  }

  #collect(flow: Flow): void {
    const flows = this.#orphans.get(flow.session);
    if (flows === undefined) this.#orphans.set(flow.session, [flow]);
    else flows.push(flow);
    if (flow.direction !== "down") return;
    const { source, sourcePort, destinationPort } = flow.key;
    this.#core.natPorts.reserve(source, sourcePort, destinationPort);
    this.#byDown.set(
      downKey({ endpoint: source, endpointPort: sourcePort, natPort: destinationPort }, flow.tag),
      flow.session,
    );
  }

  #forget(handle: number, flows: readonly Flow[]): void {
    this.#orphans.delete(handle);
    this.#asked.delete(handle);
    for (const flow of flows) {
      if (flow.direction !== "down") continue;
      const { source, sourcePort, destinationPort } = flow.key;
      this.#byDown.delete(
        downKey({ endpoint: source, endpointPort: sourcePort, natPort: destinationPort }, flow.tag),
      );
    }
  }

  /** The NAT ports that the flows kept from being given away; nobody saw how their sessions ended. */
  #giveBack(flows: readonly Flow[], nowMs: number): void {
    const { table, natPorts } = this.#core;
    for (const { direction, key } of flows) {
      if (direction !== "down") continue;
      const { source, sourcePort, destinationPort } = key;
      if (table.byNatPort(source, sourcePort, destinationPort).some(isLiving)) continue;
      natPorts.release(source, sourcePort, destinationPort, "unseen", nowMs);
    }
  }

  #supersede(id: string, key: string): void {
    this.#made.delete(key);
    const made = this.#core.table.get(id);
    if (made !== undefined && isLiving(made)) {
      this.#core.table.apply({ id, end: endOf(made, "superseded") });
    }
  }
}

function downKey(place: Place, clientTag: number): string {
  return `${placeKey(place)}|${clientTag >>> 0}`;
}

function downKeyOf(record: SessionRecord): string | undefined {
  const candidate = currentCandidate(record);
  const clientTag = record.commit?.clientTag;
  if (candidate === undefined || clientTag === undefined) return undefined;
  return downKey(candidate, clientTag);
}

/** What the flows of one session say; undefined when its service is gone, or a direction is missing. */
function recordOf(core: Core, flows: readonly Flow[], memberNumberCount: number): SessionRecord | undefined {
  const up = flows.filter((flow) => flow.direction === "up");
  const down = flows.filter((flow) => flow.direction === "down");
  const [firstUp, firstDown] = [up[0], down[0]];
  if (firstUp === undefined || firstDown === undefined) return undefined;
  const entry = core.registry.byVip(firstDown.key.protocol, firstDown.newSource, firstDown.newSourcePort);
  const endpoint = down
    .map(({ key }) => core.registry.endpointAddress(key.source, key.sourcePort))
    .find((address) => address !== undefined);
  if (entry === undefined || endpoint === undefined) return undefined;
  const clients = new Map<Address, boolean>();
  for (const flow of down) {
    clients.set(flow.newDestination, clients.get(flow.newDestination) === true || !flow.heartbeatOnly);
    if (flow.replyDestination !== undefined) clients.set(flow.replyDestination, true);
  }
  for (const flow of up) clients.set(flow.key.source, clients.get(flow.key.source) === true || !flow.learn);
  const verified = [...clients].find(([, proven]) => proven)?.[0];
  const source = verified ?? firstUp.key.source;
  const natPort = firstDown.key.destinationPort;
  const sources = [...new Set(down.map((flow) => flow.key.source))];
  const candidate: Candidate = {
    member: memberNumberOfPort(natPort, memberNumberCount),
    endpoint,
    endpointPort: firstDown.key.sourcePort,
    natPort,
    endpointTag: firstUp.tag >>> 0,
    endpointAddresses: sources.length === 1 && sources[0] === endpoint ? [] : sources.sort(),
    echoed: true,
  };
  const clientTag = firstDown.tag >>> 0;
  const arrivalVip = Math.max(0, entry.vipIndex.get(firstUp.key.destination) ?? 0);
  const generation: Generation = {
    clientTag,
    arrivalVip,
    source,
    listed: [...clients.keys()].filter((address) => address !== source),
    pairing: entry.service.vips.map(
      (vip) => down.find((flow) => flow.key.destination === vip)?.newDestination ?? source,
    ),
    phase: "established",
    candidates: new Map([[candidateKeyOf(candidate), candidate]]),
    aborted: false,
  };
  const clientPort = firstDown.newDestinationPort;
  return {
    id: sessionIdOf(entry.service.id, clientPort, clientTag, source, generation.listed),
    protocol: entry.service.protocol,
    serviceId: entry.service.id,
    clientPort,
    createdAtMs: core.clock.wallMs(),
    clients,
    generations: new Map([[clientTag, generation]]),
    commit: { epoch: 1, clientTag, candidate: candidateKeyOf(candidate) },
    heard: new Map(),
    activity: 0,
    end: undefined,
  };
}
