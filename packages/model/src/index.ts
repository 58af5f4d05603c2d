// Domain types, coded errors, the session record, and the ports of clock, randomness and logs.
export * from "./address.ts";
export * from "./clock.ts";
export * from "./errors.ts";
export * from "./logger.ts";
export * from "./ownership.ts";
export * from "./random.ts";
export * from "./service.ts";
export * from "./session/record.ts";
export * from "./session/table.ts";
export * from "./slots.ts";
