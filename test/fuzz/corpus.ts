// What mutations start from: packets of real stacks, golden INITs, the committed corpus, and whatever reached
// new code.

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import type { Random } from "@holdfast/model";
import { ipPacket } from "@holdfast/testkit";

/** Inputs kept in memory; at the maximum a new one replaces a random one that was found, never a seed. */
const FOUND_COUNT_MAX = 4_096;
const DIRECTORY = new URL("corpus/", import.meta.url);
const ENDS = { source: "100.80.1.10", destination: "203.0.113.1" } as const;

/** SCTP packets (without IP) of other stacks, from test/vectors. */
export function vectorPackets(): Uint8Array[] {
  const read = (file: string) =>
    JSON.parse(readFileSync(new URL(`../vectors/${file}`, import.meta.url), "utf8"));
  const captured = read("pcap_packets.json") as { sctp: string }[];
  const inits = Object.values(read("golden_init.json")) as { in: string }[];
  return [...captured.map(({ sctp }) => sctp), ...inits.map((init) => init.in)].map((text) =>
    Buffer.from(text, "hex"),
  );
}

export class Corpus {
  readonly #seeds: readonly Uint8Array[];
  readonly #found: Uint8Array[] = [];

  /** `kind` names the committed files: `<kind>-<hash>.hex`. */
  constructor(kind: string, seeds: readonly Uint8Array[]) {
    this.#seeds = [...seeds, ...committedInputs(kind)];
  }

  get foundCount(): number {
    return this.#found.length;
  }

  get size(): number {
    return this.#seeds.length + this.#found.length;
  }

  pick(random: Random): Uint8Array {
    // What reached new code is worth as much as all the seeds together.
    const pool = this.#found.length > 0 && random.below(2) === 0 ? this.#found : this.#seeds;
    return pool[random.below(pool.length)] as Uint8Array;
  }

  add(random: Random, input: Uint8Array): void {
    if (this.#found.length < FOUND_COUNT_MAX) this.#found.push(input.slice());
    else this.#found[random.below(FOUND_COUNT_MAX)] = input.slice();
  }

  found(): readonly Uint8Array[] {
    return this.#found;
  }
}

export function packetSeeds(): Uint8Array[] {
  return vectorPackets().map((sctp) => ipPacket(ENDS, sctp));
}

/** Inputs in the repository, by name. */
export function committedInputs(kind: string): Uint8Array[] {
  if (!existsSync(DIRECTORY)) return [];
  return readdirSync(DIRECTORY)
    .filter((name) => name.startsWith(`${kind}-`) && name.endsWith(".hex"))
    .sort()
    .map((name) => Buffer.from(readFileSync(new URL(name, DIRECTORY), "utf8").trim(), "hex"));
}

/** Writes inputs into the committed corpus, `limit` at most. */
export function commitInputs(kind: string, inputs: readonly Uint8Array[], limit: number): void {
  mkdirSync(DIRECTORY, { recursive: true });
  for (const input of inputs.slice(0, limit)) {
    const hash = createHash("sha256").update(input).digest("hex").slice(0, 12);
    writeFileSync(new URL(`${kind}-${hash}.hex`, DIRECTORY), `${Buffer.from(input).toString("hex")}\n`);
  }
}
