// The copies of what the API server has: Services, their EndpointSlices, pools; and pods, asked for one by one.
import type { KubernetesClient } from "../client/client.ts";
import { isNotFound } from "../client/error.ts";
import { Reflector, type ReflectorTimes } from "../client/reflector.ts";
import {
  ENDPOINT_SLICES,
  type EndpointSlice,
  type KubernetesObject,
  type KubernetesService,
  PODS,
  type Pod,
  type Resource,
  SERVICES,
  type SliceEndpoint,
  VIP_POOLS,
} from "../objects.ts";
import type { VipPoolObject } from "../pools/pool.ts";

const SERVICE_NAME = "kubernetes.io/service-name";
/** Pods remembered; beyond, the oldest is asked for again. */
const POD_COUNT_MAX = 4096;

export interface CopiesOptions {
  readonly client: KubernetesClient;
  readonly onService: (key: string) => void;
  readonly onPools: () => void;
  readonly onFailure: (what: string, error: unknown, retryMs: number) => void;
  readonly times?: Partial<ReflectorTimes>;
}

export class Copies {
  readonly services: Reflector<KubernetesService>;
  readonly pools: Reflector<VipPoolObject>;
  readonly #slices: Reflector<EndpointSlice>;
  readonly #options: CopiesOptions;
  /** By Service. */
  readonly #slicesOf = new Map<string, Map<string, EndpointSlice>>();
  readonly #pods = new Map<string, Pod>();

  constructor(options: CopiesOptions) {
    this.#options = options;
    this.services = this.#reflector(SERVICES, options.onService);
    this.pools = this.#reflector(VIP_POOLS, options.onPools);
    this.#slices = this.#reflector(ENDPOINT_SLICES, (key, slice, before) => {
      for (const owner of new Set([serviceOf(before), serviceOf(slice)])) {
        if (owner === undefined) continue;
        this.#index(owner, key, serviceOf(slice) === owner ? slice : undefined);
        options.onService(owner);
      }
    });
  }

  get all(): readonly Reflector<KubernetesObject>[] {
    return [
      this.services,
      this.pools,
      this.#slices,
    ] as readonly unknown[] as readonly Reflector<KubernetesObject>[];
  }

  start(): void {
    for (const reflector of this.all) reflector.start();
  }

  async synced(): Promise<void> {
    await Promise.all(this.all.map((reflector) => reflector.synced()));
  }

  async stop(): Promise<void> {
    await Promise.all(this.all.map((reflector) => reflector.stop()));
  }

  slicesOf(key: string): readonly EndpointSlice[] {
    return [...(this.#slicesOf.get(key)?.values() ?? [])];
  }

  /** By uid; those that are gone are left out. */
  async podsOf(references: readonly SliceEndpoint["targetRef"][]): Promise<ReadonlyMap<string, Pod>> {
    const found = new Map<string, Pod>();
    for (const { namespace, name = "", uid = "" } of references.filter((each) => each !== undefined)) {
      const pod = this.#pods.get(uid) ?? (await this.#pod(namespace, name));
      if (pod === undefined || pod.metadata.uid !== uid) continue;
      found.set(uid, pod);
      this.#remember(uid, pod);
    }
    return found;
  }

  async #pod(namespace: string | undefined, name: string): Promise<Pod | undefined> {
    try {
      return await this.#options.client.get<Pod>(PODS, { namespace, name });
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  /** A pod's networks are written by its CNI before it is ready: what has none yet is not remembered. */
  #remember(uid: string, { metadata, spec }: Pod): void {
    if (metadata.annotations === undefined) return;
    const { terminationGracePeriodSeconds } = spec ?? {};
    const kept = {
      metadata,
      ...(terminationGracePeriodSeconds !== undefined && { spec: { terminationGracePeriodSeconds } }),
    };
    this.#pods.set(uid, kept);
    const oldest = this.#pods.keys().next().value;
    if (this.#pods.size > POD_COUNT_MAX && oldest !== undefined) this.#pods.delete(oldest);
  }

  #index(owner: string, key: string, slice: EndpointSlice | undefined): void {
    const slices = this.#slicesOf.get(owner) ?? new Map<string, EndpointSlice>();
    if (slice === undefined) slices.delete(key);
    else slices.set(key, slice);
    if (slices.size === 0) this.#slicesOf.delete(owner);
    else this.#slicesOf.set(owner, slices);
  }

  #reflector<T extends KubernetesObject>(
    resource: Resource,
    onChange: (key: string, object: T | undefined, before: T | undefined) => void,
  ): Reflector<T> {
    const { client, onFailure, times } = this.#options;
    return new Reflector<T>({
      client,
      resource,
      onChange,
      onFailure: (error, retryMs) => onFailure(resource.plural, error, retryMs),
      ...(times !== undefined && { times }),
    });
  }
}

function serviceOf(slice: EndpointSlice | undefined): string | undefined {
  const name = slice?.metadata.labels?.[SERVICE_NAME];
  return name === undefined ? undefined : `${slice?.metadata.namespace ?? "default"}/${name}`;
}
