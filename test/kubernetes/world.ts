// A Kubernetes for the controller, and members for it to drive: an API server for tests, members' own API, registry and store
// without a network below them. What a test does is what kubectl and kube-controller-manager would.
import { createClient, Members, type ServiceView } from "@holdfast/api";
import {
  type Connection,
  Controller,
  type ControllerOptions,
  DEFINITIONS,
  ENDPOINT_SLICES,
  type EndpointSlice,
  EVENTS,
  Events,
  GATEWAY_RESOURCES,
  KubernetesClient,
  type KubernetesEvent,
  type KubernetesService,
  LEASES,
  PODS,
  SERVICES,
  type SliceEndpoint,
  TestApiServer,
  VIP_POOLS,
  type VipPoolObject,
} from "@holdfast/kubernetes/testing";
import { addSession, buildServer, createLocalConfigurationStore, fakeNode } from "@holdfast/node/testing";
import { until } from "@holdfast/testkit";
import type { FastifyInstance } from "fastify";

export const CLASS = "holdfast.io/holdfast";
export const NAMESPACE = "default";
/** Whose events are looked at. */
const COMPONENT = "holdfast-controller";
export const RESOURCES = [
  SERVICES,
  ENDPOINT_SLICES,
  PODS,
  EVENTS,
  LEASES,
  VIP_POOLS,
  DEFINITIONS,
  ...GATEWAY_RESOURCES,
];

/** For controllers of tests: they look more often. */
export const TIMES: ControllerOptions["times"] = {
  pollMs: 50,
  pendingMs: 100,
  poolStatusMs: 20,
  firstBackoffMs: 10,
  mostBackoffMs: 100,
  reflector: { firstBackoffMs: 10, mostBackoffMs: 100, silenceMs: 2000, shortWatchMs: 20 },
};

export interface TestMember {
  readonly url: string;
  readonly node: ReturnType<typeof fakeNode>;
  stop(): Promise<void>;
  /** At the same address. */
  start(): Promise<void>;
}

/** Members that share one configuration. */
export async function startMembers(count: number): Promise<TestMember[]> {
  const store = createLocalConfigurationStore();
  return Promise.all(
    Array.from({ length: count }, async (_, index) => {
      const node = fakeNode([], store, `m${index}`);
      let app: FastifyInstance | undefined;
      let port = 0;
      const start = async () => {
        app = await buildServer(node.sources, { authorization: { tokens: () => [], socket: false } });
        await app.listen({ host: "127.0.0.1", port });
        port = Number(new URL(app.listeningOrigin).port);
      };
      await start();
      const stop = async () => app?.close();
      return { url: `http://127.0.0.1:${port}`, node, start, stop };
    }),
  );
}

/** What tests do to a Kubernetes, real or not. */
export class Cluster {
  readonly client: KubernetesClient;

  constructor(connection: Connection) {
    this.client = new KubernetesClient(connection);
  }

  close(): void {
    this.client.close();
  }

  pool(name: string, ranges: string[], spec: Partial<VipPoolObject["spec"]> = {}): Promise<VipPoolObject> {
    return this.client.create<VipPoolObject>(VIP_POOLS, { metadata: { name }, spec: { ranges, ...spec } });
  }

  service(
    name: string,
    annotations: Record<string, string> = {},
    spec: NonNullable<KubernetesService["spec"]> = {},
  ): Promise<KubernetesService> {
    return this.client.create<KubernetesService>(SERVICES, {
      metadata: { namespace: NAMESPACE, name, annotations },
      spec: {
        type: "LoadBalancer",
        loadBalancerClass: CLASS,
        ports: [{ name: "n2", port: 38412, protocol: "SCTP" }],
        ...spec,
      },
    });
  }

  slice(
    service: string,
    endpoints: SliceEndpoint[],
    more: Partial<EndpointSlice> = {},
  ): Promise<EndpointSlice> {
    return this.client.create<EndpointSlice>(ENDPOINT_SLICES, {
      addressType: "IPv4",
      ports: [{ name: "n2", port: 38412, protocol: "SCTP" }],
      ...more,
      endpoints,
      metadata: {
        namespace: NAMESPACE,
        name: `${service}-${more.addressType === "IPv6" ? "six" : "four"}`,
        labels: { "kubernetes.io/service-name": service },
      },
    });
  }

  async endpoints(service: string, endpoints: SliceEndpoint[]): Promise<void> {
    await this.client.patch(
      ENDPOINT_SLICES,
      { namespace: NAMESPACE, name: `${service}-four` },
      { endpoints },
    );
  }

  get(name: string): Promise<KubernetesService> {
    return this.client.get<KubernetesService>(SERVICES, { namespace: NAMESPACE, name });
  }

  patch(name: string, change: unknown): Promise<KubernetesService> {
    return this.client.patch<KubernetesService>(SERVICES, { namespace: NAMESPACE, name }, change);
  }

  annotate(name: string, annotations: Record<string, string | null>): Promise<KubernetesService> {
    return this.patch(name, { metadata: { annotations } });
  }

  remove(name: string): Promise<void> {
    return this.client.remove(SERVICES, { namespace: NAMESPACE, name });
  }

  async isGone(name: string): Promise<boolean> {
    return this.get(name).then(
      () => false,
      () => true,
    );
  }

  /** `REASON message`, of one object. Others have their say in a real cluster: of its address, for one. */
  async events(name: string): Promise<string[]> {
    const { items } = await this.client.list<KubernetesEvent>(EVENTS, {});
    return items
      .filter(
        ({ involvedObject, reportingComponent }) =>
          involvedObject.name === name && reportingComponent === COMPONENT,
      )
      .map(({ reason, message }) => `${reason} ${message}`);
  }

  /** Waits for an event of a reason whose text matches. */
  event(name: string, reason: string, text = /(?:)/): Promise<string> {
    return until(`event ${reason} of ${name}`, async () =>
      (await this.events(name)).find((event) => event.startsWith(`${reason} `) && text.test(event)),
    );
  }

  /** Waits until it has an address; the addresses. */
  address(name: string): Promise<string> {
    return until(`an address of ${name}`, async () =>
      (await this.get(name)).status?.loadBalancer?.ingress?.map(({ ip }) => ip).join(),
    );
  }
}

/** One association of the Service's port at its first VIP. */
export function associate({ members }: World): void {
  for (const { node } of members)
    addSession(node.view, {
      primary: "203.0.113.1" as never,
      port: 38412,
      client: "10.1.0.1" as never,
      clientPort: 4000,
      endpoint: "10.0.0.5" as never,
      natPort: 5000,
    });
}

export function pod(
  address: string,
  uid = `uid-${address}`,
  conditions: SliceEndpoint["conditions"] = {},
): SliceEndpoint {
  return {
    addresses: [address],
    conditions: { ready: true, serving: true, terminating: false, ...conditions },
    targetRef: { kind: "Pod", namespace: NAMESPACE, name: `pod-${uid}`, uid },
  };
}

/** Whom the controller asks, and the test. */
export interface Connections {
  readonly admin: Connection;
  readonly controller: Connection;
}

export interface World {
  readonly cluster: Cluster;
  readonly members: readonly TestMember[];
  readonly controller: Controller;
  readonly events: Events;
  readonly log: readonly string[];
  /** From its start until every Service had been looked at. */
  readonly startedAfterMs: number;
  /** Of the members' services: `VIPS:PORT -> ENDPOINTS`. */
  served(): Promise<string[]>;
  view(id: string): Promise<ServiceView>;
  /** A controller in place of this one: it knows only what is written down. */
  restart(options?: Partial<ControllerOptions>): Promise<World>;
  close(): Promise<void>;
}

export interface TestWorld extends World {
  readonly server: TestApiServer;
  restart(options?: Partial<ControllerOptions>): Promise<TestWorld>;
}

type WorldOptions = Partial<ControllerOptions> & { readonly memberCount?: number };

export async function openWorld(options: WorldOptions = {}): Promise<TestWorld> {
  const server = await TestApiServer.start(RESOURCES);
  const connection = { url: server.url, namespace: NAMESPACE };
  const world = await openWorldOn({ admin: connection, controller: connection }, options, () =>
    server.close(),
  );
  return withServer(world, server);
}

function withServer(world: World, server: TestApiServer): TestWorld {
  return { ...world, server, restart: async (options) => withServer(await world.restart(options), server) };
}

/** On an API server that is there; `after` the controller and the members are gone. */
export async function openWorldOn(
  connections: Connections,
  options: WorldOptions,
  after: () => Promise<void>,
): Promise<World> {
  return begin(connections, await startMembers(options.memberCount ?? 1), options, after);
}

async function begin(
  connections: Connections,
  members: readonly TestMember[],
  options: Partial<ControllerOptions>,
  after: () => Promise<void>,
): Promise<World> {
  const client = new KubernetesClient(connections.controller, {
    requestTimeoutMs: 5000,
    listTimeoutMs: 5000,
  });
  const cluster = new Cluster(connections.admin);
  const log: string[] = [];
  const events = new Events({
    client,
    component: COMPONENT,
    instance: "test",
    onFailure: (error) => log.push(String(error)),
  });
  const clients = members.map(({ url }) => createClient({ url, timeoutMs: 30_000 }));
  const controller = new Controller({
    client,
    members: new Members(members.map(({ url }, index) => ({ name: url, client: clients[index] as never }))),
    events,
    cluster: "kubernetes",
    classes: [CLASS],
    allowsAnyAddress: false,
    log: (message) => log.push(message),
    ...options,
    times: { ...TIMES, ...options.times },
  });
  const startedAtMs = performance.now();
  await controller.start();
  const startedAfterMs = performance.now() - startedAtMs;
  const [first] = clients;
  const stop = async () => {
    await controller.stop();
    await events.flushed();
    client.close();
    cluster.close();
  };
  return {
    cluster,
    members,
    controller,
    events,
    log,
    startedAfterMs,
    served: async () =>
      (await (first as never as ReturnType<typeof createClient>).listServices())
        .filter(({ removal }) => removal === undefined)
        .map(
          ({ vips, port, endpoints }) =>
            `${vips.join("+")}:${port} -> ${endpoints
              .map(
                ({ address, addresses, port: target, state }) =>
                  `${(addresses ?? [address]).join("+")}:${target}${state === "drain" ? " drains" : ""}`,
              )
              .join(", ")}`,
        )
        .sort(),
    view: async (id) => (await (first as never as ReturnType<typeof createClient>).getService(id)).service,
    restart: async (again = {}) => {
      await stop();
      return begin(connections, members, { ...options, ...again }, after);
    },
    close: async () => {
      await stop();
      await Promise.all(members.map((member) => member.stop()));
      await after();
    },
  };
}
