import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { BgpConfiguration, RouterConfiguration, SpeakerRoute } from "../configuration.ts";
import { birdFile, protocolName } from "./file.ts";

const UNNUMBERED: RouterConfiguration = {
  name: "unnumbered",
  interface: "eth1",
  as: 65_000,
  localAs: 65_001,
  ttlSecurity: false,
  holdS: 30,
  ipv6: false,
  extendedNextHop: true,
  passive: false,
};
const { interface: _, ...NUMBERED } = UNNUMBERED;
const BASE: RouterConfiguration = {
  ...NUMBERED,
  name: "tor1",
  address: "198.18.0.254",
  extendedNextHop: false,
};

/** Every option once. */
const EVERYTHING: BgpConfiguration = {
  routerId: "198.18.0.1",
  announce: [],
  holdDownMs: 3_000,
  heldDown: ["tor2"],
  routers: [
    BASE,
    { ...BASE, name: "tor2", address: "198.18.1.254", bfd: { intervalMs: 50, multiplier: 3 }, ipv6: true },
    {
      ...BASE,
      name: "inside",
      address: "198.18.2.254",
      as: 65_001,
      password: "a secret of ours",
      passive: true,
    },
    { ...BASE, name: "far", address: "192.0.2.1", port: 1790, multihop: 3, networks: ["path-a"] },
    { ...BASE, name: "strict", address: "198.18.3.254", ttlSecurity: true, announce: [{ med: 1 }, false] },
    { ...BASE, name: "six", address: "2001:db8:1::1", extendedNextHop: true },
    { ...BASE, name: "local", address: "fe80::1", interface: "eth0", localAs: 4_200_000_000 },
    UNNUMBERED,
  ],
};
const ROUTES: readonly SpeakerRoute[] = [
  { vip: "203.0.113.1", rank: 0, network: "path-a" },
  { vip: "203.0.113.2", rank: 1, network: "path-b" },
  { vip: "203.0.113.3", rank: "leaving", network: undefined },
  {
    vip: "2001:db8:113::1",
    rank: 2,
    network: undefined,
    announce: {
      ranks: [
        { med: 4_294_967_295, prepend: 16, communities: ["65001:7"], largeCommunities: ["4200000000:0:7"] },
        { localPref: 200, origin: "incomplete" },
      ],
      routers: { far: [{ med: 7 }, false] },
    },
  },
  {
    vip: "203.0.113.4",
    rank: 2,
    network: undefined,
    announce: { spread: true },
  },
];

test("BIRD takes a file with every option in it", () => {
  const directory = mkdtempSync(join(tmpdir(), "holdfast-bird-"));
  try {
    const file = join(directory, "bird.conf");
    for (const routes of [ROUTES, []]) {
      writeFileSync(file, birdFile(EVERYTHING, routes));
      execFileSync("/usr/sbin/bird", ["-p", "-c", file], { stdio: "pipe" });
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});

test("nothing is taken from routers, and nothing but the VIPs is given to them", () => {
  const text = birdFile(EVERYTHING, ROUTES);
  assert.equal(text.match(/import none;/g)?.length, text.match(/export filter/g)?.length);
  assert.equal(text.includes("protocol kernel"), false);
  assert.equal(text.match(/if source != RTS_STATIC then reject;/g)?.length, EVERYTHING.routers.length);
});

test("a router's networks are numbers that its filter names; VIPs of no network pass", () => {
  const text = birdFile(EVERYTHING, ROUTES);
  assert.match(text, /route 203\.0\.113\.1\/32 blackhole \{ hf_rank = 0; hf_network = 1; \};/);
  assert.match(text, /route 203\.0\.113\.3\/32 blackhole \{ hf_rank = 1000; \};/);
  assert.match(text, /if defined\(hf_network\) then \{ if !\(hf_network ~ \[1\]\) then reject; \}/);
});

test("a password with a quotation mark cannot end its string", () => {
  const router = { ...BASE, password: 'x"; neighbor 192.0.2.9 as 1; #' };
  const text = birdFile({ routerId: "192.0.2.1", announce: [], holdDownMs: 3_000, routers: [router] }, []);
  assert.match(text, /password "x; neighbor 192\.0\.2\.9 as 1; #";/);
});

test("a router keeps its protocol, whoever is put before it: what did not change does not flap", () => {
  const blocks = (routers: readonly RouterConfiguration[]) =>
    birdFile({ ...EVERYTHING, routers }, []).match(/protocol bgp \S+/g);
  const others = EVERYTHING.routers.slice(1);
  assert.deepEqual(blocks(EVERYTHING.routers)?.slice(1), blocks(others));
  const alike = ["tor-1", "tor.1"].map((name) => protocolName({ name }));
  assert.equal(new Set(alike).size, 2);
});
