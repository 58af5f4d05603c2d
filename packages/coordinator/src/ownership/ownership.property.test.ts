import assert from "node:assert/strict";
import { suite, test } from "node:test";
import fc from "fast-check";
import type { ClusterView, MemberView } from "../view.ts";
import { Ownership } from "./assignment.ts";
import { EMPTY_PLACEMENT, type Placement, placedVips } from "./placement.ts";
import { preferencesOf } from "./preference.ts";

const member = (name: string, change: Partial<MemberView> = {}): MemberView => ({
  name,
  number: 0,
  zone: undefined,
  isSelf: false,
  phase: "alive",
  incarnation: 1,
  ready: true,
  caughtUp: true,
  draining: false,
  settling: false,
  mainAlive: true,
  networks: ["cluster", "path-a", "path-b", "core"].map((network) => ({
    network,
    carrier: true,
    heard: true,
  })),
  claims: [],
  unserved: [],
  silentMs: 0,
  phaseForMs: 0,
  ...change,
});
const view = (members: readonly MemberView[]): ClusterView => ({
  self: members[0]?.name ?? "",
  members,
  unheardNetworks: [],
  confirmed: true,
});
const names = (count: number) => Array.from({ length: count }, (_, index) => `m${index}`);

function placement(sizes: readonly number[], change: Partial<Placement> = {}): Placement {
  return {
    ...EMPTY_PLACEMENT,
    services: sizes.map((size, service) => ({
      id: `sctp/203.0.${service}.0:1`,
      endpointsNetwork: "core",
      vips: Array.from({ length: size }, (_, index) => ({
        vip: `203.0.${service}.${index}`,
        network: index % 2 === 0 ? "path-a" : "path-b",
      })),
    })),
    ...change,
  };
}

const owners = (placed: Placement, members: readonly MemberView[]) =>
  new Map([...new Ownership(placed).assign(view(members)).vips].map(([vip, { owner }]) => [vip, owner]));

const sizes = fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 12 });

suite("ownership", () => {
  test("who has a VIP's address on an interface of its own never owns it; the others' places stay as they are", () => {
    const placed = placement([2]);
    const before = owners(
      placed,
      names(3).map((name) => member(name)),
    );
    for (const [vip, owner] of before) {
      const holding = names(3).map((name) => member(name, name === owner ? { unserved: [vip] } : {}));
      const ownership = new Ownership(placed);
      const assignment = ownership.assign(view(holding));
      assert.notEqual(assignment.vips.get(vip)?.owner, owner);
      assert.ok(assignment.vips.get(vip)?.candidates.every(({ member: name }) => name !== owner));
      const explained = ownership.explain(view(holding), assignment).find((v) => v.vip === vip);
      assert.ok(
        explained?.reasons.some(
          (reason) => reason === `${owner} is passed over: an interface of it has the address`,
        ),
        explained?.reasons.join("; "),
      );
      const all = names(3).map((name) => member(name, { unserved: [vip] }));
      assert.equal(owners(placed, all).get(vip), undefined);
    }
  });

  test("VIPs of one service are at different members whenever there are enough, in good days and bad", () => {
    fc.assert(
      fc.property(
        sizes,
        fc.integer({ min: 1, max: 8 }),
        fc.array(fc.nat(7), { maxLength: 3 }),
        (vipCounts, count, dead) => {
          const members = names(count).map((name, i) =>
            member(name, dead.includes(i) ? { phase: "dead" } : {}),
          );
          const alive = members.filter(({ phase }) => phase === "alive").length;
          const owned = owners(placement(vipCounts), members);
          vipCounts.forEach((size, service) => {
            const at = Array.from({ length: size }, (_, index) => owned.get(`203.0.${service}.${index}`));
            assert(alive === 0 || at.every((owner) => owner !== undefined));
            assert.equal(new Set(at).size, alive === 0 ? 1 : Math.min(size, alive));
          });
        },
      ),
      { numRuns: 300 },
    );
  });

  test("the load is even: no member has two VIPs more than another", () => {
    fc.assert(
      fc.property(sizes, fc.integer({ min: 4, max: 8 }), (vipCounts, count) => {
        const load = new Map(names(count).map((name) => [name, 0]));
        for (const owner of owners(
          placement(vipCounts),
          names(count).map((name) => member(name)),
        ).values()) {
          load.set(owner as string, (load.get(owner as string) ?? 0) + 1);
        }
        assert(Math.max(...load.values()) - Math.min(...load.values()) <= 2, JSON.stringify([...load]));
      }),
      { numRuns: 300 },
    );
  });

  test("a death moves what the dead member owned and nothing else, and spreads it", () => {
    fc.assert(
      fc.property(sizes, fc.integer({ min: 3, max: 8 }), fc.nat(7), (vipCounts, count, index) => {
        const dead = `m${index % count}`;
        const before = owners(
          placement(vipCounts),
          names(count).map((name) => member(name)),
        );
        const after = owners(
          placement(vipCounts),
          names(count).map((name) => member(name, name === dead ? { phase: "dead" } : {})),
        );
        for (const [vip, owner] of before) {
          if (owner === dead) assert.notEqual(after.get(vip), dead);
          else assert.equal(after.get(vip), owner);
        }
      }),
      { numRuns: 300 },
    );
  });

  test("a member more moves little more than its own share", () => {
    let moved = 0;
    let total = 0;
    for (let count = 3; count <= 8; count++) {
      const placed = placedVips(placement(new Array(40).fill(2)));
      const listOf = (n: number) =>
        preferencesOf(
          names(n).map((name) => ({ name, zone: undefined, networks: ["path-a", "path-b", "core"] })),
          placed,
        );
      const [before, after] = [listOf(count), listOf(count + 1)];
      for (const { vip } of placed) {
        total++;
        if (before.get(vip)?.[0] !== after.get(vip)?.[0]) moved++;
      }
    }
    // Its share alone would be 1/4 … 1/9, 17 % on the average.
    assert(moved / total < 0.35, `${((100 * moved) / total).toFixed(0)} % moved`);
  });

  test("members that come and go: who has seen it decides as who starts then", () => {
    fc.assert(
      fc.property(sizes, fc.array(fc.integer({ min: 1, max: 6 }), { maxLength: 4 }), (counts, steps) => {
        const placed = placement(counts);
        const ownership = new Ownership(placed);
        for (const [index, count] of steps.entries()) {
          // Others each time, some of them with the same names.
          const members = names(index + count)
            .slice(index)
            .map((name) => member(name));
          const now = new Map(
            [...ownership.assign(view(members)).vips].map(([vip, { owner }]) => [vip, owner]),
          );
          assert.deepEqual(now, owners(placed, members));
        }
      }),
    );
  });

  test("zones: siblings are in different ones while both live", () => {
    const zoned = ["a", "a", "b", "b"].map((zone, index) => member(`m${index}`, { zone }));
    const zoneOf = new Map(zoned.map(({ name, zone }) => [name, zone]));
    for (const dead of [undefined, ...names(4)]) {
      const owned = owners(
        placement([2, 2, 2]),
        zoned.map((each) => (each.name === dead ? { ...each, phase: "dead" as const } : each)),
      );
      for (const service of [0, 1, 2]) {
        const [first, second] = [0, 1].map((index) =>
          zoneOf.get(owned.get(`203.0.${service}.${index}`) as string),
        );
        assert.notEqual(first, second);
      }
    }
  });

  test("what keeps a member from owning, and what is only a last resort", () => {
    const vip = "203.0.0.0" as const;
    const lists = new Ownership(placement([1])).lists(view(names(3).map((name) => member(name))));
    const [first, second, third] = lists.get(vip) as [string, string, string];
    const ownerWhen = (
      change: Partial<MemberView>,
      others: Partial<MemberView> = {},
      change2: Partial<Placement> = {},
    ) =>
      owners(placement([1], change2), [
        member(first, change),
        member(second, others),
        member(third, others),
      ]).get(vip);
    const without = (network: string, carrier: boolean) => ({
      networks: member("x").networks.map((each) =>
        each.network === network ? { network, carrier, heard: false } : each,
      ),
    });
    assert.equal(ownerWhen({}), first);
    for (const change of [
      { phase: "dead" as const },
      { phase: "left" as const },
      { ready: false },
      { caughtUp: false },
      { mainAlive: false },
      without("path-a", false),
      without("path-a", true),
      without("core", false),
      without("core", true),
    ]) {
      assert.equal(ownerWhen(change), second, JSON.stringify(change));
      // What is excluded stays excluded when nobody else can either.
      const everybody = { ...change };
      const alone = ownerWhen(change, everybody);
      const deaf = "networks" in change && change.networks.every(({ carrier }) => carrier);
      // Nobody hears anybody there: that says nothing about one member.
      assert.equal(alone, deaf ? first : undefined, JSON.stringify(change));
    }
    for (const change of [{ draining: true }, { settling: true }]) {
      assert.equal(ownerWhen(change), second);
      assert.equal(ownerWhen(change, { phase: "dead" }), first, "better than nobody");
    }
    assert.equal(ownerWhen(without("cluster", false)), first, "the cluster network carries no VIP");
    assert.equal(ownerWhen({ phase: "suspect" }), first, "suspicion moves nothing");
    assert.equal(ownerWhen({}, {}, { drains: [first] }), second);
    assert.equal(ownerWhen({}, {}, { pins: [{ vip, member: third }] }), third);
    assert.equal(ownerWhen({}, { phase: "dead" }, { minimumMembers: 2 }), undefined);
    assert.equal(ownerWhen({}, {}, { minimumMembers: 3 }), first);
    const claims = [{ vip, grade: 0, rank: 1 }];
    assert.equal(
      ownerWhen({ phase: "dead", claims }, { claims }, { minimumMembers: 3 }),
      second,
      "what it announces it keeps, though too few are left to take anything over",
    );
    assert.equal(ownerWhen({ phase: "dead" }, { claims, ready: false }, { minimumMembers: 3 }), undefined);
  });

  test("a VIP without a network in the configuration prefers a member that has all of them", () => {
    const bare: Placement = { ...EMPTY_PLACEMENT, services: [{ id: "s", vips: [{ vip: "203.0.113.1" }] }] };
    const [first] = new Ownership(bare)
      .lists(view(names(2).map((name) => member(name))))
      .get("203.0.113.1") as [string];
    const other = first === "m0" ? "m1" : "m0";
    const lame = {
      networks: member("x").networks.map((each) => ({ ...each, carrier: each.network !== "path-b" })),
    };
    assert.equal(owners(bare, [member(first, lame), member(other)]).get("203.0.113.1"), other);
    assert.equal(
      owners(bare, [member(first, lame), member(other, { phase: "dead" })]).get("203.0.113.1"),
      first,
    );
  });

  test("every decision is explained", () => {
    const placed = placement([2], { pins: [{ vip: "203.0.0.0", member: "m1" }] });
    const members = [
      member("m0", { caughtUp: false }),
      member("m1"),
      member("m2", { draining: true }),
      member("m3", { phase: "dead" }),
    ];
    const ownership = new Ownership(placed);
    const [pinned, other] = ownership.explain(view(members), ownership.assign(view(members)));
    assert.deepEqual(pinned?.candidates, ["m1", "m2"]);
    assert.equal(pinned?.reasons[0], "m1 owns it: the operator pinned it there");
    assert(pinned?.reasons.includes("m2 would be next: only when nobody better is left, since it drains"));
    assert(pinned?.reasons.includes("m0 is passed over: it has not caught up with the sessions"));
    assert(pinned?.reasons.includes("m3 is passed over: it is dead"));
    assert.equal(other?.owner, "m1");

    const useless = new Ownership(placement([1], { pins: [{ vip: "203.0.0.0", member: "m9" }] }));
    const [unpinned] = useless.explain(view(members), useless.assign(view(members)));
    assert.equal(unpinned?.owner, "m1");
    assert.match(unpinned?.reasons[0] ?? "", /^the pin to m9 has no effect: no member of that name /);

    const down = placement([1]);
    const withdrawn: Placement = {
      ...down,
      services: down.services.map((service) => ({ ...service, withdrawn: "no endpoint is healthy" })),
    };
    const quiet = new Ownership(withdrawn);
    const [none] = quiet.explain(view([member("m0")]), quiet.assign(view([member("m0")])));
    assert.equal(none?.owner, undefined);
    assert(none?.reasons.includes("nobody may own it: no endpoint is healthy"));
  });

  test("the order of services and members in the configuration does not matter", () => {
    fc.assert(
      fc.property(sizes, fc.integer({ min: 1, max: 8 }), (vipCounts, count) => {
        const placed = placement(vipCounts);
        const members = names(count).map((name) => member(name));
        assert.deepEqual(
          new Map([...owners(placed, members)].sort()),
          new Map(
            [
              ...owners({ ...placed, services: [...placed.services].reverse() }, [...members].reverse()),
            ].sort(),
          ),
        );
      }),
    );
  });
});
