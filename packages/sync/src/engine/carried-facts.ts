// What later versions say of sessions and this one cannot read: kept byte for byte, written again with what
// is known of the session, forgotten with it. A set of byte strings for each id, so that members which carry
// the same agree.
import {
  type ForeignFact,
  type ForeignSession,
  foreignFactOf,
  foreignSessionOf,
  isForeignEnded,
} from "@holdfast/model";

/** Ids with such facts; of a further one nothing is kept here, its writer's journal has it. */
export const CARRIED_ID_COUNT_MAX = 200_000;
/** Bytes of all of them together; beyond, as above. */
export const CARRIED_BYTES_MAX = 64 * 1024 * 1024;
/**
 * Facts of one id: of more, those with the fewest bytes go first, ends last: mostly a longer one says more.
 */
export const CARRIED_FACT_COUNT_MAX = 16;

interface Carried {
  facts: { readonly bytes: Uint8Array; readonly fact: ForeignFact }[];
}

export class CarriedFacts {
  /** By the latin1 text of the id. */
  readonly #byId = new Map<string, Carried>();
  #bytes = 0;
  readonly totals = { carriedDropped: 0 };

  /** Ids that something is carried of. */
  get size(): number {
    return this.#byId.size;
  }

  /** Takes in a fact; undefined: it is none. `isAll`: nothing else is carried of its id. */
  add(bytes: Uint8Array): { readonly isAll: boolean } | undefined {
    const fact = foreignFactOf(bytes);
    if (fact === undefined) return undefined;
    const key = keyOf(bytes);
    const known = this.#byId.get(key);
    if (known?.facts.some((other) => Buffer.compare(other.bytes, bytes) === 0) === true)
      return { isAll: known.facts.length === 1 };
    const isFull = known === undefined && this.#byId.size >= CARRIED_ID_COUNT_MAX;
    if (isFull || this.#bytes + bytes.length > CARRIED_BYTES_MAX) {
      this.totals.carriedDropped++;
      return { isAll: false };
    }
    // A copy: the buffer that it came in can go.
    const kept = { bytes: new Uint8Array(bytes), fact };
    this.#bytes += bytes.length;
    if (known === undefined) this.#byId.set(key, { facts: [kept] });
    else {
      known.facts.push(kept);
      if (known.facts.length > CARRIED_FACT_COUNT_MAX) this.#dropLeast(known);
    }
    return { isAll: known === undefined };
  }

  has(id: Uint8Array): boolean {
    return this.#byId.size > 0 && this.#byId.has(keyOf(id));
  }

  of(id: Uint8Array): readonly Uint8Array[] {
    if (this.#byId.size === 0) return [];
    return this.#byId.get(keyOf(id))?.facts.map(({ bytes }) => bytes) ?? [];
  }

  /**
   * Not to go on being carried: it has ended and nothing says that it went on, or no record came that it is
   * about.
   */
  isOver(id: Uint8Array): boolean {
    const facts = this.#byId.get(keyOf(id))?.facts ?? [];
    if (!facts.some(({ fact }) => fact.isRecord)) return true;
    const activity = facts.reduce((most, { fact }) => Math.max(most, fact.activity), 0);
    return isForeignEnded(
      facts.map(({ fact }) => fact),
      activity,
    );
  }

  /** Sessions of protocols that this version does not know, in no order. */
  *sessions(): Generator<ForeignSession> {
    for (const { facts } of this.#byId.values()) {
      const session = foreignSessionOf(facts.map(({ fact }) => fact));
      if (session !== undefined) yield session;
    }
  }

  *all(): Generator<Uint8Array> {
    for (const { facts } of this.#byId.values()) for (const { bytes } of facts) yield bytes;
  }

  forget(id: Uint8Array): void {
    const key = keyOf(id);
    for (const { bytes } of this.#byId.get(key)?.facts ?? []) this.#bytes -= bytes.length;
    this.#byId.delete(key);
  }

  #dropLeast(carried: Carried): void {
    const rank = ({ bytes, fact }: Carried["facts"][number]) =>
      bytes.length + (fact.end === undefined ? 0 : 2 * 64 * 1024);
    const [least] = [...carried.facts].sort((a, b) => rank(a) - rank(b) || Buffer.compare(a.bytes, b.bytes));
    carried.facts = carried.facts.filter((each) => each !== least);
    this.#bytes -= least?.bytes.length ?? 0;
    this.totals.carriedDropped++;
  }
}

function keyOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, 16).toString("latin1");
}
