// Copies of the Gateway API's objects. It need not be installed: what the API server does not know is as
// good as empty, and is asked for again now and then.
import type { KubernetesClient } from "../client/client.ts";
import { KubernetesError } from "../client/error.ts";
import { Reflector, type ReflectorTimes } from "../client/reflector.ts";
import type { KubernetesObject, Resource } from "../objects.ts";
import {
  GATEWAY_CLASSES,
  GATEWAYS,
  type Gateway,
  type GatewayClass,
  NAMESPACES,
  REFERENCE_GRANTS,
  type ReferenceGrant,
  ROUTE_RESOURCES,
  type Route,
} from "./objects.ts";

export interface GatewayCopiesOptions {
  readonly client: KubernetesClient;
  readonly onChange: () => void;
  readonly onFailure: (what: string, error: unknown, retryMs: number) => void;
  readonly times?: Partial<ReflectorTimes>;
}

export class GatewayCopies {
  readonly classes: Reflector<GatewayClass>;
  readonly gateways: Reflector<Gateway>;
  readonly grants: Reflector<ReferenceGrant>;
  readonly namespaces: Reflector<KubernetesObject>;
  readonly routes: ReadonlyMap<Resource, Reflector<Route>>;
  readonly #options: GatewayCopiesOptions;
  readonly #all: Reflector<never>[] = [];
  readonly #settled: Promise<void>[] = [];

  constructor(options: GatewayCopiesOptions) {
    this.#options = options;
    this.classes = this.#reflector(GATEWAY_CLASSES);
    this.gateways = this.#reflector(GATEWAYS);
    this.grants = this.#reflector(REFERENCE_GRANTS);
    this.namespaces = this.#reflector(NAMESPACES);
    this.routes = new Map(ROUTE_RESOURCES.map((resource) => [resource, this.#reflector<Route>(resource)]));
  }

  get all(): readonly Reflector<KubernetesObject>[] {
    return this.#all as readonly unknown[] as readonly Reflector<KubernetesObject>[];
  }

  start(): void {
    for (const reflector of this.#all) reflector.start();
  }

  /** Everything is here, or not installed. */
  async settled(): Promise<void> {
    await Promise.all(this.#settled);
  }

  async stop(): Promise<void> {
    await Promise.all(this.#all.map((reflector) => reflector.stop()));
  }

  #reflector<T extends KubernetesObject>(resource: Resource): Reflector<T> {
    const { client, onChange, onFailure, times } = this.#options;
    const { promise: absent, resolve } = Promise.withResolvers<void>();
    const reflector = new Reflector<T>({
      client,
      resource,
      onChange,
      onFailure: (error, retryMs) => {
        const status = error instanceof KubernetesError ? error.status : 0;
        if (status === 404 || status === 403) resolve();
        if (status !== 404) onFailure(resource.plural, error, retryMs);
      },
      ...(times !== undefined && { times }),
    });
    this.#all.push(reflector as never);
    this.#settled.push(Promise.race([reflector.synced(), absent]));
    return reflector;
  }
}
