// Keepers of several members: what each does and refuses as the list changes.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ClusterLink } from "../cluster/link.ts";
import { portLending } from "../cluster/port-lending.ts";
import { storedList } from "./stored-list.ts";
import { listed, Machine, Medium, names, REST_MS, SETTLE_MS } from "./testing/medium.ts";

describe("the keeper of the list", () => {
  it("adds a member everywhere, and the new one knows that it is on the list", async () => {
    const medium = new Medium();
    const [m0, m1, m2] = medium.start([0, 1, 2]) as [Machine, Machine, Machine];
    const m3 = new Machine(medium, 3, [3], { join: true });
    assert.equal(m3.keeper.isMember, false);
    await m1.keeper.add(listed(3));
    for (const machine of [m0, m1, m2, m3]) assert.equal(names(machine.book), "m0,m1,m2,m3");
    assert.equal(m3.standing, true);
    assert.equal(m3.keeper.isMember, true);
  });

  it("lets the list settle between two changes, and says for how long", async () => {
    const medium = new Medium();
    const [m0, m1] = medium.start([0, 1, 2]) as [Machine, Machine];
    await m0.keeper.add(listed(3));
    await assert.rejects(m1.keeper.add(listed(4)), { code: "MEMBERS_SETTLING", details: { seconds: 15 } });
    medium.clock.pass(SETTLE_MS);
    await m1.keeper.add(listed(4));
    assert.equal(m0.book.current().version, 2);
  });

  it("lets what was lent under the list before come to its end, or its borrower go", async () => {
    const medium = new Medium();
    const [m0, m1, m2] = medium.start([0, 1, 2]) as [Machine, Machine, Machine];
    await m0.keeper.add(listed(3));
    medium.clock.pass(SETTLE_MS);
    m0.borrowers = [1];
    m2.borrowers = [1];
    await assert.rejects(m0.keeper.add(listed(4)), { code: "MEMBERS_SETTLING", details: { seconds: 1 } });
    // It drops what it borrowed from whoever it cannot hear.
    m1.isUp = false;
    new Machine(medium, 3, [3], { join: true }).learn(m0);
    medium.clock.pass(SETTLE_MS);
    await m0.keeper.add(listed(4));
    m1.learn(m0);
    m1.isUp = true;
    medium.clock.pass(SETTLE_MS);
    await m0.keeper.remove("m1", { gone: true });
    assert.equal(names(m2.book), "m0,m2,m3,m4");
  });

  it("needs a majority of all members, alive or not", async () => {
    const medium = new Medium();
    const [m0, m1, m2] = medium.start([0, 1, 2]) as [Machine, Machine, Machine];
    m1.isUp = false;
    m2.isUp = false;
    await assert.rejects(m0.keeper.remove("m1", { gone: true }), { code: "MEMBERS_NO_MAJORITY" });
    assert.equal(storedList(m0.store), undefined);
    assert.equal(names(m0.book), "m0,m1,m2");
  });

  it("takes out who hands over; who is away only at the operator's word", async () => {
    const medium = new Medium();
    const [m0, m1, m2] = medium.start([0, 1, 2]) as [Machine, Machine, Machine];
    await m0.keeper.remove("m1", { gone: false });
    assert.deepEqual(m0.drains, ["m1 true", "m1 false"]);
    assert.equal(names(m2.book), "m0,m2");
    assert.equal(m1.keeper.isMember, false);
    assert.equal(m1.standing, false);
    medium.clock.pass(SETTLE_MS);
    await assert.rejects(m1.keeper.add(listed(4)), { code: "MEMBER_NOT_LISTED" });
    await assert.rejects(m0.keeper.remove("m0", { gone: false }), { code: "MEMBER_IS_SELF" });
    m2.isUp = false;
    await assert.rejects(m0.keeper.remove("m2", { gone: false }), { code: "MEMBER_NOT_THERE" });
  });

  it("believes a listed member that says it was taken out", () => {
    const medium = new Medium();
    const [m0] = medium.start([0, 1]) as [Machine];
    m0.excludedBy("m1");
    assert.equal(m0.keeper.isMember, false);
    assert.equal(m0.standing, false);
  });

  it("gives a number again only when it has rested, and lends no port of its slot meanwhile", async () => {
    const medium = new Medium();
    const [m0, , m2] = medium.start([0, 1, 2]) as [Machine, Machine, Machine];
    await m0.keeper.remove("m1", { gone: true });
    medium.clock.pass(SETTLE_MS);
    const another = { ...listed(1), name: "m9" };
    await assert.rejects(
      m2.keeper.add(another),
      (error: { code?: string; details?: { seconds: number } }) => {
        assert.equal(error.code, "MEMBER_NUMBER_RESTS");
        assert.equal(error.details?.seconds, (REST_MS - SETTLE_MS) / 1_000);
        return true;
      },
    );
    await assert.rejects(m2.keeper.add({ ...listed(5), name: "m1" }), { code: "MEMBER_NAME_RESTS" });
    const lending = portLending({} as ClusterLink, m0.book, 8);
    assert.deepEqual(lending.memberNumbers, [0, 2]);
    assert.deepEqual(lending.takenNumbers, [0, 1, 2]);
    medium.clock.pass(REST_MS);
    await m2.keeper.add(another);
    assert.equal(names(m0.book), "m0,m2,m9");
    assert.deepEqual(m0.book.current().resting, []);
    assert.deepEqual(portLending({} as ClusterLink, m0.book, 8).memberNumbers, [0, 1, 2]);
  });

  it("takes who comes with a certificate when it is told to", async () => {
    const medium = new Medium();
    const m0 = new Machine(medium, 0, [0, 1], { admits: true });
    const m1 = new Machine(medium, 1, [0, 1]);
    const applicant = { name: "m2", number: 2, addresses: ["192.0.2.3"] } as const;
    m1.applies(applicant);
    m0.applies(applicant);
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(names(m1.book), "m0,m1,m2");
  });

  it("knows after a restart what was changed before it, and votes when that has settled", async () => {
    const medium = new Medium();
    const [m0, m1, m2] = medium.start([0, 1, 2]) as [Machine, Machine, Machine];
    await m0.keeper.add(listed(3));
    medium.clock.pass(SETTLE_MS);
    medium.machines.delete(1);
    const again = new Machine(medium, 1, [0, 1, 2]);
    again.learn(m1);
    assert.equal(names(again.book), "m0,m1,m2,m3");
    m2.isUp = false;
    await assert.rejects(m0.keeper.add(listed(4)), { code: "MEMBERS_SETTLING" });
    new Machine(medium, 3, [3], { join: true }).learn(m0);
    medium.clock.pass(SETTLE_MS);
    await m0.keeper.add(listed(4));
    assert.equal(again.book.current().version, 2);
  });
});
