// What a scenario of the conformance suite is: one row of the matrix, and the code that shows it.
import type { ProfileName } from "@holdfast/testkit";
import type { Context } from "./context.ts";

/** The number whose five minutes CI gives a place of their own. */
export const SOAK = 50;

export const FAST_PATHS = ["tc", "xdp", "xdp-generic", "userspace"] as const;
export const FAMILIES = ["ipv4", "ipv6", "mixed"] as const;

/** Under what a scenario runs: the fast path, and the addresses of service and clients. */
export interface Surroundings {
  readonly fastPath: (typeof FAST_PATHS)[number];
  readonly family: (typeof FAMILIES)[number];
  /** Timers, addresses and routers; `lab` when absent. */
  readonly profile?: ProfileName;
}

export const DEFAULT_SURROUNDINGS: Surroundings = { fastPath: "tc", family: "ipv4" };

export function pathName({ fastPath, family, profile = "lab" }: Surroundings): string {
  return `${profile === "lab" ? "" : `${profile}:`}${fastPath}/${family}`;
}

/** Of the matrix. */
export interface ScenarioRow {
  readonly number: number;
  readonly name: string;
  /** Where the protocol says so. */
  readonly rfc: string;
  readonly done: string;
  readonly seen: string;
  /** Families it means something for; all when absent. */
  readonly families?: readonly Surroundings["family"][];
}

export interface Scenario extends ScenarioRow {
  /** One of the dozen that also run on the other fast paths and families without --full. */
  readonly everywhere?: boolean;
  /** Longest it may take, ms; 60,000 when absent. */
  readonly limitMs?: number;
  run(context: Context): Promise<void>;
}

export interface Outcome {
  readonly number: number;
  readonly name: string;
  readonly passed: boolean;
  readonly path: string;
  readonly durationMs: number;
  readonly reason?: string;
  /** The first try had failed. */
  readonly secondTry?: true;
}
