// The loop: a veth pair by which this host's own packets to VIPs, and its pods', come to the fast path. VIPs
// are routed to the near end; the programs hang on the far one. Without it the kernel would look for a VIP on
// the network, and whoever owns it, this host included, answers on the network alone.
//
// Routes stand in a table of their own, which is looked into before all but the kernel's own: an operator's
// routes are neither read nor replaced. What comes out of the far end and no program takes is dropped (the
// first rule), or it would go round until its time to live ends. Both ends have one hardware address and
// resolve none: every packet for the other end is its own. Who made it stands in the near end's alias, with
// the settings that were changed, so that the next start finds both.
import type { Address } from "@holdfast/model";
import { type Family, NAT_FAMILIES, ofFamily } from "./identity-nat.ts";
import type { HostTools } from "./tools.ts";

/** Before the rules of the host; "main" is 32766. */
const DROP_PREFERENCE = 131;
const LOOKUP_PREFERENCE = 132;
export const ROUTE_TABLE = 18_534;
const HARDWARE_ADDRESS = "02:48:46:00:00:01";
const MTU_LEAST = 1_500;
const MTU_MOST = 65_535;

export interface LoopNames {
  readonly near: string;
  readonly far: string;
}

/** `hf` → hf0, hf1. */
export function loopNames(name: string): LoopNames {
  return { near: `${name}0`, far: `${name}1` };
}

export interface LinkState {
  readonly ifname: string;
  readonly flags: readonly string[];
  readonly mtu: number;
  readonly address?: string;
  readonly ifalias?: string;
  readonly link?: string;
  readonly linkinfo?: { readonly info_kind?: string };
}

export interface RuleState {
  readonly priority: number;
  readonly iif?: string;
  readonly action?: string;
  readonly table?: string | number;
}

export interface LoopState {
  readonly links: readonly LinkState[];
  readonly rules: Readonly<Record<Family, readonly RuleState[]>>;
  /** VIPs that have a route by the near end. */
  readonly routes: Readonly<Record<Family, readonly string[]>>;
}

/** Settings of the kernel as they were, by interface; for the alias. */
export type Before = ReadonlyMap<string, string>;

const ALIAS = /^holdfast (\S+)(?: (.*))?$/;
/** IFALIASZ, less its end. */
const ALIAS_LENGTH_MAX = 255;

/** What an interface's alias says; undefined: it is not Holdfast's. */
export function readAlias(
  alias: string | undefined,
): { readonly owner: string; readonly before: Before } | undefined {
  const match = ALIAS.exec(alias ?? "");
  if (match === null) return undefined;
  const pairs = (match[2] ?? "").split(" ").map((pair) => pair.split("=", 2));
  return {
    owner: match[1] as string,
    before: new Map(pairs.flatMap(([name, value]) => (name && value ? [[name, value] as const] : []))),
  };
}

/** What does not fit is left out, and not put back later. */
export function aliasOf(owner: string, before: Before): string {
  let text = `holdfast ${owner}`;
  for (const [name, value] of before)
    if (text.length + name.length + value.length + 2 <= ALIAS_LENGTH_MAX) text += ` ${name}=${value}`;
  return text;
}

/** As large as the largest packet of the host's other interfaces. */
export function loopMtu({ links }: LoopState, names: LoopNames): number {
  const others = links.filter(
    ({ ifname, flags }) => ifname !== names.near && ifname !== names.far && !flags.includes("LOOPBACK"),
  );
  return Math.min(MTU_MOST, Math.max(MTU_LEAST, ...others.map(({ mtu }) => mtu)));
}

export type LoopStanding =
  | "absent"
  /** Of another maker: not to be touched. */
  | "foreign"
  /** Ours, and not as it should be: to be made anew. */
  | "broken"
  | "whole";

export function standingOf({ links }: LoopState, names: LoopNames, owner: string): LoopStanding {
  const near = links.find(({ ifname }) => ifname === names.near);
  const far = links.find(({ ifname }) => ifname === names.far);
  if (near === undefined && far === undefined) return "absent";
  // Whoever has only the far one's name is somebody else: our two come and go together.
  if (near === undefined || readAlias(near.ifalias)?.owner !== owner) return "foreign";
  const isPair = far !== undefined && near.link === far.ifname && far.linkinfo?.info_kind === "veth";
  if (!isPair) return far === undefined || readAlias(far.ifalias)?.owner === owner ? "broken" : "foreign";
  return near.address === HARDWARE_ADDRESS && far.address === HARDWARE_ADDRESS ? "whole" : "broken";
}

/** Lines of `ip -batch`, of no family. */
export function linkLines(
  state: LoopState,
  names: LoopNames,
  wish: { readonly owner: string; readonly before: Before },
): string[] {
  const standing = standingOf(state, names, wish.owner);
  const lines: string[] = [];
  const { near, far } = names;
  if (standing === "broken") lines.push(`link delete dev ${near}`);
  if (standing !== "whole") {
    const end = `address ${HARDWARE_ADDRESS} arp off`;
    lines.push(`link add name ${near} ${end} type veth peer name ${far} ${end}`);
    // No addresses of its own, nothing said on it.
    for (const name of [near, far]) lines.push(`link set dev ${name} addrgenmode none`);
    lines.push(`link set dev ${far} alias "${aliasOf(wish.owner, new Map())}"`);
  }
  const mtu = loopMtu(state, names);
  const alias = aliasOf(wish.owner, wish.before);
  for (const name of [near, far]) {
    const link = standing === "whole" ? state.links.find(({ ifname }) => ifname === name) : undefined;
    if (link?.mtu !== mtu) lines.push(`link set dev ${name} mtu ${mtu}`);
    if (name === near && link?.ifalias !== alias) lines.push(`link set dev ${name} alias "${alias}"`);
    if (link?.flags.includes("UP") !== true) lines.push(`link set dev ${name} up`);
  }
  return lines;
}

const isDrop = (rule: RuleState, { far }: LoopNames) =>
  rule.priority === DROP_PREFERENCE && rule.iif === far && rule.action === "blackhole";
const isLookup = ({ priority, table }: RuleState) =>
  priority === LOOKUP_PREFERENCE && String(table) === String(ROUTE_TABLE);

/**
 * Lines of `ip -batch` of a family: the rule against circles before the first route, and routes for `vips`.
 * `keep`: routes of others stay, since not all VIPs may be known yet.
 */
export function routeLines(
  state: LoopState,
  family: Family,
  names: LoopNames,
  vips: readonly Address[],
  keep: boolean,
): string[] {
  const lines: string[] = [];
  const rules = state.rules[family];
  if (!rules.some((rule) => isDrop(rule, names)))
    lines.push(`rule add priority ${DROP_PREFERENCE} iif ${names.far} blackhole`);
  const wanted: readonly string[] = ofFamily(vips, family);
  const present = new Set(state.routes[family]);
  for (const vip of wanted)
    if (!present.has(vip))
      lines.push(`route replace ${vip}/${family === 4 ? 32 : 128} dev ${names.near} table ${ROUTE_TABLE}`);
  const gone = [...present].filter((vip) => !keep && !wanted.includes(vip));
  for (const vip of gone)
    lines.push(`route delete ${vip}/${family === 4 ? 32 : 128} dev ${names.near} table ${ROUTE_TABLE}`);
  if (!rules.some(isLookup)) lines.push(`rule add priority ${LOOKUP_PREFERENCE} lookup ${ROUTE_TABLE}`);
  return lines;
}

/**
 * Takes routes and rules of a family away; routes first, so that nothing is sent into a pair without
 * programs.
 */
export function routeRemovalLines(state: LoopState, family: Family, names: LoopNames): string[] {
  const lines = state.routes[family].map(
    (vip) => `route delete ${vip}/${family === 4 ? 32 : 128} dev ${names.near} table ${ROUTE_TABLE}`,
  );
  for (const rule of state.rules[family]) {
    if (isLookup(rule)) lines.push(`rule delete priority ${LOOKUP_PREFERENCE} lookup ${ROUTE_TABLE}`);
    if (isDrop(rule, names)) lines.push(`rule delete priority ${DROP_PREFERENCE} iif ${names.far} blackhole`);
  }
  return lines;
}

interface ListedRoute {
  readonly dst: string;
  readonly dev?: string;
}

/** Reads links, rules and routes; a family that the kernel does not have has none. */
export async function readLoop(tools: Pick<HostTools, "ip">, names: LoopNames): Promise<LoopState> {
  const links = listOf<LinkState>(await tools.ip(["-json", "-details", "link", "show"]));
  const rules = { 4: [] as RuleState[], 6: [] as RuleState[] };
  const routes = { 4: [] as string[], 6: [] as string[] };
  for (const family of NAT_FAMILIES) {
    const flag = `-${family}`;
    rules[family] = listOf<RuleState>(await tools.ip(["-json", flag, "rule", "show"]).catch(() => "[]"));
    // A table that nothing was ever put into is an error to IPv6's `ip`.
    const listed = await tools
      .ip(["-json", flag, "route", "show", "table", String(ROUTE_TABLE)])
      .catch(() => "[]");
    routes[family] = listOf<ListedRoute>(listed)
      .filter(({ dev }) => dev === names.near)
      .map(({ dst }) => dst.split("/")[0] as string);
  }
  return { links, rules, routes };
}

function listOf<T>(json: string): T[] {
  if (json.trim() === "") return [];
  return JSON.parse(json) as T[];
}
