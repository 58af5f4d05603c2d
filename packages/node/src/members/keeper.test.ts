// Keepers of several members: what each does and refuses as the list changes.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { MemberList } from "@holdfast/model";
import type { ClusterLink } from "../cluster/link.ts";
import { listingOf } from "../cluster/member-list.ts";
import { portLending } from "../cluster/port-lending.ts";
import { createLocalConfigurationStore } from "../services/store.ts";
import { applied } from "./change.ts";
import { storedList, storeList } from "./stored-list.ts";
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
    assert.deepEqual(m0.drains, ["m1 true"], "it hears of its removal first, and takes nothing back");
    medium.clock.pass(5_000);
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
    // The machine that had it may be switched on years later: it is told, and its name is free.
    assert.deepEqual(m0.book.current().former, ["m1"]);
    assert.deepEqual(listingOf(m0.book.current(), { isMember: true, join: [] }).removed, ["m1"]);
    medium.clock.pass(SETTLE_MS);
    medium.machines.delete(1);
    await m0.keeper.add({ ...listed(6), name: "m1", addresses: [{ address: "192.0.2.99" }] });
    assert.equal(m0.book.current().former, undefined);
    assert.deepEqual(listingOf(m0.book.current(), { isMember: true, join: [] }).removed, []);
  });

  it("remembers so many of those whose numbers others have, and forgets who left first", () => {
    const store = createLocalConfigurationStore();
    const removed = (n: number) => ({ version: n + 1, count: 1, removed: { number: 1, atMs: n } });
    const before: MemberList = { version: 99, members: [listed(0)], resting: [] };
    const change = { kind: "add", member: listed(1) } as const;
    store.setNote("member/m0", { version: 1, count: 1, member: listed(0) });
    for (let n = 0; n < 70; n++) store.setNote(`member/old${String(n).padStart(2, "0")}`, removed(n));
    storeList(store, before, applied(before, change), change);
    const former = storedList(store)?.former ?? [];
    assert.deepEqual([former.length, former[0], former.at(-1)], [64, "old06", "old69"]);
  });

  it("hands nothing over, and takes no drain back, for a removal that cannot come about", async () => {
    const medium = new Medium();
    const [m0, , m2, m3] = medium.start([0, 1, 2, 3]) as [Machine, Machine, Machine, Machine];
    m0.store.setMemberDrained("m1", true);
    m2.isUp = false;
    m3.isUp = false;
    await assert.rejects(m0.keeper.remove("m1", { gone: false }), { code: "MEMBERS_NO_MAJORITY" });
    assert.deepEqual([...m0.store.drainedMembers()], ["m1"]);
    assert.deepEqual(m0.drains, ["m1 true"], "it was drained, and still is");
    m2.isUp = true;
    m3.isUp = true;
    await m0.keeper.add(listed(5));
    await assert.rejects(m0.keeper.remove("m1", { gone: false }), { code: "MEMBERS_SETTLING" });
    assert.deepEqual(m0.drains, ["m1 true"], "nobody was asked to hand over while the list settles");
    medium.clock.pass(SETTLE_MS);
    await m0.keeper.remove("m1", { gone: false });
    medium.clock.pass(5_000);
    assert.deepEqual(m0.drains, ["m1 true", "m1 true", "m1 false"]);
    assert.deepEqual([...m0.store.drainedMembers()], []);
  });

  it("counts who stays where whoever leaves would make the majority", async () => {
    const medium = new Medium();
    const [m0, , , m3] = medium.start([0, 1, 2, 3, 4]) as [Machine, Machine, Machine, Machine];
    m3.isUp = false;
    (medium.machines.get(4) as Machine).isUp = false;
    await assert.rejects(m0.keeper.remove("m1", { gone: false }), {
      message: "2 of 4 members agree, 3 must: m3 does not answer; m4 does not answer.",
    });
    assert.deepEqual(m0.drains, ["m1 false"], "it was not asked to hand over");
  });

  it("tells who is alone from who cannot remove itself", async () => {
    const [m0] = new Medium().start([0]) as [Machine];
    await assert.rejects(m0.keeper.remove("m0", { gone: false }), { code: "MEMBER_LAST" });
  });

  it("of one makes a list of two only when the second is there", async () => {
    const medium = new Medium();
    const [m0] = medium.start([0]) as [Machine];
    await assert.rejects(m0.keeper.add(listed(1)), {
      code: "MEMBER_UNHEARD",
      details: { member: "m1", only: "m0" },
    });
    assert.equal(storedList(m0.store), undefined);
    m0.applies({ name: "m1", number: 1, addresses: ["192.0.2.2"] });
    await m0.keeper.add(listed(1));
    assert.equal(names(m0.book), "m0,m1");
  });

  it("adds nobody under another number than its certificate has, or at other addresses", async () => {
    const medium = new Medium();
    const [m0] = medium.start([0, 1, 2]) as [Machine];
    m0.applies({ name: "m4", number: 4, addresses: ["192.0.2.5"] });
    await assert.rejects(m0.keeper.add({ ...listed(3), name: "m4" }), {
      code: "MEMBER_NUMBER_DIFFERS",
      message: "m4 is there, with a certificate of number 4, not 3.",
    });
    await assert.rejects(m0.keeper.add({ ...listed(4), addresses: [{ address: "192.0.2.55" }] }), {
      code: "MEMBER_ADDRESS_DIFFERS",
      message: "m4 is there at 192.0.2.5, which is none of the addresses that are named.",
    });
    // What was heard long ago may have been given another certificate since.
    medium.clock.pass(61_000);
    await m0.keeper.add({ ...listed(3), name: "m4" });
    assert.equal(names(m0.book), "m0,m1,m2,m4");
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
