// What each router is told, as GoBGP's export policies: VIPs that all routers are told in the same way share a set of
// prefixes; for each router such a set has one statement. What no statement names is rejected. Pure.
import type { RouteAttributes } from "@holdfast/model";
import type { BgpConfiguration, RouterConfiguration, SpeakerRoute } from "../configuration.ts";
import { decide, isInternal } from "../policy.ts";
import { addressOf, NOTHING_NAME, POLICY_NAME } from "./file.ts";

const DEFINED = { prefix: 1, neighbour: 2 } as const;
const MATCH_ANY = 1;
const ACTION = { accept: 1, reject: 2 } as const;
const MED_REPLACE = 2;
const COMMUNITY_ADD = 1;
/** RFC 4271 §5.1.1, as the API has them. */
const ORIGINS = { igp: 1, egp: 2, incomplete: 3 } as const;

const NOTHING = { name: NOTHING_NAME, actions: { route_action: ACTION.reject } };

interface Group {
  readonly vips: string[];
  /** By the router's place in the list; undefined: it is not told. */
  readonly told: readonly (RouteAttributes | undefined)[];
}

/** The request of SetPolicies. */
export function gobgpPolicies(configuration: BgpConfiguration, routes: readonly SpeakerRoute[]): object {
  const { routers } = configuration;
  const groups = grouped(configuration, routes);
  const statements = groups.flatMap(({ told }, group) =>
    routers.flatMap((router, index) => {
      const attributes = told[index];
      return attributes === undefined ? [] : [statement(router, index, group, attributes)];
    }),
  );
  return {
    defined_sets: [
      ...routers.map((router, index) => ({
        defined_type: DEFINED.neighbour,
        name: `router-${index}`,
        list: [addressOf(router).replace(/%.*$/, "")],
      })),
      ...groups.map(({ vips }, group) => ({
        defined_type: DEFINED.prefix,
        name: `vips-${group}`,
        prefixes: vips.map((vip) => {
          const length = vip.includes(":") ? 128 : 32;
          return { ip_prefix: `${vip}/${length}`, mask_length_min: length, mask_length_max: length };
        }),
      })),
    ],
    policies: [{ name: POLICY_NAME, statements: statements.length === 0 ? [NOTHING] : statements }],
  };
}

/** A set of prefixes is of one family. */
function grouped(configuration: BgpConfiguration, routes: readonly SpeakerRoute[]): readonly Group[] {
  const groups = new Map<string, Group>();
  for (const route of routes) {
    const told = configuration.routers.map((router) => decide(configuration, router, route).attributes);
    const key = JSON.stringify([route.vip.includes(":"), told.map((each) => each ?? null)]);
    const group = groups.get(key) ?? { vips: [], told };
    group.vips.push(route.vip);
    groups.set(key, group);
  }
  return [...groups.values()];
}

function statement(
  router: RouterConfiguration,
  index: number,
  group: number,
  attributes: RouteAttributes,
): object {
  const { med, prepend = 0, localPref, communities = [], largeCommunities = [], origin } = attributes;
  return {
    name: `router-${index}-vips-${group}`,
    conditions: {
      prefix_set: { type: MATCH_ANY, name: `vips-${group}` },
      neighbor_set: { type: MATCH_ANY, name: `router-${index}` },
    },
    actions: {
      route_action: ACTION.accept,
      ...(med !== undefined && { med: { type: MED_REPLACE, value: med } }),
      ...(prepend > 0 && { as_prepend: { asn: router.localAs, repeat: prepend } }),
      ...(localPref !== undefined && isInternal(router) && { local_pref: { value: localPref } }),
      ...(communities.length > 0 && { community: { type: COMMUNITY_ADD, communities } }),
      ...(largeCommunities.length > 0 && {
        large_community: { type: COMMUNITY_ADD, communities: largeCommunities },
      }),
      ...(origin !== undefined && { origin_action: { origin: ORIGINS[origin] } }),
    },
  };
}
