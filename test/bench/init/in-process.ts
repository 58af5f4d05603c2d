// What the slow path costs without a kernel (../in-process/slow-path.ts), by what an INIT brings along.
import { ClientHost, EndpointHost, type Seen, see } from "@holdfast/forwarder/testing";
import { type Address, PROTOCOL_SCTP, serviceIdOf } from "@holdfast/model";
import { BATCH_COUNT, benchService, SlowPathStage } from "../in-process/slow-path.ts";
import { type Row, rounded } from "../replication/report.ts";

const VIP = "203.0.113.1";
const VIPS: readonly Address[] = [VIP, "198.51.100.1", "192.0.2.1", "203.0.113.129"];
const SERVICE_PORT = 38_412;
const ENDPOINT_PORT = 7_000;
/**
 * NAT ports are finite, 8,064 an endpoint and member: so many endpoints that 30,000 INITs a second find one.
 */
const ENDPOINT_COUNT = 8;

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

class Stage extends SlowPathStage {
  readonly #kind: Kind;

  constructor(kind: Kind) {
    const stays = kind === "handshake";
    super({
      what: `INITs (${kind})`,
      service: benchService(
        { count: stays ? 32 : ENDPOINT_COUNT, port: ENDPOINT_PORT },
        {
          ...{ id: serviceIdOf(PROTOCOL_SCTP, VIP, SERVICE_PORT), protocol: PROTOCOL_SCTP },
          ...{ vips: VIPS, port: SERVICE_PORT },
        },
      ),
      // Sessions that stay keep their ports: a handshake's figure needs more of them than a member has.
      memberNumberCount: stays ? 1 : 8,
      ...(kind === "refused" && { limits: { embryoCountMaxPerService: BATCH_COUNT } }),
      // Refused ones must not have their second after which they may be evicted.
      timePasses: kind !== "refused",
    });
    this.#kind = kind;
  }

  protected done(): number {
    const { events, drops } = this.forwarder.counters();
    if (this.#kind === "refused") return drops.get("embryo-quota") ?? 0;
    if (this.#kind === "handshake") return events.get("sessions-committed") ?? 0;
    if (this.#kind === "answered") return events.get("init-acks") ?? 0;
    return (events.get("inits") ?? 0) - [...drops.values()].reduce((sum, dropped) => sum + dropped, 0);
  }

  protected async batch(count: number): Promise<number> {
    const clients = Array.from({ length: count }, () => this.#client());
    let seconds = await this.inject(clients.map(({ host, route }) => host.init(route, route.listed)));
    const inits = this.#taken();
    if (this.#kind === "unanswered" || this.#kind === "refused") return seconds;
    const endpoints = inits.map((_, i) => new EndpointHost(ENDPOINT_PORT, 0, 0x8000_0000 + this.made + i));
    seconds += await this.inject(inits.map((init, i) => (endpoints[i] as EndpointHost).initAck(init)));
    const answers = this.#taken();
    if (this.#kind === "answered") return seconds;
    const byTag = new Map(clients.map((client) => [client.host.tag, client]));
    seconds += await this.inject(
      answers.flatMap((answer) => {
        const client = byTag.get(answer.tag);
        client?.host.acceptInitAck(answer);
        return client === undefined ? [] : [client.host.cookieEcho(client.route)];
      }),
    );
    const cookies = new Map(this.#taken().map((echo) => [echo.tag, echo]));
    seconds += await this.inject(
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
    const { index, address: source, second, port } = this.newcomer();
    const host = new ClientHost(port, SERVICE_PORT, 0x4000_0000 + index);
    return { host, route: { source, destination: VIP, listed: [source, second] } as const };
  }

  #taken(): Seen[] {
    return this.fastPath.takeOutgoing().map(({ packet }) => see(packet));
  }
}
