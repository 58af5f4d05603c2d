// What new connections cost the slow path without a kernel: a real forwarder on the simulated fast path,
// whose cost is part of the figure. By processor time of the whole process, as ../init/in-process.ts.
import { createForwarder, LIMITS_DEFAULT, SimulatedFastPath } from "@holdfast/forwarder";
import {
  noReplication,
  PROTOCOL_TCP,
  type Service,
  SessionView,
  seededRandom,
  serviceIdOf,
  silentLogger,
} from "@holdfast/model";
import { ManualClock } from "@holdfast/model/testing";
import { IpHeader, read16, read32 } from "@holdfast/sctp";
import { ACK, type Place, SYN, segment } from "../../conformance/plain/segments.ts";
import { type Row, rounded } from "../replication/report.ts";

const VIP = "203.0.113.1";
const PORT = 443;
const ENDPOINT_PORT = 8_443;
const ENDPOINT_COUNT = 32;
const BATCH_COUNT = 2_048;
/** Connections a second on the forwarder's clock. */
const CLOCK_RATE = 30_000;
const WARM_UP_COUNT = 8 * BATCH_COUNT;
const DONE_LEAST = 0.98;
const KINDS = ["SYNs, forwarded", "whole handshakes, flows installed"] as const;

export async function measureConnections(count: number): Promise<Row[]> {
  const rows: Row[] = [];
  for (const kind of KINDS) {
    const value = rounded(await new Stage(kind === KINDS[1]).run(count), 0);
    rows.push({ case: `in process: ${kind}`, value, unit: "a second per core" });
  }
  return rows;
}

class Stage {
  readonly #handshakes: boolean;
  readonly #clock = new ManualClock();
  readonly #fastPath: SimulatedFastPath;
  readonly #forwarder;
  #made = 0;

  constructor(handshakes: boolean) {
    this.#handshakes = handshakes;
    const nowMs = () => this.#clock.nowMs();
    const most = Number.MAX_SAFE_INTEGER;
    const puntRates = { init: most, initAck: most, syn: most, synAck: most, handshake: most };
    this.#fastPath = new SimulatedFastPath({ nowMs, puntRates, flowCountMax: 4_194_304 });
    this.#forwarder = createForwarder({
      ...{ fastPath: this.#fastPath, table: new SessionView(), replication: noReplication },
      ...{ clock: this.#clock, random: seededRandom(1), logger: silentLogger },
      // Connections that stay keep their ports: more of them than one member of eight has.
      ...{ memberNumber: 0, memberNumberCount: 1 },
      limits: { ...LIMITS_DEFAULT, embryoCountMaxPerService: 4_194_304, embryoCountMax: 4_194_304 },
    });
    this.#forwarder.setServices([service()]);
    this.#forwarder.start();
  }

  /** Connections a second of processor time. */
  async run(count: number): Promise<number> {
    await this.#measure(WARM_UP_COUNT);
    const before = this.#done();
    const seconds = await this.#measure(count);
    const done = this.#done() - before;
    this.#forwarder.stop();
    if (done < DONE_LEAST * count) {
      const { drops, fastPath } = this.#forwarder.counters();
      const told = JSON.stringify([...drops, ...fastPath].filter(([, number]) => number > 0));
      throw new Error(`${done} of ${count} connections; ${told}`);
    }
    return count / seconds;
  }

  #done(): number {
    const { events } = this.#forwarder.counters();
    return events.get(this.#handshakes ? "connections-opened" : "connections-begun") ?? 0;
  }

  async #measure(count: number): Promise<number> {
    let seconds = 0;
    for (let left = count; left > 0; left -= BATCH_COUNT) {
      seconds += await this.#batch(Math.min(left, BATCH_COUNT));
      seconds += await timed(() => this.#clock.advance((BATCH_COUNT * 1_000) / CLOCK_RATE));
    }
    return seconds;
  }

  async #batch(count: number): Promise<number> {
    const clients = Array.from({ length: count }, () => this.#client());
    const to = { address: VIP, port: PORT };
    let seconds = await this.#inject(clients.map((from) => segment(from, to, { flags: SYN, sequence: 100 })));
    const syns = this.#taken();
    if (!this.#handshakes) return seconds;
    seconds += await this.#inject(
      syns.map(({ source, destination }) =>
        segment(destination, source, { flags: SYN | ACK, sequence: 900, acknowledgment: 101 }),
      ),
    );
    seconds += await this.#inject(
      this.#taken().map(({ source, destination, sequence }) =>
        segment(destination, source, { flags: ACK, sequence: 101, acknowledgment: sequence + 1 }),
      ),
    );
    this.#taken();
    return seconds;
  }

  #client(): Place {
    const i = this.#made++;
    const address = `100.${64 + ((i >>> 16) & 63)}.${(i >>> 8) & 255}.${i & 255}`;
    return { address, port: 1_024 + (i % 60_000) };
  }

  #taken() {
    return this.#fastPath.takeOutgoing().map(({ packet }) => {
      const ip = new IpHeader();
      ip.read(packet);
      const at = ip.payloadOffset;
      const place = (offset: number, port: number): Place => ({
        address: packet.subarray(offset, offset + 4).join("."),
        port: read16(packet, at + port),
      });
      return {
        source: place(ip.sourceOffset, 0),
        destination: place(ip.destinationOffset, 2),
        sequence: read32(packet, at + 4),
      };
    });
  }

  #inject(packets: readonly Uint8Array[]): Promise<number> {
    return timed(() => {
      for (const packet of packets) this.#fastPath.inject(packet);
    });
  }
}

/** Seconds of processor time, all threads, until what `work` has promised has been done. */
async function timed(work: () => void): Promise<number> {
  const before = process.cpuUsage();
  work();
  await new Promise((resolve) => setImmediate(resolve));
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}

function service(): Service {
  return {
    ...{
      id: serviceIdOf(PROTOCOL_TCP, VIP, PORT),
      name: "bench",
      protocol: PROTOCOL_TCP,
      vips: [VIP],
      port: PORT,
    },
    ...{ selection: "leastAssociations", idleTimeoutS: 900, restartNewAddresses: "abort" },
    ...{ clientPrefixes: [], withdrawWhenDown: false },
    endpoints: Array.from({ length: ENDPOINT_COUNT }, (_, i) => ({
      ...{ address: `198.19.0.${i + 1}`, port: ENDPOINT_PORT, weight: 1, state: "active" as const },
    })),
  };
}
