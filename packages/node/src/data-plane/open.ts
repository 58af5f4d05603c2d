// Fast path and slow path, put together for a configuration.
import type { DataPlaneStatus } from "@holdfast/api";
import {
  createForwarder,
  type FastPath,
  type Forwarder,
  type ForwarderLimits,
  type ForwarderOptions,
  type LoopInterfaces,
  openFastPath,
  type ProbeChannel,
  RawProbeChannel,
} from "@holdfast/forwarder";
import {
  type Address,
  type Clock,
  HoldfastError,
  type Logger,
  type MemberList,
  type Members,
  majorityOf,
  type Random,
  systemRandom,
} from "@holdfast/model";
import { TCP_UDP } from "@holdfast/sync";
import type { ClusterLink } from "../cluster/link.ts";
import { otherCount } from "../cluster/member-list.ts";
import { portLending, serveLending } from "../cluster/port-lending.ts";
import { StrayVotes } from "../cluster/stray-votes.ts";
import type { Topology } from "../cluster/topology.ts";
import type { OwnMember } from "../config/check.ts";
import type { Configuration } from "../config/schema.ts";
import { servingInterfaces, wantedInterfaces } from "../network/interfaces.ts";
import type { NetworkWatch } from "../network/watch.ts";
import type { TraceHub } from "../trace/hub.ts";
import type { DataPlane } from "./data-plane.ts";
import { endpointHealth } from "./endpoint-health.ts";
import { limitsOf } from "./limits.ts";
import { sessionCounters } from "./session-counters.ts";

export interface DataPlaneOptions {
  readonly configuration: Configuration;
  readonly own: OwnMember;
  readonly members: Members;
  readonly topology: Topology;
  readonly network: Pick<NetworkWatch, "hopTo" | "isRoutable"> &
    Partial<Pick<NetworkWatch, "link" | "hostAddresses" | "usable">>;
  readonly link: ClusterLink;
  /** By which this host's own packets to VIPs come; absent: it has none. */
  readonly loop?: LoopInterfaces | undefined;
  readonly trace: TraceHub;
  /** false: this member is not one of the cluster (yet, any longer), and gives no NAT ports out. */
  readonly isMember?: () => boolean;
  /** Numbers that this member has voted for, and that nobody has yet. */
  readonly reservedNumbers?: () => readonly number[];
  /** Whether an interface of some member has it now. */
  readonly isMemberAddress?: (address: Address) => boolean;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Pinned flows that cannot be carried over are given up; without it they are an error. */
  readonly discardFlows?: boolean;
}

export async function openDataPlane(options: DataPlaneOptions): Promise<DataPlane> {
  const { configuration, logger } = options;
  const settings = configuration.dataPlane;
  const fastPath: FastPath = await openFastPath({
    mode: settings.mode,
    interfaces: served(options),
    ...(options.loop !== undefined && { loop: options.loop }),
    towards: { up: wantedInterfaces(configuration, "core"), down: wantedInterfaces(configuration, "path") },
    handOver: settings.handOver,
    pinDirectory: settings.pinDirectory,
    flowCountMax: settings.flowCountMax,
    ringBytes: settings.puntRingBytes,
    deadAfterMs: configuration.coordinator.probeIntervalMs * configuration.coordinator.missedCountMax,
    logger: logger.child({ component: "fast-path" }),
    ...(options.discardFlows !== undefined && { discardFlows: options.discardFlows }),
  });
  try {
    return composeDataPlane({
      ...options,
      fastPath,
      probeChannel: () => new RawProbeChannel((to) => fastPath.deviceUp?.(to) ?? 0),
    });
  } catch (error) {
    await fastPath.detach();
    throw error;
  }
}

/** The slow path over a fast path that is open, and both as the daemon sees them. */
export function composeDataPlane(
  options: DataPlaneOptions & {
    readonly fastPath: FastPath;
    readonly probeChannel: () => ProbeChannel;
    readonly random?: Random;
    /** Changes to the limits that follow from the configuration. */
    readonly limits?: Partial<ForwarderLimits>;
  },
): DataPlane & { readonly forwarder: Forwarder } {
  const { configuration, own, members, network, link, trace, clock, logger, fastPath } = options;
  const { memberNumberCount } = configuration.cluster;
  const isListed = listedAddresses(members);
  const forwarder = createForwarder({
    fastPath,
    table: link.table,
    replication: link.replication,
    clock,
    random: options.random ?? systemRandom(),
    logger: logger.child({ component: "forwarder" }),
    memberNumber: own.number,
    memberNumberCount,
    limits: { ...limitsOf(configuration), ...options.limits },
    isReady: () => link.mayAllocate() && options.isMember?.() !== false,
    knowsAll: () =>
      link.caughtUp() && link.mayAllocate() && link.connected().length >= otherCount(members.current(), own),
    isRemoved: (place) => link.store.isDeleted(place),
    confirmRemoved: new StrayVotes(link, link.store, members, own).confirm,
    ...{ ...probesOf(configuration, options.probeChannel), plain: plainOf(link) },
    clients: clientsOf(options),
    verdictQuorum: () => majorityOf(members.current()),
    lending: portLending(link, members, memberNumberCount, options.reservedNumbers),
    isMemberAddress: (address) => isListed(address) || options.isMemberAddress?.(address) === true,
  });

  serveLending(link, forwarder, members, { number: own.number, memberNumberCount });
  link.beforeAnswer((question) => forwarder.publish(question));
  trace.onActive((active) => {
    const publish = (reason: string, packet: Uint8Array | undefined, interfaceIndex: number) => {
      if (packet !== undefined) trace.publish({ packet, reason, wallMs: clock.wallMs(), interfaceIndex });
    };
    forwarder.onPunt(
      active
        ? (punt) =>
            publish(`punt ${punt.reason}${punt.copy ? " (copy)" : ""}`, punt.packet, punt.interfaceIndex)
        : undefined,
    );
    forwarder.onDrop(active ? (reason, packet) => publish(`drop ${reason}`, packet, 0) : undefined);
  });

  return {
    forwarder,
    get mode() {
      return fastPath.mode;
    },
    get fallback() {
      return fastPath.fallback;
    },
    status: () => statusOf(fastPath),
    signOfLife: fastPath.signOfLifeModule,
    setServices: (services) => forwarder.setServices(services),
    setHosts: (hosts) => forwarder.setHosts(hosts),
    setVips: (vips) =>
      forwarder.setOwnership(
        vips.map(({ vip, owned, lone, successor }) => ({
          vip,
          owned,
          lone,
          ...(successor !== undefined && { successor }),
        })),
      ),
    setUnserved: (vips) => forwarder.setUnserved(vips),
    nextHop: (address) => network.hopTo(address),
    endpointHealth: (service, endpoint) =>
      configuration.health.enabled ? endpointHealth(forwarder, service, endpoint) : { health: "unknown" },
    onHealth: (listener) => {
      forwarder.onVerdict(listener);
    },
    onPlainHealth: (listener) => forwarder.plain.onVerdict(listener),
    setOtherVerdict: (member, endpoint, verdict, speaks) =>
      forwarder.setOtherVerdict(member, endpoint, verdict, speaks),
    ways: forwarder.ways,
    removeSession: (id) => forwarder.removeSession(id),
    fastPathTotals: () => fastPath.totals(),
    portBooks: forwarder.portBooks,
    slowPathEvents: () => forwarder.counters().events,
    slowPathGauges: () => {
      const { embryos, heldPackets, natPortsUsed, natPortsResting, natPortsLent } = forwarder.counters();
      return new Map([
        ["embryos", embryos],
        ["held-packets", heldPackets],
        ["nat-ports-used", natPortsUsed],
        ["nat-ports-resting", natPortsResting],
        ["nat-ports-lent", natPortsLent],
        ...forwarder.plain.gauges(),
      ]);
    },
    slowPathDrops: () => forwarder.counters().drops,
    countersOf(record) {
      const service = link.store.service(record.serviceId);
      return service === undefined ? [] : sessionCounters(record, service, fastPath, own.name);
    },
    async start() {
      forwarder.start();
    },
    async stop(keep) {
      forwarder.stop();
      await (keep ? fastPath.detach() : fastPath.uninstall());
    },
  };
}

function plainOf(link: ClusterLink): NonNullable<ForwarderOptions["plain"]> {
  return { view: link.plain, mayReplicate: () => link.offered().includes(TCP_UDP) };
}

/** Characters of a verifier's words that are shown; all of them are in the log. */
const REASON_LENGTH_MAX = 2_000;

function statusOf(fastPath: FastPath): DataPlaneStatus {
  const { fallback } = fastPath;
  return {
    ...(fallback !== undefined && {
      fallback: { code: fallback.code, reason: fallback.reason.slice(0, REASON_LENGTH_MAX) },
    }),
    interfaces: fastPath.interfaces().map(({ index: _, hooks, ...each }) => ({ ...each, hooks: [...hooks] })),
    viaTc: [...fastPath.viaTc()],
  };
}

/**
 * Names and patterns; empty: every usable one. With a loop, those of its pods are none of them. Throws
 * INTERFACE_NONE.
 */
function served({ configuration, loop, network }: DataPlaneOptions): readonly string[] {
  const wanted = wantedInterfaces(configuration, "path", "core");
  if (loop === undefined || configuration.interfaces.length > 0) return wanted;
  const own = network.usable?.() ?? [];
  if (own.length === 0) throw new HoldfastError("INTERFACE_NONE", {});
  return own;
}

/** Private addresses that are reached on purpose; with a loop, this host's own processes, too. */
function clientsOf({ loop, network, topology }: DataPlaneOptions): NonNullable<ForwarderOptions["clients"]> {
  const serving = () => servingInterfaces(topology.interfaces).map(({ name }) => name);
  const ownHost = loop && {
    isLoop: (interfaceIndex: number) => network.link?.(loop.far)?.index === interfaceIndex,
    has: (address: Address) => network.hostAddresses?.().some((each) => each.address === address) === true,
  };
  return { isRoutable: (address) => network.isRoutable(address, serving()), ownHost };
}

/** Whether the list has the address; asked for every address of every INIT. */
function listedAddresses(members: Members): (address: Address) => boolean {
  let of: MemberList | undefined;
  let addresses: ReadonlySet<Address> = new Set();
  return (address) => {
    const list = members.current();
    if (list !== of) {
      of = list;
      addresses = new Set(list.members.flatMap((member) => member.addresses.map((each) => each.address)));
    }
    return addresses.has(address);
  };
}

/** A way that is proven is asked this much more seldom than an endpoint. */
const WAY_PERIOD_COUNT = 15;

/** Health probes from this node's own address. */
function probesOf(
  { health }: Configuration,
  channel: () => ProbeChannel,
): Pick<ForwarderOptions, "probes" | "ways"> {
  if (!health.enabled) return {};
  const { intervalMs: periodMs, timeoutMs, downCount, upCount } = health;
  return {
    ways: health.proveWays && { retryMs: periodMs, provenMs: periodMs * WAY_PERIOD_COUNT },
    probes: {
      channel: channel(),
      // A probe is over before the next one goes out.
      settings: { periodMs, timeoutMs: Math.min(timeoutMs, periodMs - 1), downCount, upCount },
    },
  };
}
