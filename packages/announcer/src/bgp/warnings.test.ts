import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type { RouterConfiguration } from "./configuration.ts";
import { TOR } from "./testing/tor.ts";
import { routerWarnings, type WarningInput } from "./warnings.ts";

const codesOf = (router: Partial<RouterConfiguration>, rest: Partial<WarningInput> = {}) => {
  const own = { ...TOR, ...router };
  return routerWarnings({
    router: own,
    routers: [own],
    attributes: [{ med: 10 }],
    speaker: { isRealtime: true, sourcePortMin: 49_152 },
    ...rest,
  }).map(({ code }) => code);
};
const BFD = { intervalMs: 50, multiplier: 3 };

suite("what is silent between a member and a router", () => {
  test("as recommended, nothing is said", () => {
    assert.deepEqual(codesOf({ bfd: BFD }), []);
    assert.deepEqual(codesOf({ holdS: 9 }), []);
  });

  test("local preference toward another AS, and no MED at all", () => {
    const attributes = [{ med: 10 }, { localPref: 7 }];
    assert.deepEqual(codesOf({ bfd: BFD }, { attributes }), [
      "ROUTER_LOCAL_PREF_UNSENT",
      "ROUTER_MED_MISSING",
    ]);
    assert.deepEqual(codesOf({ bfd: BFD, as: TOR.localAs }, { attributes }), []);
  });

  test("several AS of this member, at each of its routers", () => {
    const routers = [TOR, { ...TOR, name: "tor2", localAs: 65_009 }];
    assert.deepEqual(codesOf({ bfd: BFD }, { routers }), ["ROUTER_MED_INCOMPARABLE"]);
  });

  test("hold times that come before BFD, or long after it, or stand alone", () => {
    assert.deepEqual(codesOf({ holdS: 3, bfd: { intervalMs: 1_000, multiplier: 3 } }), [
      "ROUTER_HOLD_BEFORE_BFD",
    ]);
    assert.deepEqual(codesOf({ holdS: 240, bfd: BFD }), ["ROUTER_HOLD_LONG"]);
    assert.deepEqual(codesOf({ holdS: 30 }), ["ROUTER_BFD_ABSENT"]);
  });

  test("short intervals without priority, and source ports below RFC 5881's", () => {
    const speaker = { isRealtime: false, sourcePortMin: 32_768 };
    assert.deepEqual(codesOf({ bfd: BFD }, { speaker }), [
      "ROUTER_BFD_WITHOUT_PRIORITY",
      "ROUTER_BFD_SOURCE_PORT",
    ]);
    assert.deepEqual(codesOf({ bfd: { ...BFD, intervalMs: 100 } }, { speaker }), ["ROUTER_BFD_SOURCE_PORT"]);
  });
});
