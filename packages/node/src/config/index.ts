// The configuration: schema, loading, checks, reload, display.
export * from "./check.ts";
export * from "./environment.ts";
export * from "./load.ts";
export * from "./reload.ts";
export * from "./schema.ts";
export * from "./show.ts";
