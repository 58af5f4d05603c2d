// What a posted rule makes of a service. For a rule that is known, what the post does not speak of stays as
// it is: after `loxicmd save` and `apply`, which posts addresses, port and endpoints alone, a service is what
// it was.
import { addressesOfSpec, type ServiceSpec, ServiceSpecSchema, validate } from "@holdfast/api";
import type { Address, HealthCheck, LeavingEndpoint, Service } from "@holdfast/model";
import { specOf } from "../api/service-view.ts";
import { endpointKey, keyOfSpec, specOfEndpoint } from "../services/specification.ts";
import type { ParsedRule, PostedEndpoint } from "./rule.ts";
import { shownWeights } from "./rule-view.ts";

type EndpointSpec = ServiceSpec["endpoints"][number];

/** How an endpoint is asked that was posted by itself before; undefined: as its service says. */
export type CheckFor = (address: Address, port: number) => HealthCheck | undefined;

export interface Before {
  readonly service: Service;
  /** false: deleted as far as LoxiLB's clients know; only what they never see of it goes on. */
  readonly isKnown: boolean;
}

/**
 * The service after the post; undefined: no endpoint is left of those that it had, which deletes the rule.
 */
export function serviceAfter(
  rule: ParsedRule,
  before: Before | undefined,
  checkFor: CheckFor,
): ServiceSpec | undefined {
  const known = before?.isKnown === true ? specOf(before.service) : undefined;
  const endpoints = endpointsAfter(rule, before, known?.endpoints ?? [], checkFor);
  if (rule.operation === "detach" && known !== undefined && known.endpoints.length > 0)
    if (endpoints.length === 0) return undefined;
  const base = known ?? forgotten(rule, before?.service);
  const speaks = rule.operation === "create" && !(known !== undefined && rule.isBare);
  return {
    ...base,
    ...(speaks && {
      vips: rule.secondaries === undefined ? base.vips : [rule.primary, ...rule.secondaries],
      ...(rule.name !== undefined && { name: rule.name }),
      ...(rule.selection !== undefined && { selection: rule.selection }),
      ...idleFields(rule),
      ...(rule.allowedSources !== undefined && { allowedSources: [...rule.allowedSources] }),
      ...(rule.healthCheck !== undefined && { healthCheck: rule.healthCheck }),
      ...(rule.proxyProtocol !== undefined && { proxyProtocol: rule.proxyProtocol }),
    }),
    endpoints,
  };
}

/** A new service; of one that was deleted a moment ago the fields that LoxiLB's clients never see. */
function forgotten(rule: ParsedRule, deleted: Service | undefined): ServiceSpec {
  const fresh = validate(ServiceSpecSchema, {
    vips: [rule.primary, ...(rule.secondaries ?? [])],
    port: rule.port,
    name: rule.name ?? "",
    selection: rule.selection ?? "roundRobin",
    protocol: rule.protocol,
    ...idleFields(rule),
    ...(rule.allowedSources !== undefined && { allowedSources: [...rule.allowedSources] }),
    ...(rule.healthCheck !== undefined && { healthCheck: rule.healthCheck }),
    ...(rule.proxyProtocol === true && { proxyProtocol: true }),
  }).value;
  if (deleted === undefined) return fresh;
  const { healthCheck: _, ...kept } = specOf(deleted);
  const { name, vips, selection, idleTimeoutS, idle, allowedSources = [], healthCheck } = fresh;
  const { proxyProtocol = false } = fresh;
  return {
    ...kept,
    ...(rule.protocol === "tcp" && { proxyProtocol }),
    ...{ name, vips, selection, idleTimeoutS, allowedSources },
    ...(idle !== undefined && { idle }),
    ...(healthCheck !== undefined && { healthCheck }),
  };
}

/** Where a service of the rule's protocol has the time that LoxiLB's clients know. */
function idleFields({
  protocol,
  idleTimeoutS,
}: ParsedRule): Partial<Pick<ServiceSpec, "idleTimeoutS" | "idle">> {
  if (idleTimeoutS === undefined) return {};
  if (protocol === "sctp") return { idleTimeoutS };
  return { idle: protocol === "tcp" ? { establishedS: idleTimeoutS } : { flowS: idleTimeoutS } };
}

function endpointsAfter(
  rule: ParsedRule,
  before: Before | undefined,
  known: readonly EndpointSpec[],
  checkFor: CheckFor,
): EndpointSpec[] {
  const named = new Set((rule.endpoints ?? []).map((e) => endpointKey(e.address, e.port)));
  const posted = (rule.endpoints ?? []).map((endpoint) =>
    withoutNamed(endpointAfter(endpoint, before?.service, checkFor), named),
  );
  const others = known.filter((e) => !named.has(keyOfSpec(e))).map((e) => withoutNamed(e, named));
  if (rule.operation === "attach") return [...others, ...posted];
  if (rule.operation === "detach") return others;
  return rule.endpoints === undefined ? [...known] : posted;
}

/**
 * A rule names one address of each endpoint: further ones stay, unless it makes them endpoints of their own.
 */
function withoutNamed(spec: EndpointSpec, named: ReadonlySet<string>): EndpointSpec {
  const { addresses, ...rest } = spec;
  const [identity, ...further] = addressesOfSpec(spec);
  const kept = further.filter((address) => !named.has(endpointKey(address, spec.port)));
  if (identity === undefined || kept.length === further.length) return spec;
  return { ...rest, address: identity, ...(kept.length > 0 && { addresses: [identity, ...kept] }) };
}

/** It left the list a moment ago, and is what it was. */
function returned({ sinceMs: _, graceMs: __, ...endpoint }: LeavingEndpoint, weight: number): EndpointSpec {
  return { ...specOfEndpoint(endpoint), weight: weight === 0 ? endpoint.weight : weight };
}

/** Of one that was there the weight alone can be new: what an operator drained stays drained. */
function endpointAfter(
  endpoint: PostedEndpoint,
  before: Service | undefined,
  checkFor: CheckFor,
): EndpointSpec {
  const { address, port, weight } = endpoint;
  const at = before?.endpoints.findIndex((e) => e.address === address && e.port === port) ?? -1;
  const known = before?.endpoints[at];
  // A weight that was left out is the same share for everybody.
  if (before === undefined || known === undefined) {
    const left = before?.leaving?.find((e) => e.address === address && e.port === port);
    if (left !== undefined) return returned(left, weight);
    const healthCheck = checkFor(address, port);
    return {
      address,
      port,
      weight: weight === 0 ? 1 : weight,
      state: "active",
      ...(healthCheck !== undefined && { healthCheck }),
    };
  }
  // What was shown and comes back means what it was shown for.
  const isShown = shownWeights(before.endpoints)[at] === weight;
  const spec = specOf(before).endpoints[at] as EndpointSpec;
  return { ...spec, weight: isShown ? known.weight : weight === 0 ? 1 : weight };
}
