// What the command line of the conformance suite says, checked.
import { parseArgs } from "node:util";
import { PROFILE_NAMES, type ProfileName } from "@holdfast/testkit";
import type { PlainProtocol } from "../plain/steady.ts";
import { PLAIN_SCENARIOS } from "./plain/registry.ts";
import { SCENARIO_COUNT } from "./registry.ts";
import { FAMILIES, FAST_PATHS, pathName, type Surroundings } from "./scenario.ts";

/** Stacks with timers of tenths of a second share the processors. */
const JOB_COUNT_MAX = 16;

export const USAGE = `npm run conformance -- [OPTIONS]
                     all scenarios on tcx and IPv4, a dozen on the other fast paths and families
  --protocol NAME    sctp (default), or tcp or udp: their scenarios, on tcx and IPv4
  --only N[,N…]      these scenarios alone, on tcx and IPv4
  --path PATH/FAMILY here alone; PATH of ${FAST_PATHS.join(", ")}; FAMILY of ${FAMILIES.join(", ")}
  --full             everything everywhere
  --profile NAME     ${PROFILE_NAMES.join(" or ")} (default lab); all scenarios once. field: stock timers, private addresses,
                     routers; routed: routers that learn the VIPs' ways from the members, by BGP with BFD
  --jobs N           so many scenarios side by side (default 1, at most ${JOB_COUNT_MAX}); what fails is tried again alone
  --json             the last line is {"scenarios":[{"number","name","passed","path"},…]}
  --verbose          a failure shows the members' logs
  --write            writes docs/conformance.md, or docs/conformance-tcp-udp.md, and runs nothing`;

export interface Options {
  /** Absent: SCTP. */
  readonly protocol?: PlainProtocol;
  readonly only?: readonly number[];
  readonly path?: Surroundings;
  readonly profile?: ProfileName;
  readonly full: boolean;
  readonly jobs: number;
  readonly json: boolean;
  readonly verbose: boolean;
  readonly write: boolean;
  readonly help: boolean;
}

/**
 * Reads the words behind the program's name. Throws an Error that says which word is wrong, and what would be
 * right.
 */
export function readOptions(words: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...words],
    options: {
      json: { type: "boolean", default: false },
      protocol: { type: "string", default: "sctp" },
      only: { type: "string" },
      path: { type: "string" },
      profile: { type: "string" },
      full: { type: "boolean", default: false },
      jobs: { type: "string", default: "1" },
      write: { type: "boolean", default: false },
      verbose: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  const { only, path, jobs, profile, protocol: name, ...flags } = values;
  const protocol = protocolOf(name);
  if (flags.full && path !== undefined)
    throw new Error("--full runs everywhere, --path in one place: give one of them");
  if (protocol !== undefined && (profile !== undefined || path?.endsWith("/mixed") || jobs !== "1"))
    throw new Error(`--profile, --jobs and mixed families are of the suite of SCTP, not of ${protocol}`);
  return {
    ...flags,
    ...(protocol !== undefined && { protocol }),
    jobs: jobsOf(jobs),
    ...(only !== undefined && {
      only: numbersOf(only, protocol === undefined ? SCENARIO_COUNT : PLAIN_SCENARIOS[protocol].length),
    }),
    ...(profile !== undefined && { profile: profileOf(profile) }),
    ...(path !== undefined && { path: surroundingsOf(path) }),
  };
}

function protocolOf(text: string): PlainProtocol | undefined {
  if (text === "tcp" || text === "udp") return text;
  if (text === "sctp") return undefined;
  throw new Error(`--protocol takes sctp, tcp or udp; '${text}' is none`);
}

function numbersOf(text: string, count: number): number[] {
  return text.split(",").map((word) => {
    const number = /^\d+$/.test(word.trim()) ? Number(word) : 0;
    if (number < 1 || number > count)
      throw new Error(`--only takes numbers from 1 to ${count}, with commas between them; '${word}' is none`);
    return number;
  });
}

function jobsOf(text: string): number {
  const count = /^\d+$/.test(text) ? Number(text) : 0;
  if (count < 1 || count > JOB_COUNT_MAX)
    throw new Error(`--jobs takes a number from 1 to ${JOB_COUNT_MAX}; '${text}' is none`);
  return count;
}

function profileOf(text: string): ProfileName {
  const profile = PROFILE_NAMES.find((name) => name === text);
  if (profile === undefined)
    throw new Error(`--profile takes ${PROFILE_NAMES.join(" or ")}; '${text}' is neither`);
  return profile;
}

function surroundingsOf(text: string): Surroundings {
  for (const fastPath of FAST_PATHS)
    for (const family of FAMILIES) if (pathName({ fastPath, family }) === text) return { fastPath, family };
  throw new Error(
    `--path takes PATH/FAMILY, such as xdp/ipv6, of ${FAST_PATHS.join(", ")} and ${FAMILIES.join(", ")}; '${text}' is none`,
  );
}
