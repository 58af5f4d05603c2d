// What the slow path costs without a kernel: a real forwarder on the simulated fast path, whose cost is part
// of the figure.
//
// By processor time of the whole process, garbage collection with its threads included, so that a busy
// machine does not show. Packets are made outside of the measured time.
import { createForwarder, type Forwarder, LIMITS_DEFAULT, SimulatedFastPath } from "@holdfast/forwarder";
import { ClientHost, EndpointHost, type Seen, see } from "@holdfast/forwarder/testing";
import { noReplication, type Service, SessionView, seededRandom, silentLogger } from "@holdfast/model";
import { ManualClock } from "@holdfast/model/testing";
import { type Row, rounded } from "../replication/report.ts";

const VIP = "203.0.113.1";
const VIPS = [VIP, "198.51.100.1", "192.0.2.1", "203.0.113.129"];
const SERVICE_PORT = 38_412;
const ENDPOINT_PORT = 7_000;
/**
 * NAT ports are finite, 8,064 an endpoint and member: so many endpoints that 30,000 INITs a second find one.
 */
const ENDPOINT_COUNT = 8;
const BATCH_COUNT = 2_048;
/** INITs a second on the forwarder's clock: ports and quotas come back by time. */
const CLOCK_RATE = 30_000;
const WARM_UP_COUNT = 8 * BATCH_COUNT;
/** Share of the INITs that must become what their kind says, or the figure is another's. */
const DONE_LEAST = 0.98;

type Kind = "unanswered" | "answered" | "handshake" | "refused";

/** What one INIT brings along, and what it is called. */
const KINDS: Readonly<Record<Kind, string>> = {
  unanswered: "new INITs, forwarded",
  answered: "new INITs, forwarded, and their INIT-ACKs",
  handshake: "whole handshakes, flows installed",
  refused: "INITs beyond the quota, dropped",
};

/** `count`: INITs of each kind. */
export async function measureInProcess(count: number): Promise<Row[]> {
  const rows: Row[] = [];
  for (const kind of Object.keys(KINDS) as Kind[]) {
    const value = rounded(await new Stage(kind).run(count), 0);
    rows.push({ case: `in process: ${KINDS[kind]}`, value, unit: "INIT/s per core" });
  }
  return rows;
}

export class Stage {
  readonly #kind: Kind;
  readonly #clock = new ManualClock();
  readonly #fastPath: SimulatedFastPath;
  readonly #forwarder: Forwarder;
  #made = 0;

  constructor(kind: Kind) {
    this.#kind = kind;
    const nowMs = () => this.#clock.nowMs();
    const unlimited = { init: Number.MAX_SAFE_INTEGER, initAck: Number.MAX_SAFE_INTEGER };
    this.#fastPath = new SimulatedFastPath({ nowMs, puntRates: unlimited, flowCountMax: 4_194_304 });
    this.#forwarder = createForwarder({
      fastPath: this.#fastPath,
      table: new SessionView(),
      replication: noReplication,
      clock: this.#clock,
      random: seededRandom(1),
      logger: silentLogger,
      memberNumber: 0,
      // Sessions that stay keep their ports: a handshake's figure needs more of them than a member has.
      memberNumberCount: kind === "handshake" ? 1 : 8,
      limits: { ...LIMITS_DEFAULT, ...(kind === "refused" && { embryoCountMaxPerService: BATCH_COUNT }) },
    });
    this.#forwarder.setServices([service(kind === "handshake" ? 32 : ENDPOINT_COUNT)]);
    this.#forwarder.start();
  }

  /** INITs a second of processor time. */
  async run(count: number): Promise<number> {
    await this.#measure(WARM_UP_COUNT);
    const before = this.#done();
    const seconds = await this.#measure(count);
    const done = this.#done() - before;
    this.#forwarder.stop();
    if (done < DONE_LEAST * count) {
      const drops = [...this.#forwarder.counters().drops].filter(([, dropped]) => dropped > 0);
      throw new Error(`${this.#kind}: ${done} of ${count} INITs; drops ${JSON.stringify(drops)}`);
    }
    return count / seconds;
  }

  /** INITs that became what their kind says. */
  #done(): number {
    const { events, drops } = this.#forwarder.counters();
    if (this.#kind === "refused") return drops.get("embryo-quota") ?? 0;
    if (this.#kind === "handshake") return events.get("sessions-committed") ?? 0;
    if (this.#kind === "answered") return events.get("init-acks") ?? 0;
    return (events.get("inits") ?? 0) - [...drops.values()].reduce((sum, dropped) => sum + dropped, 0);
  }

  async #measure(count: number): Promise<number> {
    let seconds = 0;
    for (let left = count; left > 0; left -= BATCH_COUNT) {
      seconds += await this.#batch(Math.min(left, BATCH_COUNT));
      // Refused ones must not have their second after which they may be evicted.
      if (this.#kind === "refused") continue;
      seconds += await timed(() => this.#clock.advance((BATCH_COUNT * 1_000) / CLOCK_RATE));
    }
    return seconds;
  }

  /** Seconds of processor time. */
  async #batch(count: number): Promise<number> {
    const clients = Array.from({ length: count }, () => this.#client());
    let seconds = await this.#inject(clients.map(({ host, route }) => host.init(route, route.listed)));
    const inits = this.#taken();
    if (this.#kind === "unanswered" || this.#kind === "refused") return seconds;
    const endpoints = inits.map((_, i) => new EndpointHost(ENDPOINT_PORT, 0, 0x8000_0000 + this.#made + i));
    seconds += await this.#inject(inits.map((init, i) => (endpoints[i] as EndpointHost).initAck(init)));
    const answers = this.#taken();
    if (this.#kind === "answered") return seconds;
    const byTag = new Map(clients.map((client) => [client.host.tag, client]));
    seconds += await this.#inject(
      answers.flatMap((answer) => {
        const client = byTag.get(answer.tag);
        client?.host.acceptInitAck(answer);
        return client === undefined ? [] : [client.host.cookieEcho(client.route)];
      }),
    );
    const cookies = new Map(this.#taken().map((echo) => [echo.tag, echo]));
    seconds += await this.#inject(
      endpoints.flatMap((endpoint) => {
        const echo = cookies.get(endpoint.tag);
        return echo === undefined
          ? []
          : [endpoint.cookieAck({ source: echo.destination, destination: echo.source })];
      }),
    );
    this.#taken();
    return seconds;
  }

  #client() {
    const i = this.#made++;
    const source = `100.${64 + ((i >>> 16) & 63)}.${(i >>> 8) & 255}.${i & 255}`;
    const second = `101.${64 + ((i >>> 16) & 63)}.${(i >>> 8) & 255}.${i & 255}`;
    const host = new ClientHost(1_024 + (i % 60_000), SERVICE_PORT, 0x4000_0000 + i);
    return { host, route: { source, destination: VIP, listed: [source, second] } };
  }

  #taken(): Seen[] {
    return this.#fastPath.takeOutgoing().map(({ packet }) => see(packet));
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

function service(endpointCount: number): Service {
  return {
    id: `sctp/${VIP}:${SERVICE_PORT}`,
    name: "bench",
    protocol: 132,
    vips: VIPS,
    port: SERVICE_PORT,
    selection: "leastAssociations",
    endpoints: Array.from({ length: endpointCount }, (_, i) => ({
      address: `198.19.0.${i + 1}`,
      port: ENDPOINT_PORT,
      weight: 1,
      state: "active" as const,
    })),
    idleTimeoutS: 900,
    restartNewAddresses: "abort",
    clientPrefixes: [],
    withdrawWhenDown: false,
  };
}
