// Schemas, error codes, typed client: everything that a program needs to talk to a node.
export * from "./formats.ts";
export * from "./schema/enumeration.ts";
export * from "./schema/service.ts";
export * from "./validation.ts";
