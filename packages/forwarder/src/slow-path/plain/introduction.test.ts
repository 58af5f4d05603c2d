import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Address, MARK, PROTOCOL_TCP } from "@holdfast/model";
import {
  ACK,
  CLIENT,
  Connection,
  FIN,
  PlainCluster,
  PlainRig,
  plainService,
  RST,
  SERVER,
  SERVER_PORT,
  type Segment,
  SYN,
  segmentOf,
  tcpPacket,
  VIP,
} from "../../testing/plain.ts";
import { proxyHeader } from "./introduction.ts";

const SIZE = 28;
const services = [plainService(PROTOCOL_TCP, { proxyProtocol: true })];
const CLIENT_FIRST = 1_000;
const header = Buffer.from(
  proxyHeader({ client: CLIENT, clientPort: 40_000, vip: VIP, serviceId: `tcp/${VIP}:80` }),
).toString();

/** A server behind the header: it counts its bytes, as the client's numbers do not. */
class Introduced extends Connection {
  /** Bytes of the header that the server has taken. */
  taken = 0;

  override down(flags: number, payload = ""): Uint8Array {
    this.clientNext += this.taken;
    const bytes = super.down(flags, payload);
    this.clientNext -= this.taken;
    return bytes;
  }

  /** Up to the header, which the server has not acknowledged. */
  async begin(rig: PlainRig): Promise<Segment> {
    this.heard(await rig.one(this.up(SYN)));
    const synAck = await rig.one(this.down(SYN | ACK));
    assert.equal(synAck.acknowledgment, CLIENT_FIRST + 1);
    return rig.one(this.up(ACK));
  }

  async introduced(rig: PlainRig): Promise<void> {
    await this.begin(rig);
    this.taken = SIZE;
    assert.equal((await rig.one(this.down(ACK))).acknowledgment, CLIENT_FIRST + 1);
  }
}

describe("PROXY protocol, version 2", () => {
  test("the header as haproxy's specification has it, of both families", () => {
    const of = (client: Address, vip: Address) =>
      Buffer.from(proxyHeader({ client, clientPort: 0x1234, vip, serviceId: `tcp/${vip}:443` })).toString(
        "hex",
      );
    const signature = "0d0a0d0a000d0a515549540a";
    assert.equal(of("192.0.2.1", "203.0.113.1"), `${signature}2111000cc0000201cb007101123401bb`);
    const zeros = "0".repeat(23);
    assert.equal(
      of("2001:db8::1", "2001:db8::2"),
      `${signature}2121002420010db8${zeros}120010db8${zeros}2123401bb`,
    );
  });

  test("is a segment of its own on the handshake's ACK; numbers are shifted by it in both directions", async () => {
    const rig = new PlainRig({ services });
    const connection = new Introduced();
    const first = await connection.begin(rig);
    assert.deepEqual(
      [first.source, first.destination, first.destinationPort, first.payload, first.flags],
      [VIP, SERVER, SERVER_PORT, header, ACK],
    );
    assert.deepEqual([first.sequence, first.acknowledgment], [CLIENT_FIRST + 1, 900_001]);
    connection.taken = SIZE;
    assert.equal((await rig.one(connection.down(ACK))).acknowledgment, CLIENT_FIRST + 1);
    const before = rig.punts;
    const asked = await rig.one(connection.up(ACK, "question"));
    assert.deepEqual([asked.sequence, asked.payload], [CLIENT_FIRST + 1 + SIZE, "question"]);
    assert.equal((await rig.one(connection.down(ACK, "answer"))).acknowledgment, CLIENT_FIRST + 9);
    assert.equal((await rig.one(connection.up(FIN | ACK))).sequence, CLIENT_FIRST + 9 + SIZE);
    assert.equal((await rig.one(connection.down(FIN | ACK))).acknowledgment, CLIENT_FIRST + 10);
    assert.equal(rig.punts, before, "nothing more comes to the slow path");
    assert.deepEqual(
      rig.records().map(({ shift }) => shift),
      [SIZE],
    );
    assert.deepEqual(rig.drops(), {});
  });

  test("data with the handshake's ACK goes behind the header, never into it", async () => {
    const rig = new PlainRig({ services });
    const connection = new Introduced();
    connection.heard(await rig.one(connection.up(SYN)));
    await rig.one(connection.down(SYN | ACK));
    const [told, data, ...more] = await rig.pass(connection.up(ACK, "at once"));
    assert.deepEqual([told?.payload, told?.sequence], [header, CLIENT_FIRST + 1]);
    assert.deepEqual([data?.payload, data?.sequence], ["at once", CLIENT_FIRST + 1 + SIZE]);
    assert.equal(more.length, 0);
  });

  test("numbers go round: a first sequence number just below 2^32", async () => {
    const rig = new PlainRig({ services });
    const connection = new Introduced({}, 0xffff_fff0);
    connection.heard(await rig.one(connection.up(SYN)));
    await rig.one(connection.down(SYN | ACK));
    assert.equal((await rig.one(connection.up(ACK))).sequence, 0xffff_fff1);
    connection.taken = SIZE;
    assert.equal((await rig.one(connection.down(ACK))).acknowledgment, 0xffff_fff1);
    assert.equal((await rig.one(connection.up(ACK, "round"))).sequence, (0xffff_fff1 + SIZE) >>> 0);
    assert.ok(((rig.records()[0]?.marks ?? 0) & MARK.introduced) !== 0);
  });

  test("lost, it comes again: with the client's packets, with the server's, and by itself", async () => {
    const rig = new PlainRig({ services });
    const connection = new Introduced();
    await connection.begin(rig);
    assert.deepEqual(
      (await rig.pass(connection.up(ACK, "a"))).map(({ payload }) => payload),
      ["a"],
    );
    rig.clock.advance(250);
    const again = await rig.pass(connection.up(ACK, "b"));
    assert.deepEqual(
      again.map(({ payload }) => payload),
      [header, "b"],
    );
    rig.clock.advance(250);
    // It has what came behind the header, and says so: that it lacks the header.
    const { clientNext } = connection;
    connection.clientNext = CLIENT_FIRST + 1;
    const dup = await rig.pass(connection.down(ACK));
    connection.clientNext = clientNext;
    assert.deepEqual(
      dup.map(({ payload }) => payload),
      [header, ""],
    );
    rig.clock.advance(3_000);
    const alone = rig.fastPath.takeOutgoing();
    assert.ok(alone.length >= 1 && alone.length <= 3, `${alone.length} sent by itself`);
    connection.taken = SIZE;
    await rig.one(connection.down(ACK));
    rig.clock.advance(3_000);
    assert.deepEqual(rig.fastPath.takeOutgoing(), []);
  });

  test("a server in its handshake that says its SYN-ACK again gets the header with the client's answer", async () => {
    const rig = new PlainRig({ services });
    const connection = new Introduced();
    await connection.begin(rig);
    rig.clock.advance(1_000);
    rig.fastPath.takeOutgoing();
    connection.serverNext -= 1;
    connection.clientNext = CLIENT_FIRST + 1;
    const synAck = await rig.one(connection.down(SYN | ACK));
    assert.deepEqual([synAck.flags, synAck.acknowledgment], [SYN | ACK, CLIENT_FIRST + 1]);
    rig.clock.advance(250);
    rig.fastPath.takeOutgoing();
    const [told] = await rig.pass(connection.up(ACK));
    assert.equal(told?.payload, header);
  });

  test("a reset or FIN counts inside the window as each end numbers it", async () => {
    const rig = new PlainRig({ services });
    const connection = new Introduced();
    await connection.introduced(rig);
    await rig.one(connection.up(ACK, "question"));
    await rig.one(connection.down(ACK, "answer"));
    await rig.one(connection.up(ACK));
    const forged = tcpPacket(connection.ends, RST, { sequence: (connection.clientNext - 70_000_000) >>> 0 });
    assert.deepEqual(await rig.pass(forged), []);
    assert.equal(rig.drops()["drop.tcp-window"], 1);
    const reset = await rig.one(connection.up(RST | ACK));
    assert.equal(reset.sequence, CLIENT_FIRST + 9 + SIZE);
    assert.equal(rig.drops()["drop.tcp-window"], 1);
  });

  test("before the header is acknowledged resets are judged, too: a forged one harms nothing", async () => {
    const rig = new PlainRig({ services });
    const connection = new Introduced();
    await connection.begin(rig);
    const forged = tcpPacket(connection.ends, RST, { sequence: CLIENT_FIRST + 20_000_000 });
    assert.deepEqual(await rig.pass(forged), []);
    assert.equal(rig.records().length, 1);
    const reset = await rig.one(connection.up(RST));
    assert.equal(reset.sequence, CLIENT_FIRST + 1 + SIZE);
    assert.equal(rig.records().length, 0);
  });

  test("the member that takes over shifts the same, and an operator's reset has each end's numbers", async () => {
    const cluster = new PlainCluster(2, { services, memberNumberCount: 2 });
    const [owner, other] = [cluster.rig(0), cluster.rig(1)];
    const connection = new Introduced();
    await connection.introduced(owner);
    cluster.clock.advance(3_000);
    const asked = await other.one(connection.up(ACK, "question"));
    assert.equal(asked.sequence, CLIENT_FIRST + 1 + SIZE);
    assert.equal((await other.one(connection.down(ACK, "answer"))).acknowledgment, CLIENT_FIRST + 9);
    await other.one(connection.up(ACK));
    const [record] = other.records();
    assert.equal(record?.shift, SIZE);
    assert.ok(other.forwarder.removeSession(record?.id ?? ""));
    const told = other.fastPath.takeOutgoing().map(({ packet }) => segmentOf(packet));
    assert.deepEqual(
      told.map(({ flags, destination, sequence }) => [flags, destination, sequence]),
      [
        [RST, CLIENT, connection.serverNext],
        [RST, SERVER, connection.clientNext + SIZE],
      ],
    );
  });

  test("a member that learns of the handshake alone waits for the server's word before it tells it anything", async () => {
    const cluster = new PlainCluster(2, { services, memberNumberCount: 2 });
    const [owner, other] = [cluster.rig(0), cluster.rig(1)];
    const connection = new Introduced();
    connection.heard(await owner.one(connection.up(SYN)));
    await owner.one(connection.down(SYN | ACK));
    connection.clientNext += 100;
    assert.deepEqual(await other.pass(connection.up(ACK, "later bytes")), []);
    connection.clientNext = CLIENT_FIRST + 1;
    connection.serverNext -= 1;
    await other.one(connection.down(SYN | ACK));
    const [told, data] = await other.pass(connection.up(ACK, "first bytes"));
    assert.deepEqual([told?.payload, told?.sequence], [header, CLIENT_FIRST + 1]);
    assert.equal(data?.sequence, CLIENT_FIRST + 1 + SIZE);
  });

  test("a daemon that starts again in the midst of it brings it to its end", async () => {
    const rig = new PlainRig({ services });
    const connection = new Introduced();
    await connection.begin(rig);
    rig.forwarder.stop();
    const { fastPath, clock } = rig;
    const second = new PlainRig({ services, fastPath, clock });
    clock.advance(60_000);
    fastPath.takeOutgoing();
    const again = await second.pass(connection.up(ACK, "question"));
    assert.deepEqual(
      again.map(({ payload }) => payload),
      [header, "question"],
    );
    connection.taken = SIZE;
    await second.one(connection.down(ACK));
    const before = second.punts;
    assert.equal((await second.one(connection.up(ACK, "more"))).sequence, CLIENT_FIRST + 9 + SIZE);
    assert.equal(second.punts, before);
  });

  test("a server that began anew does not go on with a connection whose header it never saw", async () => {
    const rig = new PlainRig({ services });
    const connection = new Introduced();
    await connection.introduced(rig);
    const sequence = 5_000_000;
    await rig.one(tcpPacket(connection.ends, SYN, { sequence }));
    const server = connection.server;
    assert.ok(server !== undefined);
    const anew = { sequence: 77, acknowledgment: sequence + 1 };
    assert.deepEqual(await rig.pass(tcpPacket(server, SYN | ACK, anew)), []);
    const syn = await rig.one(tcpPacket(connection.ends, SYN, { sequence }));
    assert.deepEqual([syn.flags, syn.sequence], [SYN, sequence]);
    assert.notEqual(syn.sourcePort, server.destinationPort);
  });
});
