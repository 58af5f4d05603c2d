// A forwarder with a simulated fast path between scripted hosts. What leaves is kept until the test takes it.
import {
  type Address,
  noReplication,
  type Replication,
  type Service,
  type ServicePlace,
  type SessionRecord,
  SessionView,
  seededRandom,
  silentLogger,
} from "@holdfast/model";
import { ManualClock } from "@holdfast/model/testing";
import type { ConfirmRemoved } from "../endings/strays.ts";
import { SimulatedFastPath } from "../fast-path/simulated/simulated-fast-path.ts";
import { createForwarder } from "../forwarder.ts";
import type { ForwarderLimits } from "../limits.ts";
import type { PortLending } from "../nat-ports/lending.ts";
import type { ForwarderOptions } from "../options.ts";
import type { Forwarder, ForwarderEvent } from "../port.ts";
import { ClientHost, EndpointHost, type Route, type Seen, see } from "./hosts.ts";

export const VIPS: readonly Address[] = ["203.0.113.1", "198.51.100.1"];
export const ENDPOINT: Address = "192.0.2.20";
export const OTHER_ENDPOINT: Address = "192.0.2.21";
export const SERVICE_PORT = 5_000;
export const ENDPOINT_PORT = 7_000;
export const CLIENT: Address = "100.80.1.10";
export const CLIENT_2: Address = "100.81.2.10";
export const CLIENT_PORT = 36_000;

export function serviceOf(changes: Partial<Service> = {}): Service {
  return {
    id: `sctp/${VIPS[0]}:${SERVICE_PORT}`,
    name: "test",
    protocol: 132,
    vips: VIPS,
    port: SERVICE_PORT,
    selection: "leastAssociations",
    endpoints: [{ address: ENDPOINT, port: ENDPOINT_PORT, weight: 1, state: "active" }],
    idleTimeoutS: 900,
    restartNewAddresses: "abort",
    clientPrefixes: [],
    withdrawWhenDown: false,
    ...changes,
  };
}

export interface RigOptions {
  readonly services?: readonly Service[];
  readonly limits?: Partial<ForwarderLimits>;
  readonly replication?: Replication;
  readonly memberNumber?: number;
  readonly memberNumberCount?: number;
  readonly table?: SessionView;
  readonly fastPath?: SimulatedFastPath;
  readonly clock?: ManualClock;
  readonly seed?: number;
  readonly isReady?: () => boolean;
  readonly isRemoved?: (place: ServicePlace) => boolean;
  readonly confirmRemoved?: ConfirmRemoved;
  readonly lending?: PortLending;
  readonly flowCountMax?: number;
  readonly probes?: ForwarderOptions["probes"];
  readonly ways?: ForwarderOptions["ways"];
  readonly egress?: (destination: Uint8Array) => { readonly mtu: number } | undefined;
  readonly isRoutable?: (address: Address) => boolean;
  readonly knowsAll?: () => boolean;
}

export interface Established {
  readonly client: ClientHost;
  readonly endpoint: EndpointHost;
  /** How the endpoint names the client. */
  readonly natPort: number;
  readonly record: SessionRecord;
}

export class Rig {
  readonly clock: ManualClock;
  readonly table: SessionView;
  readonly fastPath: SimulatedFastPath;
  readonly forwarder: Forwarder;
  readonly events: ForwarderEvent[] = [];

  constructor(options: RigOptions = {}) {
    this.clock = options.clock ?? new ManualClock();
    this.table = options.table ?? new SessionView();
    this.fastPath =
      options.fastPath ??
      new SimulatedFastPath({
        nowMs: () => this.clock.nowMs(),
        ...(options.flowCountMax === undefined ? {} : { flowCountMax: options.flowCountMax }),
        ...(options.egress === undefined ? {} : { egress: options.egress }),
      });
    this.forwarder = createForwarder({
      fastPath: this.fastPath,
      table: this.table,
      replication: options.replication ?? noReplication,
      clock: this.clock,
      random: seededRandom(options.seed ?? 1),
      logger: silentLogger,
      memberNumber: options.memberNumber ?? 0,
      ...(options.memberNumberCount === undefined ? {} : { memberNumberCount: options.memberNumberCount }),
      ...(options.limits === undefined ? {} : { limits: options.limits }),
      ...(options.probes === undefined ? {} : { probes: options.probes }),
      ...(options.ways === undefined ? {} : { ways: options.ways }),
      ...(options.isReady === undefined ? {} : { isReady: options.isReady }),
      ...(options.knowsAll === undefined ? {} : { knowsAll: options.knowsAll }),
      ...(options.isRoutable === undefined ? {} : { clients: { isRoutable: options.isRoutable } }),
      ...(options.isRemoved === undefined ? {} : { isRemoved: options.isRemoved }),
      ...(options.confirmRemoved === undefined ? {} : { confirmRemoved: options.confirmRemoved }),
      ...(options.lending === undefined ? {} : { lending: options.lending }),
    });
    this.forwarder.on((event) => this.events.push(event));
    this.forwarder.setServices(options.services ?? [serviceOf()]);
    this.forwarder.start();
  }

  /**
   * A packet arrives; what leaves because of it, also after the INIT-ACK was released or members were asked.
   */
  async pass(packet: Uint8Array, options: { readonly checksumPartial?: boolean } = {}): Promise<Seen[]> {
    this.fastPath.inject(packet, 1, options);
    await settled();
    return this.taken();
  }

  /** The one packet that leaves. */
  async one(packet: Uint8Array): Promise<Seen> {
    const seen = await this.pass(packet);
    const only = seen[0];
    if (only === undefined || seen.length !== 1) {
      throw new Error(`${seen.length} packets left; drops: ${JSON.stringify(this.drops())}`);
    }
    return only;
  }

  taken(): Seen[] {
    return this.fastPath.takeOutgoing().map(({ packet }) => see(packet));
  }

  /** Drop reasons that were counted, slow path and fast path. */
  drops(): Record<string, number> {
    const drops: Record<string, number> = {};
    const counters = this.forwarder.counters();
    for (const [reason, count] of counters.drops) if (count > 0) drops[reason] = count;
    for (const [name, count] of counters.fastPath)
      if (name.startsWith("drop.") && count > 0) drops[name] = count;
    return drops;
  }

  event(name: string): number {
    return this.forwarder.counters().events.get(name) ?? 0;
  }

  /** A whole handshake. Routes default to the first client address and the primary VIP. */
  async establish(
    options: {
      readonly client?: ClientHost;
      readonly endpoint?: EndpointHost;
      readonly source?: Address;
      readonly vip?: Address;
      readonly listed?: readonly Address[];
    } = {},
  ): Promise<Established> {
    const client = options.client ?? new ClientHost(CLIENT_PORT, SERVICE_PORT, 0x1111_0001);
    const endpoint = options.endpoint ?? new EndpointHost(ENDPOINT_PORT, 0, 0x2222_0001);
    const vip = options.vip ?? (VIPS[0] as Address);
    const route: Route = { source: options.source ?? CLIENT, destination: vip };
    const init = await this.one(client.init(route, options.listed));
    const initAck = await this.one(endpoint.initAck(init));
    client.acceptInitAck(initAck);
    const echo = await this.one(client.cookieEcho(route));
    await this.one(endpoint.cookieAck({ source: echo.destination, destination: echo.source }));
    const record = [...this.table.values()].find((r) => r.commit?.clientTag === client.tag);
    if (record === undefined) throw new Error("not committed");
    return { client, endpoint, natPort: init.packet.sourcePort, record };
  }
}

/** Promises that are resolved already have run. */
export async function settled(): Promise<void> {
  for (let i = 0; i < 8; i++) await Promise.resolve();
}
