import assert from "node:assert/strict";
import { test } from "node:test";
import type { ClusterPicture } from "@holdfast/api";
import {
  drainEndpointEffects,
  drainMemberEffects,
  endSessionEffects,
  pinEffects,
  undrainEndpointEffects,
  undrainMemberEffects,
} from "./effects.ts";

const member = (name: string, change: object = {}) => ({
  ...{ name, number: 0, zone: "", self: false, phase: "alive" as const, ready: true, draining: false },
  ...{ addresses: [], vips: [] },
  ...change,
});
const vip = (address: string, owner: string, ...candidates: string[]) => ({
  ...{
    vip: address,
    services: [],
    owner,
    candidates: [owner, ...candidates],
    reasons: [],
    announcements: [],
  },
});
const endpoint = (name: string, sessions: number, state: "active" | "drain" = "active") => ({
  ...{ endpoint: name, state, weight: 1, health: "up" as const, sessions, natPortShare: 0 },
});
const PICTURE: Pick<ClusterPicture, "vips" | "members" | "services"> = {
  members: [member("m1"), member("m2", { ready: false }), member("m3")],
  vips: [vip("203.0.113.1", "m1", "m2", "m3"), vip("203.0.113.2", "m3", "m1")],
  services: [
    {
      ...{
        id: "s",
        name: "amf",
        protocol: "sctp" as const,
        vips: ["203.0.113.1", "203.0.113.2"],
        port: 1,
        selection: "hash",
        sessions: 1200,
      },
      ...{ source: "api", draining: false, endpoints: [endpoint("a:1", 1), endpoint("b:1", 1199)] },
    },
  ],
};

test("a drain says which VIPs go to whom, past members that cannot take them", () => {
  const [moves] = drainMemberEffects(PICTURE, "m1");
  assert.equal(moves, "VIP 203.0.113.1 moves to m3; 1,200 sessions follow it.");
  const alone = { ...PICTURE, members: [member("m1")] };
  assert.match(drainMemberEffects(alone, "m1")[0] ?? "", /stays with m1: nobody else can take it/);
  assert.match(drainMemberEffects(PICTURE, "m2")[0] ?? "", /owns no VIP now/);
});

test("every act says how many sessions it touches, each service's once", () => {
  const both = {
    ...PICTURE,
    vips: [vip("203.0.113.1", "m1", "m3"), vip("203.0.113.2", "m1", "m3")],
  };
  assert.match(drainMemberEffects(both, "m1").at(-1) ?? "", /^1,200 sessions in all, and none ends/);
  assert.match(undrainMemberEffects(PICTURE, "m2").join(" "), /of 1,200 sessions in all; none ends/);
  assert.match(pinEffects(PICTURE, "203.0.113.1", "m2").join(" "), /then 1,200 sessions follow it/);
  assert.deepEqual(undrainEndpointEffects(PICTURE, "s", "b:1"), [
    "New associations, and clients that restart, may go to b:1 again.",
    "1,200 sessions of the service stay where they are; none ends.",
  ]);
});

test("what ends, and what begins anew, is called as its protocol calls it", () => {
  const [service] = PICTURE.services;
  assert.ok(service);
  const tcp = { ...PICTURE, services: [{ ...service, protocol: "tcp" as const }] };
  assert.equal(drainEndpointEffects(tcp, "s", "a:1")[1], "New connections go to b:1.");
  assert.match(endSessionEffects("tcp", "192.0.2.1", "a:1")[0] ?? "", /told with a RST/);
  assert.match(endSessionEffects("udp", "192.0.2.1", "a:1")[0] ?? "", /are told nothing/);
  assert.match(
    endSessionEffects("sctp", "192.0.2.1", undefined)[0] ?? "",
    /the endpoint are told with an ABORT/,
  );
});

test("a pin says whether anything moves", () => {
  assert.match(pinEffects(PICTURE, "203.0.113.1", "m3")[0] ?? "", /moves from m1 to m3 now; 1,200 sessions/);
  assert.match(pinEffects(PICTURE, "203.0.113.1", "m1")[0] ?? "", /Nothing moves now/);
  assert.match(pinEffects(PICTURE, "203.0.113.1", "m2")[0] ?? "", /m2 cannot own it now/);
});

test("draining the last endpoint that takes new associations is said", () => {
  assert.deepEqual(drainEndpointEffects(PICTURE, "s", "a:1"), [
    "1 session at a:1 goes on there; none is ended.",
    "New associations, and clients that restart, go to b:1.",
  ]);
  const [service] = PICTURE.services;
  assert.ok(service);
  const last = {
    ...PICTURE,
    services: [{ ...service, endpoints: [endpoint("a:1", 1), endpoint("b:1", 2, "drain")] }],
  };
  assert.match(drainEndpointEffects(last, "s", "a:1")[1] ?? "", /find no server/);
});
