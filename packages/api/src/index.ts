// Schemas, error codes, typed client: everything that a program needs to talk to a node, in Node or a
// browser; what only Node can load is node.ts.
export * from "./client.ts";
export * from "./formats.ts";
export * from "./members.ts";
export * from "./schema/announce.ts";
export * from "./schema/cluster.ts";
export * from "./schema/common.ts";
export * from "./schema/enumeration.ts";
export * from "./schema/picture.ts";
export * from "./schema/service.ts";
export * from "./schema/session.ts";
export * from "./schema/take-over.ts";
export * from "./validation.ts";
