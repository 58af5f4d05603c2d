// What tests of the Gateway API do: a class, a Gateway, routes and Services behind them, and what the
// statuses say.
import assert from "node:assert/strict";
import {
  type Condition,
  ENDPOINT_SLICES,
  GATEWAY_CLASSES,
  GATEWAYS,
  type Gateway,
  type GatewayClass,
  type Listener,
  type Resource,
  type Route,
  SCTP_ROUTES,
  SERVICES,
} from "@holdfast/kubernetes/testing";
import { until } from "@holdfast/testkit";
import { CLASS, type Cluster, NAMESPACE, pod, type World } from "./world.ts";

export const N2: Listener = { name: "n2", port: 38412, protocol: "holdfast.io/SCTP" };
export const ID = "sctp/203.0.113.1:38412";

/** What a test does with Gateways. */
export class Gateways {
  readonly world: World;
  readonly cluster: Cluster;

  constructor(world: World) {
    this.world = world;
    this.cluster = world.cluster;
  }

  async open(
    listeners: Listener[],
    spec: NonNullable<Gateway["spec"]> = {},
    annotations = {},
  ): Promise<void> {
    const { client } = this.cluster;
    await client.create<GatewayClass>(GATEWAY_CLASSES, {
      metadata: { name: "sctp" },
      spec: { controllerName: CLASS },
    });
    await client.create<Gateway>(GATEWAYS, {
      metadata: { namespace: NAMESPACE, name: "core", annotations },
      spec: { gatewayClassName: "sctp", listeners, ...spec },
    });
  }

  async backend(
    name: string,
    addresses: string[],
    protocol: "SCTP" | "TCP" | "UDP" = "SCTP",
    namespace = NAMESPACE,
  ) {
    const ports = [{ name: "n2", port: 38412, protocol }];
    await this.cluster.client.create(SERVICES, {
      metadata: { namespace, name },
      spec: { type: "ClusterIP", clusterIP: "None", ports },
    } as never);
    await this.cluster.client.create(ENDPOINT_SLICES, {
      metadata: { namespace, name: `${name}-four`, labels: { "kubernetes.io/service-name": name } },
      addressType: "IPv4",
      ports,
      endpoints: addresses.map((address) => pod(address)),
    } as never);
  }

  route(
    name: string,
    backends: {
      name: string;
      namespace?: string;
      weight?: number;
      port?: number;
      kind?: string;
      group?: string;
    }[],
    more: { resource?: Resource; namespace?: string; sectionName?: string; gateway?: string } = {},
  ): Promise<Route> {
    const { resource = SCTP_ROUTES, namespace = NAMESPACE, sectionName, gateway = "core" } = more;
    return this.cluster.client.create<Route>(resource, {
      metadata: { namespace, name },
      spec: {
        parentRefs: [
          { name: gateway, namespace: NAMESPACE, ...(sectionName !== undefined && { sectionName }) },
        ],
        rules: [{ backendRefs: backends.map((each) => ({ port: 38412, ...each })) }],
      },
    });
  }

  gateway(name = "core"): Promise<Gateway> {
    return this.cluster.client.get<Gateway>(GATEWAYS, { namespace: NAMESPACE, name });
  }

  /** `TYPE STATUS REASON`, once it is so. */
  async says(
    what: string,
    read: () => Promise<readonly Condition[] | undefined>,
    ...wanted: string[]
  ): Promise<void> {
    await until(`${what}: ${wanted.join(", ")}`, async () => {
      const found = ((await read()) ?? []).map(({ type, status, reason }) => `${type} ${status} ${reason}`);
      for (const each of wanted) assert.ok(found.includes(each), `${each} in ${found.join(", ")}`);
      return true;
    });
  }

  listenerSays(name: string, ...wanted: string[]): Promise<void> {
    const read = async () =>
      (await this.gateway()).status?.listeners?.find((each) => each.name === name)?.conditions;
    return this.says(`listener ${name}`, read, ...wanted);
  }

  gatewaySays(...wanted: string[]): Promise<void> {
    return this.says("the Gateway", async () => (await this.gateway()).status?.conditions, ...wanted);
  }

  routeSays(name: string, wanted: string[], resource = SCTP_ROUTES, namespace = NAMESPACE): Promise<void> {
    const read = async () => {
      const route = await this.cluster.client.get<Route>(resource, { namespace, name });
      return route.status?.parents?.find(({ controllerName }) => controllerName === CLASS)?.conditions;
    };
    return this.says(`route ${name}`, read, ...wanted);
  }

  async serves(...wanted: string[]): Promise<void> {
    await until(`the members serve ${wanted.join(" | ")}`, async () => {
      assert.deepEqual(await this.world.served(), wanted);
      return true;
    });
  }

  attached(name: string, count: number): Promise<unknown> {
    return until(`${count} routes at listener ${name}`, async () => {
      const { status } = await this.gateway();
      return status?.listeners?.find((each) => each.name === name)?.attachedRoutes === count;
    });
  }
}

export const ACCEPTED = ["Accepted True Accepted", "ResolvedRefs True ResolvedRefs"];
