// A node without a network, for tests of the API: a real registry, session view, catalogue and event bus.
import type { ServiceSpec, TakeOver } from "@holdfast/api";
import {
  type Address,
  type Candidate,
  candidateKeyOf,
  endOf,
  HoldfastError,
  type Phase,
  PROTOCOL_SCTP,
  type SessionId,
  SessionView,
  serviceIdOf,
  sessionIdOf,
  silentLogger,
  systemClock,
  unservableServices,
  type VipOwnership,
} from "@holdfast/model";
import { Registry } from "prom-client";
import { createLoneLink } from "../../cluster/link.ts";
import type { HeardReport } from "../../cluster/reports.ts";
import { Revocations } from "../../cluster/revocations.ts";
import { createEventBus } from "../../events/bus.ts";
import { createEventLog } from "../../events/event-log.ts";
import { createPlacementOrders } from "../../services/placement-orders.ts";
import { createServiceRegistry } from "../../services/registry.ts";
import { RemovalKeeper } from "../../services/removal-keeper.ts";
import { createLocalConfigurationStore } from "../../services/store.ts";
import { livingSessions, SessionCatalogue } from "../../sessions/catalogue.ts";
import { SessionTables } from "../../sessions/tables.ts";
import { createTraceHub } from "../../trace/hub.ts";
import type { ApiSources } from "../sources.ts";

/** `store` may be shared by several; m0 announces every VIP. */
export function fakeNode(
  fileServices: readonly ServiceSpec[] = [],
  store = createLocalConfigurationStore(),
  member = "m0",
) {
  const view = new SessionView();
  const events = createEventBus("m0", systemClock);
  const catalogue = new SessionCatalogue([view], systemClock);
  const sessions = livingSessions(catalogue, () => true);
  const registry = createServiceRegistry(store, member, undefined, { sessions });
  registry.applyFile(fileServices);
  const keeper = new RemovalKeeper({
    store,
    sessions,
    clock: systemClock,
    seesAll: () => true,
    tell: () => {},
  });
  const ownershipOf = (vip: Address): VipOwnership | undefined =>
    registry.list().some((service) => service.vips.includes(vip))
      ? { vip, owner: "m0", candidates: ["m0"], reasons: ["m0: the only member"] }
      : undefined;
  let ready = true;
  const link = createLoneLink();
  const eventLog = createEventLog({ number: 0 }, link, systemClock, events);
  const takeOvers: TakeOver[] = [];
  const reports = new Map<string, HeardReport>();
  const sources: ApiSources = {
    logger: silentLogger,
    clock: systemClock,
    version: "0.0.0-test",
    registry,
    configurationKept: async () => {},
    table: view,
    sessions: new SessionTables([view]),
    catalogue,
    events,
    eventLog,
    takeOvers: () => takeOvers,
    reports: async () => reports,
    memberOrigins: () => new Set(["https://m1.example:7080"]),
    memberNumberCount: () => 8,
    trace: createTraceHub(),
    metrics: new Registry(),
    status: () => ({
      member,
      cluster: "test",
      version: "0.0.0-test",
      fastPath: "userspace",
      dataPlane: { interfaces: [], viaTc: [] },
      interfaces: [],
      sessions: view.size,
      startedAt: new Date(0).toISOString(),
      pid: process.pid,
    }),
    health: () => ({
      status: ready ? "ok" : "notReady",
      member: "m0",
      version: "0.0.0-test",
      checks: [{ name: "test", ok: ready, required: true, detail: "as the test says" }],
    }),
    ownerships: () =>
      [...new Set(registry.list().flatMap((service) => service.vips))]
        .map(ownershipOf)
        .filter((ownership) => ownership !== undefined),
    ownershipOf,
    revocations: new Revocations(store, systemClock),
    announcements: () => new Map(),
    routers: () => [],
    clashes: onceATurn(() => ({ refused: unservableServices(registry.list()), clashes: new Map() })),
    members: async () => [
      {
        name: "m0",
        number: 0,
        zone: "",
        self: true,
        phase: "alive",
        ready,
        draining: store.drainedMembers().has("m0"),
        addresses: [],
        vips: [],
        sessions: view.size,
      },
    ],
    membership: {
      state: () => ({ version: 0, resting: [] }),
      add: async ({ name }) => {
        throw new HoldfastError("MEMBER_EXISTS", { member: name });
      },
      remove: async (name) => {
        throw new HoldfastError("MEMBER_NOT_THERE", { member: name });
      },
    },
    orders: createPlacementOrders({
      store,
      registry,
      events,
      logger: silentLogger,
      isMember: (name) => name === "m0" || name === "m1",
    }),
    memberNameOf: (number) => `m${number}`,
    memberNumberOf: (text) => (/^m?\d$/.test(text) ? Number(text.replace("m", "")) : undefined),
    endpointHealth: () => ({ health: "unknown" }),
    removeSession(id) {
      const record = view.get(id);
      if (record === undefined) throw new HoldfastError("SESSION_NOT_FOUND", { session: id });
      view.apply({ id, end: endOf(record, "operator") });
    },
    countersOf: async () => [],
    replicationOf: async () => [],
  };
  return {
    sources,
    store,
    registry,
    takeOvers,
    reports,
    keeper,
    view,
    events,
    setReady: (value: boolean) => (ready = value),
  };
}

/** Puts an established session of one client address into `view`. */
export function addSession(
  view: SessionView,
  options: {
    readonly primary: Address;
    readonly port: number;
    readonly client: Address;
    readonly clientPort: number;
    readonly endpoint: Address;
    readonly natPort: number;
    readonly phase?: Phase;
    /** Default 77. */
    readonly endpointTag?: number;
  },
): SessionId {
  const { client, clientPort, natPort } = options;
  const serviceId = serviceIdOf(PROTOCOL_SCTP, options.primary, options.port);
  const clientTag = 1 + ((clientPort * 65_537 + natPort) >>> 0);
  const id = sessionIdOf(serviceId, clientPort, clientTag, client, []);
  const candidate: Candidate = {
    member: natPort & 7,
    endpoint: options.endpoint,
    endpointPort: options.port,
    natPort,
    endpointTag: options.endpointTag ?? 77,
    endpointAddresses: [],
    echoed: true,
  };
  const key = candidateKeyOf(candidate);
  view.apply({
    id,
    protocol: 132,
    serviceId,
    clientPort,
    createdAtMs: 1_700_000_000_000,
    clients: new Map([[client, true]]),
    generations: new Map([
      [
        clientTag,
        {
          clientTag,
          arrivalVip: 0,
          source: client,
          listed: [],
          pairing: [client],
          phase: options.phase ?? "established",
          candidates: new Map([[key, candidate]]),
          aborted: false,
        },
      ],
    ]),
    ...(options.phase === undefined || options.phase === "established"
      ? { commit: { epoch: 1, clientTag, candidate: key } }
      : {}),
  });
  return id;
}

/** A list of a thousand services asks a thousand times: a real node judges when services change. */
function onceATurn<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => {
    if (made === undefined) {
      made = { value: make() };
      setImmediate(() => {
        made = undefined;
      });
    }
    return made.value;
  };
}
