// TCP: how connections begin, and what must not begin one.
import assert from "node:assert/strict";
import { pause, until } from "@holdfast/testkit";
import { Connection, SYN_OPTIONS } from "../connection.ts";
import { EMBRYO_COUNT_MAX_PER_PREFIX } from "../context.ts";
import type { PlainScenario } from "../scenario.ts";
import { ACK, datagram, FIN, RST, SYN, segment, textOf } from "../segments.ts";

/** The MSS of a SYN's first option. */
const mssOf = (options: Uint8Array) => ((options[2] ?? 0) << 8) | (options[3] ?? 0);
const withMss = (mss: number) => new Uint8Array([2, 4, mss >> 8, mss & 0xff]);

export const opening: readonly PlainScenario[] = [
  {
    number: 1,
    name: "A handshake, and bytes both ways",
    rfc: "9293 §3.5; 5382 REQ-1",
    done: "SYN, SYN-ACK, ACK, data from both ends.",
    seen: "Numbers, options and bytes as sent; the endpoint sees the VIP, the client the service's port.",
    selected: true,
    async run(context) {
      const service = await context.service("tcp");
      const connection = await Connection.open(context, service);
      const { source, options } = connection.atEndpoint;
      assert.equal(source.address, context.vip);
      assert.ok(source.port >= 1_024);
      assert.deepEqual([...options], [...SYN_OPTIONS]);
      await connection.lives();
      await connection.phase("established");
    },
  },
  {
    number: 2,
    name: "A SYN that comes again",
    rfc: "9293 §3.8.1; 5382 REQ-1",
    done: "The client sends its SYN three times before the endpoint answers.",
    seen: "All three at the endpoint from one NAT port; one connection.",
    async run(context) {
      const service = await context.service("tcp");
      const connection = new Connection(context, service);
      const sequence = connection.next.client;
      await connection.syn();
      for (let n = 0; n < 2; n++) connection.send("client", { flags: SYN, sequence, acknowledgment: 0 });
      await until("three SYNs", () => connection.heard("endpoint").length >= 3);
      await connection.opens();
      await connection.lives();
      const own = context
        .arrived("endpoint")
        .filter(({ destination }) => destination.port === service.endpoint.port);
      assert.equal(new Set(own.map(({ source }) => source.port)).size, 1);
    },
  },
  {
    number: 3,
    name: "A SYN to a port that no service has",
    rfc: "5382 REQ-4",
    done: "A SYN to the VIP, to a port without a service.",
    seen: "Dropped and counted; nothing at the endpoint.",
    selected: true,
    async run(context) {
      const to = { address: context.vip, port: context.freePort() };
      const packet = segment(context.newClient(), to, { flags: SYN, sequence: 1 });
      await context.dropped("port-not-served", 1, () => context.send("client", packet));
      const arrived = context.arrived("endpoint").filter(({ destination }) => destination.port === to.port);
      assert.equal(arrived.length, 0);
    },
  },
  {
    number: 4,
    name: "The endpoint refuses",
    rfc: "9293 §3.5.2; 5382 REQ-4",
    done: "The endpoint answers the SYN with RST and ACK; the client tries again from its port.",
    seen: "The reset at the client; the second try opens a connection.",
    async run(context) {
      const service = await context.service("tcp");
      const first = await Connection.begun(context, service);
      first.send("endpoint", { flags: RST | ACK, sequence: 0 });
      await first.hears("client", "the refusal", ({ flags }) => flags === (RST | ACK));
      const again = { client: first.client, sequence: (first.next.client + 70_000) >>> 0 };
      const second = await Connection.open(context, service, again);
      await second.lives();
    },
  },
  {
    number: 5,
    name: "A forged refusal",
    rfc: "5961 §3.2; 9293 §3.10.7.3",
    done: "Before the endpoint's SYN-ACK, a RST from its address that acknowledges another number.",
    seen: "Dropped; the handshake goes on.",
    selected: true,
    async run(context) {
      const connection = await Connection.begun(context, await context.service("tcp"));
      await context.dropped("wrong-phase", 1, () =>
        connection.send("endpoint", {
          flags: RST | ACK,
          sequence: 0,
          acknowledgment: (connection.next.client + 99) >>> 0,
        }),
      );
      await connection.opens();
      await connection.lives();
      connection.wasNotReset("client");
    },
  },
  {
    number: 6,
    name: "A SYN-ACK for another SYN",
    rfc: "9293 §3.10.7.3",
    done: "The endpoint's SYN-ACK acknowledges a number that is not the client's.",
    seen: "Dropped: the client would reset what it has begun. The right one passes.",
    async run(context) {
      const connection = await Connection.begun(context, await context.service("tcp"));
      await context.dropped("wrong-phase", 1, () =>
        connection.send("endpoint", {
          flags: SYN | ACK,
          acknowledgment: (connection.next.client + 1) >>> 0,
        }),
      );
      await connection.opens();
      await connection.lives();
    },
  },
  {
    number: 7,
    name: "Both ends open at once",
    rfc: "9293 §3.5; 5382 REQ-2",
    done: "The endpoint answers a SYN with a SYN; both send SYN-ACKs.",
    seen: "All four arrive; data flows both ways.",
    selected: true,
    async run(context) {
      const service = await context.service("tcp");
      const connection = new Connection(context, service);
      const { client, endpoint } = connection.next;
      await connection.syn();
      connection.send("endpoint", {
        flags: SYN,
        sequence: endpoint,
        acknowledgment: 0,
        options: SYN_OPTIONS,
      });
      await connection.hears("client", "the endpoint's SYN", ({ flags }) => flags === SYN);
      connection.next.endpoint = (endpoint + 1) >>> 0;
      connection.send("client", { flags: SYN | ACK, sequence: client, options: SYN_OPTIONS });
      await connection.hears("endpoint", "the client's SYN-ACK", ({ flags }) => flags === (SYN | ACK));
      connection.send("endpoint", { flags: SYN | ACK, sequence: endpoint, options: SYN_OPTIONS });
      await connection.hears("client", "the endpoint's SYN-ACK", ({ flags }) => flags === (SYN | ACK));
      await connection.ack("client");
      await connection.lives();
    },
  },
  {
    number: 8,
    name: "An ACK that proves nothing",
    rfc: "9293 §3.10.7.4; 5961 §5",
    done: "After the SYN-ACK, an ACK of a number that the endpoint has not sent.",
    seen: "Dropped; the right ACK opens the connection.",
    async run(context) {
      const connection = await Connection.begun(context, await context.service("tcp"));
      await connection.synAck();
      const acknowledgment = (connection.next.endpoint - 5_000) >>> 0;
      await context.dropped("wrong-phase", 1, () =>
        connection.send("client", { flags: ACK, acknowledgment }),
      );
      assert.equal(connection.heard("endpoint").filter(({ flags }) => flags === ACK).length, 0);
      await connection.ack("client");
      await connection.lives();
    },
  },
  {
    number: 9,
    name: "Flags that no stack sends",
    rfc: "9293 §3.1",
    done: "SYN with FIN, RST with FIN, FIN alone and no flag at all into an open connection.",
    seen: "Four drops; the connection goes on.",
    selected: true,
    async run(context) {
      const connection = await Connection.open(context, await context.service("tcp"));
      const sent = [SYN | FIN, RST | FIN, FIN, 0];
      await context.dropped("tcp-flags", sent.length, () => {
        for (const flags of sent) connection.send("client", { flags });
      });
      await connection.lives();
      assert.ok(connection.heard("endpoint").every(({ flags }) => !sent.includes(flags)));
    },
  },
  {
    number: 10,
    name: "The segment size that both ways take",
    rfc: "9293 §3.7.1",
    done: "SYN and SYN-ACK offer 9,000 bytes; of another connection 536.",
    seen: "No more than the MTU of the ways takes, 1,460 or 1,440; what is less stays.",
    async run(context) {
      const service = await context.service("tcp");
      const large = new Connection(context, service, { options: withMss(9_000) });
      const most = context.vip.includes(":") ? 1_440 : 1_460;
      const syn = await large.syn();
      assert.equal(mssOf(syn.options), most);
      assert.equal(mssOf((await large.synAck()).options), most);
      assert.ok(syn.isChecksumRight);
      const small = new Connection(context, service, { options: withMss(536) });
      assert.equal(mssOf((await small.syn()).options), 536);
    },
  },
  {
    number: 11,
    name: "A SYN that nobody answers",
    rfc: "7857 §2.1; 5382 REQ-5",
    done: "A SYN, and silence; times are 1:20.",
    seen: "The embryo goes; a SYN-ACK after that comes too late for it.",
    async run(context) {
      const connection = await Connection.begun(context, await context.service("tcp"));
      assert.equal(await context.embryos(), 1);
      await until("the embryo to go", async () => (await context.embryos()) === 0);
      await context.dropped("no-session", 1, () => connection.send("endpoint", { flags: SYN | ACK }));
    },
  },
  {
    number: 12,
    name: "A handshake without its ACK",
    rfc: "7857 §2.1",
    done: "SYN, SYN-ACK, and silence; times are 1:20.",
    seen: "It goes after 75 s; until then it stands. Its port can be used again.",
    async run(context) {
      const service = await context.service("tcp");
      const connection = await Connection.begun(context, service);
      await connection.synAck();
      const expired = await context.member.metric('holdfast_slow_path_events_total{event="embryos-expired"}');
      await until(
        "the handshake to be over",
        async () =>
          (await context.member.metric('holdfast_slow_path_events_total{event="embryos-expired"}')) > expired,
      );
      const again = { client: connection.client, sequence: (connection.next.client + 9_999) >>> 0 };
      await (await Connection.open(context, service, again)).lives();
    },
  },
  {
    number: 13,
    name: "Two clients with one source port",
    rfc: "5382 REQ-7",
    done: "Two addresses connect from the same port.",
    seen: "Two NAT ports at the endpoint; neither hears of the other.",
    selected: true,
    async run(context) {
      const service = await context.service("tcp");
      const first = await Connection.open(context, service);
      const client = { ...context.newClient(1), port: first.client.port };
      const second = await Connection.open(context, service, { client });
      assert.notEqual(first.natPort, second.natPort);
      await first.lives();
      await second.lives();
    },
  },
  {
    number: 14,
    name: "The client's own port, when it is free",
    rfc: "4787 REQ-3, REQ-4; 5382 REQ-7",
    done: "A client connects, and another from the number of the first one's NAT port, to two endpoints' ports.",
    seen: "Toward another endpoint it is kept: one NAT port serves several endpoints. Toward the same it is not.",
    async run(context) {
      const [one, two] = [await context.service("tcp"), await context.service("tcp")];
      const first = await Connection.open(context, one);
      const client = { ...context.newClient(1), port: first.natPort };
      const elsewhere = await Connection.open(context, two, { client });
      assert.equal(elsewhere.natPort, first.natPort);
      const beside = await Connection.open(context, one, { client });
      assert.notEqual(beside.natPort, first.natPort);
      for (const each of [first, elsewhere, beside]) await each.lives();
    },
  },
  {
    number: 15,
    name: "A flood of SYNs from one prefix",
    rfc: "4987 §3",
    done: `Eight times ${EMBRYO_COUNT_MAX_PER_PREFIX} SYNs, the quota of a prefix here, beside an open connection.`,
    seen: "No more embryos than the quota; the connection goes on, and a client of another prefix gets in.",
    families: ["ipv4"],
    selected: true,
    async run(context) {
      const service = await context.service("tcp");
      const connection = await Connection.open(context, service);
      const { address } = context.newClient(1);
      const before = await context.overQuota();
      for (let n = 0; n < 8 * EMBRYO_COUNT_MAX_PER_PREFIX; n++) {
        const from = { address, port: 10_000 + n };
        context.send("client", segment(from, service.place, { flags: SYN, sequence: n * 1_000 }));
        if (n % 32 === 0) await pause(1);
      }
      await until("the quota to be reached", async () => (await context.overQuota()) > before);
      assert.ok((await context.embryos()) <= EMBRYO_COUNT_MAX_PER_PREFIX + 100);
      await connection.lives();
      const stranger = context.newClient();
      const isOther = prefixOf(stranger.address) !== prefixOf(address);
      assert.ok(isOther, `${stranger.address} and ${address} are of one prefix`);
      await (await Connection.open(context, service, { client: stranger })).lives();
    },
  },
  {
    number: 16,
    name: "TCP and UDP on one port number of one VIP",
    rfc: "9293 §3.1; 768",
    done: "Services of both protocols on one port, and one client address and port of both.",
    seen: "Both flow, each to its own; deleting the one leaves the other.",
    selected: true,
    async run(context) {
      const tcp = await context.service("tcp");
      const udp = await context.service("udp", { port: tcp.place.port });
      const connection = await Connection.open(context, tcp);
      const { client } = connection;
      const ask = async (text: string) => {
        context.send("client", datagram(client, udp.place, text));
        await context.hears("endpoint", text, (heard) => textOf(heard) === text);
      };
      await ask("first");
      await connection.lives();
      await context.member.fetch("DELETE", `${udp.url}?sessions=end`);
      await until("its end", async () => (await context.member.fetch("GET", udp.url)).status === 404);
      await context.dropped("port-not-served", 1, () =>
        context.send("client", datagram(client, udp.place, "late")),
      );
      await connection.lives();
    },
  },
];

const prefixOf = (address: string) =>
  address.includes(":") ? address.split(":").slice(0, 3).join(":") : address.split(".").slice(0, 3).join(".");
