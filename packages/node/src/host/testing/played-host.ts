// A host for tests, without a kernel.
import { HoldfastError } from "@holdfast/model";
import type { LinkState } from "../loop.ts";
import type { HostTools } from "../tools.ts";

const MAC = "02:48:46:00:00:01";
export const ETH0: LinkState = { ifname: "eth0", flags: ["UP"], mtu: 9000 };

/** A host that does what the commands say, as far as they are ours. */
export class PlayedHost implements HostTools {
  links: LinkState[] = [ETH0];
  readonly rules = { 4: [] as object[], 6: [] as object[] };
  readonly routes = { 4: new Set<string>(), 6: new Set<string>() };
  readonly settings = new Map([["net/ipv4/ip_forward", "1"]]);
  readonly tables = new Map<string, Set<string>>();
  readonly lines: string[] = [];
  readonly scripts: string[] = [];
  refusesNft = false;

  async ip(args: readonly string[], input?: string): Promise<string> {
    const family = args.includes("-6") ? 6 : 4;
    if (input === undefined) {
      if (args.includes("link")) return JSON.stringify(this.links);
      if (args.includes("rule")) return JSON.stringify(this.rules[family]);
      return JSON.stringify([...this.routes[family]].map((dst) => ({ dst, dev: "hf0" })));
    }
    for (const line of input.trim().split("\n")) {
      this.lines.push(line);
      this.#obey(line.split(" "), family);
    }
    return "";
  }

  async nft(args: readonly string[], script?: string): Promise<string> {
    if (this.refusesNft) throw new HoldfastError("HOST_NFT_FAILED", { reason: "no such program" });
    if (script !== undefined) {
      this.scripts.push(script);
      for (const [, family = "", name = ""] of script.matchAll(/^delete table (\S+) (\S+)$/gm))
        this.tables.delete(`${family} ${name}`);
      for (const [, family = "", name = ""] of script.matchAll(/^table (\S+) (\S+) \{$/gm))
        this.tables.set(`${family} ${name}`, new Set());
      for (const [, family = "", name = ""] of script.matchAll(/^flush set (\S+) (\S+) vips$/gm))
        this.tables.get(`${family} ${name}`)?.clear();
      for (const [, family = "", name = "", vips = ""] of script.matchAll(
        /^add element (\S+) (\S+) vips \{ (.*) \}$/gm,
      ))
        for (const vip of vips.split(", ")) this.tables.get(`${family} ${name}`)?.add(vip);
      return "";
    }
    const [family = "", name = ""] = args.slice(-2);
    const vips = this.tables.get(`${family} ${name}`);
    if (vips === undefined)
      throw new HoldfastError("HOST_NFT_FAILED", { reason: "Error: No such file or directory" });
    const rule = (chain: string) => ({ rule: { family, table: name, chain } });
    const chain = (hook: string) => ({ chain: { family, table: name, name: hook, hook } });
    const nftables = [
      { table: { family, name } },
      { set: { family, table: name, name: "vips", elem: [...vips] } },
      ...["prerouting", "output", "postrouting"].flatMap((hook) => [chain(hook), rule(hook)]),
      rule("postrouting"),
    ];
    return JSON.stringify({ nftables });
  }

  setting(name: string): string | undefined {
    return this.settings.get(name);
  }

  set(name: string, value: string): boolean {
    this.settings.set(name, value);
    return true;
  }

  #obey(words: readonly string[], family: 4 | 6): void {
    const [what, verb] = words;
    const after = (word: string) => words[words.indexOf(word) + 1] ?? "";
    if (what === "link" && verb === "add") {
      const veth = { flags: [], mtu: 1500, address: MAC, linkinfo: { info_kind: "veth" } };
      this.links.push({ ifname: "hf0", link: "hf1", ...veth }, { ifname: "hf1", link: "hf0", ...veth });
    } else if (what === "link" && verb === "delete") {
      this.links = this.links.filter(({ ifname }) => !ifname.startsWith("hf"));
    } else if (what === "link") {
      const change = {
        ...(words.includes("mtu") && { mtu: Number(after("mtu")) }),
        ...(words.includes("alias") && {
          ifalias: words
            .slice(words.indexOf("alias") + 1)
            .join(" ")
            .slice(1, -1),
        }),
        ...(words.at(-1) === "up" && { flags: ["UP"] }),
      };
      this.links = this.links.map((link) => (link.ifname === after("dev") ? { ...link, ...change } : link));
    } else if (what === "route") {
      const vip = (words[2] ?? "").split("/")[0] ?? "";
      if (verb === "delete") this.routes[family].delete(vip);
      else this.routes[family].add(vip);
    } else if (what === "rule") {
      const priority = Number(after("priority"));
      if (verb === "delete")
        this.rules[family] = this.rules[family].filter(
          (rule) => (rule as { priority: number }).priority !== priority,
        );
      else
        this.rules[family].push(
          words.includes("iif")
            ? { priority, iif: after("iif"), action: "blackhole" }
            : { priority, table: after("lookup") },
        );
    }
  }
}
