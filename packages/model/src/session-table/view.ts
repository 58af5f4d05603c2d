// The one implementation of SessionTable: every session of one kind that this member knows, by id, by client
// and by NAT port. The view joins; whoever replicates listens to `onLocal` and feeds `joinRemote` and
// `forget`.
import type { Address } from "../address.ts";
import { samePlace } from "../place.ts";
import { PROTOCOL_SCTP, type Protocol, type ServiceId } from "../service.ts";
import { isIdentified, isSameEnd } from "../session/join.ts";
import type { DeltaOf, HeldPort, SessionKind } from "../session/kind.ts";
import type { End, SessionEnvelope, SessionId, SessionRecord, Tag } from "../session/record.ts";
import { SCTP_SESSIONS } from "../session/sctp/kind.ts";
import type { Origin, SessionChange, SessionQuestion, SessionTable } from "../session/table.ts";
import {
  clientHash,
  clientHashesOf,
  EndpointNumbers,
  hasSameClients,
  hasSamePlaces,
  isOnlyEnded,
  natPortHash,
  natPortHashesOf,
  reindex,
  SEVERAL_ENDPOINTS,
  tagHash,
} from "./indices.ts";
import type { Needle } from "./needle.ts";
import { RecordStore } from "./record-store.ts";
import { SlotIndex } from "./slot-index.ts";

export interface RemoteJoin {
  /** The record now equals what the delta says: its sender holds all that this member knows. */
  readonly covered: boolean;
  /** The delta ends the session, and this member knows better: the sender must be told. */
  readonly contradicted: boolean;
}

/** Slots that one step of a look over all of them takes: some tenths of a millisecond. */
const LOOK_SLOT_COUNT = 2048;

const KNOWN: RemoteJoin = { covered: true, contradicted: false };
const INITIAL_SLOT_COUNT = 1024;

/** A local delta on its way to the others, complete (see complete.ts). */
export type LocalListener<R extends SessionEnvelope = SessionRecord> = (
  delta: DeltaOf<R>,
  urgent: boolean,
  record: R,
) => void;

/** Flags of a slot. */
const IDENTIFIED = 1;
const ENDED = 2;

export class SessionView<R extends SessionEnvelope = SessionRecord> implements SessionTable<R> {
  readonly kind: SessionKind<R>;
  readonly #store: RecordStore<R>;
  readonly #byClient = new SlotIndex();
  readonly #byNatPort = new SlotIndex();
  readonly #byEndpointTag = new SlotIndex();
  /** By slot. */
  #flags = new Uint8Array(INITIAL_SLOT_COUNT);
  #endpoints = new Uint16Array(INITIAL_SLOT_COUNT);
  readonly #endpointNumbers = new EndpointNumbers();
  readonly #listeners = new Set<(change: SessionChange<R>) => void>();
  readonly #localListeners = new Set<LocalListener<R>>();
  readonly #changes: SessionChange<R>[] = [];
  #notifying = false;
  #size = 0;
  #endedCount = 0;

  /** Without arguments: SCTP's. */
  constructor(...kind: SessionRecord extends R ? [kind?: SessionKind<R>] : [kind: SessionKind<R>]) {
    this.kind = kind[0] ?? (SCTP_SESSIONS as unknown as SessionKind<R>);
    this.#store = new RecordStore(this.kind);
  }

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

  get(id: SessionId): R | undefined {
    const slot = this.#store.slotOf(id);
    return slot === undefined || !this.#is(slot, IDENTIFIED) ? undefined : this.#store.get(slot);
  }

  /** false: it is not shown, or surely does not speak of each needle. Costs a tenth of decoding it. */
  maySpeakOf(id: SessionId, needles: readonly Needle[]): boolean {
    const slot = this.#store.slotOf(id);
    if (slot === undefined || !this.#is(slot, IDENTIFIED)) return false;
    return this.#store.holdsAll(slot, needles);
  }

  *speakingOf(needles: readonly Needle[]): Generator<readonly SessionId[]> {
    for (let from = 0; from < this.#store.slotCount; from += LOOK_SLOT_COUNT) {
      const ids: SessionId[] = [];
      const end = Math.min(from + LOOK_SLOT_COUNT, this.#store.slotCount);
      for (let slot = from; slot < end; slot++)
        if (this.#is(slot, IDENTIFIED) && this.#store.holdsAll(slot, needles))
          ids.push(this.#store.idAt(slot));
      yield ids;
    }
  }

  byClient(serviceId: ServiceId, client: Address, clientPort: number): readonly R[] {
    const holds = (record: R) =>
      record.clientPort === clientPort &&
      record.serviceId === serviceId &&
      this.kind.clientsOf(record).has(client);
    return this.#lookUp(this.#byClient, clientHash(serviceId, client, clientPort), holds).sort(
      this.kind.comparePrecedence,
    );
  }

  byNatPort(
    endpoint: Address,
    endpointPort: number,
    natPort: number,
    protocol = this.kind.protocols[0] as Protocol,
  ): readonly R[] {
    const place = { endpoint, endpointPort, natPort };
    const isIt = (c: HeldPort | undefined) => c !== undefined && samePlace(c, place);
    const { kind } = this;
    const rank = (record: R) => (isIt(kind.currentPort(record)) ? 0 : 1);
    const hash = natPortHash(protocol, endpoint, endpointPort, natPort);
    const holds = (record: R) => record.protocol === protocol && kind.natPortsOf(record).some(isIt);
    return this.#lookUp(this.#byNatPort, hash, holds).sort(
      (a, b) =>
        Number(kind.isEnded(a)) - Number(kind.isEnded(b)) ||
        rank(a) - rank(b) ||
        kind.comparePrecedence(a, b),
    );
  }

  byEndpointTag(tag: Tag): readonly R[] {
    return this.#lookUp(this.#byEndpointTag, tagHash(tag), (record) =>
      this.kind.tagsOf(record).includes(tag),
    );
  }

  /**
   * Sessions that hold a NAT port at this endpoint, in no order; only they are decoded, however many others
   * there are.
   */
  *byEndpoint(endpoint: Address, endpointPort: number): Generator<R> {
    const number = this.#endpointNumbers.find(endpoint, endpointPort);
    for (let slot = 0; slot < this.#store.slotCount; slot++) {
      const held = this.#endpoints[slot];
      if (!this.#is(slot, IDENTIFIED) || (held !== number && held !== SEVERAL_ENDPOINTS)) continue;
      const record = this.#store.get(slot);
      if (
        this.kind.natPortsOf(record).some((c) => c.endpoint === endpoint && c.endpointPort === endpointPort)
      )
        yield record;
    }
  }

  /** What this view would answer to a member that asks. */
  answer(question: SessionQuestion): readonly R[] {
    if (question.kind === "client")
      return this.byClient(question.serviceId, question.client, question.clientPort);
    const { endpoint, endpointPort, natPort, protocol = PROTOCOL_SCTP } = question;
    return this.byNatPort(endpoint, endpointPort, natPort, protocol);
  }

  /**
   * Every record shown, decoded as they are asked for (some microseconds each); changes meanwhile do no harm.
   */
  *values(): Generator<R> {
    for (let slot = 0; slot < this.#store.slotCount; slot++) {
      if (this.#is(slot, IDENTIFIED)) yield this.#store.get(slot);
    }
  }

  apply(delta: DeltaOf<R>, options: { readonly urgent?: boolean } = {}): R {
    const slot = this.#store.slotOf(delta.id);
    const previous = slot === undefined ? undefined : this.#store.get(slot);
    const base = previous ?? this.kind.empty(delta.id);
    const full = this.kind.complete(base, delta);
    const record = this.kind.join(base, full);
    if (record === base) return record;
    this.#put(slot, previous, record);
    for (const listener of this.#localListeners) listener(full, options.urgent === true, record);
    this.#changed(previous, record, "local");
    return record;
  }

  /** Joins what another member says. */
  joinRemote(delta: DeltaOf<R>): RemoteJoin {
    return this.#joinRemote(delta, this.#store.slotOf(delta.id), undefined);
  }

  /** The same for the bytes of a delta; undefined: malformed. Most of what is written again is known. */
  joinRemoteBytes(bytes: Uint8Array): RemoteJoin | undefined {
    const slot = bytes.length < 16 ? undefined : this.#store.slotOfBytes(bytes);
    if (slot !== undefined) {
      if (this.#store.equals(slot, bytes)) return KNOWN;
      const end = this.#store.endBehind(slot, bytes);
      if (end !== undefined && this.#is(slot, IDENTIFIED)) return this.#joinEnd(slot, end, bytes);
    }
    const decoding = this.kind.decode(bytes);
    return "malformed" in decoding ? undefined : this.#joinRemote(decoding.delta, slot, bytes);
  }

  /** What is known, and its end: the last word of most sessions. Nothing else need be read. */
  #joinEnd(slot: number, end: End, bytes: Uint8Array): RemoteJoin {
    const previous = this.#store.get(slot);
    const record: R = { ...previous, end };
    this.#put(slot, previous, record, bytes);
    this.#changed(previous, record, "remote");
    return KNOWN;
  }

  /**
   * `bytes`: of the delta. When it says all that is known, they are the record's, and nothing need be
   * encoded.
   */
  #joinRemote(delta: DeltaOf<R>, slot: number | undefined, bytes: Uint8Array | undefined): RemoteJoin {
    const previous = slot === undefined ? undefined : this.#store.get(slot);
    const empty = this.kind.empty(delta.id);
    const theirs = this.kind.join(empty, delta);
    let record = theirs;
    let isWhole = true;
    if (previous !== undefined) {
      // Mostly a whole record that says all that the older one said: finding that out makes no third record.
      // Bytes that differ say something new; should a peer not write them canonically, listeners hear of it
      // once too often.
      isWhole = delta.serviceId !== undefined && this.kind.join(theirs, previous) === theirs;
      if (!isWhole || bytes === undefined) record = this.kind.join(previous, theirs);
    }
    if (record !== (previous ?? empty)) {
      this.#put(slot, previous, record, isWhole ? bytes : undefined);
      this.#changed(previous, record, "remote");
    }
    const ended = this.kind.isEnded(record);
    // Whoever sent it holds all that this record says: the same facts, or for an ended one the same end.
    const covered =
      delta.end !== undefined && record.end !== undefined && ended
        ? isSameEnd(delta.end, record.end)
        : delta.serviceId !== undefined && isWhole;
    return { covered, contradicted: delta.end !== undefined && !ended && this.kind.isEnded(theirs) };
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

  subscribe(listener: (change: SessionChange<R>) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * For replication: called with every local delta that says something new, before the listeners of
   * `subscribe`.
   */
  onLocal(listener: LocalListener<R>): () => void {
    this.#localListeners.add(listener);
    return () => this.#localListeners.delete(listener);
  }

  /** The record as far as it is known, also without its identity. */
  known(id: SessionId): R | undefined {
    const slot = this.#store.slotOf(id);
    return slot === undefined ? undefined : this.#store.get(slot);
  }

  /** The bytes of `known`, not to be changed, and valid until the view changes. */
  bytesOf(id: SessionId): Uint8Array | undefined {
    const slot = this.#store.slotOf(id);
    return slot === undefined ? undefined : this.#store.bytesAt(slot);
  }

  /**
   * The bytes of a record that is shown and has not ended, by the 16 bytes of its id; as `bytesOf`, never
   * decoded.
   */
  liveBytesOf(idBytes: Uint8Array): Uint8Array | undefined {
    const slot = this.#store.slotOfBytes(idBytes);
    if (slot === undefined || !this.#is(slot, IDENTIFIED) || this.#is(slot, ENDED)) return undefined;
    return this.#store.bytesAt(slot);
  }

  #is(slot: number, flag: number): boolean {
    return ((this.#flags[slot] as number) & flag) !== 0;
  }

  #put(known: number | undefined, previous: R | undefined, record: R, bytes?: Uint8Array): void {
    let slot: number;
    if (
      known !== undefined &&
      bytes === undefined &&
      previous !== undefined &&
      isOnlyEnded(this.kind, previous, record)
    ) {
      slot = known;
      this.#store.putEnd(record, known, record.end as End);
    } else slot = this.#store.put(record, known, bytes);
    if (slot >= this.#flags.length) this.#grow(slot);
    const isShown = isIdentified(record);
    const wasShown = previous !== undefined && isIdentified(previous);
    if (this.#is(slot, ENDED)) this.#endedCount--;
    if (isShown && !wasShown) this.#size++;
    const ended = isShown && this.kind.isEnded(record);
    if (ended) this.#endedCount++;
    this.#flags[slot] = (isShown ? IDENTIFIED : 0) | (ended ? ENDED : 0);
    if (!isShown) return;
    const { kind } = this;
    const clients = kind.clientsOf(record);
    const clientsBefore = wasShown ? kind.clientsOf(previous) : undefined;
    if (clientsBefore === undefined || !hasSameClients(previous as R, clientsBefore, record, clients)) {
      const before = clientsBefore === undefined ? [] : clientHashesOf(previous as R, clientsBefore);
      reindex(this.#byClient, slot, before, clientHashesOf(record, clients));
    }
    if (!wasShown || !kind.hasSamePorts(previous, record)) {
      const ports = kind.natPortsOf(record);
      const portsBefore = wasShown ? kind.natPortsOf(previous) : [];
      if (!wasShown || !hasSamePlaces(portsBefore, ports)) {
        reindex(
          this.#byNatPort,
          slot,
          natPortHashesOf(record.protocol, portsBefore),
          natPortHashesOf(record.protocol, ports),
        );
        this.#endpoints[slot] = this.#endpointNumbers.of(ports);
      }
      const tags = wasShown ? kind.tagsOf(previous).map(tagHash) : [];
      reindex(this.#byEndpointTag, slot, tags, kind.tagsOf(record).map(tagHash));
    }
  }

  #unindex(slot: number, record: R): void {
    if (!isIdentified(record)) return;
    this.#size--;
    if (this.#is(slot, ENDED)) this.#endedCount--;
    const { kind } = this;
    reindex(this.#byClient, slot, clientHashesOf(record, kind.clientsOf(record)), []);
    reindex(this.#byNatPort, slot, natPortHashesOf(record.protocol, kind.natPortsOf(record)), []);
    reindex(this.#byEndpointTag, slot, kind.tagsOf(record).map(tagHash), []);
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

  #lookUp(index: SlotIndex, hash: number, holds: (record: R) => boolean): R[] {
    const found: R[] = [];
    for (let place = index.seek(hash); place >= 0; place = index.seek(hash, place)) {
      const record = this.#store.at(index.slotAt(place));
      if (record !== undefined && holds(record)) found.push(record);
    }
    return found;
  }

  /**
   * Listeners that apply further deltas see their changes after the present one, never in the midst of it.
   */
  #changed(previous: R | undefined, record: R | undefined, origin: Origin): void {
    if (record !== undefined && !isIdentified(record)) return;
    const shown = previous !== undefined && isIdentified(previous) ? previous : undefined;
    const first: SessionChange<R> = { previous: shown, record, origin };
    if (this.#notifying) {
      this.#changes.push(first);
      return;
    }
    this.#notifying = true;
    try {
      for (
        let change: SessionChange<R> | undefined = first;
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
