// How the content of a map of one layout becomes that of another. Fields are found by name; what cannot be
// carried over without guessing is refused, with the reason.
import { hasIndices, MAP_TYPE, type MapLayout, sizeOf, type TypeLayout } from "./layout.ts";

/**
 * A field that a key did not have has meant the same in all entries: what it meant. Anything else new in a
 * key is refused.
 */
const FIELD_DEFAULTS: Readonly<Record<string, number>> = {
  // IPPROTO_SCTP: before flows of other protocols came.
  protocol: 132,
};
const UNSIGNED = ["__u8", "__u16", "__u32", "__u64"];
const SPARE = "spare";

interface Copy {
  readonly from: number;
  readonly to: number;
  readonly size: number;
}

interface Fill {
  readonly to: number;
  readonly bytes: Buffer;
}

/** Moves one key or value, byte ranges at a time; what no range covers is zero. */
export class Conversion {
  readonly fromSize: number;
  readonly toSize: number;
  readonly #copies: readonly Copy[];
  readonly #fills: readonly Fill[];

  constructor(fromSize: number, toSize: number, copies: readonly Copy[], fills: readonly Fill[]) {
    this.fromSize = fromSize;
    this.toSize = toSize;
    this.#copies = copies;
    this.#fills = fills;
  }

  /** `into` is zeroed where it is written to. */
  apply(source: Uint8Array, sourceAt: number, into: Uint8Array, intoAt: number): void {
    into.fill(0, intoAt, intoAt + this.toSize);
    for (const { from, to, size } of this.#copies)
      into.set(source.subarray(sourceAt + from, sourceAt + from + size), intoAt + to);
    for (const { to, bytes } of this.#fills) into.set(bytes, intoAt + to);
  }
}

export type MapPlan =
  | { readonly kind: "keep" }
  | { readonly kind: "move"; readonly key: Conversion; readonly value: Conversion }
  | { readonly kind: "refuse"; readonly reason: string };

class Refusal extends Error {}

/** What to do with a pinned map of layout `from` for programs that want layout `to`. */
export function planOf(name: string, from: MapLayout, to: MapLayout): MapPlan {
  if (JSON.stringify(from) === JSON.stringify(to)) return { kind: "keep" };
  try {
    if (!areAlike(from.type, to.type)) throw new Refusal(`${name} is another kind of map`);
    if ((from.entries ?? 0) > (to.entries ?? Infinity))
      throw new Refusal(`${name} has ${from.entries} entries, and ${to.entries} are left for them`);
    const key = conversion(`${name} key`, from.key, to.key, true);
    const value = conversion(`${name} value`, from.value, to.value, false);
    return { kind: "move", key, value };
  } catch (error) {
    if (error instanceof Refusal) return { kind: "refuse", reason: error.message };
    throw error;
  }
}

function areAlike(from: number, to: number): boolean {
  const isHash = (type: number) => type === MAP_TYPE.HASH || type === MAP_TYPE.LRU_HASH;
  if (isHash(from)) return isHash(to);
  return from === to && hasIndices(from);
}

/** Throws Refusal. */
function conversion(
  where: string,
  from: TypeLayout | undefined,
  to: TypeLayout | undefined,
  isKey: boolean,
): Conversion {
  if (from === undefined || to === undefined) throw new Refusal(`${where} is not described`);
  const copies: Copy[] = [];
  const fills: Fill[] = [];
  /** Everything in a key counts; in a value what is new begins at zero. */
  const added = (path: string, name: string, type: TypeLayout, at: number) => {
    if (name.startsWith(SPARE)) return;
    const known = FIELD_DEFAULTS[name];
    if (known !== undefined && type.kind === "number") fills.push({ to: at, bytes: bytesOf(known, type) });
    else if (isKey) throw new Refusal(`${path} is new, and nothing says what it was`);
  };
  const walk = (path: string, old: TypeLayout, next: TypeLayout, fromAt: number, toAt: number): void => {
    if (old.kind === "number" && next.kind === "number") {
      if (!holds(next, old)) throw new Refusal(`${path} was ${old.name} and is ${next.name}`);
      copies.push({ from: fromAt, to: toAt, size: old.size });
    } else if (old.kind === "array" && next.kind === "array") {
      if (old.count > next.count || (isKey && old.count !== next.count))
        throw new Refusal(`${path} had ${old.count} elements and has ${next.count}`);
      const [oldSize, nextSize] = [sizeOf(old.of), sizeOf(next.of)];
      for (let i = 0; i < old.count; i++)
        walk(`${path}[${i}]`, old.of, next.of, fromAt + i * oldSize, toAt + i * nextSize);
    } else if (old.kind === "struct" && next.kind === "struct") {
      for (const { name } of old.fields)
        if (!name.startsWith(SPARE) && !next.fields.some((field) => field.name === name))
          throw new Refusal(`${path}.${name} is gone`);
      for (const { name, offset, type } of next.fields) {
        const before = old.fields.find((field) => field.name === name);
        if (before === undefined) added(`${path}.${name}`, name, type, toAt + offset);
        else if (!name.startsWith(SPARE))
          walk(`${path}.${name}`, before.type, type, fromAt + before.offset, toAt + offset);
      }
    } else throw new Refusal(`${path} was a ${old.kind} and is a ${next.kind}`);
  };
  walk(where, from, to, 0, 0);
  return new Conversion(sizeOf(from), sizeOf(to), joined(copies), fills);
}

type NumberLayout = Extract<TypeLayout, { kind: "number" }>;

/** The same meaning, or room for more of it. */
function holds(next: NumberLayout, old: NumberLayout): boolean {
  if (next.name === old.name) return next.size === old.size;
  const [before, after] = [UNSIGNED.indexOf(old.name), UNSIGNED.indexOf(next.name)];
  return before >= 0 && after >= before;
}

function bytesOf(value: number, { name, size }: NumberLayout): Buffer {
  const bytes = Buffer.alloc(size);
  if (name.startsWith("__be")) bytes.writeUIntBE(value, 0, size);
  else bytes.writeUIntLE(value, 0, size);
  return bytes;
}

/** Neighbours that stay neighbours are one range. */
function joined(copies: readonly Copy[]): Copy[] {
  const ranges: Copy[] = [];
  for (const copy of [...copies].sort((a, b) => a.to - b.to)) {
    const last = ranges.at(-1);
    if (last !== undefined && last.to + last.size === copy.to && last.from + last.size === copy.from)
      ranges[ranges.length - 1] = { ...last, size: last.size + copy.size };
    else ranges.push(copy);
  }
  return ranges;
}
