// Questions to other members about a client's own port, when lists of members change and answers come late.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Cluster } from "../testing/cluster.ts";
import { ClientHost } from "../testing/hosts.ts";
import { CLIENT, ENDPOINT, ENDPOINT_PORT, SERVICE_PORT, serviceOf, settled, VIPS } from "../testing/rig.ts";
import type { LendAnswer, LoanMessage } from "./lending.ts";

/** Of eight slots, one that no member of three has. */
const COMMON_PORT = 3_868;
const [VIP0] = VIPS;

const from = (source: typeof CLIENT) => ({ source, destination: VIP0 as typeof CLIENT });
const clientOf = (port: number) => new ClientHost(port, SERVICE_PORT, 0x51);

test("votes are counted under one list of members: when it changes, or a voter has a later one, they are asked for again", async () => {
  const given: string[] = [];
  let listVersion = 1;
  let voterHas = 2;
  const cluster = new Cluster(1, {
    services: [serviceOf({ natPort: "keep" })],
    lending: {
      memberNumbers: [0, 1, 2],
      get listVersion() {
        return listVersion;
      },
      request: async (member, message) => {
        given.push(`${message.kind} ${member}`);
        if (message.kind !== "lend") return "yes";
        const answer = voterHas > listVersion ? "stale" : "yes";
        // Its own list changes while the votes are on their way.
        if (listVersion === 2) listVersion = voterHas = 3;
        return answer;
      },
    },
  });
  const rig = cluster.rig(0);
  assert.deepEqual(await rig.pass(clientOf(COMMON_PORT).init(from(CLIENT))), []);
  assert.deepEqual(given.splice(0), ["lend 1", "lend 2"], "both have a later list");
  listVersion = 2;
  cluster.clock.advance(20);
  await settled();
  assert.deepEqual(
    given.splice(0),
    ["lend 1", "lend 2", "back 2", "back 1"],
    "the majority was one of the list before",
  );
  assert.deepEqual(rig.taken(), []);
  cluster.clock.advance(20);
  await settled();
  assert.equal(rig.taken()[0]?.packet.sourcePort, COMMON_PORT);
  assert.deepEqual([...rig.forwarder.portBooks.borrowersBefore(3)], []);
  assert.deepEqual(
    [...rig.forwarder.portBooks.borrowersBefore(4)],
    [0],
    "what is lent now is no loan of that list",
  );
});

test("what is given back of one question leaves alone what the next one got: the answer to the first came late", async () => {
  const { forwarder } = new Cluster(3, { lends: true, services: [serviceOf({ natPort: "keep" })] }).rig(1);
  const tagged = { endpoint: ENDPOINT, endpointPort: ENDPOINT_PORT, natPort: COMMON_PORT, clientTag: 0x51 };
  const [service] = [serviceOf({ natPort: "keep" })];
  const wish = { ...tagged, serviceId: service.id, source: CLIENT, listed: [], isRequired: true };
  const lent = () => forwarder.counters().natPortsLent;
  for (const ask of [1, 2]) assert.equal(forwarder.heardLoan(0, { kind: "lend", ...wish, ask }), "yes");
  forwarder.heardLoan(0, { kind: "back", ...tagged, ask: 1 });
  assert.equal(lent(), 1);
  forwarder.heardLoan(0, { kind: "back", ...tagged, ask: 2 });
  assert.equal(lent(), 0);
  // A member that does not number them.
  assert.equal(forwarder.heardLoan(2, { kind: "lend", ...wish }), "yes");
  forwarder.heardLoan(2, { kind: "back", ...tagged });
  assert.equal(lent(), 0);
});

test("each question has its number, and what is given back has the number of its own", async () => {
  const words: LoanMessage[] = [];
  let listVersion = 1;
  const late: ((answer: LendAnswer) => void)[] = [];
  const cluster = new Cluster(1, {
    services: [serviceOf({ natPort: "keep" })],
    lending: {
      memberNumbers: [0, 1, 2],
      get listVersion() {
        return listVersion;
      },
      request: (member, message) => {
        words.push(message);
        if (message.kind !== "lend") return Promise.resolve("yes");
        return new Promise((resolve) => void (member === 1 ? resolve("yes") : late.push(resolve)));
      },
    },
  });
  const rig = cluster.rig(0);
  const passed = rig.pass(clientOf(COMMON_PORT).init(from(CLIENT)));
  // The list changes while the first answer is on its way; the other member's comes after the next question.
  listVersion = 2;
  assert.deepEqual(await passed, []);
  cluster.clock.advance(20);
  await settled();
  assert.equal(rig.taken()[0]?.packet.sourcePort, COMMON_PORT);
  late[0]?.("yes");
  await settled();
  const asks = words.map((word) => `${word.kind} ${word.kind === "still" ? "" : word.ask}`);
  assert.deepEqual(asks, ["lend 1", "lend 1", "back 1", "lend 2", "lend 2", "back 1"]);
});

test("keep: another port is good when members' lists stay unlike", async () => {
  const cluster = new Cluster(1, {
    services: [serviceOf({ natPort: "keep" })],
    lending: { memberNumbers: [0, 1, 2], request: async () => "stale" },
  });
  const rig = cluster.rig(0);
  assert.deepEqual(await rig.pass(clientOf(COMMON_PORT).init(from(CLIENT))), []);
  for (let i = 0; i < 4; i++) {
    cluster.clock.advance(20);
    await settled();
  }
  assert.notEqual(rig.taken()[0]?.packet.sourcePort, COMMON_PORT);
  assert.equal(rig.event("nat-ports-asked"), 1);
});
