import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type { RouterConfiguration } from "./configuration.ts";
import { decide, policiesOf, policyAt } from "./policy.ts";
import { TOR } from "./testing/tor.ts";

const NO_DEFAULT = { announce: [] };

suite("what a router is told", () => {
  test("by default every rank is worse than the one before, by MED and by path", () => {
    const policies = policiesOf(NO_DEFAULT, TOR, undefined);
    const [owner, first, second] = [0, 1, 2].map((rank) => policyAt(policies, rank, TOR));
    assert.deepEqual(owner, {
      med: 10,
      prepend: 0,
      communities: ["65001:1"],
      largeCommunities: ["65001:0:1"],
    });
    assert.deepEqual(first, {
      med: 20,
      prepend: 1,
      communities: ["65001:2"],
      largeCommunities: ["65001:0:2"],
    });
    assert.deepEqual(second, {
      med: 30,
      prepend: 2,
      communities: ["65001:3"],
      largeCommunities: ["65001:0:3"],
    });
    assert.deepEqual(policyAt(policies, 7, TOR), second, "the last one's hold for all behind it");
  });

  test("a member that leaves is worse than all, and marked 65535:0 (RFC 8326)", () => {
    const policies = policiesOf(NO_DEFAULT, TOR, undefined);
    const leaving = policyAt(policies, "leaving", TOR);
    assert(leaving !== false);
    assert.equal(leaving.med, 1_000);
    assert.equal(leaving.prepend, 4);
    assert(leaving.communities?.includes("65535:0"));
  });

  test("an AS of four bytes has no standard community", () => {
    const router = { ...TOR, localAs: 4_200_000_000 };
    const policy = policyAt(policiesOf(NO_DEFAULT, router, undefined), 0, router);
    assert.deepEqual(policy, { med: 10, prepend: 0, largeCommunities: ["4200000000:0:1"] });
  });

  test("inside the own AS ranks are local preferences, without prepending", () => {
    const router = { ...TOR, as: 65_001 };
    const policies = policiesOf(NO_DEFAULT, router, undefined);
    const preferences = [0, 1, 2, "leaving" as const].map((rank) => {
      const policy = policyAt(policies, rank, router);
      return policy === false ? undefined : [policy.localPref, policy.prepend];
    });
    assert.deepEqual(preferences, [
      [300, undefined],
      [200, undefined],
      [100, undefined],
      [0, undefined],
    ]);
  });

  test("a service's attributes win over the router's, those over the default", () => {
    const router = { ...TOR, announce: [{ med: 5 }] };
    const everywhere = { announce: [{ med: 7 }] };
    assert.deepEqual(policiesOf(everywhere, router, { ranks: [{ med: 3 }] }), [{ med: 3 }]);
    assert.deepEqual(policiesOf(everywhere, router, undefined), [{ med: 5 }]);
    assert.deepEqual(policiesOf(everywhere, TOR, undefined), [{ med: 7 }]);
  });

  test("a service speaks of a router by its name, else by its group, else of all", () => {
    const announce = { ranks: [{ med: 1 }], routers: { tor1: [{ med: 2 }], edge: [{ med: 3 }] } };
    const med = (router: Partial<RouterConfiguration>) => {
      const policy = policyAt(policiesOf(NO_DEFAULT, { ...TOR, ...router }, announce), 0, TOR);
      return policy === false ? undefined : policy.med;
    };
    assert.deepEqual([med({}), med({ name: "x", group: "edge" }), med({ name: "x" })], [2, 3, 1]);
    assert.equal(med({ name: "constructor" }), 1, "what every object has is no router");
  });

  test("a spread VIP is announced by all as by its owner, and a member that leaves says so", () => {
    const of = (rank: number | "leaving") =>
      decide(NO_DEFAULT, TOR, { vip: "203.0.113.1", rank, network: undefined, announce: { spread: true } });
    assert.deepEqual(of(2), { ...of(0), reason: "it is spread over all members" });
    assert.equal(of(0).attributes?.med, 10);
    assert.equal(of("leaving").attributes?.med, 1_000);
  });

  test("false keeps a rank to itself, and says so", () => {
    const router = { ...TOR, announce: [{ med: 5 }, false as const] };
    const route = { vip: "203.0.113.1", rank: 1, network: undefined } as const;
    assert.deepEqual(decide(NO_DEFAULT, router, route), {
      attributes: undefined,
      reason: "not sent: this member is successor number 1, and that rank is not announced",
    });
  });

  test("a router gets the VIPs of its networks, and those that belong to none", () => {
    const router = { ...TOR, networks: ["path-a"] };
    const of = (network: string | undefined) =>
      decide(NO_DEFAULT, router, { vip: "203.0.113.1", rank: 0, network }).attributes !== undefined;
    assert.deepEqual([of("path-a"), of("path-b"), of(undefined)], [true, false, true]);
  });

  test("a family that the session does not carry is named with the way out", () => {
    const { attributes, reason } = decide(NO_DEFAULT, TOR, {
      vip: "2001:db8::1",
      rank: 0,
      network: undefined,
    });
    assert.equal(attributes, undefined);
    assert.match(reason, /ipv6: true/);
    const v6: RouterConfiguration = { ...TOR, address: "2001:db8:1::1" };
    assert.match(
      decide(NO_DEFAULT, v6, { vip: "203.0.113.1", rank: 0, network: undefined }).reason,
      /extendedNextHop: true/,
    );
  });
});
