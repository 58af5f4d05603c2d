// All sessions of this member: the tables of the kinds that it forwards as one, and those that it carries for
// others.
import {
  type AnyKind,
  type ForeignSession,
  HoldfastError,
  isSessionId,
  type Needle,
  protocolName,
  type SessionEnvelope,
  type SessionId,
  type SessionRecord,
  type SessionTable,
} from "@holdfast/model";

/** Of any kind; only its own records reach it. */
// biome-ignore lint/suspicious/noExplicitAny: as above.
export type AnyTable = SessionTable<any>;

/** A session that a table shows, and what its kind says of it. */
export interface KnownSession {
  readonly kind: AnyKind;
  readonly record: SessionEnvelope;
}

/** What there is to show of a session. `foreign`: its body is not understood here. */
export type ShownSession = KnownSession | { readonly foreign: ForeignSession };

export class SessionTables {
  readonly all: readonly AnyTable[];
  readonly #foreign: () => Iterable<ForeignSession>;

  constructor(all: readonly AnyTable[], foreign: () => Iterable<ForeignSession> = () => []) {
    this.all = all;
    this.#foreign = foreign;
  }

  /** Sessions that tables show; ended ones until they are forgotten. */
  get size(): number {
    return this.all.reduce((sum, table) => sum + table.size, 0);
  }

  get(id: SessionId): KnownSession | undefined {
    for (const table of this.all) {
      const record: SessionEnvelope | undefined = table.get(id);
      if (record !== undefined) return { kind: table.kind, record };
    }
    return undefined;
  }

  /** false: no table shows it, or surely it says nothing of one of the needles. */
  maySpeakOf(id: SessionId, needles: readonly Needle[]): boolean {
    return this.all.some((table) => table.maySpeakOf(id, needles));
  }

  /** Ids of all that may speak of every needle, in no order, a step at a time. */
  *speakingOf(needles: readonly Needle[]): Generator<readonly SessionId[]> {
    for (const table of this.all) yield* table.speakingOf(needles);
  }

  /** Of protocols that this version does not know, in no order. */
  foreign(): Iterable<ForeignSession> {
    return this.#foreign();
  }

  /** By text from outside. Throws SESSION_NOT_FOUND. */
  shown(id: string): ShownSession {
    if (isSessionId(id)) {
      const known = this.get(id);
      if (known !== undefined) return known;
      for (const foreign of this.#foreign()) if (foreign.id === id) return { foreign };
    }
    throw new HoldfastError("SESSION_NOT_FOUND", { session: id });
  }

  /** One that this member can do something with. Throws SESSION_NOT_FOUND, SESSION_NOT_UNDERSTOOD. */
  understood(id: string): KnownSession {
    const shown = this.shown(id);
    if (!("foreign" in shown)) return shown;
    throw new HoldfastError("SESSION_NOT_UNDERSTOOD", {
      session: id,
      protocol: protocolName(shown.foreign.protocol),
    });
  }
}

/** SCTP's own, to those who show more of it than every kind has. */
export function sctpRecord({ record }: KnownSession): SessionRecord | undefined {
  return "generations" in record ? (record as SessionRecord) : undefined;
}
