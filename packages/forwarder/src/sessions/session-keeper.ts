// Keeps the fast path's flows what the table says: every change of a record, local or from another member,
// ends here.
import {
  type Address,
  type Candidate,
  currentCandidate,
  isLiving,
  type SessionChange,
  type SessionId,
  type SessionRecord,
  type SessionTable,
} from "@holdfast/model";
import type { Counters } from "../counters/counters.ts";
import type { FastPath, Flow } from "../fast-path/port.ts";
import { flowKeyText, flowsOf, type LocalPaths, sameFlow } from "../path-mapping/flows.ts";
import type { ServiceEntry, ServiceRegistry } from "../services/registry.ts";
import { type LocalSession, newLocalSession } from "./local-session.ts";

export interface SessionKeeperOptions {
  readonly fastPath: FastPath;
  readonly table: SessionTable;
  readonly registry: ServiceRegistry;
  readonly counters: Counters;
  readonly nowMs: () => number;
  /** Where handles begin; random, so that handles of an earlier run are not met by chance. */
  readonly firstHandle: number;
  /** Configured addresses of an association's endpoint that are down. */
  readonly endpointsDown: (candidate: Candidate, entry: ServiceEntry) => readonly Address[] | undefined;
}

export class SessionKeeper {
  readonly #options: SessionKeeperOptions;
  readonly #byId = new Map<SessionId, LocalSession>();
  readonly #byHandle = new Map<number, LocalSession>();
  #nextHandle: number;

  constructor(options: SessionKeeperOptions) {
    this.#options = options;
    this.#nextHandle = options.firstHandle >>> 0;
  }

  get size(): number {
    return this.#byId.size;
  }

  get(id: SessionId): LocalSession | undefined {
    return this.#byId.get(id);
  }

  byHandle(handle: number): LocalSession | undefined {
    return this.#byHandle.get(handle);
  }

  values(): IterableIterator<LocalSession> {
    return this.#byId.values();
  }

  /** The local side of a session, made when it is new here. */
  ensure(id: SessionId, handle?: number): LocalSession {
    let local = this.#byId.get(id);
    if (local === undefined) {
      local = newLocalSession(id, handle ?? this.#freeHandle(), this.#options.nowMs());
      this.#byId.set(id, local);
      this.#byHandle.set(local.handle, local);
    }
    return local;
  }

  /** Follows a change of the table. Returns the local side when the session is, or was, in the fast path. */
  changed(change: SessionChange): LocalSession | undefined {
    const { previous, record } = change;
    if (record === undefined) {
      const local = previous && this.#byId.get(previous.id);
      if (local !== undefined) this.drop(local, previous);
      return undefined;
    }
    if (record.commit === undefined) return this.#byId.get(record.id);
    if (!isLiving(record) && !this.#byId.has(record.id)) return undefined;
    const local = this.ensure(record.id);
    if (previous?.commit !== record.commit) this.noteEndpoint(local, record);
    if (!sameForFlows(local, previous, record)) this.refresh(local, record, previous);
    return local;
  }

  /** Another endpoint, or the first: which of its addresses are down is known already. */
  noteEndpoint(local: LocalSession, record: SessionRecord): undefined {
    const entry = this.#options.registry.get(record.serviceId);
    const candidate = currentCandidate(record);
    const down = entry && candidate && this.#options.endpointsDown(candidate, entry);
    if (down !== local.paths.endpointsDown) local.paths = { ...local.paths, endpointsDown: down };
  }

  /** Changes what this member knows of the paths, and the flows with it. */
  update(local: LocalSession, record: SessionRecord, paths: Partial<LocalPaths>): undefined {
    local.paths = { ...local.paths, ...paths };
    this.refresh(local, record);
  }

  /**
   * Installs what is wanted and missing or different, removes what is not wanted any more. `before`: the
   * record from which the installed flows were made, when it is another.
   */
  refresh(local: LocalSession, record: SessionRecord, before: SessionRecord = record): undefined {
    const { fastPath, registry, counters } = this.#options;
    const entry = registry.get(record.serviceId);
    const installed = installedFlows(local, before);
    const wanted = entry === undefined ? [] : flowsOf(record, entry, local.paths);
    const wantedByKey = new Map<string, Flow>();
    for (const flow of wanted) {
      if (flow.direction === "up" && !this.#isFirst(record, flow.key.source)) continue;
      wantedByKey.set(flowKeyText(flow.key), flow);
    }
    for (const [key, flow] of installed) {
      const next = wantedByKey.get(key);
      if (next === undefined) this.#remove(flow);
      else if (sameFlow(flow, next)) wantedByKey.delete(key);
    }
    for (const flow of wantedByKey.values()) {
      counters.count("flow-installs");
      // A full table is a normal event: the packets of this flow are punted, and forwarded by the slow path.
      if (!fastPath.install(flow)) counters.count("flow-table-full");
    }
    local.installed = entry === undefined || wanted.length === 0 ? undefined : { entry, paths: local.paths };
  }

  /** Installs a session's flows once more: services changed, or a learning flow has to be armed again. */
  reinstall(local: LocalSession, record: SessionRecord): undefined {
    const entry = this.#options.registry.get(record.serviceId);
    if (entry === undefined) return this.refresh(local, record);
    for (const flow of flowsOf(record, entry, local.paths)) {
      if (flow.direction === "up" && !this.#isFirst(record, flow.key.source)) continue;
      if (!this.#options.fastPath.install(flow)) this.#options.counters.count("flow-table-full");
    }
    local.installed = { entry, paths: local.paths };
  }

  /**
   * Forgets the local side and its flows. `record`: the last one, when the table has forgotten it already.
   */
  drop(local: LocalSession, record = this.#options.table.get(local.id)): undefined {
    for (const flow of installedFlows(local, record).values()) this.#remove(flow);
    local.installed = undefined;
    this.#byId.delete(local.id);
    this.#byHandle.delete(local.handle);
  }

  /** The flows that are installed, by key text. */
  flows(local: LocalSession): Flow[] {
    return [...installedFlows(local, this.#options.table.get(local.id)).values()];
  }

  /**
   * Two sessions of one client address and port have one flow key: it belongs to the winner of the table's
   * rule.
   */
  #isFirst(record: SessionRecord, client: Address): boolean {
    for (const other of this.#options.table.byClient(record.serviceId, client, record.clientPort)) {
      if (other.id === record.id) return true;
      if (other.commit !== undefined && isLiving(other)) return false;
    }
    return true;
  }

  /** Unless another session has taken the key over. */
  #remove(flow: Flow): undefined {
    const { fastPath, table, registry } = this.#options;
    if (flow.direction === "up") {
      const entry = registry.byVip(flow.key.protocol, flow.key.destination, flow.key.destinationPort);
      const heirs =
        entry === undefined ? [] : table.byClient(entry.service.id, flow.key.source, flow.key.sourcePort);
      for (const heir of heirs) {
        const local = this.#byId.get(heir.id);
        if (local === undefined || local.handle === flow.session || !isLiving(heir)) continue;
        fastPath.remove(flow.key);
        this.reinstall(local, heir);
        return;
      }
    }
    fastPath.remove(flow.key);
  }

  #freeHandle(): number {
    for (;;) {
      const handle = this.#nextHandle;
      this.#nextHandle = (this.#nextHandle + 1) >>> 0;
      // 0 says "no flow matched".
      if (handle !== 0 && !this.#byHandle.has(handle)) return handle;
    }
  }
}

function installedFlows(local: LocalSession, record: SessionRecord | undefined): Map<string, Flow> {
  const flows = new Map<string, Flow>();
  if (local.installed === undefined || record === undefined) return flows;
  const { entry, paths } = local.installed;
  for (const flow of flowsOf(record, entry, paths)) flows.set(flowKeyText(flow.key), flow);
  return flows;
}

/** Nothing that flows are made from has changed since they were installed. */
function sameForFlows(
  local: LocalSession,
  before: SessionRecord | undefined,
  record: SessionRecord,
): boolean {
  return (
    local.installed !== undefined &&
    local.installed.paths === local.paths &&
    before !== undefined &&
    before.commit === record.commit &&
    before.clients === record.clients &&
    before.heard === record.heard &&
    before.generations === record.generations &&
    isLiving(before) &&
    isLiving(record)
  );
}
