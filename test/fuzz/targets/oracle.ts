// BPF programs and reference: the same bytes of both, for packets that are right, wrong, and damaged.
import type { TestProgram } from "@holdfast/forwarder/testing/programs";
import { type Random, seededRandom } from "@holdfast/model";
import { generatePacket, type PacketWorld, packetWorld } from "@holdfast/testkit";
import { Oracle } from "../../oracle/oracle.ts";
import type { Corpus } from "../corpus.ts";
import { mutate, repairSome } from "../mutate.ts";
import { Target } from "../target.ts";

const ASSOCIATION_COUNT = 100;
/** The kernel's test run takes no frame shorter than this behind the Ethernet header. */
const PACKET_SIZE_MIN = 14;
/** … and none that with it does not fit a page. */
const PACKET_SIZE_MAX = 3_000;

export class OracleTarget extends Target {
  override readonly name = "fast-path";
  readonly #corpus: Corpus;
  readonly #world: PacketWorld;
  readonly #oracle: Oracle;
  #turn = 0;

  /**
   * `sabotage` is what the reference is told instead of the world, for the test that a difference is found.
   */
  constructor(seed: number, corpus: Corpus, sabotage?: (world: PacketWorld) => PacketWorld) {
    super();
    this.#corpus = corpus;
    this.#world = packetWorld(seededRandom(seed), ASSOCIATION_COUNT);
    this.#oracle = new Oracle(this.#world, sabotage && { told: sabotage(this.#world) });
  }

  override once(random: Random): void {
    let bytes = generatePacket(random, this.#world).bytes;
    if (random.below(2) === 0) {
      bytes = mutate(random, bytes, this.#corpus.pick(random));
      bytes = repairSome(random, bytes);
    }
    if (bytes.length < PACKET_SIZE_MIN || bytes.length > PACKET_SIZE_MAX) {
      bytes = generatePacket(random, this.#world).bytes;
    }
    this.#compare(bytes, this.#turn++ % 2 === 0 ? "xdp" : "tc");
  }

  override replay(input: Uint8Array): void {
    if (input.length < PACKET_SIZE_MIN || input.length > PACKET_SIZE_MAX) return;
    for (const program of ["xdp", "tc"] as const) this.#compare(input.slice(), program);
  }

  #compare(bytes: Uint8Array, program: TestProgram): void {
    const version = (bytes[0] as number) >>> 4;
    // The frame's type says which program part sees it; neither engine is asked about anything else.
    if (version !== 4 && version !== 6) bytes[0] = ((bytes[0] as number) & 15) | 0x40;
    this.last = bytes;
    const difference = this.#oracle.compare(program, bytes);
    if (difference !== undefined) throw new Error(difference);
  }

  override keep(random: Random, input: Uint8Array): void {
    this.#corpus.add(random, input);
  }

  override figures() {
    return { ...this.#oracle.compared };
  }

  override close(): void {
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
