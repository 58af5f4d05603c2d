import assert from "node:assert/strict";
import { connect } from "node:net";
import { after, afterEach, before, describe, it } from "node:test";
import { connect as connectTls } from "node:tls";
import { type Logger, seededRandom, silentLogger, systemClock, systemRandom } from "@holdfast/model";
import { WebSocket } from "ws";
import { createAuthority, issueMemberCertificate, type KeyPair } from "../certificates/authority.ts";
import type { MemberTls } from "../certificates/verify.ts";
import { encodePeerMessage } from "../messages/codec.ts";
import {
  decodeLinkMessage,
  encodeLinkMessage,
  type Greeting,
  PROTOCOL_VERSION,
} from "../messages/greeting.ts";
import { PEER_MESSAGE_BYTES_MAX } from "../ports/limits.ts";
import {
  COMPLIANCE_QUEUE_BYTES_MAX,
  type Recorder,
  record,
  response,
  runTransportCompliance,
  until,
} from "./compliance.ts";
import { LINK_PATH } from "./listener.ts";
import type { HostPort, LinkTiming, WsTransportOptions } from "./settings.ts";
import { WsTransport } from "./websocket.ts";

const HOST = "127.0.0.1";
const FAST: Partial<LinkTiming> = {
  backoffMs: 20,
  backoffMaxMs: 200,
  refusalPauseMs: 150,
  yieldMs: 30,
  challengeMs: 300,
  staggerMs: 50,
};

const authority = await createAuthority({ clusterId: "alpha" });
const certificates = new Map<number, KeyPair>();
for (let number = 0; number < 4; number++) {
  certificates.set(
    number,
    await issueMemberCertificate(authority, {
      clusterId: "alpha",
      memberName: `m${number}`,
      memberNumber: number,
      addresses: [HOST],
    }),
  );
}
const tlsOf = (number: number): MemberTls => ({
  ...(certificates.get(number) as KeyPair),
  authorityPem: authority.certificatePem,
});

/** Free ports for 4 members, found by listening once. */
async function freePorts(): Promise<readonly number[]> {
  const { createServer } = await import("node:net");
  const servers = await Promise.all(
    [0, 1, 2, 3].map(
      () =>
        new Promise<import("node:net").Server>((resolve) => {
          const server = createServer().listen(0, HOST, () => resolve(server));
        }),
    ),
  );
  const ports = servers.map((server) => (server.address() as import("node:net").AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
  return ports;
}

class Cluster {
  readonly transports = new Map<number, WsTransport>();
  readonly all: WsTransport[] = [];
  readonly ports: readonly number[];
  readonly tls: "plain" | "tls";
  constructor(ports: readonly number[], tls: "plain" | "tls") {
    this.ports = ports;
    this.tls = tls;
  }
  at(number: number): HostPort {
    return { host: HOST, port: this.ports[number] as number };
  }
  async member(number: number, options: Partial<WsTransportOptions> = {}): Promise<WsTransport> {
    const transport = await WsTransport.open({
      clusterId: "alpha",
      memberName: `m${number}`,
      memberNumber: number,
      memberNumberCount: 8,
      listen: [this.at(number)],
      members: [0, 1, 2, 3].map((other) => ({
        name: `m${other}`,
        number: other,
        addresses: [this.at(other)],
      })),
      tls: this.tls === "plain" ? "plain" : tlsOf(number),
      clock: systemClock,
      random: systemRandom(),
      logger: silentLogger,
      timing: FAST,
      queueBytesMax: COMPLIANCE_QUEUE_BYTES_MAX,
      ...options,
    });
    this.transports.set(number, transport);
    this.all.push(transport);
    return transport;
  }
  async close(): Promise<void> {
    await Promise.all(this.all.map((transport) => transport.stop()));
  }
}

for (const tls of ["plain", "tls"] as const) {
  runTransportCompliance(`ws (${tls})`, async () => {
    const cluster = new Cluster(await freePorts(), tls);
    return {
      member: (number) => cluster.member(number),
      sendGarbage: (from, to) => cluster.transports.get(from)?.sendRaw(to, new Uint8Array([0, 1, 2, 3])),
      breakLink: (a, b) => cluster.transports.get(a)?.breakLink(b),
      close: () => cluster.close(),
    };
  });
}

describe("a hostile or broken peer", () => {
  let cluster: Cluster;
  let a: Recorder;
  let b: Recorder;
  const sockets: WebSocket[] = [];

  before(async () => {
    cluster = new Cluster(await freePorts(), "tls");
    a = record(await cluster.member(0));
    b = record(await cluster.member(1));
    await until("connected", () => a.transport.peers().length === 1 && b.transport.peers().length === 1);
  });
  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.terminate();
    // Whatever the attacker did, the two members talk on over the same link.
    const received = b.messages.length;
    a.transport.send(1, response(1));
    await until("the others talk on", () => b.messages.length > received);
    assert.equal(a.disconnected.filter(({ number }) => number === 1).length, 0);
  });
  after(() => cluster.close());

  const refusals = (reason: string) => cluster.transports.get(0)?.counters().refusals[reason] ?? 0;
  const attack = (tls: Partial<MemberTls>): WebSocket => {
    const socket = new WebSocket(`wss://${HOST}:${cluster.ports[0]}${LINK_PATH}`, {
      ca: authority.certificatePem,
      ...(tls.certificatePem !== undefined && { cert: tls.certificatePem, key: tls.keyPem }),
      checkServerIdentity: (() => undefined) as never,
      perMessageDeflate: false,
      autoPong: true,
    });
    socket.on("error", () => {});
    sockets.push(socket);
    return socket;
  };
  const greeting = (over: Partial<Greeting> = {}): Uint8Array =>
    encodeLinkMessage({
      kind: "greeting",
      greeting: {
        versionLowest: PROTOCOL_VERSION,
        versionHighest: PROTOCOL_VERSION,
        clusterId: "alpha",
        memberName: "m2",
        memberNumber: 2,
        memberNumberCount: 8,
        instance: seededRandom(2).bytes(16),
        ...over,
      },
    });
  /** Greets as m2 and returns the reason of the refusal, or "up". */
  const greet = (over: Partial<Greeting>, tls: MemberTls = tlsOf(2)) =>
    new Promise<string>((resolve) => {
      const socket = attack(tls);
      socket.on("open", () => socket.send(greeting(over)));
      socket.on("message", (data) => {
        const message = decodeLinkMessage(data as Buffer);
        if (message?.kind === "refused") resolve(message.reason);
        if (message?.kind === "accepted") resolve("accepted");
      });
      socket.on("unexpected-response", (_request, answer) =>
        resolve(String(answer.headers["x-holdfast-refusal"])),
      );
      socket.on("close", () => resolve("closed without a reason"));
    });

  it("without a certificate, or with another authority's, is told so before a byte of it is parsed", async () => {
    const before = refusals("certificate");
    const impostor = await createAuthority({ clusterId: "alpha" });
    const forged = await issueMemberCertificate(impostor, {
      clusterId: "alpha",
      memberName: "m2",
      memberNumber: 2,
      addresses: [],
    });
    assert.equal(
      await greet({}, { authorityPem: "", certificatePem: forged.certificatePem, keyPem: forged.keyPem }),
      "certificate",
    );
    const expired = await issueMemberCertificate(authority, {
      clusterId: "alpha",
      memberName: "m2",
      memberNumber: 2,
      addresses: [],
      wallMs: Date.now() + 1,
      validDays: -0.01,
    });
    assert.equal(await greet({}, { ...expired, authorityPem: "" }), "certificate");
    const none = attack({});
    const status = await new Promise((resolve) =>
      none.on("unexpected-response", (_request, answer) => resolve(answer.statusCode)),
    );
    assert.equal(status, 403);
    // The authority signed itself, but it is nobody's member certificate.
    assert.equal(await greet({}, { ...authority, authorityPem: "" }), "certificate");
    assert.equal(refusals("certificate"), before + 4);
  });

  it("of another version, cluster, name or number count hears which", async () => {
    assert.equal(
      await greet({ versionLowest: PROTOCOL_VERSION + 1, versionHighest: PROTOCOL_VERSION + 2 }),
      "version",
    );
    assert.equal(await greet({ clusterId: "beta" }), "cluster");
    assert.equal(await greet({ memberName: "m3", memberNumber: 3 }), "certificate-name");
    assert.equal(await greet({ memberNumber: 3 }), "certificate-name");
    assert.equal(await greet({ memberNumberCount: 16 }), "number-count");
    assert.equal(await greet({ memberName: "m0", memberNumber: 0 }, tlsOf(0)), "number-taken");
    const other = await issueMemberCertificate(authority, {
      clusterId: "alpha",
      memberName: "m3",
      memberNumber: 5,
      addresses: [],
    });
    assert.equal(
      await greet({ memberName: "m3", memberNumber: 5 }, { ...other, authorityPem: "" }),
      "number-mismatch",
    );
    const stranger = await issueMemberCertificate(authority, {
      clusterId: "alpha",
      memberName: "stranger",
      memberNumber: 7,
      addresses: [],
    });
    assert.equal(
      await greet({ memberName: "stranger", memberNumber: 7 }, { ...stranger, authorityPem: "" }),
      "not-configured",
    );
    for (const reason of [
      "version",
      "cluster",
      "certificate-name",
      "number-count",
      "number-taken",
      "not-configured",
    ])
      assert.ok(refusals(reason) > 0, reason);
    assert.equal(
      a.connected.some(({ number }) => number === 2),
      false,
    );
  });

  it("that claims a living member's number is refused, by name and number both", async () => {
    assert.equal(await greet({ memberName: "m1", memberNumber: 1 }, tlsOf(1)), "number-taken");
  });

  it("that sends garbage instead of TLS, HTTP or a greeting is dropped", async () => {
    const raw = connect(cluster.ports[0] as number, HOST);
    raw.on("error", () => {});
    raw.write(Buffer.alloc(4_096, 0x41));
    await new Promise((resolve) => raw.on("close", resolve));

    const { certificatePem: cert, keyPem: key } = tlsOf(2);
    const secure = connectTls({
      host: HOST,
      port: cluster.ports[0] as number,
      ca: authority.certificatePem,
      cert,
      key,
      checkServerIdentity: () => undefined,
    });
    secure.on("error", () => {});
    secure.write(Buffer.alloc(100_000, 0x41));
    secure.resume();
    await new Promise((resolve) => secure.on("close", resolve));

    for (const bytes of [
      Buffer.from([1, 2, 3]),
      Buffer.alloc(5_000, 1),
      encodePeerMessage(response(1)),
      Buffer.alloc(0),
    ]) {
      const socket = attack(tlsOf(2));
      socket.on("open", () => socket.send(bytes));
      await new Promise((resolve) => socket.on("close", resolve));
    }
    const text = attack(tlsOf(2));
    text.on("open", () => text.send("hello"));
    await new Promise((resolve) => text.on("close", resolve));
    assert.ok(refusals("no-greeting") > 0 && refusals("greeting-malformed") > 0 && refusals("text") > 0);
  });

  /** An attacker with a good certificate whose link is up. */
  const joined = async (): Promise<WebSocket> => {
    const socket = attack(tlsOf(2));
    socket.on("open", () => socket.send(greeting({ instance: systemRandom().bytes(16) })));
    socket.on("message", (data) => {
      if (decodeLinkMessage(data as Buffer)?.kind === "greeting")
        socket.send(encodeLinkMessage({ kind: "accepted" }));
    });
    await until("the attacker is a peer", () => a.transport.peers().some(({ number }) => number === 2));
    return socket;
  };

  it("that announces a message of 1 GiB is closed before it can send it", async () => {
    const socket = await joined();
    const before = process.memoryUsage().rss;
    const closed = new Promise<number>((resolve) => socket.on("close", resolve));
    // A ws frame: FIN, binary, masked, 64-bit length of 1 GiB; then what the attacker has.
    const header = Buffer.from([0x82, 0xff, 0, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0, 0]);
    const stream = (socket as unknown as { _socket: { write(bytes: Uint8Array): void } })._socket;
    stream.write(header);
    stream.write(Buffer.alloc(65_536));
    await closed;
    await until("gone", () => !a.transport.peers().some(({ number }) => number === 2));
    assert.ok(process.memoryUsage().rss - before < 64 * 1024 * 1024);
  });

  it("that goes beyond the limit in small fragments is closed too", async () => {
    const socket = await joined();
    const closed = new Promise((resolve) => socket.on("close", resolve));
    const part = Buffer.alloc(256 * 1024);
    for (let sent = 0; sent <= PEER_MESSAGE_BYTES_MAX; sent += part.length) socket.send(part, { fin: false });
    await closed;
    await until("gone", () => !a.transport.peers().some(({ number }) => number === 2));
  });

  it("that never stops sending does not starve the others", async () => {
    const socket = await joined();
    let running = true;
    const flood = encodePeerMessage(response(5, 200));
    const pour = () => {
      if (!running || socket.readyState !== socket.OPEN) return;
      for (let i = 0; i < 500; i++) socket.send(flood);
      if (socket.bufferedAmount < 1_000_000) setImmediate(pour);
      else setTimeout(pour, 1);
    };
    pour();
    await until("the flood is on", () => a.messages.filter(({ from }) => from === 2).length > 5_000);
    const before = a.messages.filter(({ from }) => from === 1).length;
    for (let round = 1; round <= 10; round++) {
      b.transport.send(0, response(round));
      await until(
        "the other's message arrives in the flood",
        () => a.messages.filter(({ from }) => from === 1).length === before + round,
      );
    }
    running = false;
    a.messages.length = 0;
  });

  it("that falls silent is noticed", async () => {
    const quiet = new Cluster(await freePorts(), "plain");
    const one = record(await quiet.member(0, { timing: { ...FAST, pingMs: 20, silenceMs: 100 } }));
    const socket = new WebSocket(`ws://${HOST}:${quiet.ports[0]}${LINK_PATH}`, { autoPong: false });
    socket.on("open", () => socket.send(greeting()));
    socket.on("message", (data) => {
      if (decodeLinkMessage(data as Buffer)?.kind === "greeting")
        socket.send(encodeLinkMessage({ kind: "accepted" }));
    });
    await until("silence noticed", () => one.disconnected.length === 1);
    assert.equal(one.disconnected[0]?.reason, "silence");
    await quiet.close();
  });
});

describe("the mesh", () => {
  let cluster: Cluster;
  afterEach(() => cluster.close());

  it("keeps one link a pair when all dial at once", async () => {
    cluster = new Cluster(await freePorts(), "plain");
    const timing = { ...FAST, yieldMs: 0 };
    const transports = await Promise.all([0, 1, 2, 3].map((number) => cluster.member(number, { timing })));
    const recorders = transports.map((transport) => record(transport));
    await until("settled", () => recorders.every(({ transport }) => transport.peers().length === 3));
    // A link may still give way to the one that both keep, and what it carried goes with it.
    await until("every pair talks", () => {
      for (const [i, { transport }] of recorders.entries())
        for (const peer of transport.peers()) transport.send(peer.number, response(i));
      return recorders.every(({ messages }) => new Set(messages.map(({ from }) => from)).size === 3);
    });
  });

  it("uses any address that works", async () => {
    cluster = new Cluster(await freePorts(), "tls");
    const dead = { host: HOST, port: 1 } as const;
    const a = record(
      await cluster.member(0, {
        members: [
          { name: "m1", number: 1, addresses: [dead, { host: "127.0.0.9", port: 1 }, cluster.at(1)] },
        ],
      }),
    );
    // m1 knows no address of m0: it is dialled, or nothing.
    const b = record(await cluster.member(1, { members: [{ name: "m0", number: 0, addresses: [] }] }));
    await until("connected", () => a.transport.peers().length === 1 && b.transport.peers().length === 1);
  });

  it("replaces a dead instance by its successor at once", async () => {
    cluster = new Cluster(await freePorts(), "plain");
    const a = record(await cluster.member(0, { members: [{ name: "m1", number: 1, addresses: [] }] }));
    const instance = (byte: number) => new Uint8Array(16).fill(byte);
    const dial = (byte: number, autoPong: boolean) => {
      const socket = new WebSocket(`ws://${HOST}:${cluster.ports[0]}${LINK_PATH}`, { autoPong });
      socket.on("open", () =>
        socket.send(
          encodeLinkMessage({
            kind: "greeting",
            greeting: {
              versionLowest: PROTOCOL_VERSION,
              versionHighest: PROTOCOL_VERSION,
              clusterId: "alpha",
              memberName: "m1",
              memberNumber: 1,
              memberNumberCount: 8,
              instance: instance(byte),
            },
          }),
        ),
      );
      socket.on("message", (data) => {
        if (decodeLinkMessage(data as Buffer)?.kind === "greeting")
          socket.send(encodeLinkMessage({ kind: "accepted" }));
      });
      return socket;
    };
    const first = dial(1, false);
    await until("first is up", () => a.connected.length === 1);
    const second = dial(2, true);
    await until("second took over", () => a.connected.length === 2);
    assert.equal(a.disconnected[0]?.reason, "replaced");
    assert.equal(a.transport.peers().length, 1);
    first.terminate();
    second.terminate();
  });

  it("says both sides' reason when a configured member has another cluster's certificate", async () => {
    cluster = new Cluster(await freePorts(), "tls");
    const logs: object[] = [];
    const logger: Logger = { ...silentLogger, warn: (fields) => void logs.push(fields) };
    const beta = await createAuthority({ clusterId: "beta" });
    const foreign = await issueMemberCertificate(beta, {
      clusterId: "beta",
      memberName: "m1",
      memberNumber: 1,
      addresses: [],
    });
    const a = record(await cluster.member(0, { logger }));
    const b = record(
      await cluster.member(1, {
        logger,
        clusterId: "beta",
        tls: { ...foreign, authorityPem: beta.certificatePem },
      }),
    );
    await until("both logged", () => logs.length >= 2);
    assert.deepEqual([a.connected.length, b.connected.length], [0, 0]);
    assert.ok(
      (cluster.transports.get(0)?.counters().refusals["certificate"] ?? 0) > 0 ||
        (cluster.transports.get(0)?.counters().refusals["tls"] ?? 0) > 0,
    );
    assert.ok(Object.keys(cluster.transports.get(1)?.counters().refusals ?? {}).length > 0);
  });

  it("cannot listen where somebody else does, and says so with a code", async () => {
    cluster = new Cluster(await freePorts(), "plain");
    await cluster.member(0);
    await assert.rejects(cluster.member(1, { listen: [cluster.at(0)] }), { code: "SYNC_LISTEN_FAILED" });
  });
});
