// BPF programs and reference: the same bytes of both, for packets that are right, wrong, and damaged.
import { type Random, seededRandom } from "@holdfast/model";
import { generatePacket, type PacketWorld, packetWorld } from "@holdfast/testkit";
import { Oracle } from "../../oracle/oracle.ts";
import type { Corpus } from "../corpus.ts";
import { mutate, repair } from "../mutate.ts";
import type { Target } from "../target.ts";

const ASSOCIATION_COUNT = 100;
/** The kernel's test run takes no frame shorter than this behind the Ethernet header. */
const PACKET_SIZE_MIN = 14;
/** … and none that with it does not fit a page. */
const PACKET_SIZE_MAX = 3_000;

export class OracleTarget implements Target {
  readonly name = "fast-path";
  last: Uint8Array = new Uint8Array(0);
  readonly #corpus: Corpus;
  readonly #world: PacketWorld;
  readonly #oracle: Oracle;
  #turn = 0;

  constructor(seed: number, corpus: Corpus) {
    this.#corpus = corpus;
    this.#world = packetWorld(seededRandom(seed), ASSOCIATION_COUNT);
    this.#oracle = new Oracle(this.#world);
  }

  once(random: Random): void {
    let bytes = generatePacket(random, this.#world).bytes;
    if (random.below(2) === 0) {
      bytes = mutate(random, bytes, this.#corpus.pick(random));
      if (random.below(3) > 0) bytes = repair(bytes);
    }
    if (bytes.length < PACKET_SIZE_MIN || bytes.length > PACKET_SIZE_MAX) {
      bytes = generatePacket(random, this.#world).bytes;
    }
    const version = (bytes[0] as number) >>> 4;
    // The frame's type says which program part sees it; neither engine is asked about anything else.
    if (version !== 4 && version !== 6) bytes[0] = ((bytes[0] as number) & 15) | 0x40;
    this.last = bytes;
    const difference = this.#oracle.compare(this.#turn++ % 2 === 0 ? "xdp" : "tc", bytes);
    if (difference !== undefined) throw new Error(difference);
  }

  keep(random: Random, input: Uint8Array): void {
    this.#corpus.add(random, input);
  }

  figures() {
    return { ...this.#oracle.compared };
  }

  close(): void {
    try {
      for (const program of ["xdp", "tc"] as const) {
        const { reference, bpf } = this.#oracle.drops(program);
        const text = (totals: Map<string, number>) => JSON.stringify([...totals]);
        if (text(reference) !== text(bpf))
          throw new Error(`${program}: drops ${text(reference)}, BPF ${text(bpf)}`);
      }
    } finally {
      this.#oracle.close();
    }
  }
}
