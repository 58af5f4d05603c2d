// What the statuses of classes, Gateways and routes say, as the specification wants them.
import type { Condition } from "../objects.ts";
import type { PortState } from "../services/status.ts";
import { conditionsOf } from "../services/status.ts";
import { ACCEPTED, type Attachment, kindsOf, no, type Verdict } from "./attachment.ts";
import {
  type Gateway,
  LISTENER_PROTOCOLS,
  type Listener,
  type ListenerStatus,
  type ParentReference,
  type ParentStatus,
  type Route,
} from "./objects.ts";

type Wanted = Omit<Condition, "lastTransitionTime">;

const PROGRAMMED: Verdict = { status: "True", reason: "Programmed", message: "The members serve it." };
const GATEWAY_CONDITIONS = ["Accepted", "Programmed"];
const LISTENER_CONDITIONS = ["Accepted", "Programmed", "ResolvedRefs", "Conflicted"];
const ROUTE_CONDITIONS = ["Accepted", "ResolvedRefs"];

export interface GatewayFacts {
  readonly gateway: Gateway;
  readonly vips: readonly string[];
  /** Why the Gateway as a whole is not taken or has no address; undefined: it is and has. */
  readonly refused: Verdict | undefined;
  readonly unassigned: Verdict | undefined;
  readonly attachments: readonly Attachment[];
  /** By listener. */
  readonly ports: ReadonlyMap<string, PortState>;
  readonly nowMs: number;
}

export function gatewayStatusOf(facts: GatewayFacts): NonNullable<Gateway["status"]> {
  const { gateway, vips, refused, unassigned, nowMs } = facts;
  const all = gateway.spec?.listeners ?? [];
  const listeners = all.map((listener) => listenerStatusOf(listener, facts));
  const isInvalid = (name: string) =>
    listeners.some((each) => each.name === name && !isTrue(each, "Accepted"));
  const invalid = all.filter(({ name }) => isInvalid(name)).map(({ name }) => name);
  const unprogrammed = listeners.filter((each) => !isTrue(each, "Programmed")).map(({ name }) => name);
  const notValid = no("ListenersNotValid", `Not valid: listeners ${invalid.join(", ")}.`);
  const accepted =
    refused ??
    (invalid.length === 0
      ? ACCEPTED
      : invalid.length === all.length
        ? notValid
        : { ...notValid, status: "True" as const });
  const isProgrammed = refused === undefined && unassigned === undefined && unprogrammed.length < all.length;
  const programmed = isProgrammed
    ? PROGRAMMED
    : refused !== undefined
      ? no("Invalid", refused.message)
      : (unassigned ?? no("Invalid", `No listener is programmed: ${unprogrammed.join(", ")}.`));
  const wanted: Wanted[] = [
    { type: "Accepted", ...accepted },
    { type: "Programmed", ...programmed },
  ];
  const before = gateway.status?.conditions ?? [];
  return {
    addresses: vips.map((value) => ({ type: "IPAddress", value })),
    conditions: conditionsOf(before, wanted, GATEWAY_CONDITIONS, gateway.metadata.generation, nowMs),
    listeners,
  };
}

/** Of two listeners with one port and protocol the first stays. */
export function isConflicted(listener: Listener, all: readonly Listener[]): boolean {
  const first = all.find(({ port, protocol }) => port === listener.port && protocol === listener.protocol);
  return first !== listener;
}

function listenerStatusOf(listener: Listener, facts: GatewayFacts): ListenerStatus {
  const { gateway, attachments, unassigned, refused, ports, nowMs } = facts;
  const { name, protocol, port } = listener;
  const { kinds, isWhole } = kindsOf(listener);
  const isKnown = LISTENER_PROTOCOLS.has(protocol);
  const isLater = isConflicted(listener, gateway.spec?.listeners ?? []);
  const state = ports.get(name);
  const accepted = !isKnown
    ? no("UnsupportedProtocol", `${protocol} is not served: TCP, UDP and holdfast.io/SCTP are.`)
    : isLater
      ? no("PortUnavailable", `Another listener has ${protocol} port ${port}.`)
      : state?.error === "holdfast.io/AddressInUse"
        ? no("PortUnavailable", state.message)
        : state?.error === "holdfast.io/ProtocolNotServed"
          ? no("UnsupportedProtocol", state.message)
          : ACCEPTED;
  const programmed =
    accepted.status === "False"
      ? no("Invalid", accepted.message)
      : state === undefined
        ? no("Pending", (refused ?? unassigned)?.message ?? "Not programmed yet.")
        : state.error === undefined
          ? PROGRAMMED
          : no("Invalid", state.message);
  const conflicted: Verdict = isLater
    ? { status: "True", reason: "ProtocolConflict", message: accepted.message }
    : no("NoConflicts", "Nobody else has its port.");
  const resolved: Verdict = isWhole
    ? { status: "True", reason: "ResolvedRefs", message: "All references are resolved." }
    : no("InvalidRouteKinds", `Of the kinds in allowedRoutes not all go with ${protocol}.`);
  const wanted: Wanted[] = [
    { type: "Accepted", ...accepted },
    { type: "Programmed", ...programmed },
    { type: "ResolvedRefs", ...resolved },
    { type: "Conflicted", ...conflicted },
  ];
  const before = gateway.status?.listeners?.find((each) => each.name === name)?.conditions ?? [];
  const attached = new Set(
    attachments.filter(({ listeners }) => listeners.includes(name)).map(({ route }) => route),
  );
  return {
    name,
    supportedKinds: kinds,
    attachedRoutes: attached.size,
    conditions: conditionsOf(before, wanted, LISTENER_CONDITIONS, gateway.metadata.generation, nowMs),
  };
}

function isTrue({ conditions }: ListenerStatus, type: string): boolean {
  return conditions.some((each) => each.type === type && each.status === "True");
}

export interface ParentFacts {
  readonly attachment: Attachment;
  readonly controllerName: string;
}

/** What others said of their Gateways stays. `isOurs`: by the controller's name. */
export function routeStatusOf(
  route: Route,
  parents: readonly ParentFacts[],
  resolved: Verdict,
  isOurs: (controllerName: string) => boolean,
  nowMs: number,
): NonNullable<Route["status"]> {
  const before = route.status?.parents ?? [];
  const ours = parents.map(({ attachment, controllerName }): ParentStatus => {
    const { parentRef, accepted } = attachment;
    const was = before.find(
      (each) => each.controllerName === controllerName && isSame(each.parentRef, parentRef),
    );
    const wanted: Wanted[] = [
      { type: "Accepted", ...accepted },
      { type: "ResolvedRefs", ...resolved },
    ];
    return {
      parentRef,
      controllerName,
      conditions: conditionsOf(
        was?.conditions ?? [],
        wanted,
        ROUTE_CONDITIONS,
        route.metadata.generation,
        nowMs,
      ),
    };
  });
  return { parents: [...before.filter(({ controllerName }) => !isOurs(controllerName)), ...ours] };
}

function isSame(a: ParentReference, b: ParentReference): boolean {
  const text = ({ namespace = "", name, sectionName = "", port = 0 }: ParentReference) =>
    [namespace, name, sectionName, port].join("|");
  return text(a) === text(b);
}
