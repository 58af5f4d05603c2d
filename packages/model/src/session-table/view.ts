// The one implementation of SessionTable: every session that this member knows, by id, by client and by NAT port.
// The view joins; whoever replicates listens to `onLocal` and feeds `joinRemote` and `forget`.
import type { Address } from "../address.ts";
import { endpointKey, samePlace } from "../place.ts";
import type { ServiceId } from "../service.ts";
import { PROTOCOL_SCTP, type Protocol } from "../service.ts";
import { decodeSession } from "../session/codec/read.ts";
import { compareEnds, emptyRecord, isIdentified, join } from "../session/join.ts";
import type { End, Generation, SessionDelta, SessionId, SessionRecord, Tag } from "../session/record.ts";
import type { CandidateIdentity } from "../session/sctp/candidate.ts";
import { complete } from "../session/sctp/complete.ts";
import { comparePrecedence, currentCandidate, isEnded, natPortsOf } from "../session/sctp/facts.ts";
import type { Origin, SessionChange, SessionQuestion, SessionTable } from "../session/table.ts";
import { hasSameClients, hasSamePorts, isOnlyEnded } from "./differences.ts";
import type { Needle } from "./needle.ts";
import { RecordStore } from "./record-store.ts";
import { HASH_START, hashEnd, hashNumber, hashText, SlotIndex } from "./slot-index.ts";

export interface RemoteJoin {
  /** The record now equals what the delta says: its sender holds all that this member knows. */
  readonly covered: boolean;
  /** The delta ends the session, and this member knows better: the sender must be told. */
  readonly contradicted: boolean;
}

const KNOWN: RemoteJoin = { covered: true, contradicted: false };
const INITIAL_SLOT_COUNT = 1024;

/** A local delta on its way to the others, complete (see complete.ts). */
export type LocalListener = (delta: SessionDelta, urgent: boolean, record: SessionRecord) => void;

/** Flags of a slot. */
const IDENTIFIED = 1;
const ENDED = 2;
/** Endpoint number of a session that holds NAT ports at several endpoints, or more endpoints than have numbers. */
const SEVERAL_ENDPOINTS = 0xffff;

export class SessionView implements SessionTable {
  readonly #store = new RecordStore();
  readonly #byClient = new SlotIndex();
  readonly #byNatPort = new SlotIndex();
  readonly #byEndpointTag = new SlotIndex();
  /** By slot. */
  #flags = new Uint8Array(INITIAL_SLOT_COUNT);
  #endpoints = new Uint16Array(INITIAL_SLOT_COUNT);
  readonly #endpointNumbers = new Map<string, number>();
  readonly #listeners = new Set<(change: SessionChange) => void>();
  readonly #localListeners = new Set<LocalListener>();
  readonly #changes: SessionChange[] = [];
  #notifying = false;
  #size = 0;
  #endedCount = 0;

  /** Records shown, ended ones included until they are forgotten. */
  get size(): number {
    return this.#size;
  }

  get endedCount(): number {
    return this.#endedCount;
  }

  /** Bytes of the records at rest, free blocks included. */
  get byteCount(): number {
    return this.#store.byteCount;
  }

  get(id: SessionId): SessionRecord | undefined {
    const slot = this.#store.slotOf(id);
    return slot === undefined || !this.#is(slot, IDENTIFIED) ? undefined : this.#store.get(slot);
  }

  /** false: it is not shown, or surely does not speak of each needle. Costs a tenth of decoding it. */
  maySpeakOf(id: SessionId, needles: readonly Needle[]): boolean {
    const slot = this.#store.slotOf(id);
    if (slot === undefined || !this.#is(slot, IDENTIFIED)) return false;
    for (const needle of needles) if (!this.#store.holds(slot, needle)) return false;
    return true;
  }

  byClient(serviceId: ServiceId, client: Address, clientPort: number): readonly SessionRecord[] {
    const holds = (record: SessionRecord) =>
      record.clientPort === clientPort && record.serviceId === serviceId && record.clients.has(client);
    return this.#lookUp(this.#byClient, clientHash(serviceId, client, clientPort), holds).sort(
      comparePrecedence,
    );
  }

  byNatPort(
    endpoint: Address,
    endpointPort: number,
    natPort: number,
    protocol: Protocol = PROTOCOL_SCTP,
  ): readonly SessionRecord[] {
    const place = { endpoint, endpointPort, natPort };
    const isIt = (c: CandidateIdentity | undefined) => c !== undefined && samePlace(c, place);
    const rank = (record: SessionRecord) => (isIt(currentCandidate(record)) ? 0 : 1);
    const hash = natPortHash(protocol, endpoint, endpointPort, natPort);
    const holds = (record: SessionRecord) => record.protocol === protocol && natPortsOf(record).some(isIt);
    return this.#lookUp(this.#byNatPort, hash, holds).sort(
      (a, b) => Number(isEnded(a)) - Number(isEnded(b)) || rank(a) - rank(b) || comparePrecedence(a, b),
    );
  }

  byEndpointTag(tag: Tag): readonly SessionRecord[] {
    return this.#lookUp(this.#byEndpointTag, tagHash(tag), (record) => endpointTagsOf(record).includes(tag));
  }

  /** Sessions that hold a NAT port at this endpoint, in no order; only they are decoded, however many others there are. */
  *byEndpoint(endpoint: Address, endpointPort: number): Generator<SessionRecord> {
    const number = this.#endpointNumbers.get(endpointKey({ address: endpoint, port: endpointPort }));
    for (let slot = 0; slot < this.#store.slotCount; slot++) {
      const held = this.#endpoints[slot];
      if (!this.#is(slot, IDENTIFIED) || (held !== number && held !== SEVERAL_ENDPOINTS)) continue;
      const record = this.#store.get(slot);
      if (natPortsOf(record).some((c) => c.endpoint === endpoint && c.endpointPort === endpointPort))
        yield record;
    }
  }

  /** What this view would answer to a member that asks. */
  answer(question: SessionQuestion): readonly SessionRecord[] {
    return question.kind === "client"
      ? this.byClient(question.serviceId, question.client, question.clientPort)
      : this.byNatPort(question.endpoint, question.endpointPort, question.natPort);
  }

  /** Every record shown, decoded as they are asked for (some microseconds each); changes meanwhile do no harm. */
  *values(): Generator<SessionRecord> {
    for (let slot = 0; slot < this.#store.slotCount; slot++) {
      if (this.#is(slot, IDENTIFIED)) yield this.#store.get(slot);
    }
  }

  apply(delta: SessionDelta, options: { readonly urgent?: boolean } = {}): SessionRecord {
    const slot = this.#store.slotOf(delta.id);
    const previous = slot === undefined ? undefined : this.#store.get(slot);
    const base = previous ?? emptyRecord(delta.id);
    const full = complete(base, delta);
    const record = join(base, full);
    if (record === base) return record;
    this.#put(slot, previous, record);
    for (const listener of this.#localListeners) listener(full, options.urgent === true, record);
    this.#changed(previous, record, "local");
    return record;
  }

  /** Joins what another member says. */
  joinRemote(delta: SessionDelta): RemoteJoin {
    return this.#joinRemote(delta, this.#store.slotOf(delta.id), undefined);
  }

  /** The same for the bytes of a delta; undefined when they are malformed. Most of what is written again is known. */
  joinRemoteBytes(bytes: Uint8Array): RemoteJoin | undefined {
    const slot = bytes.length < 16 ? undefined : this.#store.slotOfBytes(bytes);
    if (slot !== undefined && this.#store.equals(slot, bytes)) return KNOWN;
    const decoding = decodeSession(bytes);
    return "malformed" in decoding ? undefined : this.#joinRemote(decoding.delta, slot, bytes);
  }

  /** `bytes`: of the delta. When it says all that is known, they are the record's, and nothing need be encoded. */
  #joinRemote(delta: SessionDelta, slot: number | undefined, bytes: Uint8Array | undefined): RemoteJoin {
    const previous = slot === undefined ? undefined : this.#store.get(slot);
    const empty = emptyRecord(delta.id);
    const theirs = join(empty, delta);
    let record = theirs;
    let isWhole = true;
    if (previous !== undefined) {
      // Mostly a whole record that says all that the older one said: finding that out makes no third record. Bytes
      // that differ say something new; should a peer not write them canonically, listeners hear of it once too often.
      isWhole = delta.serviceId !== undefined && join(theirs, previous) === theirs;
      if (!isWhole || bytes === undefined) record = join(previous, theirs);
    }
    if (record !== (previous ?? empty)) {
      this.#put(slot, previous, record, isWhole ? bytes : undefined);
      this.#changed(previous, record, "remote");
    }
    const ended = isEnded(record);
    // Whoever sent it holds all that this record says: the same facts, or for an ended one the same end.
    const covered =
      delta.end !== undefined && record.end !== undefined && ended
        ? compareEnds(delta.end, record.end) === 0
        : delta.serviceId !== undefined && isWhole;
    return { covered, contradicted: delta.end !== undefined && !ended && isEnded(theirs) };
  }

  /** Forgets a record that nobody carries any longer. */
  forget(id: SessionId): void {
    const slot = this.#store.slotOf(id);
    if (slot === undefined) return;
    const previous = this.#store.get(slot);
    this.#unindex(slot, previous);
    this.#store.delete(slot);
    this.#flags[slot] = 0;
    if (isIdentified(previous)) this.#changed(previous, undefined, "remote");
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
    const slot = this.#store.slotOf(id);
    return slot === undefined ? undefined : this.#store.get(slot);
  }

  /** The bytes of `known`, not to be changed, and valid until the view changes. */
  bytesOf(id: SessionId): Uint8Array | undefined {
    const slot = this.#store.slotOf(id);
    return slot === undefined ? undefined : this.#store.bytesAt(slot);
  }

  /** The bytes of a record that is shown and has not ended, by the 16 bytes of its id; as `bytesOf`, never decoded. */
  liveBytesOf(idBytes: Uint8Array): Uint8Array | undefined {
    const slot = this.#store.slotOfBytes(idBytes);
    if (slot === undefined || !this.#is(slot, IDENTIFIED) || this.#is(slot, ENDED)) return undefined;
    return this.#store.bytesAt(slot);
  }

  #is(slot: number, flag: number): boolean {
    return ((this.#flags[slot] as number) & flag) !== 0;
  }

  #put(
    known: number | undefined,
    previous: SessionRecord | undefined,
    record: SessionRecord,
    bytes?: Uint8Array,
  ): void {
    let slot: number;
    if (
      known !== undefined &&
      bytes === undefined &&
      previous !== undefined &&
      isOnlyEnded(previous, record)
    ) {
      slot = known;
      this.#store.putEnd(record, known, record.end as End);
    } else slot = this.#store.put(record, known, bytes);
    if (slot >= this.#flags.length) this.#grow(slot);
    const isShown = isIdentified(record);
    const wasShown = previous !== undefined && isIdentified(previous);
    if (this.#is(slot, ENDED)) this.#endedCount--;
    if (isShown && !wasShown) this.#size++;
    const ended = isShown && isEnded(record);
    if (ended) this.#endedCount++;
    this.#flags[slot] = (isShown ? IDENTIFIED : 0) | (ended ? ENDED : 0);
    if (!isShown) return;
    if (!wasShown || !hasSameClients(previous, record)) {
      reindex(this.#byClient, slot, wasShown ? clientHashesOf(previous) : [], clientHashesOf(record));
    }
    if (!wasShown || previous.generations !== record.generations || previous.commit !== record.commit) {
      const ports = natPortsOf(record);
      const portsBefore = wasShown ? natPortsOf(previous) : [];
      if (!wasShown || !hasSamePorts(portsBefore, ports)) {
        reindex(
          this.#byNatPort,
          slot,
          natPortHashesOf(record.protocol, portsBefore),
          natPortHashesOf(record.protocol, ports),
        );
        this.#endpoints[slot] = this.#endpointNumberOf(ports);
      }
      reindex(this.#byEndpointTag, slot, wasShown ? tagHashesOf(previous) : [], tagHashesOf(record));
    }
  }

  #unindex(slot: number, record: SessionRecord): void {
    if (!isIdentified(record)) return;
    this.#size--;
    if (this.#is(slot, ENDED)) this.#endedCount--;
    reindex(this.#byClient, slot, clientHashesOf(record), []);
    reindex(this.#byNatPort, slot, natPortHashesOf(record.protocol, natPortsOf(record)), []);
    reindex(this.#byEndpointTag, slot, tagHashesOf(record), []);
  }

  #endpointNumberOf(ports: readonly CandidateIdentity[]): number {
    const [first] = ports;
    if (first === undefined) return SEVERAL_ENDPOINTS;
    const { endpoint, endpointPort } = first;
    if (ports.some((c) => c.endpoint !== endpoint || c.endpointPort !== endpointPort))
      return SEVERAL_ENDPOINTS;
    const key = endpointKey({ address: endpoint, port: endpointPort });
    const known = this.#endpointNumbers.get(key);
    if (known !== undefined) return known;
    if (this.#endpointNumbers.size >= SEVERAL_ENDPOINTS) return SEVERAL_ENDPOINTS;
    const number = this.#endpointNumbers.size;
    this.#endpointNumbers.set(key, number);
    return number;
  }

  #grow(slot: number): void {
    const count = Math.max(slot + 1, this.#flags.length * 2);
    const flags = new Uint8Array(count);
    flags.set(this.#flags);
    this.#flags = flags;
    const endpoints = new Uint16Array(count);
    endpoints.set(this.#endpoints);
    this.#endpoints = endpoints;
  }

  #lookUp(index: SlotIndex, hash: number, holds: (record: SessionRecord) => boolean): SessionRecord[] {
    const found: SessionRecord[] = [];
    for (let place = index.seek(hash); place >= 0; place = index.seek(hash, place)) {
      const record = this.#store.at(index.slotAt(place));
      if (record !== undefined && holds(record)) found.push(record);
    }
    return found;
  }

  /** Listeners that apply further deltas see their changes after the present one, never in the midst of it. */
  #changed(previous: SessionRecord | undefined, record: SessionRecord | undefined, origin: Origin): void {
    if (record !== undefined && !isIdentified(record)) return;
    const shown = previous !== undefined && isIdentified(previous) ? previous : undefined;
    const first: SessionChange = { previous: shown, record, origin };
    if (this.#notifying) {
      this.#changes.push(first);
      return;
    }
    this.#notifying = true;
    try {
      for (
        let change: SessionChange | undefined = first;
        change !== undefined;
        change = this.#changes.shift()
      ) {
        for (const listener of this.#listeners) listener(change);
      }
    } finally {
      this.#notifying = false;
    }
  }
}

function clientHash(serviceId: ServiceId, client: Address, clientPort: number): number {
  return hashEnd(hashText(hashNumber(hashText(HASH_START, client), clientPort), serviceId));
}

function clientHashesOf(record: SessionRecord): number[] {
  const hashes = new Array<number>(record.clients.size);
  let at = 0;
  for (const client of record.clients.keys())
    hashes[at++] = clientHash(record.serviceId, client, record.clientPort);
  return hashes;
}

function natPortHash(protocol: Protocol, endpoint: Address, endpointPort: number, natPort: number): number {
  const start = hashNumber(HASH_START, protocol);
  return hashEnd(hashNumber(hashText(start, endpoint), endpointPort * 0x1_0000 + natPort));
}

function natPortHashesOf(protocol: Protocol, ports: readonly CandidateIdentity[]): number[] {
  return ports.map((c) => natPortHash(protocol, c.endpoint, c.endpointPort, c.natPort));
}

function tagHash(tag: Tag): number {
  return hashEnd(hashNumber(HASH_START, tag));
}

function tagHashesOf(record: SessionRecord): number[] {
  return endpointTagsOf(record).map(tagHash);
}

/** Each once. */
function endpointTagsOf(record: SessionRecord): Tag[] {
  const tags: Tag[] = [];
  const add = ({ candidates }: Generation) => {
    for (const { endpointTag } of candidates.values())
      if (endpointTag !== 0 && !tags.includes(endpointTag)) tags.push(endpointTag);
  };
  for (const generation of record.generations.values()) add(generation);
  const committed = record.commit?.generation;
  if (committed !== undefined) add(committed);
  return tags;
}

function reindex(index: SlotIndex, slot: number, before: readonly number[], after: readonly number[]): void {
  for (const hash of before) if (!after.includes(hash)) index.remove(hash, slot);
  // Two keys of one record may share a hash: once is enough.
  for (let i = 0; i < after.length; i++) {
    const hash = after[i] as number;
    if (!before.includes(hash) && after.indexOf(hash) === i) index.add(hash, slot);
  }
}
