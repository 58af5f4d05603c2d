// UDP: what stands in headers beside addresses and ports, who may not be a client, and datagrams that do not
// fit the way out.
import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import type { Address } from "@holdfast/model";
import { write16, writeIpv4Checksum } from "@holdfast/sctp";
import { pause, until } from "@holdfast/testkit";
import { Exchange } from "../exchange.ts";
import type { PlainScenario } from "../scenario.ts";
import { datagram, textOf } from "../segments.ts";

const ENDS = ["client", "endpoint"] as const;
const other = (end: (typeof ENDS)[number]) => (end === "client" ? "endpoint" : "client");

/** The IP packet with bytes behind its datagram, which the datagram's length does not count. */
function withTail(packet: Uint8Array, tail: string): Uint8Array {
  const longer = Buffer.concat([packet, Buffer.from(tail)]);
  if ((packet[0] as number) >>> 4 === 6) write16(longer, 4, longer.length - 40);
  else {
    write16(longer, 2, longer.length);
    writeIpv4Checksum(longer);
  }
  return longer;
}

/** RFC 791 §3.1: whole words behind an IPv4 header that has none. */
function withOptions(packet: Uint8Array, options: readonly number[]): Uint8Array {
  const longer = Buffer.concat([packet.subarray(0, 20), Uint8Array.from(options), packet.subarray(20)]);
  longer[0] = 0x45 + options.length / 4;
  write16(longer, 2, longer.length);
  writeIpv4Checksum(longer);
  return longer;
}

const fields: readonly PlainScenario[] = [
  {
    number: 31,
    name: "No checksum, over IPv6",
    rfc: "6935 §5; 6936 §5; 8200 §8.1",
    done: "A client's first datagram, another one, and an answer, with a checksum of zero; then one with a checksum.",
    seen: "Zero stays zero, for the receiver to judge; one mapping for both kinds.",
    families: ["ipv6"],
    async run(context) {
      const service = await context.service("udp");
      await Exchange.asked(context, service);
      const exchange = new Exchange(context, service);
      const first = exchange.text("client");
      exchange.send("client", first, { checksum: 0 });
      const heard = await context.hears("endpoint", first, (each) => textOf(each) === first);
      assert.equal(heard.checksum, 0);
      const { source } = await exchange.ask();
      assert.equal(source.port, heard.source.port);
      for (const from of ENDS) {
        const text = exchange.text(from);
        exchange.send(from, text, { checksum: 0 });
        const { checksum } = await context.hears(other(from), text, (each) => textOf(each) === text);
        assert.equal(checksum, 0);
      }
    },
  },
  {
    number: 32,
    name: "Congestion marks",
    rfc: "3168 §5; 8085 §3.1.7; 2474 §3",
    done: "Datagrams of both ends with every mark of ECN, each with another DSCP; also the first one of a client.",
    seen: "Marks and DSCP as sent.",
    selected: true,
    async run(context) {
      const service = await context.service("udp");
      const exchange = await Exchange.asked(context, service);
      const newcomer = new Exchange(context, service);
      for (const ecn of [0, 1, 2, 3])
        for (const [from, speaker] of [
          ["client", exchange],
          ["endpoint", exchange],
          ...(ecn === 3 ? ([["client", newcomer]] as const) : []),
        ] as const) {
          const [text, trafficClass] = [speaker.text(from), (randomInt(1, 64) << 2) | ecn];
          speaker.send(from, text, { trafficClass });
          const { packet } = await context.hears(other(from), text, (each) => textOf(each) === text);
          assert.equal(packet.trafficClass, trafficClass);
        }
    },
  },
  {
    number: 33,
    name: "A checksum that is wrong",
    rfc: "1122 §4.1.3.4; 768",
    done: "A broken datagram of an exchange; a broken one of a client that nobody knows.",
    seen: "The one arrives as wrong as it was, and nobody repairs it; the other makes no mapping, and is dropped and counted.",
    async run(context) {
      context.wrongChecksumsAllowed = true;
      const service = await context.service("udp");
      const exchange = await Exchange.asked(context, service);
      const broken = (from: Exchange) => {
        const packet = from.packet("client", "broken");
        packet[packet.length - 1] = (packet[packet.length - 1] as number) ^ 0x55;
        return packet;
      };
      context.send("client", broken(exchange));
      const heard = await context.hears("endpoint", "it", (each) => textOf(each).startsWith("broke"));
      assert.equal(heard.isChecksumRight, false);
      await context.dropped("bad-checksum", 1, () =>
        context.send("client", broken(new Exchange(context, service))),
      );
      assert.equal((await context.flows(service)).length, 1);
      await exchange.lively();
    },
  },
  {
    number: 34,
    name: "Bytes behind a datagram",
    rfc: "768; 9868 §6",
    done: "Datagrams whose length is less than the packet's, a client's first one, one of an exchange, and an answer.",
    seen: "They arrive whole, with length and checksum of the datagram.",
    selected: true,
    async run(context) {
      const service = await context.service("udp");
      const known = await Exchange.asked(context, service);
      const newcomer = new Exchange(context, service);
      for (const [from, speaker] of [
        ["client", newcomer],
        ["client", known],
        ["endpoint", known],
      ] as const) {
        const text = speaker.text(from);
        context.send(from, withTail(speaker.packet(from, text), "behind"));
        const heard = await context.hears(other(from), text, (each) => textOf(each) === `${text}behind`);
        assert.ok(heard.isChecksumRight, "its checksum");
        assert.equal(Buffer.from(heard.packet.payload).readUInt16BE(4), 8 + text.length);
      }
    },
  },
  {
    number: 35,
    name: "Options of IPv4",
    rfc: "791 §3.1; 1122 §3.2.1.8",
    done: "A client's first datagram with options that do nothing, another one, and an answer.",
    seen: "They arrive, options as sent.",
    families: ["ipv4"],
    async run(context) {
      const service = await context.service("udp");
      await Exchange.asked(context, service);
      const options = [1, 1, 1, 1, 1, 1, 1, 0];
      const exchange = new Exchange(context, service);
      const sends = async (from: (typeof ENDS)[number]) => {
        const text = exchange.text(from);
        context.send(from, withOptions(exchange.packet(from, text), options));
        const { packet } = await context.hears(other(from), text, (each) => textOf(each) === text);
        assert.deepEqual([...packet.bytes.subarray(20, 28)], options);
      };
      await sends("client");
      await exchange.ask();
      await sends("client");
      await sends("endpoint");
    },
  },
];

const places: readonly PlainScenario[] = [
  {
    number: 36,
    name: "Port zero",
    rfc: "768; 8085 §5.1",
    done: "Datagrams from port zero and to port zero, of a client and of an endpoint.",
    seen: "Nobody could answer them: dropped and counted; the mapping goes on.",
    async run(context) {
      const exchange = await Exchange.asked(context, await context.service("udp"));
      const { client, service } = exchange;
      const natPlace = { address: context.vip, port: exchange.natPort };
      const zero = { port: 0 };
      await context.dropped("port-zero", 4, () => {
        context.send("client", datagram({ ...client, ...zero }, service.place, "zero"));
        context.send("client", datagram(client, { ...service.place, ...zero }, "zero"));
        context.send("endpoint", datagram({ ...service.endpoint, ...zero }, natPlace, "zero"));
        context.send("endpoint", datagram(service.endpoint, { ...natPlace, ...zero }, "zero"));
      });
      await exchange.lively();
      for (const end of ENDS) assert.ok(context.arrived(end).every((heard) => textOf(heard) !== "zero"));
    },
  },
  {
    number: 37,
    name: "A port of the VIP that nothing has",
    rfc: "4787 REQ-8; 1122 §4.1.3.1",
    done: "Datagrams of a client to a port without a service, and to the NAT port of another one's mapping.",
    seen: "Dropped and counted; nothing arrives, and nothing is answered.",
    selected: true,
    async run(context) {
      const exchange = await Exchange.asked(context, await context.service("udp"));
      const stranger = context.newClient(1);
      await context.dropped("port-not-served", 2, () => {
        for (const port of [context.freePort(), exchange.natPort])
          context.send("client", datagram(stranger, { address: context.vip, port }, "anybody?"));
      });
      await exchange.lively();
      assert.ok(context.arrived("endpoint").every((heard) => textOf(heard) !== "anybody?"));
      assert.equal(context.errors("client").length, 0);
    },
  },
  {
    number: 38,
    name: "A source that is no host",
    rfc: "1122 §3.2.1.3, §4.1.3.6; 4291 §2.7",
    done: "Datagrams to a service from a multicast address and from the loopback one.",
    seen: "No mapping: dropped and counted; the service goes on.",
    async run(context) {
      const service = await context.service("udp");
      const exchange = await Exchange.asked(context, service);
      const { port } = context.newClient();
      const sources: readonly Address[] = context.vip.includes(":")
        ? ["ff05::9", "::1"]
        : ["239.1.2.3", "127.0.0.9"];
      await context.dropped("source-not-unicast", sources.length, () => {
        for (const address of sources)
          context.send("client", datagram({ address, port }, service.place, "who?"));
      });
      assert.equal((await context.flows(service)).length, 1);
      await exchange.lively();
      assert.ok(context.arrived("endpoint").every((heard) => textOf(heard) !== "who?"));
    },
  },
  {
    number: 39,
    name: "Two services before one endpoint",
    rfc: "4787 REQ-1, REQ-2",
    done: "One client port asks two services whose endpoint is the same address and port.",
    seen: "Two NAT ports, as nothing else tells the two apart there; each answer comes from the service that was asked.",
    async run(context) {
      const one = await context.service("udp");
      const two = await context.service("udp", { endpoints: [one.endpoint] });
      const first = await Exchange.asked(context, one);
      const second = await Exchange.asked(context, { ...two, endpoint: one.endpoint }, { ...first.client });
      assert.notEqual(second.natPort, first.natPort);
      for (const each of [first, second, first]) await each.answer();
    },
  },
  {
    number: 40,
    name: "A datagram that does not fit the way out",
    rfc: "4787 REQ-13; 1191 §4; 4443 §3.2",
    done: "The member's way to its endpoint takes 1,400 bytes; a datagram of 1,450 comes, of IPv4 also one that may be fragmented.",
    seen: "The client is told the MTU from the VIP, about the datagram as it sent it; what may be fragmented arrives in fragments.",
    async run(context) {
      const exchange = await Exchange.asked(context, await context.service("udp"));
      await exchange.lively();
      const isV6 = context.vip.includes(":");
      const payload = "does not fit ".repeat(200).slice(0, 1_450 - (isV6 ? 48 : 28));
      const setMtu = (mtu: number) => context.member.host.run("ip", ["link", "set", "core", "mtu", `${mtu}`]);
      setMtu(1_400);
      try {
        // The member learns of it a moment later.
        await until("an error", async () => {
          exchange.send("client", payload);
          await pause(100);
          return context.errors("client").length > 0;
        });
        await context.quoted("client", exchange.packet("client", payload), 1_400);
        if (isV6) return;
        exchange.send("client", payload.toUpperCase(), {
          dontFragment: false,
          identification: randomInt(1, 65_536),
        });
        await context.reassembled("endpoint", payload.toUpperCase());
        const sizes = context.packets("endpoint").map(({ bytes }) => bytes.length);
        assert.ok(sizes.slice(-2).every((size) => size <= 1_400));
      } finally {
        setMtu(1_500);
      }
      await exchange.lively();
    },
  },
];

export const rareDatagrams: readonly PlainScenario[] = [...fields, ...places];
