// What has to hold of members on nodes, whatever the API server: the everyday stage has the one for tests,
// the long stage a real one.
import assert from "node:assert/strict";
import { afterEach, beforeEach, suite, test } from "node:test";
import { ApiError } from "@holdfast/api";
import { MEMBERS } from "@holdfast/kubernetes/testing";
import { verifyMemberCertificate } from "@holdfast/node/certificates";
import { until } from "@holdfast/testkit";
import { MembersWorld, type TestKubernetes } from "./members-world.ts";

export function runMemberContract(name: string, open: () => Promise<TestKubernetes>): void {
  suite(`members on nodes, ${name}`, () => {
    let world: MembersWorld;
    beforeEach(async () => {
      world = new MembersWorld(await open());
    });
    afterEach(() => world.close());
    test("three nodes get numbers, certificates for their own keys, and find each other", () =>
      threeNodes(world));
    test("a node without the label, or with false, has no member", () => notWanted(world));
    test("a restart of the controller changes nothing", () => restarted(world));
    test("a node that is deleted with its dead member heals; one of its name is another member", () =>
      deleted(world));
    test("a living member whose node loses the label hands over first", () => unlabelled(world));
    test("a member that is asked to remove itself is not: another one is", () => askedItself(world));
    test("a member that cannot be removed now is removed later", () => removalWaits(world));
    test("numbers that are used up are told, and the next free one is given", () => exhausted(world));
    test("the last member goes without asking anybody, and a new cluster begins", () => last(world));
    test("a node that lost its disk gets a certificate for its new key, with its old number", () =>
      newDisk(world));
    test("certificates whose time is half over are made anew, once, for the keys that are there", () =>
      renewed(world));
    test("a request that is none is told, and harms no other member", () => nonsense(world));
  });
}

const phase = async (world: MembersWorld, node: string) => (await world.member(node))?.status?.phase;

async function threeJoined(world: MembersWorld): Promise<void> {
  for (const node of ["n1", "n2", "n3"]) await world.node(node);
  await world.startController();
  await until("a founder", async () => {
    for (const [index, node] of ["n1", "n2", "n3"].entries())
      if ((await world.member(node))?.status?.isFounder === true) return [node, `198.18.0.${index + 11}`];
    return false;
  }).then(([node = "", address = ""]) => world.join(node, address));
  for (const [index, node] of ["n1", "n2", "n3"].entries()) await world.join(node, `198.18.0.${index + 11}`);
  await until("all to be members", async () => {
    const phases = await Promise.all(["n1", "n2", "n3"].map((node) => phase(world, node)));
    return phases.every((each) => each === "Joined");
  });
}

async function threeNodes(world: MembersWorld): Promise<void> {
  await threeJoined(world);
  const objects = await Promise.all(["n1", "n2", "n3"].map((node) => world.member(node)));
  assert.deepEqual(objects.map((each) => each?.status?.number).sort(), [0, 1, 2]);
  assert.equal(objects.filter((each) => each?.status?.isFounder).length, 1);
  const { "ca.crt": authorityPem = "" } = await world.secret("holdfast-cluster");
  for (const [index, node] of ["n1", "n2", "n3"].entries()) {
    const { configuration, keyPem, certificatePem } = await world.identify(node, `198.18.0.${index + 11}`);
    const verified = verifyMemberCertificate({ certificatePem, keyPem, authorityPem });
    assert.equal(verified.memberName, node);
    assert.equal(verified.memberNumber, objects[index]?.status?.number);
    assert.deepEqual(configuration.host, { loop: true });
    assert.equal(configuration.cluster.admit, "certificate");
    assert.ok("tls" in configuration.api);
    const own = JSON.stringify(objects[index]);
    assert.equal(own.includes("PRIVATE KEY"), false, "the key stays on its node");
    await until("the others' addresses", async () => (await world.member(node))?.status?.join?.length === 2);
  }
  assert.ok(world.events.filter((event) => event.endsWith(" Joined")).length >= 3);
}

async function notWanted(world: MembersWorld): Promise<void> {
  await world.node("n1", null);
  await world.node("n2", "false");
  await world.node("n3");
  await world.startController();
  await until("the third", async () => (await world.member("n3"))?.status?.number !== undefined);
  assert.equal(await world.member("n1"), undefined);
  assert.equal(await world.member("n2"), undefined);
}

async function restarted(world: MembersWorld): Promise<void> {
  await threeJoined(world);
  await until("their lists", async () => {
    const objects = await Promise.all(["n1", "n2", "n3"].map((node) => world.member(node)));
    return objects.every((each) => each?.status?.join?.length === 2);
  });
  await world.stopController();
  const before = await Promise.all(["n1", "n2", "n3"].map((node) => world.member(node)));
  const authority = await world.secret("holdfast-authority");
  await world.startController();
  await world.node("n4");
  await until("a fourth", async () => (await world.member("n4"))?.status?.number === 3);
  const after = await Promise.all(["n1", "n2", "n3"].map((node) => world.member(node)));
  assert.deepEqual(after, before);
  assert.deepEqual(await world.secret("holdfast-authority"), authority);
}

async function deleted(world: MembersWorld): Promise<void> {
  await threeJoined(world);
  const old = (await world.member("n3"))?.status;
  const listed = world.members.items.find(({ name }) => name === "n3");
  assert.ok(listed);
  listed.phase = "dead";
  await world.removeNode("n3");
  await until("its end", async () => (await world.member("n3")) === undefined);
  assert.deepEqual(world.members.removals, [{ name: "n3", gone: true }]);
  await world.node("n3");
  await until("its successor", async () => (await world.member("n3"))?.status?.number !== undefined);
  const next = (await world.member("n3"))?.status;
  assert.equal(next?.number, 3, "the old number rests");
  assert.notEqual(next?.memberName, old?.memberName);
  assert.match(next?.memberName ?? "", /^n3-/);
  assert.notEqual(next?.isFounder, true);
}

async function unlabelled(world: MembersWorld): Promise<void> {
  await threeJoined(world);
  await world.label("n2", null);
  await until("its end", async () => (await world.member("n2")) === undefined);
  assert.deepEqual(world.members.removals, [{ name: "n2", gone: false }]);
}

async function askedItself(world: MembersWorld): Promise<void> {
  await threeJoined(world);
  const asked: string[] = [];
  const { client } = world.members;
  world.members.refusal = new ApiError({
    code: "MEMBER_IS_SELF",
    status: 409,
    title: "Not by itself.",
    detail: "Ask another member.",
  });
  world.clientAt = (address) => {
    asked.push(address);
    world.members.refusal = undefined;
    return client;
  };
  await world.label("n1", null);
  await until("its end", async () => (await world.member("n1")) === undefined);
  assert.ok(asked.length > 0 && !asked.includes("198.18.0.11"), asked.join());
}

async function removalWaits(world: MembersWorld): Promise<void> {
  await threeJoined(world);
  world.members.refusal = new ApiError({
    code: "MEMBERS_NO_MAJORITY",
    status: 503,
    title: "No majority.",
    detail: "Bring members back.",
  });
  await world.removeNode("n1");
  await until("an event", () => world.events.includes("n1 RemovalWaits"));
  assert.equal(await phase(world, "n1"), "Leaving");
  world.members.isAway = true;
  world.members.refusal = undefined;
  world.members.isAway = false;
  await until("its end", async () => (await world.member("n1")) === undefined);
}

async function exhausted(world: MembersWorld): Promise<void> {
  world.numberCount = 4;
  await threeJoined(world);
  await world.node("n4");
  await world.join("n4", "198.18.0.14");
  await world.node("n5");
  await until("the event", () => world.events.includes("n5 NumbersExhausted"));
  await until("its condition", async () => {
    const [ready] = (await world.member("n5"))?.status?.conditions ?? [];
    return ready?.reason === "NumbersExhausted";
  });
  await world.label("n4", null);
  await until("it to rest", () => world.members.resting.length === 1);
  assert.equal((await world.member("n5"))?.status?.number, undefined);
  world.members.resting.length = 0;
  await until("the number", async () => (await world.member("n5"))?.status?.number === 3);
}

async function last(world: MembersWorld): Promise<void> {
  await world.node("n1");
  await world.startController();
  await until("a founder", async () => (await world.member("n1"))?.status?.isFounder === true);
  await world.join("n1", "198.18.0.11");
  await until("it to be one", async () => (await phase(world, "n1")) === "Joined");
  world.members.isAway = true;
  await world.removeNode("n1");
  await until("its end", async () => (await world.member("n1")) === undefined);
  assert.deepEqual(world.members.removals, []);
  // Its pod takes a while to end, and answers meanwhile.
  world.members.isAway = false;
  const { answers } = world.members;
  await until("the controller to have heard it", () => world.members.answers > answers + 1);
  await world.node("n2");
  await until("n2 to wait", async () => {
    const [ready] = (await world.member("n2"))?.status?.conditions ?? [];
    return ready?.reason === "Strangers" && /\(n1\)/.test(ready.message);
  });
  world.members.items.length = 0;
  world.members.isAway = true;
  await until("another founder", async () => (await world.member("n2"))?.status?.isFounder === true);
}

async function newDisk(world: MembersWorld): Promise<void> {
  await threeJoined(world);
  const before = await world.identify("n2", "198.18.0.12");
  const after = await world.identify("n2", "198.18.0.12", "n2-new-disk");
  assert.notEqual(after.certificatePem, before.certificatePem);
  assert.equal(after.configuration.member.number, before.configuration.member.number);
  assert.equal(after.configuration.member.name, "n2");
  assert.ok(after.configuration.cluster.join.length >= 1, "it does not begin a cluster of its own");
}

const DAY_MS = 86_400_000;

async function renewed(world: MembersWorld): Promise<void> {
  world.wallMs = () => Date.now() - 401 * DAY_MS;
  await threeJoined(world);
  const nodes = ["n1", "n2", "n3"] as const;
  const identify = () =>
    Promise.all(nodes.map((node, index) => world.identify(node, `198.18.0.${index + 11}`)));
  const statuses = async () =>
    (await Promise.all(nodes.map((node) => world.member(node)))).map((each) => each?.status);
  await until("their lists", async () => (await statuses()).every((status) => status?.join?.length === 2));
  const before = await identify();
  const authority = await world.secret("holdfast-authority");
  const versions = (await statuses()).map((status) => status?.certificate);
  assert.equal(world.events.filter((event) => event.endsWith(" Renewed")).length, 0);
  // The same controller lives to see the day, or another one does.
  world.wallMs = Date.now;
  await until("three new ones", async () =>
    (await statuses()).every((status, index) => status?.certificate !== versions[index]),
  );
  const { "ca.crt": authorityPem = "" } = await world.secret("holdfast-cluster");
  const after = await identify();
  for (const [index, { configuration, certificatePem, keyPem }] of after.entries()) {
    assert.equal(keyPem, before[index]?.keyPem, "the key stays");
    assert.notEqual(certificatePem, before[index]?.certificatePem);
    assert.deepEqual(configuration, before[index]?.configuration, "nothing that would need a restart");
    const { daysLeft, memberName } = verifyMemberCertificate({ certificatePem, keyPem, authorityPem });
    assert.equal(memberName, nodes[index]);
    assert.ok(daysLeft > 700, `${daysLeft} days`);
  }
  assert.deepEqual(await world.secret("holdfast-authority"), authority);
  // Who comes after it finds them young.
  await world.stopController();
  const settled = await statuses();
  await world.startController();
  await world.node("n4");
  await until("a fourth", async () => (await world.member("n4"))?.status?.number === 3);
  assert.deepEqual(
    (await statuses()).map((status) => status?.certificate),
    settled.map((status) => status?.certificate),
  );
  assert.equal(world.events.filter((event) => event.endsWith(" Renewed")).length, 3);
}

async function nonsense(world: MembersWorld): Promise<void> {
  await world.node("n1");
  await world.node("n2");
  await world.startController();
  await until("both", async () => (await world.member("n1"))?.status?.number !== undefined);
  await world.client.patch(
    MEMBERS,
    { name: "n1" },
    { spec: { request: "no request", addresses: ["198.18.0.11"] } },
  );
  await world.identify("n2", "198.18.0.12");
  await until("the event", () => world.events.includes("n1 RequestRefused"));
  assert.equal((await world.member("n1"))?.status?.certificate, undefined);
}
