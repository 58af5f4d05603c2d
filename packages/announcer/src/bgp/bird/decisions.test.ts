// What BIRD makes of its filters is what `decide` says of every VIP and router: the API shows the one, and
// routers get the other.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { RouteAttributes } from "@holdfast/model";
import type { BgpConfiguration, SpeakerRoute } from "../configuration.ts";
import { decide } from "../policy.ts";
import { TOR } from "../testing/tor.ts";
import { birdFile, keyOf, NAME_PREFIX } from "./file.ts";

const BOTH = { ...TOR, ipv6: true };
const CONFIGURATION: BgpConfiguration = {
  routerId: "198.18.0.1",
  announce: [],
  holdDownMs: 3_000,
  heldDown: ["held"],
  routers: [
    BOTH,
    { ...BOTH, name: "held", address: "198.18.1.254" },
    { ...BOTH, name: "inside", as: BOTH.localAs, address: "198.18.2.254" },
    { ...BOTH, name: "near", address: "198.18.3.254", networks: ["path-a"] },
    { ...BOTH, name: "elsewhere", address: "198.18.4.254", networks: ["path-z"] },
    { ...BOTH, name: "own", address: "198.18.5.254", announce: [{ med: 1, origin: "egp" }, false] },
  ],
};
const SAID = { ranks: [{ med: 5 }, { med: 50, prepend: 3, communities: ["65001:9"] }, false as const] };
const ROUTES: readonly SpeakerRoute[] = (["leaving", 0, 1, 2, 7] as const).flatMap((rank, n) => [
  { vip: `203.0.113.${n}`, rank, network: undefined },
  { vip: `203.0.113.${n + 10}`, rank, network: "path-a" },
  { vip: `203.0.113.${n + 20}`, rank, network: "path-b", announce: SAID },
  { vip: `203.0.113.${n + 30}`, rank, network: "path-a", announce: { ...SAID, spread: true } },
  {
    vip: `203.0.113.${n + 40}`,
    rank,
    network: undefined,
    announce: { routers: { near: [{ med: 7 }, false] } },
  },
  { vip: `2001:db8:113::${n + 1}`, rank, network: "path-b", announce: SAID },
]);

test("BIRD's filters decide as `decide` does", { timeout: 60_000 }, async () => {
  const directory = mkdtempSync(join(tmpdir(), "holdfast-bird-"));
  const at = (name: string) => join(directory, name);
  // Without its sessions it needs no network of its own.
  const text = birdFile(CONFIGURATION, ROUTES).replace(/^protocol bgp .*?^\}$/gms, "");
  writeFileSync(at("conf"), text);
  const bird = spawn("/usr/sbin/bird", ["-f", "-c", at("conf"), "-s", at("ctl"), "-P", at("pid")], {
    stdio: "ignore",
  });
  try {
    while (!existsSync(at("ctl"))) {
      assert.equal(bird.exitCode, null);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    for (const router of CONFIGURATION.routers) {
      const words = ["show", "route", "all", "filter", `${NAME_PREFIX}to_${keyOf(router)}`];
      const told = toldBy(execFileSync("birdc", ["-s", at("ctl"), ...words], { encoding: "utf8" }));
      const expected = ROUTES.flatMap((route) => {
        const { attributes } = decide(CONFIGURATION, router, route);
        return attributes === undefined ? [] : [[route.vip, normal(attributes)] as const];
      });
      assert.deepEqual(new Map([...told].sort()), new Map(expected.sort()), router.name);
    }
  } finally {
    bird.kill("SIGKILL");
    rmSync(directory, { recursive: true, force: true });
  }
});

/** What is not said is nothing, whoever does not say it. */
function normal({ med, prepend, localPref, communities, largeCommunities, origin }: RouteAttributes): object {
  return {
    med,
    prepend: prepend ?? 0,
    localPref,
    communities: [...(communities ?? [])].sort(),
    largeCommunities: [...(largeCommunities ?? [])].sort(),
    origin: origin ?? "igp",
  };
}

/** VIP → attributes, from BIRD's words. */
function toldBy(text: string): Map<string, object> {
  const routes = text.split(/^(?=[0-9a-f.:]+\/\d+ )/m).slice(1);
  return new Map(
    routes.map((route) => {
      const field = (name: string) => new RegExp(`BGP\\.${name}: (.*)`).exec(route)?.[1]?.trim();
      const list = (name: string) =>
        [...(field(name) ?? "").matchAll(/\(([^)]+)\)/g)].map(([, each = ""]) =>
          each.replaceAll(/,\s*/g, ":"),
        );
      const number = (name: string) => (field(name) === undefined ? undefined : Number(field(name)));
      const attributes = {
        ...(number("med") !== undefined && { med: number("med") as number }),
        ...(number("local_pref") !== undefined && { localPref: number("local_pref") as number }),
        prepend: (field("as_path") ?? "").split(" ").filter((each) => each !== "").length,
        communities: list("community"),
        largeCommunities: list("large_community"),
        origin: field("origin")?.toLowerCase() as "igp",
      };
      return [route.split("/")[0] as string, normal(attributes)];
    }),
  );
}
