// AF_PACKET copies: the host's own stack still gets every packet for a VIP, and would answer with ICMP or
// ABORT, or route it. A table of nftables drops them in prerouting, behind the copy. It is left in place when
// the daemon stops, so that the host stays silent; `remove` takes it away.
import { spawnSync } from "node:child_process";
import { type Address, familyOf, HoldfastError } from "@holdfast/model";

/** Before conntrack's defragmentation (-400), so that fragments are not collected for nothing. */
const PRIORITY = -450;

export class HostGuard {
  readonly #table: string;

  /** `table`: the name of the nftables table, unique on the host. */
  constructor(table: string) {
    this.#table = table;
  }

  /**
   * Replaces the set of addresses in one transaction. Throws USERSPACE_GUARD_FAILED when nft does not do it.
   */
  protect(addresses: readonly Address[]): void {
    const set = (name: string, type: string, members: readonly Address[]) =>
      `set ${name} { type ${type}; ${members.length > 0 ? `elements = { ${members.join(", ")} };` : ""} }`;
    const ipv4 = addresses.filter((address) => familyOf(address) === 4);
    const ipv6 = addresses.filter((address) => familyOf(address) === 6);
    nft(`
table inet ${this.#table}
delete table inet ${this.#table}
table inet ${this.#table} {
  ${set("local4", "ipv4_addr", ipv4)}
  ${set("local6", "ipv6_addr", ipv6)}
  chain prerouting {
    type filter hook prerouting priority ${PRIORITY}; policy accept;
    ip daddr @local4 drop
    ip6 daddr @local6 drop
  }
}
`);
  }

  remove(): void {
    nft(`table inet ${this.#table}\ndelete table inet ${this.#table}\n`);
  }
}

function nft(script: string): void {
  const result = spawnSync("nft", ["-f", "-"], { input: script, encoding: "utf8" });
  if (result.error === undefined && result.status === 0) return;
  const reason = result.error?.message ?? result.stderr.trim().split("\n")[0] ?? "unknown";
  throw new HoldfastError("USERSPACE_GUARD_FAILED", { reason }, { cause: result.error });
}
