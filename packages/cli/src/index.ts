// The operator's command.
export * from "./exit.ts";
export * from "./program.ts";
