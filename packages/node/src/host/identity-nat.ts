// A table of nftables in which packets of VIPs are bound to the addresses that they have. A connection has
// one binding of each kind, made by the first chain that makes one: neither a CNI's masquerade (which would
// change the source of a pod's HEARTBEAT to a VIP) nor kube-proxy's DNAT (which would take it to another
// Service's pod) is asked afterwards. conntrack sees both directions as they are, and policies that look at
// its state hold.
import { type Address, canonicalAddress, familyOf } from "@holdfast/model";

/** Directly before the chains of iptables' nat table and kube-proxy's, at the hooks' usual priorities. */
const BEFORE = { prerouting: "dstnat - 1", output: "-101", postrouting: "srcnat - 1" } as const;

export const NAT_FAMILIES = [4, 6] as const;
export type Family = (typeof NAT_FAMILIES)[number];

export interface NatTable {
  readonly name: string;
  /** Addresses go by themselves when they are not put in again for so long, seconds. undefined: they stay. */
  readonly timeoutS?: number;
}

/** Addresses of the table's set; undefined: the table is not there, or is not as it was made. */
export interface NatState {
  readonly vips: ReadonlySet<Address>;
  readonly isWhole: boolean;
}

const familyName = (family: Family) => (family === 4 ? "ip" : "ip6");

/** The rules of a family in their order, as `nft` prints them. */
function rulesOf(family: Family): Readonly<Record<keyof typeof BEFORE, readonly string[]>> {
  const ip = familyName(family);
  const destination = [`${ip} daddr @vips dnat to ${ip} daddr`];
  return {
    prerouting: destination,
    output: destination,
    postrouting: [`${ip} daddr @vips snat to ${ip} saddr`, `${ip} saddr @vips snat to ${ip} saddr`],
  };
}

/** Replaces the table in one transaction. */
export function tableScript(table: NatTable, family: Family, vips: readonly Address[]): string {
  const name = `${familyName(family)} ${table.name}`;
  const timeout = table.timeoutS === undefined ? "" : ` flags timeout; timeout ${table.timeoutS}s;`;
  const chains = Object.entries(rulesOf(family)).map(([hook, rules]) => {
    const priority = BEFORE[hook as keyof typeof BEFORE];
    const lines = rules.map((rule) => `    ${rule}\n`).join("");
    return `  chain ${hook} {\n    type nat hook ${hook} priority ${priority}; policy accept;\n${lines}  }\n`;
  });
  return [
    `table ${name}`,
    `delete table ${name}`,
    `table ${name} {`,
    `  set vips { type ${family === 4 ? "ipv4_addr" : "ipv6_addr"};${timeout} }`,
    chains.join(""),
    "}",
    elements(name, vips),
  ].join("\n");
}

/** Other addresses, or the same for another while; the rules stay, and with them what conntrack knows. */
export function addressesScript(table: NatTable, family: Family, vips: readonly Address[]): string {
  const name = `${familyName(family)} ${table.name}`;
  return [`flush set ${name} vips`, elements(name, vips)].join("\n");
}

export function removalScript({ name }: NatTable, family: Family): string {
  return `table ${familyName(family)} ${name}\ndelete table ${familyName(family)} ${name}\n`;
}

function elements(name: string, vips: readonly Address[]): string {
  return vips.length === 0 ? "" : `add element ${name} vips { ${vips.join(", ")} }\n`;
}

/** The arguments by which `nft` tells of our table alone: a node's ruleset has tens of thousands of rules. */
export function tableQuestion({ name }: NatTable, family: Family): string[] {
  return ["-j", "list", "table", familyName(family), name];
}

/** What `nft` says of a table that is not there. */
export const NO_SUCH_TABLE = /No such file or directory/;

interface Element {
  readonly elem?: { readonly val?: unknown };
}
interface Listed {
  readonly table?: { readonly family: string; readonly name: string };
  readonly set?: {
    readonly family: string;
    readonly table: string;
    readonly name: string;
    readonly elem?: readonly (string | Element)[];
  };
  readonly chain?: {
    readonly family: string;
    readonly table: string;
    readonly name: string;
    readonly hook?: string;
  };
  readonly rule?: { readonly family: string; readonly table: string; readonly chain: string };
}

/** What `nft -j list` says about our table of a family. */
export function natStateOf(json: string, table: NatTable, family: Family): NatState | undefined {
  const { nftables } = JSON.parse(json) as { readonly nftables: readonly Listed[] };
  const isOurs = (each: { readonly family: string; readonly table: string } | undefined) =>
    each?.family === familyName(family) && each.table === table.name;
  if (!nftables.some((each) => each.table?.family === familyName(family) && each.table.name === table.name))
    return undefined;
  const set = nftables.find((each) => isOurs(each.set) && each.set?.name === "vips")?.set;
  const elements = (set?.elem ?? []).map((each) =>
    canonicalAddress(typeof each === "string" ? each : String(each.elem?.val ?? "")),
  );
  const vips = elements.filter((each) => each !== undefined);
  const isWhole =
    set !== undefined &&
    vips.length === elements.length &&
    Object.entries(rulesOf(family)).every(([hook, rules]) => {
      const chain = nftables.some((each) => isOurs(each.chain) && each.chain?.hook === hook);
      return (
        chain &&
        nftables.filter((each) => isOurs(each.rule) && each.rule?.chain === hook).length === rules.length
      );
    });
  return { vips: new Set(vips), isWhole };
}

/** Those of a family, each once. */
export function ofFamily(vips: Iterable<Address>, family: Family): Address[] {
  return [...new Set(vips)].filter((vip) => familyOf(vip) === family).sort();
}
