// What the controller writes into a Service: the finalizer, which VIPs it has and with whom they are, its status.
import type { KubernetesClient } from "../client/client.ts";
import { isNotFound } from "../client/error.ts";
import type { EventRecorder } from "../events.ts";
import { type KubernetesService, SERVICES } from "../objects.ts";
import type { Assignment } from "../pools/allocator.ts";
import { finalizerOf, OWNERS_ANNOTATION, VIPS_ANNOTATION, vipsText } from "../services/demand.ts";
import { type StatusFacts, statusOf, statusWithoutUs } from "../services/status.ts";
import type { MemberCopy } from "./member-copy.ts";

export interface WriterParts {
  readonly client: KubernetesClient;
  readonly members: MemberCopy;
  readonly events: EventRecorder;
  readonly cluster: string;
}

/** Every write names the version that it knows: a lost race is a 409, and the Service is looked at again. */
export class ServiceWriter {
  readonly #parts: WriterParts;
  readonly #finalizer: string;

  constructor(parts: WriterParts) {
    this.#parts = parts;
    this.#finalizer = finalizerOf(parts.cluster);
  }

  /** Nothing of ours stays in it. */
  async unmark(service: KubernetesService): Promise<void> {
    const { client } = this.#parts;
    const { metadata } = service;
    const where = { namespace: metadata.namespace, name: metadata.name };
    try {
      let version = metadata.resourceVersion;
      if (metadata.deletionTimestamp === undefined) {
        const { conditions = [] } = statusWithoutUs(service);
        const change = {
          metadata: { resourceVersion: version },
          status: { loadBalancer: { ingress: null }, conditions },
        };
        version = (await client.patch<KubernetesService>(SERVICES, where, change, "status")).metadata
          .resourceVersion;
      }
      const finalizers = (metadata.finalizers ?? []).filter((each) => each !== this.#finalizer);
      const annotations = { [VIPS_ANNOTATION]: null, [OWNERS_ANNOTATION]: null };
      await client.patch(SERVICES, where, {
        metadata: { resourceVersion: version, finalizers, annotations },
      });
    } catch (error) {
      // Somebody else took the last finalizer away.
      if (!isNotFound(error)) throw error;
    }
  }

  /** Before anything is programmed: whoever comes next knows what is whose, and cleans up. */
  async writeDown(service: KubernetesService, { vips }: Assignment): Promise<KubernetesService> {
    const { client, events, members } = this.#parts;
    const { metadata } = service;
    const finalizers = metadata.finalizers ?? [];
    const text = vipsText(vips);
    const owners = vips
      .map(({ vip }) => ({ vip, owner: members.vip(vip)?.owner }))
      .filter(({ owner }) => owner !== undefined)
      .map(({ vip, owner }) => `${vip}=${owner}`)
      .join(",");
    const before = metadata.annotations ?? {};
    const isSame =
      before[VIPS_ANNOTATION] === text && (owners === "" || before[OWNERS_ANNOTATION] === owners);
    if (isSame && finalizers.includes(this.#finalizer)) return service;
    if (before[VIPS_ANNOTATION] !== text)
      events.normal(
        service,
        "IPAllocated",
        `Assigned ${vips.map(({ vip, pool }) => `${vip}${from(pool)}`).join(", ")}.`,
      );
    for (const { vip } of vips) this.#tellMove(service, vip);
    return client.patch<KubernetesService>(
      SERVICES,
      { namespace: metadata.namespace, name: metadata.name },
      {
        metadata: {
          resourceVersion: metadata.resourceVersion,
          ...(!finalizers.includes(this.#finalizer) && { finalizers: [...finalizers, this.#finalizer] }),
          annotations: { [VIPS_ANNOTATION]: text, ...(owners !== "" && { [OWNERS_ANNOTATION]: owners }) },
        },
      },
    );
  }

  #tellMove(service: KubernetesService, vip: string): void {
    const { events, members } = this.#parts;
    const view = members.vip(vip);
    const was = ownerIn(service.metadata.annotations?.[OWNERS_ANNOTATION], vip);
    if (view?.owner === undefined || view.owner === was) return;
    const because = view.reasons.find((reason) => reason.startsWith(`${view.owner}:`)) ?? "";
    events.normal(
      service,
      "VipOwner",
      `${vip} is with member ${view.owner}${was === undefined ? "" : `, before with ${was}`}. ${because}`.trim(),
    );
  }

  async status(facts: StatusFacts): Promise<void> {
    const status = statusOf(facts);
    if (status === undefined) return;
    const { namespace, name, resourceVersion } = facts.service.metadata;
    const ingress = status.loadBalancer?.ingress ?? [];
    await this.#parts.client.patch(
      SERVICES,
      { namespace, name },
      {
        metadata: { resourceVersion },
        status: {
          loadBalancer: { ingress: ingress.length === 0 ? null : ingress },
          conditions: status.conditions,
        },
      },
      "status",
    );
  }
}

/** For texts. */
export function from(pool: string): string {
  return pool === "" ? "" : ` from VipPool ${pool}`;
}

/** `203.0.113.1=m1,…` */
function ownerIn(text: string | undefined, vip: string): string | undefined {
  return text
    ?.split(",")
    .map((entry) => entry.split("="))
    .find(([address]) => address === vip)?.[1];
}
