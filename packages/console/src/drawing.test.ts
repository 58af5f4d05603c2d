import assert from "node:assert/strict";
import { test } from "node:test";
import type { ClusterMember } from "@holdfast/api";
import { type Box, draw, ENDPOINT_DRAWN_MAX } from "./drawing.ts";

const AT = new Date(0).toISOString();
const NETWORKS = [
  { name: "eth0", network: "path-a", roles: ["path"], up: true },
  { name: "eth1", network: "path-b", roles: ["path"], up: false },
  { name: "eth2", network: "core", roles: ["core"], up: true },
  { name: "eth3", network: "cluster", roles: ["cluster"], up: true },
];

function member(name: string, phase: ClusterMember["phase"] = "alive"): ClusterMember {
  return {
    ...{
      name,
      number: 0,
      zone: "",
      self: false,
      phase,
      ready: true,
      draining: false,
      addresses: [],
      vips: [],
    },
    report: {
      ...{ member: name, at: AT, version: "1", startedAt: AT, ready: true, failing: [], fastPath: "tc" },
      ...{ sessions: 0, natPortsUsed: 0, interfaces: NETWORKS, peers: [], announcements: [], routers: [] },
      ...{ drops: [], traffic: [], api: [] },
    },
  };
}

function service(count: number) {
  const endpoints = Array.from({ length: count }, (_, n) => ({
    ...{ endpoint: `192.0.2.${n}:1`, state: "active" as const, weight: 1, sessions: 0, natPortShare: 0 },
    health: n === 0 ? ("down" as const) : ("up" as const),
  }));
  const rest = {
    name: "amf",
    protocol: "sctp" as const,
    vips: [],
    port: 1,
    selection: "hash",
    sessions: 0,
    source: "api" as const,
  };
  return { id: "s", ...rest, draining: false, endpoints };
}

const overlap = (a: Box, b: Box) =>
  a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;

test("nothing covers anything, all stands inside, and only so many endpoints are drawn", () => {
  const vips = Array.from({ length: 20 }, (_, n) => ({
    ...{
      vip: `203.0.113.${n}`,
      services: [],
      owner: "m1",
      candidates: ["m1"],
      reasons: [],
      announcements: [],
    },
  }));
  const members = [member("m1"), member("m2"), member("m3", "dead")];
  const drawing = draw({ members, vips, services: [service(40)] });
  const boxes = [...drawing.networks, ...drawing.members, ...drawing.endpoints];
  assert.equal(drawing.endpoints.length, ENDPOINT_DRAWN_MAX);
  for (const [index, box] of boxes.entries()) {
    assert.ok(box.x >= 0 && box.y >= 0 && box.x + box.width <= drawing.width, box.id);
    assert.ok(box.y + box.height <= drawing.height, box.id);
    for (const other of boxes.slice(index + 1)) assert.ok(!overlap(box, other), `${box.id} ${other.id}`);
  }
});

test("of more endpoints than are drawn those in trouble are, and the rest are counted", () => {
  const many = service(40);
  const last = many.endpoints.length - 1;
  const endpoints = many.endpoints.map((each, n) => ({
    ...each,
    health: n === last ? ("down" as const) : ("up" as const),
    state: n === last - 1 ? ("drain" as const) : ("active" as const),
  }));
  const drawing = draw({ members: [member("m1")], vips: [], services: [{ ...many, endpoints }] });
  const ids = drawing.endpoints.map(({ id }) => id);
  assert.deepEqual(ids.slice(-2), ["192.0.2.38:1", "192.0.2.39:1"]);
  assert.equal(drawing.leftOut, 40 - ENDPOINT_DRAWN_MAX);
  assert.equal(draw({ members: [], vips: [], services: [service(2)] }).leftOut, 0);
});

test("a link is broken where the interface is down, the member dead, or the endpoint down", () => {
  const members = [member("m1"), member("m2", "dead")];
  const { links, networks } = draw({ members, vips: [], services: [service(2)] });
  assert.deepEqual(networks.map(({ id }) => id).sort(), ["core", "path-a", "path-b"]);
  assert.deepEqual(
    links.filter(({ up }) => up).map(({ key }) => key),
    ["m1 eth0 clients", "m1 eth2 endpoints", "s 192.0.2.1:1"],
  );
  assert.equal(links.length, 8);
});
