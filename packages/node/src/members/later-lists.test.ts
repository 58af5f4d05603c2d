// A member that hears from strangers of a later list than its own.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { listed, Machine, Medium, names, SETTLE_MS } from "./testing/medium.ts";

describe("a keeper whose list is old", () => {
  /** All but m0 are replaced: its notes at version 2, and at version 4. */
  async function replaced(): Promise<{ readonly second: Machine; readonly fourth: Machine }> {
    const medium = new Medium();
    const [m0, m1] = medium.start([0, 1, 2]) as [Machine, Machine];
    const second = new Machine(new Medium(), 0, [0, 1, 2]);
    const settled = () => medium.clock.pass(SETTLE_MS);
    await m0.keeper.add(listed(3));
    new Machine(medium, 3, [3], { join: true }).learn(m0);
    settled();
    await m0.keeper.remove("m2", { gone: true });
    second.learn(m0);
    medium.machines.delete(2);
    settled();
    await m0.keeper.add(listed(4));
    new Machine(medium, 4, [4], { join: true }).learn(m0);
    settled();
    await m0.keeper.remove("m1", { gone: true });
    assert.equal(names(m0.book), "m0,m3,m4");
    assert.equal(m1.keeper.isMember, false);
    return { second, fourth: m0 };
  }
  /** It has lost its disk, and its file is the first one. */
  const lost = () => new Machine(new Medium(), 0, [0, 1, 2], { admits: true });

  it("stands by when a stranger has it on a later list, until it has that list or a later one", async () => {
    const { second, fourth } = await replaced();
    const m0 = lost();
    assert.equal(m0.keeper.isMember, true);
    m0.isListedBy(3, 4);
    assert.equal(m0.keeper.isMember, false);
    assert.equal(m0.standing, false);
    assert.equal(names(m0.book), "m0", "as one that joins");
    assert.deepEqual(m0.keeper.join, [{ host: "192.0.2.4", port: 7081 }]);
    await assert.rejects(m0.keeper.add(listed(5)), { code: "MEMBER_NOT_LISTED" });
    // Of one that was taken out and does not know it.
    m0.learn(second);
    assert.equal(m0.keeper.isMember, false);
    assert.equal(names(m0.book), "m0");
    m0.learn(fourth);
    assert.equal(m0.keeper.isMember, true);
    assert.equal(m0.standing, true);
    assert.equal(names(m0.book), "m0,m3,m4");
    assert.deepEqual(m0.keeper.join, []);
  });

  it("goes by versions, also of the list that it has on its disk", async () => {
    const { second: m0, fourth } = await replaced();
    for (const version of [1, 2]) m0.isListedBy(2, version);
    assert.equal(m0.keeper.isMember, true);
    assert.equal(names(m0.book), "m0,m1,m3");
    m0.isListedBy(4, 4);
    assert.equal(m0.keeper.isMember, false);
    m0.learn(fourth);
    assert.equal(names(m0.book), "m0,m3,m4");
  });

  it("is believed to be in force while a majority of it is there, whatever a stranger says", () => {
    const medium = new Medium();
    const [m0, m1, m2] = medium.start([0, 1, 2]) as [Machine, Machine, Machine];
    m2.isUp = false;
    m0.isListedBy(3, 4);
    assert.equal(m0.keeper.isMember, true);
    m1.isUp = false;
    m0.isListedBy(3, 4);
    assert.equal(m0.keeper.isMember, false);
  });

  it("of itself alone is no majority", () => {
    const m0 = new Machine(new Medium(), 0, [0]);
    m0.isListedBy(3, 4);
    assert.equal(m0.keeper.isMember, false);
  });

  it("was taken from one that had left: the next stranger is believed beside it", async () => {
    const { second, fourth } = await replaced();
    const medium = new Medium();
    const m0 = new Machine(medium, 0, [0, 4, 5]);
    m0.isListedBy(1, 2);
    m0.learn(second);
    assert.equal(names(m0.book), "m0,m1,m3");
    new Machine(medium, 1, [0, 1, 3]);
    m0.isListedBy(4, 4);
    assert.equal(m0.keeper.isMember, false);
    m0.learn(fourth);
    assert.equal(names(m0.book), "m0,m3,m4");
  });

  it("is not for one that was taken out of it", async () => {
    const [m0] = new Medium().start([0, 1]) as [Machine];
    m0.excludedBy("m1");
    m0.isListedBy(3, 4);
    assert.equal(names(m0.book), "m0,m1");
    assert.deepEqual(m0.keeper.join, []);
  });
});
