import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type { RouterConfiguration } from "@holdfast/announcer";
import type { Address } from "@holdfast/model";
import { type Folded, foldKeys } from "./fold.ts";
import { ranksOfPolicies } from "./policy.ts";
import { PostedRouters, type PostedRouting } from "./routing.ts";

const OWN: RouterConfiguration & { readonly address: Address } = {
  ...{ name: "tor1", address: "10.0.0.254", as: 65_000, localAs: 64_512, holdS: 30 },
  bfd: { intervalMs: 100, multiplier: 3 },
  ...{ ttlSecurity: false, ipv6: false, extendedNextHop: false, passive: false },
};

function posted(localAs?: number) {
  const told: (readonly RouterConfiguration[])[] = [];
  const routing: PostedRouting = {
    own: () => [OWN],
    routerId: "10.0.0.1",
    localAs,
    set: (routers) => told.push(routers),
    states: () => [],
  };
  return { routers: new PostedRouters(routing), last: () => told.at(-1), count: () => told.length };
}
const NEIGHBOUR = { address: "10.9.9.9", as: 64_512, port: 0, isMultihop: false } as const;

suite("neighbours posted through LoxiLB's API", () => {
  test("a neighbour needs an AS of this member, and all its fields become a router", () => {
    const { routers, last } = posted();
    assert.throws(() => routers.add(NEIGHBOUR), /global first/);
    routers.setGlobal(64_513, 179);
    routers.add({ ...NEIGHBOUR, port: 1_790, isMultihop: true });
    routers.setBfd(NEIGHBOUR.address, { intervalMs: 200, multiplier: 3 });
    assert.deepEqual(last(), [
      {
        ...{ name: "loxilb-10.9.9.9", address: "10.9.9.9", as: 64_512, localAs: 64_513, holdS: 30 },
        ...{ port: 1_790, multihop: 255, bfd: { intervalMs: 200, multiplier: 3 } },
        ...{ ttlSecurity: false, ipv6: false, extendedNextHop: false, passive: false },
      },
    ]);
    routers.remove(NEIGHBOUR.address);
    assert.deepEqual(last(), []);
  });

  test("the file's routers are the file's: the same again is no error, anything else is refused", () => {
    const { routers, count } = posted(65_001);
    routers.add({ ...NEIGHBOUR, address: OWN.address, as: OWN.as });
    assert.throws(() => routers.add({ ...NEIGHBOUR, address: OWN.address }), /exists with AS 65000/);
    assert.throws(() => routers.remove(OWN.address), /configuration file/);
    assert.equal(routers.setBfd(OWN.address, { intervalMs: 100, multiplier: 3 }), true);
    assert.throws(() => routers.setBfd(OWN.address, undefined), /configuration file/);
    assert.throws(() => routers.setRanks(OWN.address, [false]), /configuration file/);
    assert.equal(count(), 0);
  });

  test("what global cannot change is refused with why", () => {
    const { routers } = posted(65_001);
    routers.setGlobal(65_001, 0);
    assert.throws(() => routers.setGlobal(64_512, 0), /announcer.localAs/);
    assert.throws(() => routers.setGlobal(65_001, 1_790), /listens on 179/);
    const { routers: free } = posted();
    free.setGlobal(64_512, 0);
    free.add(NEIGHBOUR);
    assert.throws(() => free.setGlobal(64_513, 0), /delete them first/);
  });
});

suite("export policies as ranks", () => {
  const definition = (actions: object, conditions: object = {}) =>
    foldKeys({ name: "d", statements: [{ name: "s", conditions, actions }] }) as Folded;
  const ranks = (...definitions: Folded[]) => ranksOfPolicies(definitions, "accept", 65_001);
  const figures = (list: ReturnType<typeof ranks>, name: "med" | "prepend" | "localPref") =>
    list.map((rank) => (rank === false ? false : rank[name]));

  test("a MED is the owner's, with a sign it is a change; the others stay worse", () => {
    assert.deepEqual(figures(ranks(definition({ bgpActions: { setMed: "100" } })), "med"), [100, 110, 120]);
    assert.deepEqual(figures(ranks(definition({ bgpActions: { setMed: "+5" } })), "med"), [15, 25, 35]);
  });

  test("prepending adds to every rank's, local preference falls, communities are added or replace", () => {
    const list = ranks(
      definition({
        bgpActions: {
          setLocalPerf: 250,
          setAsPathPrepend: { as: "65001", repeatN: 2 },
          setCommunity: { options: "replace", setCommunityMethod: { communitiesList: ["65001:7"] } },
        },
      }),
    );
    assert.deepEqual(figures(list, "prepend"), [2, 3, 4]);
    assert.deepEqual(figures(list, "localPref"), [250, 150, 50]);
    assert.deepEqual(
      list.map((rank) => rank !== false && rank.communities),
      [["65001:7"], ["65001:7"], ["65001:7"]],
    );
  });

  test("rejecting announces nothing", () => {
    assert.deepEqual(ranks(definition({ routeDisposition: "reject-route" })), [false]);
    assert.deepEqual(ranksOfPolicies([], "reject", 65_001), [false]);
    assert.deepEqual(figures(ranksOfPolicies([], "accept", 65_001), "med"), [10, 20, 30]);
  });

  test("what ranks cannot say is refused: conditions, next hops, others' AS", () => {
    const conditions = { matchPrefixSet: { prefixSet: "p", matchSetOption: "any" } };
    assert.throws(() => ranks(definition({}, conditions)), /condition matchprefixset/);
    assert.throws(() => ranks(definition({ bgpActions: { setNextHop: "10.0.0.9" } })), /next hop/);
    const prepend = { setAsPathPrepend: { as: "64999", repeatN: 1 } };
    assert.throws(() => ranks(definition({ bgpActions: prepend })), /own AS, 65001/);
  });
});
