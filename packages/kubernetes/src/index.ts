// The controller: what Services of Kubernetes say, made true on the cluster's members.
export * from "./client/client.ts";
export * from "./client/connection.ts";
export * from "./client/error.ts";
export * from "./objects.ts";
