// A real forwarder on the simulated fast path, whose cost is in the figure: what the slow path costs without
// a kernel.
//
// By processor time of the whole process, garbage collection's threads included, so that a busy machine
// does not show. Packets are made outside of the measured time.
import {
  createForwarder,
  type Forwarder,
  type ForwarderLimits,
  LIMITS_DEFAULT,
  SimulatedFastPath,
} from "@holdfast/forwarder";
import { noReplication, type Service, SessionView, seededRandom, silentLogger } from "@holdfast/model";
import { ManualClock } from "@holdfast/model/testing";

export const BATCH_COUNT = 2_048;
/** Packets that begin something, a second on the forwarder's clock: ports and quotas come back by time. */
const CLOCK_RATE = 30_000;
const WARM_UP_COUNT = 8 * BATCH_COUNT;
/** Share that must become what its kind says, or the figure is another's. */
const DONE_LEAST = 0.98;
const MOST = Number.MAX_SAFE_INTEGER;
const PUNT_RATES = { init: MOST, initAck: MOST, syn: MOST, synAck: MOST, handshake: MOST };

export interface SlowPathOptions {
  /** What is counted, for errors. */
  readonly what: string;
  readonly service: Service;
  readonly memberNumberCount: number;
  readonly limits?: Partial<ForwarderLimits>;
  /** false: time stands still between batches. Default: it goes on. */
  readonly timePasses?: boolean;
}

export abstract class SlowPathStage {
  protected readonly fastPath: SimulatedFastPath;
  protected readonly forwarder: Forwarder;
  readonly #options: SlowPathOptions;
  readonly #clock = new ManualClock();
  #made = 0;

  constructor(options: SlowPathOptions) {
    this.#options = options;
    const nowMs = () => this.#clock.nowMs();
    this.fastPath = new SimulatedFastPath({ nowMs, puntRates: PUNT_RATES, flowCountMax: 4_194_304 });
    this.forwarder = createForwarder({
      ...{ fastPath: this.fastPath, table: new SessionView(), replication: noReplication },
      ...{ clock: this.#clock, random: seededRandom(1), logger: silentLogger },
      ...{ memberNumber: 0, memberNumberCount: options.memberNumberCount },
      limits: { ...LIMITS_DEFAULT, ...options.limits },
    });
    this.forwarder.setServices([options.service]);
    this.forwarder.start();
  }

  /** Those that became what their kind says, since the start. */
  protected abstract done(): number;

  /** Brings so many newcomers in. Seconds of processor time. */
  protected abstract batch(count: number): Promise<number>;

  /** Newcomers a second of processor time. */
  async run(count: number): Promise<number> {
    await this.#measure(WARM_UP_COUNT);
    const before = this.done();
    const seconds = await this.#measure(count);
    const done = this.done() - before;
    this.forwarder.stop();
    if (done < DONE_LEAST * count) {
      const { drops, fastPath } = this.forwarder.counters();
      const told = JSON.stringify([...drops, ...fastPath].filter(([, number]) => number > 0));
      throw new Error(`${done} of ${count} ${this.#options.what}; ${told}`);
    }
    return count / seconds;
  }

  async #measure(count: number): Promise<number> {
    let seconds = 0;
    for (let left = count; left > 0; left -= BATCH_COUNT) {
      seconds += await this.batch(Math.min(left, BATCH_COUNT));
      if (this.#options.timePasses === false) continue;
      seconds += await timed(() => this.#clock.advance((BATCH_COUNT * 1_000) / CLOCK_RATE));
    }
    return seconds;
  }

  /** How many newcomers there were so far. */
  protected get made(): number {
    return this.#made;
  }

  /** Somebody new; `second`: of another path network. */
  protected newcomer() {
    const i = this.#made++;
    const rest = `${64 + ((i >>> 16) & 63)}.${(i >>> 8) & 255}.${i & 255}` as const;
    return {
      index: i,
      address: `100.${rest}`,
      second: `101.${rest}`,
      port: 1_024 + (i % 60_000),
    } as const;
  }

  protected inject(packets: readonly Uint8Array[]): Promise<number> {
    return timed(() => {
      for (const packet of packets) this.fastPath.inject(packet);
    });
  }
}

/** What such services have in common. */
export function benchService(
  endpoints: { readonly count: number; readonly port: number },
  rest: Pick<Service, "id" | "protocol" | "vips" | "port">,
): Service {
  return {
    ...{ ...rest, name: "bench", selection: "leastAssociations", idleTimeoutS: 900 },
    ...{ restartNewAddresses: "abort", clientPrefixes: [], withdrawWhenDown: false },
    endpoints: Array.from({ length: endpoints.count }, (_, i) => ({
      ...{ address: `198.19.0.${i + 1}`, port: endpoints.port, weight: 1, state: "active" as const },
    })),
  };
}

/** Seconds of processor time, all threads, until what `work` has promised has been done. */
async function timed(work: () => void): Promise<number> {
  const before = process.cpuUsage();
  work();
  await new Promise((resolve) => setImmediate(resolve));
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}
