import assert from "node:assert/strict";
import { test } from "node:test";
import { OwnRevocation } from "./own-revocation.ts";

function rig(...others: string[]) {
  let last: { readonly ok: boolean; readonly detail: string } | undefined;
  const own = new OwnRevocation({
    others: () => others,
    told: (ok, detail) => {
      last = { ok, detail };
    },
  });
  return { own, last: () => last };
}

test("the list decides", () => {
  const { own, last } = rig("m1", "m2");
  own.setListed(false);
  assert.equal(last()?.ok, true);
  own.setListed(true);
  assert.equal(last()?.ok, false);
  assert.match(last()?.detail ?? "", /certificate is revoked: issue/);
  own.setListed(false);
  assert.equal(last()?.ok, true);
});

test("a list that never came: more than half of the others say so when they refuse", () => {
  const { own, last } = rig("m1", "m2");
  own.setListed(false);
  own.refusedBy("m1");
  own.refusedBy("m1");
  assert.equal(last()?.ok, true, "one of two may lie");
  own.refusedBy("m2");
  assert.equal(last()?.ok, false);
  assert.match(last()?.detail ?? "", /is revoked, as m1 and m2 say: issue/);
});

test("who lets it in again believes it", () => {
  const { own, last } = rig("m1", "m2");
  for (const name of ["m1", "m2"]) own.refusedBy(name);
  own.believedBy("m2");
  assert.equal(last()?.ok, true);
});

test("who is not on the list, or is no longer, has no say", () => {
  const { own, last } = rig("m1", "m2", "m3");
  for (const name of ["m1", "stranger", "gone"]) own.refusedBy(name);
  assert.equal(last()?.ok, true);
});

test("of two members the other one decides", () => {
  const { own, last } = rig("m1");
  own.refusedBy("m1");
  assert.match(last()?.detail ?? "", /as m1 says/);
});
