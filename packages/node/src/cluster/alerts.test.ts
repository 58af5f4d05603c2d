import assert from "node:assert/strict";
import { test } from "node:test";
import type { ClusterMember, ClusterPicture, MemberReport } from "@holdfast/api";
import { alertsOf } from "./alerts.ts";

const AT = new Date(0).toISOString();

function report(member: string, change: Partial<MemberReport> = {}): MemberReport {
  return {
    ...{
      member,
      at: AT,
      version: "1",
      startedAt: AT,
      ready: true,
      failing: [],
      fastPath: "tcx",
      sessions: 0,
    },
    ...{ natPortsUsed: 0, interfaces: [], peers: [], announcements: [], routers: [], drops: [], traffic: [] },
    api: [],
    ...change,
  };
}

function member(name: string, change: Partial<ClusterMember> = {}): ClusterMember {
  return {
    ...{ name, number: 0, zone: "", self: false, phase: "alive", ready: true, draining: false },
    ...{ addresses: [], vips: [], report: report(name) },
    ...change,
  };
}

function picture(change: Partial<ClusterPicture>): ClusterPicture {
  return {
    ...{ at: AT, cluster: "c", member: "m1", version: "1", sessions: 0, alerts: [], services: [] },
    members: [member("m1"), member("m2")],
    vips: [
      {
        ...{ vip: "203.0.113.1", services: [], owner: "m1", candidates: ["m1", "m2"], reasons: [] },
        announcements: [],
      },
    ],
    ...change,
  };
}

type Service = ClusterPicture["services"][number];

function serviceOf(...endpoints: Service["endpoints"]): Service {
  return {
    ...{ id: "s", name: "amf", protocol: "sctp", vips: [], port: 1, selection: "hash", sessions: 0 },
    ...{ source: "api", draining: false, endpoints },
  };
}

const codes = (change: Partial<ClusterPicture>) =>
  alertsOf(picture(change)).map(({ severity, code, subject }) => `${severity} ${code} ${subject}`);

test("a cluster that is well raises none", () => assert.deepEqual(codes({}), []));

test("a member that is missing says all: not that nobody replicates to it", () => {
  const peers = [{ member: "m2", connected: false, lagMs: 0, queue: 0 }];
  const members = [member("m1", { report: report("m1", { peers }) }), member("m2", { phase: "dead" })];
  assert.deepEqual(codes({ members }), ["critical member-missing m2"]);
  assert.deepEqual(codes({ members: [members[0] as ClusterMember, member("m2")] }), [
    "warning replication-disconnected m1 → m2",
  ]);
});

test("an endpoint that is up and that a VIP may not reach is a warning", () => {
  const endpoint = { state: "active", weight: 1, health: "up", sessions: 0, natPortShare: 0 } as const;
  const unproven = "203.0.113.1: nobody answers";
  assert.deepEqual(codes({ services: [serviceOf({ ...endpoint, endpoint: "192.0.2.1:1", unproven })] }), [
    "warning endpoint-unproven 192.0.2.1:1",
  ]);
});

test("the worst comes first: a VIP without owner, a service without server, then the endpoints", () => {
  const endpoint = { state: "active", weight: 1, health: "down", reason: "silent", sessions: 0 } as const;
  const service = serviceOf({ ...endpoint, endpoint: "192.0.2.1:1", natPortShare: 0.9 });
  const vip = {
    vip: "203.0.113.1",
    services: [],
    candidates: [],
    reasons: ["m1: drained"],
    announcements: [],
  };
  assert.deepEqual(codes({ vips: [vip], services: [service], members: [member("m1", { draining: true })] }), [
    "critical vip-unowned 203.0.113.1",
    "critical service-down amf",
    "warning endpoint-down 192.0.2.1:1",
    "warning nat-ports-scarce 192.0.2.1:1",
    "info member-drained m1",
  ]);
});
