// The daemon: composes the packages, serves the API.
export * from "./config/check.ts";
export * from "./config/environment.ts";
export * from "./config/load.ts";
export * from "./config/schema.ts";
