// What a Service's status says: addresses, ports, conditions.
import { isDeepStrictEqual } from "node:util";
import type { Condition, Ingress, KubernetesService, Protocol } from "../objects.ts";

/** A port's error while a member runs a release without its protocol. */
export const PROTOCOL_NOT_SERVED = "holdfast.io/ProtocolNotServed";

export interface PortState {
  /** `domain/CamelCase`; undefined: it is served. */
  readonly error: string | undefined;
  readonly message: string;
}

export interface StatusFacts {
  readonly service: KubernetesService;
  /** Primaries: one of each family at most. Empty: pending. */
  readonly primaries: readonly string[];
  /** By port key. */
  readonly ports: ReadonlyMap<string, PortState>;
  readonly assigned: Pick<Condition, "status" | "reason" | "message">;
  readonly programmed: Pick<Condition, "status" | "reason" | "message">;
  /** Endpoints that are up, and that a VIP may not reach, in words. */
  readonly unproven?: readonly string[];
  readonly nowMs: number;
}

export type ServiceStatus = NonNullable<KubernetesService["status"]>;

export const ASSIGNED = "holdfast.io/VipsAssigned";
export const PROGRAMMED = "holdfast.io/Programmed";
/** False while some endpoint is unproven; absent else. */
export const PROVEN = "holdfast.io/EndpointsProven";
const PORTS_ERROR = "LoadBalancerPortsError";
const OURS = [ASSIGNED, PROGRAMMED, PROVEN, PORTS_ERROR];
/** As the API has it: 32,768; a status is read by people. */
const MESSAGE_LENGTH_MAX = 1_024;

/** undefined: it is so already. */
export function statusOf(facts: StatusFacts): ServiceStatus | undefined {
  const { service, primaries, nowMs } = facts;
  const ports = service.spec?.ports ?? [];
  const ingress = primaries.map(
    (ip): Ingress => ({
      ip,
      // In-cluster clients go through the members, too: kube-proxy's short cut is single-homed.
      ipMode: "Proxy",
      ports: ports.map(({ port, protocol = "TCP" }) => {
        const error = facts.ports.get(`${protocol}/${port}`)?.error;
        return { port, protocol, ...(error !== undefined && { error }) };
      }),
    }),
  );
  const mixed = ports.filter(
    ({ port, protocol = "TCP" }) => facts.ports.get(`${protocol}/${port}`)?.error === PROTOCOL_NOT_SERVED,
  );
  const wanted: Omit<Condition, "lastTransitionTime">[] = [
    { type: ASSIGNED, ...facts.assigned },
    { type: PROGRAMMED, ...facts.programmed },
  ];
  const { unproven = [] } = facts;
  if (unproven.length > 0)
    wanted.push({
      type: PROVEN,
      status: "False",
      reason: "Unproven",
      message: unproven.join(" ").slice(0, MESSAGE_LENGTH_MAX),
    });
  if (mixed.length > 0)
    wanted.push({
      type: PORTS_ERROR,
      status: "True",
      reason: "LoadBalancerMixedProtocolNotSupported",
      message: `Not served yet: ${mixed.map(({ port, protocol = "TCP" }) => `${protocol as Protocol}/${port}`).join(", ")}.`,
    });
  const before = service.status ?? {};
  const conditions = conditionsOf(before.conditions ?? [], wanted, OURS, service.metadata.generation, nowMs);
  const after: ServiceStatus = { ...before, loadBalancer: { ingress }, conditions };
  const plain = (status: ServiceStatus) => ({
    ingress: status.loadBalancer?.ingress ?? [],
    conditions: status.conditions ?? [],
  });
  return isDeepStrictEqual(plain(before), plain(after)) ? undefined : after;
}

/** Without us: what others wrote stays. */
export function statusWithoutUs({ status = {} }: KubernetesService): ServiceStatus {
  const conditions = (status.conditions ?? []).filter(({ type }) => !OURS.includes(type));
  return { ...status, loadBalancer: {}, conditions };
}

/** Conditions of other types stay; the time of a transition changes with the status only. */
export function conditionsOf(
  before: readonly Condition[],
  wanted: readonly Omit<Condition, "lastTransitionTime">[],
  ours: readonly string[],
  generation: number | undefined,
  nowMs: number,
): readonly Condition[] {
  const now = `${new Date(nowMs).toISOString().slice(0, 19)}Z`;
  return [
    ...before.filter(({ type }) => !ours.includes(type)),
    ...wanted.map((condition) => {
      const was = before.find(({ type }) => type === condition.type);
      const lastTransitionTime = was?.status === condition.status ? was.lastTransitionTime : now;
      return {
        ...condition,
        lastTransitionTime,
        ...(generation !== undefined && { observedGeneration: generation }),
      };
    }),
  ];
}
