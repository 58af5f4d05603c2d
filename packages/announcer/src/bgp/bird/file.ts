// The whole truth that BIRD is told, as one file: sessions, filters, routes. Each change is this file written anew and
// `configure`: BIRD compares, and what did not change does not flap. One static protocol a family holds all routes, so
// that a move of one VIP among a thousand is read in milliseconds and goes out as one implicit replace.
import { createHash } from "node:crypto";
import type { RankPolicy, RouteAttributes, ServiceAnnounce } from "@holdfast/model";
import type { AnnouncedRank } from "../../announcer.ts";
import type { BgpConfiguration, RouterConfiguration, SpeakerRoute } from "../configuration.ts";
import { familiesOf, isHeldDown, isInternal, policiesOf, policyAt, toldRank } from "../policy.ts";

/** BIRD's names may not be words of its language: ours all begin so. */
export const NAME_PREFIX = "hf_";
/** `hf_rank` of a member that leaves. */
const LEAVING = 1_000;

/** What BIRD's names for a router have in them: the router's own name, however many stand before it in the list. */
export function keyOf({ name }: Pick<RouterConfiguration, "name">): string {
  const digest = createHash("sha256").update(name).digest("hex").slice(0, 6);
  return `${name.replaceAll(/[^A-Za-z0-9]/g, "_").slice(0, 24)}_${digest}`;
}

export function protocolName(router: Pick<RouterConfiguration, "name">): string {
  return `${NAME_PREFIX}router_${keyOf(router)}`;
}

/** BIRD puts a number behind it, for each neighbour that it finds. */
export function foundName(router: Pick<RouterConfiguration, "name">): string {
  return `${NAME_PREFIX}found_${keyOf(router)}_`;
}

export function birdFile(configuration: BgpConfiguration, routes: readonly SpeakerRoute[]): string {
  const networks = numbered(routes.map(({ network }) => network));
  const policies = numbered(routes.map(policyKey));
  const { routers } = configuration;
  return [
    "# Written by Holdfast at every change; edits are lost.",
    "log stderr all;",
    "timeformat log iso long us;",
    `router id ${configuration.routerId};`,
    "protocol device { scan time 10; }",
    "attribute int hf_rank;",
    "attribute int hf_network;",
    "attribute int hf_policy;",
    ...(routers.some(({ bfd }) => bfd !== undefined) ? [`protocol bfd ${NAME_PREFIX}bfd { }`] : []),
    ...routers.flatMap((router) => [
      exportFilter(configuration, router, networks, policies),
      session(router),
    ]),
    ...routers.flatMap((router) =>
      router.address === undefined && router.interface !== undefined
        ? [advertisements(router.interface)]
        : [],
    ),
    statics("ipv4", routes, networks, policies),
    statics("ipv6", routes, networks, policies),
    "",
  ].join("\n");
}

/** What tells a service's attributes from another's. */
function policyKey({ announce }: SpeakerRoute): string | undefined {
  const { ranks, routers } = announce ?? {};
  return ranks === undefined && routers === undefined ? undefined : JSON.stringify({ ranks, routers });
}

/** 0 for none, 1 … for what there is. */
function numbered(values: readonly (string | undefined)[]): ReadonlyMap<string | undefined, number> {
  const numbers = new Map<string | undefined, number>([[undefined, 0]]);
  for (const value of values) if (!numbers.has(value)) numbers.set(value, numbers.size);
  return numbers;
}

function statics(
  family: "ipv4" | "ipv6",
  routes: readonly SpeakerRoute[],
  networks: ReadonlyMap<string | undefined, number>,
  policies: ReadonlyMap<string | undefined, number>,
): string {
  const v6 = family === "ipv6";
  const lines = routes
    .filter(({ vip }) => vip.includes(":") === v6)
    .map((route) => {
      const { vip, network } = route;
      const policy = policies.get(policyKey(route)) ?? 0;
      const place = networks.get(network) ?? 0;
      // Not the BGP attributes themselves: MED set here would not leave the AS. What most routes have is not
      // written: BIRD reads all of it at every change.
      const marks = [
        `hf_rank = ${numberOf(toldRank(route))};`,
        ...(place === 0 ? [] : [`hf_network = ${place};`]),
        ...(policy === 0 ? [] : [`hf_policy = ${policy};`]),
      ];
      return `  route ${vip}/${v6 ? 128 : 32} blackhole { ${marks.join(" ")} };`;
    });
  return [`protocol static ${NAME_PREFIX}vips_${family} { ${family};`, ...lines, "}"].join("\n");
}

function numberOf(rank: AnnouncedRank): number {
  return rank === "leaving" ? LEAVING : rank;
}

function exportFilter(
  configuration: BgpConfiguration,
  router: RouterConfiguration,
  networks: ReadonlyMap<string | undefined, number>,
  policies: ReadonlyMap<string | undefined, number>,
): string {
  const lines = [
    `filter ${NAME_PREFIX}to_${keyOf(router)} {`,
    "  if source != RTS_STATIC then reject;",
    "  if !defined(hf_rank) then reject;",
  ];
  if (router.networks !== undefined) {
    const allowed = router.networks.flatMap((network) => networks.get(network) ?? []);
    const isOther = allowed.length === 0 ? "true" : `!(hf_network ~ [${allowed.join(", ")}])`;
    lines.push(`  if defined(hf_network) then { if ${isOther} then reject; }`);
  }
  for (const [text, number] of policies) {
    const own = text === undefined ? undefined : (JSON.parse(text) as ServiceAnnounce);
    const list = policiesOf(configuration, router, own);
    // An attribute that is not there is equal to nothing, and comparing it ends the filter.
    lines.push(number === 0 ? "  if !defined(hf_policy) then {" : `  else if hf_policy = ${number} then {`);
    lines.push(
      `    if hf_rank = ${LEAVING} then { ${statements(policyAt(list, "leaving", router), router)} }`,
    );
    for (const rank of list.keys()) {
      const last = rank === list.length - 1;
      const body = statements(policyAt(list, rank, router, isHeldDown(configuration, router)), router);
      lines.push(last ? `    ${body}` : `    if hf_rank = ${rank} then { ${body} }`);
    }
    lines.push("  }");
  }
  lines.push("  reject;", "}");
  return lines.join("\n");
}

function statements(policy: RankPolicy, router: RouterConfiguration): string {
  if (policy === false) return "reject;";
  return [...attributes(policy, router), "accept;"].join(" ");
}

const ORIGINS = { igp: "ORIGIN_IGP", egp: "ORIGIN_EGP", incomplete: "ORIGIN_INCOMPLETE" } as const;

function attributes(policy: RouteAttributes, router: RouterConfiguration): string[] {
  return [
    // A route of INCOMPLETE origin beside two of IGP falls out of ECMP.
    `bgp_origin = ${ORIGINS[policy.origin ?? "igp"]};`,
    ...(policy.med === undefined ? [] : [`bgp_med = ${policy.med};`]),
    ...(policy.localPref === undefined || !isInternal(router)
      ? []
      : [`bgp_local_pref = ${policy.localPref};`]),
    ...Array.from({ length: policy.prepend ?? 0 }, () => `bgp_path.prepend(${router.localAs});`),
    ...(policy.communities ?? []).map((text) => `bgp_community.add((${text.split(":").join(",")}));`),
    ...(policy.largeCommunities ?? []).map(
      (text) => `bgp_large_community.add((${text.split(":").join(",")}));`,
    ),
  ];
}

function session(router: RouterConfiguration): string {
  const families = familiesOf(router);
  const channel = (family: "ipv4" | "ipv6") => [
    `  ${family} {`,
    "    import none;",
    `    export filter ${NAME_PREFIX}to_${keyOf(router)};`,
    ...(family === "ipv4" && router.extendedNextHop ? ["    extended next hop on;"] : []),
    "  };",
  ];
  const { bfd } = router;
  return [
    `protocol bgp ${protocolName(router)} {`,
    `  description ${quoted(router.name)};`,
    `  local as ${router.localAs};`,
    router.address === undefined
      ? `  neighbor range fe80::/10 as ${router.as};\n  dynamic name "${foundName(router)}";`
      : `  neighbor ${router.address}${router.port === undefined ? "" : ` port ${router.port}`} as ${router.as};`,
    ...(router.interface === undefined ? [] : [`  interface ${quoted(router.interface)};`]),
    router.multihop === undefined ? "  direct;" : `  multihop ${router.multihop};`,
    `  hold time ${router.holdS};`,
    "  connect delay time 1;",
    "  connect retry time 2;",
    "  error wait time 1,5;",
    // A restart helper would keep the routes of a dead member: the way around it is the next rank's route.
    "  graceful restart off;",
    "  long lived graceful restart off;",
    ...(router.passive ? ["  passive on;"] : []),
    ...(router.ttlSecurity ? ["  ttl security on;"] : []),
    ...(router.password === undefined ? [] : [`  password ${quoted(router.password)};`]),
    ...(bfd === undefined
      ? []
      : [
          `  bfd { min rx interval ${bfd.intervalMs} ms; min tx interval ${bfd.intervalMs} ms; idle tx interval ${Math.max(bfd.intervalMs, 200)} ms; multiplier ${bfd.multiplier}; };`,
        ]),
    ...(families.ipv4 ? channel("ipv4") : []),
    ...(families.ipv6 ? channel("ipv6") : []),
    "}",
  ].join("\n");
}

/** A router that is looked for on an interface learns our link-local address from these. */
function advertisements(name: string): string {
  return `protocol radv { interface ${quoted(name)} { min ra interval 3; max ra interval 4; default lifetime 0; }; }`;
}

function quoted(text: string): string {
  // BIRD knows no escapes; the schema lets no such characters in.
  return `"${text.replaceAll(/["\\\n\r]/g, "")}"`;
}
