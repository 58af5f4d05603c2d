// After a restart of the daemon the fast path still has the flows of the life before, and forwards. Records
// of the store or of other members claim them; of the rest new records are made: which client talks to which
// endpoint is all in the flows.
import { isPlainEnded, MARK, memberNumberOfPort, type PlainRecord } from "@holdfast/model";
import { sourcePrefix } from "../../embryos/nursery.ts";
import type { PlainFlow, TcpEdges } from "../../fast-path/plain.ts";
import { stageOf } from "../../fast-path/plain-life.ts";
import { flowKeyText } from "../../path-mapping/flows.ts";
import { keyOf, type LocalFlow, newFlow, STATELESS_HANDLE, takeNumbers } from "./flow.ts";
import { install, makeFlow, portsOf, type Room, reserve } from "./room.ts";

const ADOPTED_COUNT_MAX_PER_TURN = 256;

interface Orphan {
  up: PlainFlow | undefined;
  down: PlainFlow | undefined;
  /** Of the handshake, while the fast path has forwarded nothing. */
  edges: TcpEdges | undefined;
}

export class PlainAdoption {
  readonly #room: Room;
  readonly #memberNumberCount: number;
  readonly #orphans = new Map<number, Orphan>();
  /** By the key of its down flow, which is one's alone. */
  readonly #byDown = new Map<string, number>();
  readonly #begunMs: number;

  constructor(room: Room, memberNumberCount: number) {
    this.#room = room;
    this.#memberNumberCount = memberNumberCount;
    this.#begunMs = room.core.clock.nowMs();
    let cursor: unknown;
    do {
      cursor = room.core.fastPath.plain.sweep(cursor, (flow, { edges }) => {
        this.#collect(flow, edges);
        return "keep";
      });
    } while (cursor !== undefined);
  }

  isOrphan(handle: number): boolean {
    return this.#orphans.has(handle);
  }

  /** The handle under which the fast path has a record's flows already; the record has them from now on. */
  claim(record: PlainRecord): number | undefined {
    if (this.#byDown.size === 0 || isPlainEnded(record)) return undefined;
    const key = flowKeyText(keyOf(record, "down"));
    const handle = this.#byDown.get(key);
    if (handle !== undefined) {
      this.#byDown.delete(key);
      this.#orphans.delete(handle);
    }
    return handle;
  }

  /** After the grace, what is left becomes records, a bounded number a turn. */
  tick(nowMs: number): undefined {
    const { core } = this.#room;
    if (this.#orphans.size === 0 || nowMs - this.#begunMs < core.limits.adoptionGraceMs) return;
    if (!core.isReady()) return;
    let count = 0;
    for (const [handle, orphan] of this.#orphans) {
      if (++count > ADOPTED_COUNT_MAX_PER_TURN) return;
      this.#orphans.delete(handle);
      this.#adopt(handle, orphan);
    }
  }

  /** Without a service, or with one direction alone, the next sweep takes them away. */
  #adopt(handle: number, { up: found, down, edges: foundEdges }: Orphan): undefined {
    const { sides, flows, core } = this.#room;
    if (found === undefined || down === undefined) return;
    // A handshake may have gone on meanwhile.
    const entry = found.handshake ? core.fastPath.plain.read(found.key) : undefined;
    const { flow: up, state: { edges } = {} } = entry ?? { flow: found, state: { edges: foundEdges } };
    const { protocol, source: client, destination: vip, sourcePort, destinationPort } = up.key;
    const service = sides.get(protocol)?.registry.byVip(protocol, vip, destinationPort)?.service;
    if (service === undefined || up.session !== handle) return;
    const stage = stageOf(up);
    // Its client has said its SYN again since, or begun anew.
    const isBehind = stage !== "open" && flows.byClient(service.id, vip, client, sourcePort) !== undefined;
    if (up.awaiting !== undefined || isBehind) return this.#discard(up, down);
    core.counters.count("sessions-adopted");
    const flow = makeFlow(this.#room, factsOf(up, service.id), stage, {
      handle,
      member: memberNumberOfPort(up.newSourcePort, this.#memberNumberCount),
    });
    if (stage !== "open") return this.#raise(flow, edges);
    if (flow.introduction !== undefined && edges !== undefined) {
      takeNumbers(flow, edges);
      flow.introduction.isNumbered = true;
    }
    reserve(this.#room, flow.record);
    flows.setSpent(flow, false);
    install(this.#room, flow, false);
  }

  /** Its handshake goes on in the fast path as it was. */
  #raise(flow: LocalFlow, edges: TcpEdges | undefined): undefined {
    takeNumbers(flow, edges ?? { sequence: 0, acknowledged: 0 });
    flow.isScaled = true;
    flow.isInstalled = true;
    reserve(this.#room, flow.record);
    this.#room.flows.embryo(flow, sourcePrefix(flow.record.client));
  }

  #discard(up: PlainFlow, down: PlainFlow): undefined {
    const { core } = this.#room;
    for (const { key, session } of [up, down]) core.fastPath.plain.remove(key, session);
    const { source, sourcePort, destinationPort } = down.key;
    const nowMs = core.clock.nowMs();
    portsOf(this.#room, down)?.release(source, sourcePort, destinationPort, "evicted", nowMs);
  }

  #collect(flow: PlainFlow, edges: TcpEdges | undefined): undefined {
    const { session, direction, key } = flow;
    if (session === STATELESS_HANDLE) return direction === "down" ? this.#reserve(flow) : undefined;
    let orphan = this.#orphans.get(session);
    if (orphan === undefined) {
      orphan = { up: undefined, down: undefined, edges: undefined };
      this.#orphans.set(session, orphan);
    }
    if (direction === "up") {
      orphan.up = flow;
      orphan.edges = edges;
    } else {
      orphan.down = flow;
      this.#byDown.set(flowKeyText(key), session);
      this.#reserve(flow);
    }
  }

  #reserve(down: PlainFlow): undefined {
    const { source, sourcePort, destinationPort } = down.key;
    portsOf(this.#room, down)?.reserve(source, sourcePort, destinationPort);
  }
}

/** What a record says of a flow that the fast path has; `up`: its direction up. */
export function factsOf(up: PlainFlow, serviceId: string): Parameters<typeof makeFlow>[1] {
  const { protocol, source: client, sourcePort: clientPort, destination: vip } = up.key;
  return {
    ...{ protocol, serviceId, vip, client, clientPort, natPort: up.newSourcePort },
    ...{ endpoint: up.newDestination, endpointPort: up.newDestinationPort },
    ...(up.newSource !== vip && { source: up.newSource }),
    ...{ windowScale: up.tcp?.windowScale ?? 0, shift: up.tcp?.shift ?? 0 },
    marks: stageOf(up) === "open" ? marksOf(up) : 0,
  };
}

/** Of an open flow, or of one whose handshake is the slow path's still: what there is to believe of it. */
function marksOf({ handshake, tcp }: PlainFlow): number {
  if (tcp === undefined) return MARK.answered | MARK.lively;
  return MARK.answered | (handshake || tcp.shift === 0 ? 0 : MARK.introduced);
}

/** A flow that another member, or the store, knows of. */
export function learned(room: Room, adoption: PlainAdoption, record: PlainRecord): LocalFlow {
  const handle = adoption.claim(record) ?? room.flows.freeHandle();
  const flow = newFlow(record, handle, "open", room.core.clock.nowMs());
  flow.isPublished = true;
  return flow;
}
