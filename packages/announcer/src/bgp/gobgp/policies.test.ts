import assert from "node:assert/strict";
import { test } from "node:test";
import type { Address } from "@holdfast/model";
import type { BgpConfiguration, SpeakerRoute } from "../configuration.ts";
import { TOR } from "../testing/tor.ts";
import { gobgpFile } from "./file.ts";
import { gobgpPolicies } from "./policies.ts";

const CONFIGURATION: BgpConfiguration = {
  routerId: "198.18.0.1",
  announce: [],
  holdDownMs: 0,
  routers: [
    { ...TOR, ipv6: true, networks: ["path-a"] },
    { ...TOR, name: "inside", address: "198.18.1.254", as: TOR.localAs, announce: [{ localPref: 7 }, false] },
  ],
};
const route = (vip: Address, rank: number, network = "path-a"): SpeakerRoute => ({ vip, rank, network });

interface Request {
  readonly defined_sets: readonly { name: string; prefixes?: readonly { ip_prefix: string }[] }[];
  readonly policies: readonly {
    statements: readonly { name: string; actions: Record<string, unknown> }[];
  }[];
}
const of = (routes: readonly SpeakerRoute[]) => gobgpPolicies(CONFIGURATION, routes) as Request;

test("VIPs that every router is told alike share a set of prefixes; families do not", () => {
  const { defined_sets } = of([
    route("203.0.113.1", 0),
    route("203.0.113.2", 0),
    route("2001:db8::1", 0),
    route("203.0.113.3", 1),
  ]);
  const sets = defined_sets.flatMap(
    ({ prefixes }) => prefixes?.map(({ ip_prefix }) => ip_prefix).join() ?? [],
  );
  assert.deepEqual(sets, ["203.0.113.1/32,203.0.113.2/32", "2001:db8::1/128", "203.0.113.3/32"]);
});

test("a router that is not told a VIP has no statement for it, and what no statement names is rejected", () => {
  const names = (routes: readonly SpeakerRoute[]) =>
    of(routes).policies[0]?.statements.map(({ name }) => name);
  assert.deepEqual(names([route("203.0.113.1", 0)]), ["router-0-vips-0", "router-1-vips-0"]);
  assert.deepEqual(names([route("203.0.113.1", 1)]), ["router-0-vips-0"], "false at that rank");
  assert.deepEqual(names([route("203.0.113.1", 0, "path-b")]), ["router-1-vips-0"], "of another network");
  assert.deepEqual(names([]), ["nothing"]);
});

test("attributes become actions; local preference stays inside the own AS", () => {
  const statements = of([route("203.0.113.1", 0)]).policies[0]?.statements ?? [];
  assert.deepEqual(statements[0]?.actions, {
    route_action: 1,
    med: { type: 2, value: 10 },
    community: { type: 1, communities: ["65001:1"] },
    large_community: { type: 1, communities: ["65001:0:1"] },
  });
  assert.deepEqual(statements[1]?.actions, { route_action: 1, local_pref: { value: 7 } });
});

test("text of an operator cannot end a string of the file", () => {
  const password = 'x"\n[neighbors.config]';
  const text = gobgpFile({ ...CONFIGURATION, routers: [{ ...TOR, password }] });
  assert.ok(text.includes(`auth-password = ${JSON.stringify(password)}`));
});
