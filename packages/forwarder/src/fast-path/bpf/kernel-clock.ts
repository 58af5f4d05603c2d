// Jiffies, in which the programs write when a flow was last seen, as milliseconds of the monotonic clock.
import { libbpf, options } from "../../kernel/libbpf.ts";
import { errnoName, putAddress } from "../../kernel/libc.ts";
import { CLOCK } from "./abi.ts";

/** Jiffies a second that kernels are built with. */
const FREQUENCIES = [24, 32, 48, 64, 100, 128, 200, 250, 256, 300, 500, 512, 1000, 1024, 1200];
/** Jiffies begin five minutes before their 32 bits run over. */
const START_S = -300;
const WRAP = 2 ** 32;

const TEST_RUN_OPTIONS_SIZE = 80;
const PACKET_SIZE = 64;
/** Two clocks that go alike: an old sample is as good as a new one for a while. */
const SAMPLE_PERIOD_MS = 10_000;

/** Both clocks at one moment. */
export interface ClockSample {
  /** Low 32 bits. */
  readonly jiffies: number;
  readonly timeMs: number;
}

/**
 * The kernel's jiffies a second, from one sample: jiffies start at a known value when the machine does, as the
 * monotonic clock starts at zero. They stand still together while it sleeps.
 */
export function frequencyOf({ jiffies, timeMs }: ClockSample): number {
  const error = (frequency: number) => {
    const expected = frequency * (START_S + timeMs / 1_000);
    // As a difference modulo 2^32, in seconds.
    return Math.abs(((jiffies - Math.round(expected)) | 0) / frequency);
  };
  return FREQUENCIES.reduce((best, each) => (error(each) < error(best) ? each : best));
}

export class KernelClock {
  readonly frequency: number;
  readonly #program: number;
  #sample: ClockSample;

  constructor(clockProgram: number) {
    this.#program = clockProgram;
    this.#sample = this.#take();
    this.frequency = frequencyOf(this.#sample);
  }

  /** The low 32 bits of jiffies at a monotonic time. */
  jiffiesAt(timeMs: number): number {
    const { jiffies, timeMs: sampledMs } = this.#fresh(timeMs);
    return (jiffies + Math.round(((timeMs - sampledMs) * this.frequency) / 1_000) + 2 * WRAP) % WRAP;
  }

  /** The monotonic time of 32 bits of jiffies, not later than `nowMs`. They wrap after 49 days at the earliest. */
  timeMsOf(jiffies: number, nowMs: number): number {
    const age = (this.jiffiesAt(nowMs) - jiffies) | 0;
    return nowMs - (Math.max(0, age) * 1_000) / this.frequency;
  }

  #fresh(nowMs: number): ClockSample {
    if (nowMs - this.#sample.timeMs > SAMPLE_PERIOD_MS) this.#sample = this.#take();
    return this.#sample;
  }

  #take(): ClockSample {
    const packet = Buffer.alloc(PACKET_SIZE);
    const out = Buffer.alloc(PACKET_SIZE);
    const settings = options(TEST_RUN_OPTIONS_SIZE);
    putAddress(settings, 8, packet);
    putAddress(settings, 16, out);
    settings.writeUInt32LE(packet.length, 24);
    settings.writeUInt32LE(out.length, 28);
    const result = libbpf().testRun(this.#program, settings);
    if (result !== 0) throw new Error(`reading the kernel's clock failed with ${errnoName(result)}`);
    return {
      jiffies: out.readUInt32LE(CLOCK.jiffies),
      timeMs: Number(out.readBigUInt64LE(CLOCK.timeNs)) / 1e6,
    };
  }
}
