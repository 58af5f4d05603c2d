// What a protocol's sessions are to those who join, keep, find and show them. Everything that is not of one
// protocol alone (the table, replication, the catalogue, the API) knows the envelope and asks the kind for
// the rest. The kinds that this version has stand in kinds.ts.
import type { Address } from "../address.ts";
import type { Place } from "../place.ts";
import type { Protocol } from "../service.ts";
import type { ByteWriter } from "./bytes.ts";
import type { End, SessionEnvelope, SessionId } from "./record.ts";

/** Facts to join into a record; everything but the id may be absent. */
export type DeltaOf<R extends SessionEnvelope> = Pick<R, "id"> & Partial<Omit<R, "id">>;

/** A NAT port that a session holds, and the number of the member that allocated it. */
export interface HeldPort extends Place {
  readonly member: number;
  /** All that the endpoint has in this session; absent or empty: `endpoint` alone. */
  readonly endpointAddresses?: readonly Address[];
}

export type DecodingOf<R extends SessionEnvelope> =
  | { readonly delta: DeltaOf<R>; readonly end: number }
  | { readonly malformed: "truncated" | "out-of-bounds" | "trailing" };

/** Sets of addresses, and maps by address. */
export interface Addresses {
  readonly size: number;
  has(address: Address): boolean;
  keys(): Iterable<Address>;
}

/** Pure functions of records; none throws on bytes or records of whatever content. */
export interface SessionKind<R extends SessionEnvelope> {
  /** IANA numbers of the protocols whose sessions are of this kind. */
  readonly protocols: readonly Protocol[];
  /** Every phase that `phaseOf` can name, in their order; append-only. "closed": ended. */
  readonly phases: readonly string[];

  /** The record that knows nothing: the least element of the join. Its service id is "". */
  empty(id: SessionId): R;
  /** Associative, commutative, idempotent; returns `record` itself when nothing is new. */
  join(record: R, delta: DeltaOf<R>): R;
  /**
   * What a local observation needs before it is joined and replicated, so that observers need not know it.
   */
  complete(record: R, delta: DeltaOf<R>): DeltaOf<R>;

  /**
   * Appends the canonical bytes: id, flags, identity first, as in codec/format.ts; other protocols' in the
   * frame of foreign.ts.
   * Addresses, ports and tags stand in them as they are (session-table/needle.ts).
   */
  write(out: ByteWriter, delta: DeltaOf<R>): void;
  /** Appends what `bytes`, a record without an end, become with one. Absent: the record is written anew. */
  writeWithEnd?(out: ByteWriter, bytes: Uint8Array, end: End): void;
  /**
   * The end that `writeWithEnd` appended behind the first `length` bytes; undefined: something else stands
   * there. Absent: records with an end are decoded whole.
   */
  readAppendedEnd?(bytes: Uint8Array, length: number): End | undefined;
  /** All that is needed to keep an ended session dead. */
  tombstoneOf(record: R): DeltaOf<R>;
  decode(bytes: Uint8Array, offset?: number, end?: number): DecodingOf<R>;
  /** Whether `decode` would take the bytes, at a fraction of its cost. */
  isSound(bytes: Uint8Array): boolean;

  /** Whether its end is in force: nothing that it did not see has happened since. */
  isEnded(record: R): boolean;
  /** One of `phases`. */
  phaseOf(record: R): string;
  /** Of two sessions with one client address and port, or one NAT port: negative when `a` comes first. */
  comparePrecedence(a: R, b: R): number;
  /** The client's addresses, under each of which it is found. */
  clientsOf(record: R): Addresses;
  /** Every NAT port that it holds, the one in force first; each once. */
  natPortsOf(record: R): readonly HeldPort[];
  /** The one in force; undefined before an endpoint has shown it. */
  currentPort(record: R): HeldPort | undefined;
  /** The one to show: that in force, else the likeliest. */
  shownPort(record: R): HeldPort | undefined;
  /** Numbers by which packets name the session, whatever their addresses; each once. None: []. */
  tagsOf(record: R): readonly number[];
  /** Whether it speaks of this tag: of either side, of any generation. */
  hasTag(record: R, tag: number): boolean;
  /** Cheap: false only when the two bodies may differ. */
  hasSameBody(a: R, b: R): boolean;
  /** Cheap: false only when `natPortsOf` or `tagsOf` may tell them apart. */
  hasSamePorts(a: R, b: R): boolean;
}
