// Bytes that come with a SYN, which endpoints with TCP Fast Open (RFC 7413) take and acknowledge.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { PROTOCOL_TCP } from "@holdfast/model";
import {
  ACK,
  Connection,
  PlainRig,
  type PlainRigOptions,
  plainService,
  RST,
  SYN,
  segmentOf,
  tcpPacket,
} from "../../testing/plain.ts";
import { settled } from "../../testing/rig.ts";
import { proxyHeader } from "./introduction.ts";

const FIRST = 1_000;
const COOKIE = [34, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 1];
/** RFC 6994: what stacks asked with before the option had a number. */
const OLD_REQUEST = [254, 4, 0xf9, 0x89];
const services = [plainService(PROTOCOL_TCP)];

async function begun(options: Partial<PlainRigOptions>, payload: string, cookie: readonly number[] = COOKIE) {
  const rig = new PlainRig({ services, ...options });
  const connection = new Connection();
  const syn = tcpPacket(connection.ends, SYN, { sequence: FIRST, payload, options: cookie });
  const { fastPath } = rig;
  fastPath.inject(syn, 1);
  await settled();
  const [left] = fastPath.takeOutgoing();
  assert.ok(left);
  const arrived = segmentOf(left.packet);
  connection.heard(arrived);
  connection.clientNext = FIRST + 1;
  return { rig, connection, arrived, bytes: left.packet };
}

describe("bytes that come with a SYN", () => {
  for (const taken of [0, 3, "question".length])
    test(`arrive, and the SYN-ACK that acknowledges ${taken} of them opens the connection`, async () => {
      const { rig, connection, arrived } = await begun({}, "question");
      assert.equal(arrived.payload, "question");
      connection.clientNext += taken;
      assert.equal((await rig.one(connection.down(SYN | ACK))).acknowledgment, FIRST + 1 + taken);
      // RFC 7413 §4.2.2: the endpoint may answer before the client has acknowledged anything.
      assert.equal((await rig.one(connection.down(ACK, "answer"))).payload, "answer");
      await rig.one(connection.up(ACK, "question".slice(taken)));
      assert.deepEqual(rig.phases(), ["established"]);
      const before = rig.punts;
      assert.equal((await rig.one(connection.up(ACK, "another"))).payload, "another");
      assert.equal((await rig.one(connection.down(ACK, "and its answer"))).payload, "and its answer");
      assert.equal(rig.punts, before, "the fast path has it");
      assert.deepEqual(rig.drops(), {});
    });

  test("are acknowledged, too, when the SYN came again without them", async () => {
    const { rig, connection } = await begun({}, "question");
    await rig.one(tcpPacket(connection.ends, SYN, { sequence: FIRST }));
    connection.clientNext += "question".length;
    await rig.one(connection.down(SYN | ACK));
    await rig.one(connection.up(ACK));
    assert.deepEqual(rig.phases(), ["established"]);
  });

  test("more than came cannot be acknowledged", async () => {
    const { rig, connection } = await begun({}, "question");
    connection.clientNext += "question".length + 1;
    assert.deepEqual(await rig.pass(connection.down(SYN | ACK)), []);
    assert.deepEqual(rig.drops(), { "wrong-phase": 1 });
  });

  test("are refused with the SYN", async () => {
    const { rig, connection } = await begun({}, "question");
    connection.clientNext += "question".length;
    assert.equal((await rig.one(connection.down(RST | ACK))).flags, RST | ACK);
    assert.deepEqual(rig.phases(), []);
  });
});

describe("bytes that come with a SYN to a service with PROXY headers", () => {
  const introduced = { services: [plainService(PROTOCOL_TCP, { proxyProtocol: true })] };

  for (const [name, options] of [
    ["a cookie", COOKIE],
    ["the option of before its number", OLD_REQUEST],
  ] as const)
    test(`stay behind the header: the endpoint sees neither them nor ${name}`, async () => {
      const { rig, connection, arrived, bytes } = await begun(
        introduced,
        "PROXY TCP4 of somebody else",
        options,
      );
      assert.equal(arrived.payload, "");
      assert.deepEqual([...bytes.subarray(40)], Array(options.length).fill(1));
      await rig.one(connection.down(SYN | ACK));
      const told = await rig.one(connection.up(ACK));
      assert.equal(told.payload, Buffer.from(proxyHeader(recordOf(rig))).toString());
      assert.deepEqual(rig.drops(), {});
    });

  test("into an open connection, which its endpoint may have forgotten", async () => {
    const { rig, connection } = await begun(introduced, "");
    await rig.one(connection.down(SYN | ACK));
    await rig.one(connection.up(ACK));
    const syn = tcpPacket(connection.ends, SYN, { sequence: 9_000_000, payload: "first", options: COOKIE });
    const again = await rig.one(syn);
    assert.deepEqual([again.flags, again.sequence, again.payload], [SYN, 9_000_000, ""]);
  });
});

describe("a client that wants its bytes in the PROXY header's place", () => {
  const introduced = { services: [plainService(PROTOCOL_TCP, { proxyProtocol: true })] };
  const SIZE = 28;
  const answered = async () => {
    const made = await begun(introduced, "", []);
    await made.rig.one(made.connection.down(SYN | ACK));
    return made;
  };

  test("is not heard before the endpoint has answered", async () => {
    const { rig, connection } = await begun(introduced, "", []);
    assert.deepEqual(await rig.pass(connection.up(ACK, "PROXY")), []);
    assert.deepEqual(rig.drops(), { "wrong-phase": 1 });
  });

  test("says another SYN, which the endpoint does not answer: nothing is counted from that", async () => {
    const { rig, connection } = await answered();
    const { ends } = connection;
    const sequence = FIRST - SIZE;
    assert.equal((await rig.one(tcpPacket(ends, SYN, { sequence }))).flags, SYN);
    // RFC 9293 §3.10.7.4: the endpoint says where it is.
    await rig.one(connection.down(ACK));
    const acknowledgment = connection.serverNext;
    const data = { sequence: sequence + 1, acknowledgment, payload: "PROXY" };
    assert.deepEqual(await rig.pass(tcpPacket(ends, ACK, data)), []);
    // Who has begun anew resets what the endpoint has, and is served.
    const [reset, again] = await rig.pass(tcpPacket(ends, RST, { sequence: connection.clientNext }));
    assert.deepEqual([reset?.flags, again?.flags, again?.sequence], [RST, SYN, sequence]);
    Object.assign(connection, { clientNext: sequence + 1, serverNext: 77_000 });
    await rig.one(connection.down(SYN | ACK));
    assert.equal((await rig.one(connection.up(ACK))).sequence, sequence + 1);
  });

  test("answers as one that opens at the same time, with bytes or from elsewhere", async () => {
    const { rig, connection } = await answered();
    const { ends, serverNext: acknowledgment } = connection;
    const payload = "PROXY";
    const other = tcpPacket(ends, SYN | ACK, { sequence: FIRST - SIZE, acknowledgment });
    assert.deepEqual(await rig.pass(other), []);
    const same = await rig.one(tcpPacket(ends, SYN | ACK, { sequence: FIRST, acknowledgment, payload }));
    assert.deepEqual([same.flags, same.payload], [SYN | ACK, ""]);
  });

  test("sends bytes from before its first number", async () => {
    const { rig, connection } = await answered();
    const { ends, serverNext: acknowledgment } = connection;
    const early = tcpPacket(ends, ACK, { sequence: FIRST + 1 - SIZE, acknowledgment, payload: "PROXY" });
    assert.deepEqual(await rig.pass(early), []);
    const told = await rig.one(connection.up(ACK));
    assert.equal(told.sequence, FIRST + 1);
    assert.deepEqual(await rig.pass(early), []);
    assert.deepEqual(rig.drops(), { "wrong-phase": 2 });
  });
});

function recordOf(rig: PlainRig) {
  const [record] = rig.records();
  assert.ok(record);
  return record;
}
