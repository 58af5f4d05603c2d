// What tests of other packages may use.
export { KubernetesClient } from "../client/client.ts";
export { type Connection, connectionOfFile, connectionOfPod } from "../client/connection.ts";
export { isConflict, isNotFound } from "../client/error.ts";
export { Http } from "../client/http.ts";
export { Controller, type ControllerOptions } from "../controller/controller.ts";
export { Events } from "../events.ts";
export { SUPPORTED_FEATURES } from "../gateway/classes.ts";
export {
  DEFINITIONS,
  GATEWAY_CLASSES,
  GATEWAY_GROUP,
  GATEWAY_RESOURCES,
  GATEWAYS,
  type Gateway,
  type GatewayClass,
  type Listener,
  NAMESPACES,
  REFERENCE_GRANTS,
  type ReferenceGrant,
  type Route,
  SCTP_ROUTES,
  TCP_ROUTES,
  UDP_ROUTES,
} from "../gateway/objects.ts";
export { createMetrics } from "../metrics.ts";
export { Authority } from "../nodes/authority.ts";
export { configurationOf, runIdentity } from "../nodes/identity.ts";
export type { MemberObject, NodeObject } from "../nodes/member-object.ts";
export { MembersController } from "../nodes/members-controller.ts";
export {
  type Condition,
  ENDPOINT_SLICES,
  type EndpointSlice,
  EVENTS,
  type KubernetesEvent,
  type KubernetesObject,
  type KubernetesService,
  LEASES,
  MEMBERS,
  NODES,
  PODS,
  type Resource,
  SECRETS,
  SERVICES,
  type SliceEndpoint,
  VIP_POOLS,
} from "../objects.ts";
export type { VipPoolObject } from "../pools/pool.ts";
export { type RunningController, startController } from "../run.ts";
export { OUR_HEALTH } from "../services/health-check.ts";
export { OURS } from "../services/own-annotations.ts";
export { TestApiServer } from "./api-server.ts";
