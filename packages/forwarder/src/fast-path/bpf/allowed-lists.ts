// The lists of prefixes from which associations may begin, in the table of longest prefixes. A list's
// number follows from what stands in it: a change makes another list beside it, and ports go over from
// one to the other at once.
import { createHash } from "node:crypto";
import type { Logger, Prefix } from "@holdfast/model";
import { libbpf } from "../../kernel/libbpf.ts";
import { errnoName } from "../../kernel/libc.ts";
import { ALLOWED_KEY, ALLOWED_VALUE, PORT_LIST } from "./abi.ts";

const LIST_BITS = 32;
const MAPPED_BITS = 96;
const YES = writtenValue(ALLOWED_VALUE.YES);
const NO = writtenValue(ALLOWED_VALUE.NO);

/** Keys, as Latin-1 strings, and values: the allowed prefixes first, what refuses all others last. */
type Entries = ReadonlyMap<string, Buffer>;

export interface ListChange {
  /** A list of one family; empty: nobody is in it. */
  numberOf(prefixes: readonly Prefix[]): number;
  /** Writes the lists that are new. One that does not fit refuses nobody: the slow path decides. */
  write(): void;
  /** Takes away those that were not asked for. */
  settle(): void;
}

export class AllowedLists {
  readonly #fd: number;
  readonly #log: Logger;
  #told = false;
  /** By number: what is in the table. */
  readonly #written = new Map<number, Entries>();

  /** `fd` of a table that is empty. */
  constructor(fd: number, log: Logger) {
    this.#fd = fd;
    this.#log = log;
  }

  begin(): ListChange {
    const wanted = new Map<number, Entries>();
    return {
      numberOf: (prefixes) => {
        const text = prefixes.map(
          ({ bytes, bitCount }) => `${Buffer.from(bytes).toString("hex")}/${bitCount}`,
        );
        let number = numberFrom(text.sort().join(" "));
        const entries = (of: number) => entriesOf(of, prefixes);
        const isOther = (of: number) => {
          const there = wanted.get(of) ?? this.#written.get(of);
          return there !== undefined && !sameKeys(there, entries(of));
        };
        while (isOther(number)) number = Math.max(PORT_LIST.FIRST, (number + 1) >>> 0);
        wanted.set(number, entries(number));
        return number;
      },
      write: () => {
        for (const [number, entries] of wanted)
          if (!this.#written.has(number) && this.#write(entries)) this.#written.set(number, entries);
      },
      settle: () => {
        for (const [number, entries] of this.#written) {
          if (wanted.has(number)) continue;
          this.#remove(entries);
          this.#written.delete(number);
        }
      },
    };
  }

  #write(entries: Entries): boolean {
    for (const [key, value] of entries) {
      const result = libbpf().update(this.#fd, Buffer.from(key, "latin1"), value, 0);
      if (result === 0) continue;
      this.#tellOnce(errnoName(result));
      this.#remove(entries);
      return false;
    }
    return true;
  }

  #tellOnce(reason: string): void {
    if (this.#told) return;
    this.#told = true;
    this.#log.error(
      { reason },
      "not all lists of allowed sources fit the kernel's table: the daemon alone enforces the others",
    );
  }

  /** What refuses goes first. */
  #remove(entries: Entries): void {
    for (const key of [...entries.keys()].reverse()) libbpf().remove(this.#fd, Buffer.from(key, "latin1"));
  }
}

function entriesOf(list: number, prefixes: readonly Prefix[]): Entries {
  const entries = new Map<string, Buffer>();
  for (const { bytes, bitCount } of prefixes) {
    const isIpv4 = bytes.length === 4;
    const address = Buffer.alloc(16);
    if (isIpv4) address.writeUInt16BE(0xffff, 10);
    address.set(bytes, 16 - bytes.length);
    entries.set(keyOf(list, (isIpv4 ? MAPPED_BITS : 0) + bitCount, address), YES);
  }
  const everything = keyOf(list, 0, Buffer.alloc(16));
  if (!entries.has(everything)) entries.set(everything, NO);
  return entries;
}

function keyOf(list: number, bitCount: number, address: Buffer): string {
  const key = Buffer.alloc(ALLOWED_KEY.SIZE);
  key.writeUInt32LE(LIST_BITS + bitCount, ALLOWED_KEY.prefixLength);
  key.writeUInt32LE(list, ALLOWED_KEY.list);
  key.set(address, ALLOWED_KEY.address);
  return key.toString("latin1");
}

/** Whoever lived before has given the same list the same number. */
function numberFrom(text: string): number {
  return Math.max(PORT_LIST.FIRST, createHash("sha256").update(text).digest().readUInt32LE(0));
}

function sameKeys(one: Entries, other: Entries): boolean {
  return one.size === other.size && [...one.keys()].every((key) => other.has(key));
}

function writtenValue(number: number): Buffer {
  const value = Buffer.alloc(4);
  value.writeUInt32LE(number);
  return value;
}
