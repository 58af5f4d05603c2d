// The one implementation of SessionTable: every session that this member knows, by id, by client and by NAT port.
// The view joins; whoever replicates listens to `onLocal` and feeds `joinRemote` and `forget`.
import type { Address } from "../address.ts";
import type { ServiceId } from "../service.ts";
import { complete } from "./complete.ts";
import { comparePrecedence, currentCandidate, isEnded, natPortsOf } from "./facts.ts";
import { emptyRecord, isIdentified, join } from "./join.ts";
import type { SessionDelta, SessionId, SessionRecord } from "./record.ts";
import type { Origin, SessionChange, SessionQuestion, SessionTable } from "./table.ts";

export interface RemoteJoin {
  /** The record now equals what the delta says: its sender holds all that this member knows. */
  readonly covered: boolean;
  /** The delta ends the session, and this member knows better: the sender must be told. */
  readonly contradicted: boolean;
}

/** A local delta on its way to the others, complete (see complete.ts). */
export type LocalListener = (delta: SessionDelta, urgent: boolean, record: SessionRecord) => void;

type Index = Map<string, SessionId | SessionId[]>;

export class SessionView implements SessionTable {
  readonly #records = new Map<SessionId, SessionRecord>();
  /** Deltas whose identity has not arrived yet; not shown. */
  readonly #unidentified = new Map<SessionId, SessionRecord>();
  readonly #byClient: Index = new Map();
  readonly #byNatPort: Index = new Map();
  readonly #listeners = new Set<(change: SessionChange) => void>();
  readonly #localListeners = new Set<LocalListener>();
  readonly #changes: SessionChange[] = [];
  #notifying = false;
  #endedCount = 0;

  /** Records shown, ended ones included until they are forgotten. */
  get size(): number {
    return this.#records.size;
  }

  get endedCount(): number {
    return this.#endedCount;
  }

  get(id: SessionId): SessionRecord | undefined {
    return this.#records.get(id);
  }

  byClient(serviceId: ServiceId, client: Address, clientPort: number): readonly SessionRecord[] {
    return this.#lookUp(this.#byClient, clientKey(serviceId, client, clientPort)).sort(comparePrecedence);
  }

  byNatPort(endpoint: Address, endpointPort: number, natPort: number): readonly SessionRecord[] {
    const holds = (record: SessionRecord) => {
      const c = currentCandidate(record);
      return c?.natPort === natPort && c.endpoint === endpoint && c.endpointPort === endpointPort ? 0 : 1;
    };
    return this.#lookUp(this.#byNatPort, natPortKey(endpoint, endpointPort, natPort)).sort(
      (a, b) => Number(isEnded(a)) - Number(isEnded(b)) || holds(a) - holds(b) || comparePrecedence(a, b),
    );
  }

  /** What this view would answer to a member that asks. */
  answer(question: SessionQuestion): readonly SessionRecord[] {
    return question.kind === "client"
      ? this.byClient(question.serviceId, question.client, question.clientPort)
      : this.byNatPort(question.endpoint, question.endpointPort, question.natPort);
  }

  values(): IterableIterator<SessionRecord> {
    return this.#records.values();
  }

  apply(delta: SessionDelta, options: { readonly urgent?: boolean } = {}): SessionRecord {
    const previous = this.#stored(delta.id);
    const base = previous ?? emptyRecord(delta.id);
    const full = complete(base, delta);
    const record = join(base, full);
    if (record === base) return record;
    this.#put(previous, record);
    for (const listener of this.#localListeners) listener(full, options.urgent === true, record);
    this.#changed(previous, record, "local");
    return record;
  }

  /** Joins what another member says. */
  joinRemote(delta: SessionDelta): RemoteJoin {
    const previous = this.#stored(delta.id);
    const base = previous ?? emptyRecord(delta.id);
    const record = join(base, delta);
    if (record !== base) {
      this.#put(previous, record);
      this.#changed(previous, record, "remote");
    }
    return {
      // A full record from elsewhere that says at least what we know.
      covered: delta.serviceId !== undefined && covers(delta, record),
      contradicted:
        delta.end !== undefined && !isEnded(record) && isEnded(join(emptyRecord(delta.id), delta)),
    };
  }

  /** Forgets a record that nobody carries any longer. */
  forget(id: SessionId): void {
    const previous = this.#records.get(id);
    this.#unidentified.delete(id);
    if (previous === undefined) return;
    this.#records.delete(id);
    if (isEnded(previous)) this.#endedCount--;
    for (const key of clientKeysOf(previous)) removeFrom(this.#byClient, key, id);
    for (const key of natPortKeysOf(previous)) removeFrom(this.#byNatPort, key, id);
    this.#changed(previous, undefined, "remote");
  }

  subscribe(listener: (change: SessionChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** For replication: called with every local delta that says something new, before the listeners of `subscribe`. */
  onLocal(listener: LocalListener): () => void {
    this.#localListeners.add(listener);
    return () => this.#localListeners.delete(listener);
  }

  /** The record as far as it is known, also without its identity. */
  known(id: SessionId): SessionRecord | undefined {
    return this.#stored(id);
  }

  #stored(id: SessionId): SessionRecord | undefined {
    return this.#records.get(id) ?? this.#unidentified.get(id);
  }

  #put(previous: SessionRecord | undefined, record: SessionRecord): void {
    if (!isIdentified(record)) {
      this.#unidentified.set(record.id, record);
      return;
    }
    if (previous !== undefined && isIdentified(previous)) {
      if (isEnded(previous)) this.#endedCount--;
    } else this.#unidentified.delete(record.id);
    if (isEnded(record)) this.#endedCount++;
    this.#records.set(record.id, record);
    reindex(
      this.#byClient,
      record.id,
      previous === undefined ? [] : clientKeysOf(previous),
      clientKeysOf(record),
    );
    reindex(
      this.#byNatPort,
      record.id,
      previous === undefined ? [] : natPortKeysOf(previous),
      natPortKeysOf(record),
    );
  }

  #lookUp(index: Index, key: string): SessionRecord[] {
    const found = index.get(key);
    if (found === undefined) return [];
    const ids = typeof found === "string" ? [found] : found;
    return ids.map((id) => this.#records.get(id)).filter((record) => record !== undefined);
  }

  /** Listeners that apply further deltas see their changes after the present one, never in the midst of it. */
  #changed(previous: SessionRecord | undefined, record: SessionRecord | undefined, origin: Origin): void {
    if (record !== undefined && !isIdentified(record)) return;
    const shown = previous !== undefined && isIdentified(previous) ? previous : undefined;
    this.#changes.push({ previous: shown, record, origin });
    if (this.#notifying) return;
    this.#notifying = true;
    try {
      for (let change = this.#changes.shift(); change !== undefined; change = this.#changes.shift()) {
        for (const listener of this.#listeners) listener(change);
      }
    } finally {
      this.#notifying = false;
    }
  }
}

function covers(delta: SessionDelta, record: SessionRecord): boolean {
  const theirs = join(emptyRecord(delta.id), delta);
  return join(theirs, record) === theirs;
}

function clientKey(serviceId: ServiceId, client: Address, clientPort: number): string {
  return `${client}|${clientPort}|${serviceId}`;
}

function clientKeysOf(record: SessionRecord): string[] {
  if (!isIdentified(record)) return [];
  return [...record.clients.keys()].map((client) => clientKey(record.serviceId, client, record.clientPort));
}

function natPortKey(endpoint: Address, endpointPort: number, natPort: number): string {
  return `${endpoint}|${endpointPort}|${natPort}`;
}

function natPortKeysOf(record: SessionRecord): string[] {
  if (!isIdentified(record)) return [];
  return natPortsOf(record).map((c) => natPortKey(c.endpoint, c.endpointPort, c.natPort));
}

function reindex(index: Index, id: SessionId, before: readonly string[], after: readonly string[]): void {
  for (const key of before) if (!after.includes(key)) removeFrom(index, key, id);
  for (const key of after) if (!before.includes(key)) addTo(index, key, id);
}

function addTo(index: Index, key: string, id: SessionId): void {
  const found = index.get(key);
  if (found === undefined) index.set(key, id);
  else if (typeof found === "string") index.set(key, [found, id]);
  else found.push(id);
}

function removeFrom(index: Index, key: string, id: SessionId): void {
  const found = index.get(key);
  if (found === undefined) return;
  if (typeof found === "string") {
    if (found === id) index.delete(key);
    return;
  }
  const left = found.filter((other) => other !== id);
  if (left.length > 1) index.set(key, left);
  else if (left.length === 1) index.set(key, left[0] as string);
  else index.delete(key);
}
