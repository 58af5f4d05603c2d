import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Address, PROTOCOL_TCP } from "@holdfast/model";
import { encodeIp, IpHeader, read32, write32 } from "@holdfast/sctp";
import { encodeIcmp } from "../../icmp/own-errors.ts";
import { bytesOf } from "../../packet/translate.ts";
import {
  ACK,
  CLIENT,
  Connection,
  PlainRig,
  plainService,
  SERVER,
  SERVER_PORT,
  SYN,
  segmentOf,
  VIP,
} from "../../testing/plain.ts";
import { settled } from "../../testing/rig.ts";

const OTHER = "192.0.2.21";
const ROUTER = "192.0.2.1";
const endpoint = (address: Address) => ({ address, port: SERVER_PORT, weight: 1, state: "active" as const });
const two = [plainService(PROTOCOL_TCP, { endpoints: [endpoint(SERVER), endpoint(OTHER)] })];
const one = [plainService(PROTOCOL_TCP, { proxyProtocol: true })];
const HOST_UNREACHABLE = 1;
const TOO_BIG = 4;

/** Raw packets that leave. */
async function through(rig: PlainRig, packet: Uint8Array): Promise<Uint8Array[]> {
  rig.fastPath.inject(packet, 1);
  await settled();
  return rig.fastPath.takeOutgoing().map((out) => out.packet);
}

async function only(rig: PlainRig, packet: Uint8Array): Promise<Uint8Array> {
  const [first, ...more] = await through(rig, packet);
  assert.ok(first !== undefined && more.length === 0, JSON.stringify(rig.drops()));
  return first;
}

function about(sent: Uint8Array, code = HOST_UNREACHABLE): Uint8Array {
  const fields = { version: 4 as const, type: 3, code, word: code === TOO_BIG ? 1_280 : 0 };
  return encodeIcmp({ ...fields, source: bytesOf(ROUTER), destination: sent.subarray(12, 16), inner: sent });
}

describe("an ICMP error about a SYN that nobody has answered", () => {
  test("another endpoint has the SYN at once, and the connection opens there", async () => {
    const rig = new PlainRig({ services: two });
    const connection = new Connection();
    const first = await only(rig, connection.up(SYN));
    const second = await only(rig, about(first));
    const [was, is] = [segmentOf(first), segmentOf(second)];
    assert.deepEqual(new Set([was.destination, is.destination]), new Set([SERVER, OTHER]));
    assert.deepEqual([is.flags, is.sequence, is.source], [SYN, was.sequence, VIP]);
    assert.equal(rig.records().length, 1);
    connection.heard(is);
    await rig.one(connection.down(SYN | ACK));
    await rig.one(connection.up(ACK));
    assert.equal((await rig.one(connection.up(ACK, "question"))).destination, is.destination);
    assert.deepEqual(rig.drops(), {});
    // Late, about the one that was given up.
    assert.deepEqual(await through(rig, about(first)), []);
    assert.equal(rig.drops()["icmp-unrelated"], 1);
    assert.equal(rig.records().length, 1);
  });

  test("when no endpoint can be reached the client is told, in its own words, and may try again", async () => {
    const rig = new PlainRig({ services: one });
    const connection = new Connection();
    const syn = connection.up(SYN);
    const sent = await only(rig, syn);
    const error = await only(rig, about(sent));
    const ip = new IpHeader();
    assert.equal(ip.read(error), undefined);
    assert.deepEqual([...error.subarray(12, 20)], [...bytesOf(VIP), ...bytesOf(CLIENT)]);
    const inner = error.slice(ip.payloadOffset + 8, ip.end);
    inner[8] = syn[8] as number;
    inner.set(syn.subarray(10, 12), 10);
    assert.deepEqual(Buffer.from(inner), Buffer.from(syn));
    assert.equal(segmentOf(await only(rig, syn)).destination, SERVER);
    assert.equal(rig.records().length, 1);
  });

  test("each endpoint is tried once", async () => {
    const rig = new PlainRig({ services: two });
    const connection = new Connection();
    const second = await only(rig, about(await only(rig, connection.up(SYN))));
    const error = await only(rig, about(second));
    assert.deepEqual([...error.subarray(16, 20)], [...bytesOf(CLIENT)]);
    assert.equal(rig.records().length, 1);
  });

  test("one that does not quote the SYN's number, or is about anything else, changes nothing", async () => {
    const rig = new PlainRig({ services: two });
    const connection = new Connection();
    const sent = await only(rig, connection.up(SYN));
    const { destination } = segmentOf(sent);
    const forged = sent.slice();
    write32(forged, 24, (read32(forged, 24) + 1) >>> 0);
    assert.deepEqual(await through(rig, about(forged)), []);
    assert.equal(rig.drops()["icmp-unproven"], 1);
    // Too big is no reason to go elsewhere: the client hears of it.
    assert.equal((await through(rig, about(sent, TOO_BIG))).length, 1);
    const elsewhere = sent.slice();
    elsewhere[21] = (elsewhere[21] as number) ^ 1;
    assert.deepEqual(await through(rig, about(elsewhere)), []);
    assert.equal(rig.drops()["icmp-unrelated"], 1);
    assert.deepEqual(
      rig.records().map((record) => record.endpoint),
      [destination],
    );
  });

  test("bytes without end in the quotation harm nobody", async () => {
    const rig = new PlainRig({ services: two });
    const sent = await only(rig, new Connection().up(SYN));
    for (let size = 0; size <= sent.length; size++) {
      const inner = sent.subarray(0, size);
      const fields = { version: 4 as const, type: 3, code: TOO_BIG, word: 0, source: bytesOf(ROUTER) };
      await through(rig, encodeIcmp({ ...fields, destination: sent.subarray(12, 16), inner }));
    }
    const junk = encodeIp({
      source: bytesOf(ROUTER),
      destination: bytesOf(VIP),
      payload: new Uint8Array(9),
      protocol: 1,
    });
    assert.deepEqual(await through(rig, junk), []);
    assert.equal(rig.records().length, 1);
  });
});
