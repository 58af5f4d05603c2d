// A client's own port as its NAT port: kept in this member's slot, lent from another's, voted for in
// nobody's.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Address, type NatPortPolicy, parseAddress } from "@holdfast/model";
import { CAUSE, CHUNK, type Chunk, findChunk, parseCauses } from "@holdfast/sctp";
import { LIMITS_DEFAULT } from "../limits.ts";

import { Cluster } from "../testing/cluster.ts";
import { ClientHost, EndpointHost, type Seen } from "../testing/hosts.ts";
import {
  CLIENT,
  CLIENT_2,
  ENDPOINT,
  ENDPOINT_PORT,
  OTHER_ENDPOINT,
  type Rig,
  SERVICE_PORT,
  serviceOf,
  settled,
  VIPS,
} from "../testing/rig.ts";
import type { LendAnswer } from "./lending.ts";

const [VIP0] = VIPS as [Address, Address];
/** Of eight slots: member 1's, and one that no member of three has. */
const LENT_PORT = 2_905;
const COMMON_PORT = 3_868;
const OTHER_CLIENT = parseAddress("100.80.1.11");

const from = (source: Address) => ({ source, destination: VIP0 });
const clusterOf = (natPort: NatPortPolicy, count = 3) =>
  new Cluster(count, { lends: true, services: [serviceOf({ natPort })] });
const clientOf = (port: number, tag = 0x51) => new ClientHost(port, SERVICE_PORT, tag);

/** What the endpoint sees of an INIT. */
async function natPortOf(rig: Rig, client: ClientHost, source: Address = CLIENT): Promise<number> {
  return (await rig.one(client.init(from(source)))).packet.sourcePort;
}

/** The only packet, an ABORT with the client's tag: its reason. */
function refusal(seen: readonly Seen[], client: ClientHost): string {
  assert.equal(seen.length, 1);
  const [only] = seen as [Seen];
  assert.equal(only.tag, client.tag);
  const causes = parseCauses(findChunk(only.packet, CHUNK.ABORT) as Chunk);
  assert.ok(Array.isArray(causes));
  const [cause] = causes;
  assert.equal(cause?.type, CAUSE.USER_INITIATED_ABORT);
  return Buffer.from(cause.bytes.subarray(cause.offset + 4, cause.offset + cause.length)).toString();
}

for (const port of [LENT_PORT, COMMON_PORT])
  test(`port ${port} is kept at any member, and is out once`, async () => {
    const cluster = clusterOf("keep");
    const first = cluster.rig(0);
    assert.equal(await natPortOf(first, clientOf(port)), port);
    for (const [index, rig] of cluster.rigs.entries()) {
      const other = parseAddress(`100.80.1.${20 + index}`);
      assert.notEqual(await natPortOf(rig, clientOf(port, 0x60 + index), other), port);
    }
    assert.ok(first.event("nat-ports-borrowed") === 1);
    assert.deepEqual(first.drops(), {});
  });

test("any: a port of this member's own slots, unasked", async () => {
  const cluster = clusterOf("any");
  const natPort = await natPortOf(cluster.rig(0), clientOf(LENT_PORT));
  assert.equal(natPort % 8, 0);
  assert.equal(cluster.rig(0).event("nat-ports-asked"), 0);
});

test("a lone member keeps every port that nobody else has", async () => {
  const cluster = clusterOf("keep", 1);
  const rig = cluster.rig(0);
  for (const [index, port] of [LENT_PORT, COMMON_PORT, 36_412].entries())
    assert.equal(await natPortOf(rig, clientOf(port, 0x70 + index)), port);
  assert.notEqual(await natPortOf(rig, clientOf(LENT_PORT, 0x80), OTHER_CLIENT), LENT_PORT);
});

test("the same INIT at two members is one client: both have its port", async () => {
  const cluster = clusterOf("keep");
  const client = clientOf(LENT_PORT);
  assert.equal(await natPortOf(cluster.rig(0), client), LENT_PORT);
  assert.equal(await natPortOf(cluster.rig(2), client), LENT_PORT);
  // As is the client that begins anew before its handshake was done.
  assert.equal(await natPortOf(cluster.rig(2), clientOf(LENT_PORT, 0x99)), LENT_PORT);
});

test("a port that another association of the client got for want of its own is not one that it comes back to", async () => {
  const cluster = clusterOf("keep");
  const rig = cluster.rig(0);
  cluster.silent.add(1);
  const other = clientOf(LENT_PORT);
  const init = await rig.one(other.init(from(CLIENT)));
  const natPort = init.packet.sourcePort;
  assert.notEqual(natPort, LENT_PORT);
  const asks = clientOf(natPort, 0x61);
  assert.notEqual(await natPortOf(rig, asks), natPort, "an embryo has it");
  // With its INIT-ACK it is in the table, and not committed.
  await rig.pass(new EndpointHost(ENDPOINT_PORT, 0, 0x52).initAck(init));
  const later = clientOf(natPort, 0x62);
  assert.notEqual(await natPortOf(rig, later), natPort, "a session that is not committed has it");
});

test("keep: when the lender is silent another port is good; it is given back when the late answer comes", async () => {
  const cluster = clusterOf("keep");
  const [a, b] = [cluster.rig(0), cluster.rig(1)];
  cluster.silent.add(1);
  assert.notEqual(await natPortOf(a, clientOf(LENT_PORT)), LENT_PORT);
  cluster.silent.clear();
  assert.equal(await natPortOf(b, clientOf(LENT_PORT, 0x61), OTHER_CLIENT), LENT_PORT);
});

test("keep: whoever lends it takes too long", async () => {
  const answers: ((answer: LendAnswer) => void)[] = [];
  const given: string[] = [];
  const cluster = new Cluster(1, {
    services: [serviceOf({ natPort: "keep" })],
    lending: {
      memberNumbers: [0, 1],
      request: (_member, message) => {
        given.push(message.kind);
        return new Promise((resolve) => answers.push(resolve));
      },
    },
  });
  const rig = cluster.rig(0);
  assert.deepEqual(await rig.pass(clientOf(LENT_PORT).init(from(CLIENT))), []);
  cluster.clock.advance(LIMITS_DEFAULT.natPortLoanMs);
  const [init] = rig.taken();
  assert.notEqual(init?.packet.sourcePort, LENT_PORT);
  answers[0]?.("yes");
  await settled();
  assert.deepEqual(given, ["lend", "back"]);
});

test("a majority is enough: who does not answer keeps nobody waiting, and gets back what he says too late", async () => {
  const late: ((answer: LendAnswer) => void)[] = [];
  const given: string[] = [];
  const cluster = new Cluster(1, {
    services: [serviceOf({ natPort: "keep" })],
    lending: {
      memberNumbers: [0, 1, 2],
      request: (member, message) => {
        given.push(`${message.kind} ${member}`);
        if (member === 1 && message.kind === "lend") return new Promise((resolve) => late.push(resolve));
        return Promise.resolve<LendAnswer>(
          message.kind === "lend" && message.natPort !== COMMON_PORT ? "no" : "yes",
        );
      },
    },
  });
  const rig = cluster.rig(0);
  // Two of three.
  assert.equal(await natPortOf(rig, clientOf(COMMON_PORT)), COMMON_PORT);
  late[0]?.("yes");
  await settled();
  assert.deepEqual(given.splice(0), ["lend 1", "lend 2", "back 1"]);
  // One says no, and without the other there is no majority: that has to be heard.
  assert.deepEqual(await rig.pass(clientOf(COMMON_PORT + 8, 0x52).init(from(CLIENT))), []);
  late[1]?.("yes");
  await settled();
  assert.equal(rig.taken()[0]?.packet.sourcePort, COMMON_PORT + 8);
});

test("require: taken, out of reach, or without a majority is an ABORT that says so", async () => {
  const cluster = clusterOf("require");
  const rig = cluster.rig(0);
  assert.equal(await natPortOf(rig, clientOf(LENT_PORT)), LENT_PORT);
  const second = clientOf(LENT_PORT, 0x61);
  assert.match(refusal(await rig.pass(second.init(from(OTHER_CLIENT))), second), /2905 is in use/);
  cluster.silent.add(1).add(2);
  const third = clientOf(LENT_PORT + 8, 0x62);
  assert.match(refusal(await rig.pass(third.init(from(CLIENT))), third), /2913 does not answer/);
  const fourth = clientOf(COMMON_PORT, 0x63);
  assert.match(refusal(await rig.pass(fourth.init(from(CLIENT))), fourth), /does not answer/);
  assert.deepEqual(rig.drops(), { "nat-port-taken": 1, "nat-port-unreachable": 2 });
  // A majority is two of three.
  cluster.silent.delete(2);
  assert.equal(await natPortOf(rig, clientOf(COMMON_PORT, 0x64)), COMMON_PORT);
});

test("in a partition the lender's side alone has the port; voters of one side are no majority on the other", async () => {
  const cluster = clusterOf("keep");
  const [a, b, c] = [cluster.rig(0), cluster.rig(1), cluster.rig(2)];
  assert.equal(await natPortOf(a, clientOf(COMMON_PORT)), COMMON_PORT);
  assert.equal(await natPortOf(a, clientOf(LENT_PORT, 0x52)), LENT_PORT);
  cluster.silent.add(0);
  // Whatever the handshakes on the other side have come to: nobody here can know.
  cluster.clock.advance(10 * LIMITS_DEFAULT.handshakeTimeoutMs);
  for (const rig of [b, c])
    for (const port of [COMMON_PORT, LENT_PORT])
      assert.notEqual(await natPortOf(rig, clientOf(port, 0x71), OTHER_CLIENT), port);
});

test("a handshake that comes to nothing gives the port back, to its client at once and to others when it has rested", async () => {
  const cluster = clusterOf("keep");
  const [a, b] = [cluster.rig(0), cluster.rig(1)];
  assert.equal(await natPortOf(a, clientOf(LENT_PORT)), LENT_PORT);
  cluster.clock.advance(LIMITS_DEFAULT.initTimeoutMs + 1_000);
  await settled();
  assert.equal(a.event("embryos-expired"), 1);
  assert.notEqual(await natPortOf(b, clientOf(LENT_PORT, 0x61), OTHER_CLIENT), LENT_PORT);
  assert.equal(await natPortOf(b, clientOf(LENT_PORT, 0x62)), LENT_PORT);
});

test("a borrower that died is asked when it is back, and the port rests and is free", async () => {
  const cluster = clusterOf("keep");
  const [b, c] = [cluster.rig(1), cluster.rig(2)];
  // Nobody gives it back: the member has forgotten all.
  assert.equal(
    b.forwarder.heardLoan(0, {
      kind: "lend",
      endpoint: ENDPOINT,
      endpointPort: ENDPOINT_PORT,
      natPort: LENT_PORT,
      serviceId: serviceOf().id,
      source: CLIENT,
      listed: [],
      clientTag: 0x51,
      isRequired: false,
    }),
    "yes",
  );
  assert.notEqual(await natPortOf(c, clientOf(LENT_PORT, 0x61), OTHER_CLIENT), LENT_PORT);
  cluster.clock.advance(LIMITS_DEFAULT.initTimeoutMs + LIMITS_DEFAULT.natPortRestEvictedMs + 1_000);
  await settled();
  cluster.clock.advance(LIMITS_DEFAULT.natPortRestEvictedMs + 1_000);
  await settled();
  assert.equal(b.forwarder.counters().natPortsLent, 0);
  assert.equal(await natPortOf(c, clientOf(LENT_PORT, 0x62), OTHER_CLIENT), LENT_PORT);
});

test("a borrower that was taken off the list of members is waited for as long as its handshakes may take", async () => {
  const { initTimeoutMs, handshakeTimeoutMs, natPortRestEvictedMs } = LIMITS_DEFAULT;
  const cluster = clusterOf("keep");
  const [a, b, c] = [cluster.rig(0), cluster.rig(1), cluster.rig(2)];
  const pass = async (ms: number) => {
    for (let passedMs = 0; passedMs < ms; passedMs += initTimeoutMs) {
      cluster.clock.advance(Math.min(initTimeoutMs, ms - passedMs));
      await settled();
    }
  };
  assert.equal(await natPortOf(a, clientOf(LENT_PORT)), LENT_PORT);
  cluster.silent.add(0);
  await pass(2 * (initTimeoutMs + handshakeTimeoutMs));
  assert.equal(b.forwarder.counters().natPortsLent, 1, "it may be back");
  cluster.removed.add(0);
  await pass(initTimeoutMs + handshakeTimeoutMs);
  assert.equal(b.forwarder.counters().natPortsLent, 1, "its client may repeat its INIT");
  await pass(2 * initTimeoutMs);
  assert.equal(b.forwarder.counters().natPortsLent, 0);
  assert.deepEqual([...b.forwarder.portBooks.borrowersBefore(Number.MAX_SAFE_INTEGER)], []);
  assert.notEqual(await natPortOf(c, clientOf(LENT_PORT, 0x61), OTHER_CLIENT), LENT_PORT, "it rests");
  await pass(natPortRestEvictedMs + 1_000);
  assert.equal(await natPortOf(c, clientOf(LENT_PORT, 0x62), OTHER_CLIENT), LENT_PORT);
});

test("a session holds the lent port until it ends and has rested; its own client has it back at once", async () => {
  const cluster = clusterOf("keep");
  const [a, b] = [cluster.rig(0), cluster.rig(1)];
  const client = clientOf(LENT_PORT);
  const { natPort, endpoint } = await a.establish({ client });
  assert.equal(natPort, LENT_PORT);
  assert.equal(b.forwarder.counters().natPortsLent, 0, "the table says so now");
  assert.notEqual(await natPortOf(b, clientOf(LENT_PORT, 0x61), OTHER_CLIENT), LENT_PORT);
  await a.pass(endpoint.packet({ source: ENDPOINT, destination: VIP0 }, [abort()]));
  cluster.clock.advance(LIMITS_DEFAULT.lingerMs / 2);
  assert.notEqual(await natPortOf(b, clientOf(LENT_PORT, 0x62), OTHER_CLIENT), LENT_PORT);
  assert.equal(await natPortOf(b, clientOf(LENT_PORT, 0x63)), LENT_PORT);
});

test("a lender that goes takes unfinished handshakes with it: it may return without its memory", async () => {
  const cluster = clusterOf("keep");
  const a = cluster.rig(0);
  const client = clientOf(LENT_PORT);
  const init = await a.one(client.init(from(CLIENT)));
  a.forwarder.lenderGone(1);
  const answer = new EndpointHost(ENDPOINT_PORT, 0, 0x52).initAck(init);
  assert.deepEqual(await a.pass(answer), []);
  cluster.silent.add(1);
  assert.notEqual(await natPortOf(a, client), LENT_PORT);
});

test("an endpoint that does not answer: the next one's port is asked for, too", async () => {
  const endpoints = [ENDPOINT, OTHER_ENDPOINT].map((address) => ({
    address,
    port: ENDPOINT_PORT,
    weight: 1,
    state: "active" as const,
  }));
  const cluster = new Cluster(3, { lends: true, services: [serviceOf({ natPort: "require", endpoints })] });
  const rig = cluster.rig(0);
  const client = clientOf(LENT_PORT);
  const seen = new Set<string>();
  for (let n = 0; n <= LIMITS_DEFAULT.unansweredInitCountMax; n++) {
    const init = await rig.one(client.init(from(CLIENT)));
    assert.equal(init.packet.sourcePort, LENT_PORT);
    seen.add(init.destination);
  }
  assert.equal(seen.size, 2);
  assert.equal(rig.event("nat-ports-borrowed"), 2);
});

test("several addresses of a client are one client", async () => {
  const cluster = clusterOf("keep");
  const client = clientOf(LENT_PORT);
  const init = await cluster.rig(0).one(client.init(from(CLIENT), [CLIENT, CLIENT_2]));
  assert.equal(init.packet.sourcePort, LENT_PORT);
  const again = clientOf(LENT_PORT, 0x77);
  assert.equal(await natPortOf(cluster.rig(2), again, CLIENT_2), LENT_PORT);
});

function abort(): Uint8Array {
  return Uint8Array.of(CHUNK.ABORT, 0, 0, 4);
}
