// The daemon: composes the packages, serves the API.
export * from "./certificates.ts";
export * from "./config/index.ts";
export * from "./daemon.ts";
export * from "./diagnose/diagnose.ts";
export * from "./journal.ts";
export * from "./run.ts";
export * from "./version.ts";
