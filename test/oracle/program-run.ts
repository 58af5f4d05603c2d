// One frame through a loaded BPF program (bpf_prog_test_run), without a network. The kernel says that it came by the
// loopback interface, number 1.
import koffi from "koffi";
import { libbpf } from "../../packages/forwarder/src/fast-path/bpf/native.ts";

const ETH_HEADER_SIZE = 14;
/** The kernel takes no packet without room for the larger header, and no more than a page with head and tail room. */
export const RUN_SIZE_MIN = 40;
export const RUN_SIZE_MAX = 3_400;

// struct bpf_test_run_opts of libbpf.
const OPTIONS_SIZE = 80;
const DATA_IN = 8;
const DATA_OUT = 16;
const DATA_SIZE_IN = 24;
const DATA_SIZE_OUT = 28;
const RETURN_VALUE = 56;

export interface RunResult {
  /** The program's return value, signed. */
  readonly action: number;
  /** What the frame holds afterwards, from the IP header on; valid until the next run. */
  readonly packet: Uint8Array;
}

export class ProgramRun {
  readonly #program: number;
  // The kernel has their addresses during a run; members, so that they live as long.
  readonly #input = new Uint8Array(ETH_HEADER_SIZE + RUN_SIZE_MAX);
  readonly #output = new Uint8Array(RUN_SIZE_MAX + 512);
  readonly #options = new Uint8Array(OPTIONS_SIZE);
  readonly #view = new DataView(this.#options.buffer);

  constructor(program: number) {
    this.#program = program;
    // To the loopback interface, which has no address but zeros: the frame arrives there.
    this.#input.set([0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 2]);
    this.#view.setBigUint64(0, BigInt(OPTIONS_SIZE), true);
    this.#view.setBigUint64(DATA_IN, koffi.address(this.#input), true);
    this.#view.setBigUint64(DATA_OUT, koffi.address(this.#output), true);
  }

  run(packet: Uint8Array): RunResult {
    const size = ETH_HEADER_SIZE + packet.length;
    const etherType = (packet[0] ?? 0) >>> 4 === 6 ? [0x86, 0xdd] : [8, 0];
    this.#input.set(etherType, 12);
    this.#input.set(packet, ETH_HEADER_SIZE);
    this.#view.setUint32(DATA_SIZE_IN, size, true);
    this.#view.setUint32(DATA_SIZE_OUT, this.#output.length, true);
    const result = libbpf().testRun(this.#program, this.#options);
    if (result !== 0) throw new Error(`bpf_prog_test_run: ${result} for ${size} bytes`);
    return {
      action: this.#view.getInt32(RETURN_VALUE, true),
      packet: this.#output.subarray(ETH_HEADER_SIZE, this.#view.getUint32(DATA_SIZE_OUT, true)),
    };
  }
}
