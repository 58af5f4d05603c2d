// simulated clock and network, packet builder, lab
export * from "./packets/build.ts";
export * from "./packets/generate.ts";
export * from "./packets/world.ts";
