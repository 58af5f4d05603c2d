// What the controller writes into objects of the Gateway API. Every write names the version that it knows.
import { isDeepStrictEqual } from "node:util";
import type { KubernetesClient } from "../client/client.ts";
import { isNotFound } from "../client/error.ts";
import type { KubernetesObject, Resource } from "../objects.ts";
import type { AssignedVip } from "../pools/allocator.ts";
import { VIPS_ANNOTATION, vipsText } from "../services/demand.ts";
import { GATEWAYS, type Gateway } from "./objects.ts";

export class GatewayWriter {
  readonly #client: KubernetesClient;
  readonly #finalizer: string;

  constructor(client: KubernetesClient, finalizer: string) {
    this.#client = client;
    this.#finalizer = finalizer;
  }

  isMarked({ metadata }: KubernetesObject): boolean {
    return metadata.finalizers?.includes(this.#finalizer) === true;
  }

  /** Before anything is programmed: whoever comes next knows what is whose, and cleans up. */
  async writeDown(gateway: Gateway, vips: readonly AssignedVip[]): Promise<Gateway> {
    const { name, namespace, resourceVersion, finalizers = [], annotations = {} } = gateway.metadata;
    const text = vipsText(vips);
    if (annotations[VIPS_ANNOTATION] === text && this.isMarked(gateway)) return gateway;
    const change = {
      metadata: {
        resourceVersion,
        ...(!this.isMarked(gateway) && { finalizers: [...finalizers, this.#finalizer] }),
        annotations: { [VIPS_ANNOTATION]: text },
      },
    };
    return this.#client.patch<Gateway>(GATEWAYS, { namespace, name }, change);
  }

  /** Nothing of ours stays in it. */
  async unmark({ metadata }: Gateway): Promise<void> {
    const { name, namespace, resourceVersion, finalizers = [] } = metadata;
    const change = {
      metadata: {
        resourceVersion,
        finalizers: finalizers.filter((each) => each !== this.#finalizer),
        annotations: { [VIPS_ANNOTATION]: null },
      },
    };
    try {
      await this.#client.patch(GATEWAYS, { namespace, name }, change);
    } catch (error) {
      // Somebody else took the last finalizer away.
      if (!isNotFound(error)) throw error;
    }
  }

  /** With the finalizer or without it, as it is wanted; undefined: it is gone. */
  async finalize<T extends KubernetesObject>(
    resource: Resource,
    object: T,
    finalizer: string,
    isWanted: boolean,
  ): Promise<T | undefined> {
    const { name, namespace, resourceVersion, finalizers = [], deletionTimestamp } = object.metadata;
    // To what goes nothing is added.
    if (finalizers.includes(finalizer) === isWanted || (isWanted && deletionTimestamp !== undefined))
      return object;
    const others = finalizers.filter((each) => each !== finalizer);
    const change = {
      metadata: { resourceVersion, finalizers: isWanted ? [...others, finalizer] : others },
    };
    try {
      const kept = await this.#client.patch<T>(resource, { namespace, name }, change);
      return deletionTimestamp !== undefined && others.length === 0 ? undefined : kept;
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  /** If it says something else. */
  async status(
    resource: Resource,
    { metadata, status = {} }: KubernetesObject & { readonly status?: object },
    wanted: object,
  ): Promise<void> {
    const { name, namespace, resourceVersion } = metadata;
    const said = Object.fromEntries(
      Object.keys(wanted).map((field) => [field, (status as never)[field] ?? []]),
    );
    if (isDeepStrictEqual(JSON.parse(JSON.stringify(said)), JSON.parse(JSON.stringify(wanted)))) return;
    try {
      await this.#client.patch(
        resource,
        { namespace, name },
        { metadata: { resourceVersion }, status: wanted },
        "status",
      );
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }
}
