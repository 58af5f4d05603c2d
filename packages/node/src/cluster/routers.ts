// From the configuration to what the bgp announcer is told, and what a change of it does to sessions. Reads
// nothing but password files.
import { readFileSync } from "node:fs";
import type { BgpConfiguration, RouterConfiguration } from "@holdfast/announcer";
import { HoldfastError, type RankPolicy } from "@holdfast/model";
import { ownMember } from "../config/check.ts";
import type { RouterSpecification } from "../config/routers.ts";
import type { Configuration } from "../config/schema.ts";
import type { SystemInterface } from "../network/interfaces.ts";

type Ranks = NonNullable<RouterSpecification["announce"]>;

/** exactOptionalPropertyTypes: what the schema left out must not be there. */
const policies = (ranks: Ranks): readonly RankPolicy[] => ranks as readonly RankPolicy[];

export function bgpConfiguration(
  configuration: Configuration,
  system: ReadonlyMap<string, SystemInterface>,
): BgpConfiguration {
  return {
    routerId: configuration.announcer.routerId ?? routerIdOf(configuration, system),
    announce: policies(configuration.announce),
    holdDownMs: configuration.announcer.holdDownMs,
    routers: configuration.routers.map((router) => routerOf(router, configuration)),
  };
}

function routerOf(router: RouterSpecification, configuration: Configuration): RouterConfiguration {
  const { localAs, passwordFile, announce, ...rest } = router;
  const own = localAs ?? configuration.announcer.localAs;
  // The check of the configuration has seen to it.
  if (own === undefined) throw new Error(`router ${router.name} has no localAs`);
  const password = router.password ?? (passwordFile === undefined ? undefined : readPassword(passwordFile));
  return {
    ...(rest as Omit<RouterConfiguration, "localAs" | "announce">),
    localAs: own,
    ...(password !== undefined && { password }),
    ...(announce !== undefined && announce.length > 0 && { announce: policies(announce) }),
  };
}

function readPassword(path: string): string {
  let text: string;
  try {
    text = readFileSync(path, "utf8").split("\n")[0]?.trimEnd() ?? "";
  } catch (cause) {
    throw new HoldfastError("CONFIG_ROUTER_PASSWORD_INVALID", {
      file: path,
      reason: (cause as Error).message,
    });
  }
  if (text === "" || text.length > 80 || /["\\]/.test(text))
    throw new HoldfastError("CONFIG_ROUTER_PASSWORD_INVALID", {
      file: path,
      reason:
        "its first line is empty, longer than 80 characters, or has a quotation mark or a backslash in it",
    });
  return text;
}

/** The first IPv4 address that the host has; without one, something of the member's number. */
function routerIdOf(configuration: Configuration, system: ReadonlyMap<string, SystemInterface>): string {
  for (const { addresses } of system.values())
    for (const { address } of addresses) if (!address.includes(":")) return address;
  return `0.0.1.${ownMember(configuration).number + 1}`;
}

/** Fields whose change ends a session: RFC 4271 negotiates them at its beginning. */
const SESSION_FIELDS = [
  "address",
  "interface",
  "port",
  "as",
  "localAs",
  "password",
  "passwordFile",
  "ttlSecurity",
  "multihop",
  "holdS",
  "ipv6",
  "extendedNextHop",
  "passive",
] as const;

/**
 * Routers whose sessions this change ends: those changed in what a session begins with, and those not named
 * any more.
 */
export function flappingRouters(before: Configuration, after: Configuration): readonly string[] {
  const next = new Map(after.routers.map((router) => [router.name, router]));
  return before.routers
    .filter((router) => {
      const changed = next.get(router.name);
      if (changed === undefined) return true;
      // Ending BFD lets the router believe that this member is dead.
      if (router.bfd !== undefined && changed.bfd === undefined) return true;
      const own = (configuration: Configuration, { localAs }: RouterSpecification) =>
        localAs ?? configuration.announcer.localAs;
      return (
        own(before, router) !== own(after, changed) ||
        SESSION_FIELDS.some((field) => field !== "localAs" && router[field] !== changed[field])
      );
    })
    .map(({ name }) => name);
}
