// UDP: datagrams that are odd in one way or another, errors about them, and fragments.
import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { until } from "@holdfast/testkit";
import { Exchange } from "../exchange.ts";
import { fragmentsOf } from "../fragments.ts";
import { quotingError } from "../icmp.ts";
import type { PlainScenario } from "../scenario.ts";
import { datagram, textOf } from "../segments.ts";

export const packets: readonly PlainScenario[] = [
  {
    number: 8,
    name: "No checksum",
    rfc: "768; 6936 §4",
    done: "Datagrams with a checksum of zero both ways.",
    seen: "Zero stays zero.",
    families: ["ipv4"],
    selected: true,
    async run(context) {
      const exchange = await Exchange.asked(context, await context.service("udp"));
      for (const from of ["client", "endpoint"] as const) {
        const text = exchange.text(from);
        exchange.send(from, text, { checksum: 0 });
        const at = from === "client" ? "endpoint" : "client";
        const heard = await context.hears(at, text, (each) => textOf(each) === text);
        assert.equal(heard.checksum, 0);
      }
    },
  },
  {
    number: 9,
    name: "A checksum that would become zero",
    rfc: "768",
    done: "A datagram whose translated checksum is zero.",
    seen: "It is sent as 0xffff.",
    selected: true,
    async run(context) {
      const exchange = await Exchange.asked(context, await context.service("udp"));
      const { address, port } = exchange.service.endpoint;
      const seen = datagram({ address: context.vip, port: exchange.natPort }, { address, port }, "ab\0\0");
      // What is missing to 0xffff stands in the last two bytes: the complement of the sum is zero then.
      const checksum = Buffer.from(seen).readUInt16BE(seen.length - 12 + 6);
      const payload = Buffer.from([0x61, 0x62, checksum >> 8, checksum & 0xff]);
      exchange.send("client", payload);
      const heard = await context.hears("endpoint", "it", (each) => payload.equals(each.payload));
      assert.equal(heard.checksum, 0xffff);
    },
  },
  {
    number: 10,
    name: "Datagrams without a byte",
    rfc: "768",
    done: "Empty datagrams both ways.",
    seen: "They arrive, with right checksums.",
    selected: true,
    async run(context) {
      const exchange = await Exchange.asked(context, await context.service("udp"));
      for (const from of ["client", "endpoint"] as const) {
        exchange.send(from, "");
        const at = from === "client" ? "endpoint" : "client";
        const heard = await context.hears(at, "it", (each) => each.payload.length === 0);
        assert.ok(heard.isChecksumRight);
      }
    },
  },
  {
    number: 11,
    name: "Fragments in order, and the last one first",
    rfc: "4787 REQ-13, REQ-14",
    done: "Datagrams of 4,000 bytes from either end, cut at 1,200; the second time backwards.",
    seen: "All bytes arrive.",
    families: ["ipv4"],
    selected: true,
    async run(context) {
      const exchange = await Exchange.asked(context, await context.service("udp"));
      for (const from of ["client", "endpoint"] as const)
        for (const order of ["forward", "backward"]) {
          const payload = `${from} ${order} `.repeat(400).slice(0, 4_000);
          const extras = { dontFragment: false, identification: randomInt(1, 65_536) };
          const parts = fragmentsOf(exchange.packet(from, payload, extras), 1_200);
          for (const part of order === "forward" ? parts : parts.toReversed()) context.send(from, part);
          await context.reassembled(from === "client" ? "endpoint" : "client", payload);
        }
      await exchange.answer();
    },
  },
  {
    number: 12,
    name: "Fragments that overlap",
    rfc: "4787 REQ-14; 5722; 1858",
    done: "A fragment that says other bytes for a place that another one has.",
    seen: "Dropped and counted; nothing of it arrives; the mapping goes on.",
    families: ["ipv4"],
    async run(context) {
      const exchange = await Exchange.asked(context, await context.service("udp"));
      const extras = { dontFragment: false, identification: randomInt(1, 65_536) };
      const [first, second] = fragmentsOf(exchange.packet("client", "x".repeat(1_500), extras), 800);
      const [, evil] = fragmentsOf(exchange.packet("client", "y".repeat(1_500), extras), 792);
      assert.ok(first && second && evil);
      await context.dropped("fragment-overlap", 1, () => {
        for (const part of [first, evil, second]) context.send("client", part);
      });
      await exchange.answer();
      assert.ok(context.arrived("endpoint").every((heard) => !textOf(heard).includes("xxx")));
    },
  },
  {
    number: 13,
    name: "Nobody listens at the endpoint",
    rfc: "4787 REQ-12; 5508 REQ-4",
    done: "The endpoint's host answers a datagram with port unreachable.",
    seen: "The client gets it about the datagram as it sent it; the mapping stands.",
    selected: true,
    async run(context) {
      const exchange = await Exchange.asked(context, await context.service("udp"));
      await exchange.lively();
      const heard = await exchange.ask();
      context.send("endpoint", quotingError(heard.packet, "unreachable"));
      await context.quoted("client", exchange.packet("client", textOf(heard)));
      await exchange.lively();
    },
  },
  {
    number: 14,
    name: "A router on the client's side reports the MTU",
    rfc: "4787 REQ-12; 1191 §3; 8201 §4",
    done: "Packet too big about a datagram of the endpoint's.",
    seen: "The endpoint gets it, with the MTU, about the datagram as it sent it; the mapping stands.",
    async run(context) {
      const exchange = await Exchange.asked(context, await context.service("udp"));
      const heard = await exchange.answer();
      context.send("client", quotingError(heard.packet, "too-big", 1_300));
      await context.quoted("endpoint", exchange.packet("endpoint", textOf(heard)), 1_300);
      await exchange.lively();
    },
  },
  {
    number: 15,
    name: "Errors about nothing",
    rfc: "5508 REQ-4",
    done: "Errors of the endpoint's host that quote ports that no mapping has.",
    seen: "Dropped and counted; nothing arrives.",
    async run(context) {
      const exchange = await Exchange.asked(context, await context.service("udp"));
      const heard = await exchange.ask();
      const bytes = datagram({ address: context.vip, port: 999 }, exchange.service.endpoint, "no");
      await context.dropped("icmp-unrelated", 1, () =>
        context.send("endpoint", quotingError({ ...heard.packet, bytes }, "unreachable")),
      );
      await exchange.answer();
      assert.equal(context.errors("client").length, 0);
    },
  },
  {
    number: 16,
    name: "A length that is a lie",
    rfc: "768",
    done: "Datagrams whose length says less than a header, and more than the packet has.",
    seen: "Dropped and counted; the mapping goes on.",
    selected: true,
    async run(context) {
      const exchange = await Exchange.asked(context, await context.service("udp"));
      const lie = (length: number) => {
        const packet = exchange.packet("client", "four");
        Buffer.from(packet.buffer).writeUInt16BE(length, packet.length - 12 + 4);
        return packet;
      };
      await context.dropped("udp-length", 2, () => {
        for (const length of [7, 400]) context.send("client", lie(length));
      });
      await exchange.lively();
    },
  },
  {
    number: 17,
    name: "A hop limit that is at its end",
    rfc: "1812 §5.2.7.3; 4443 §3.3",
    done: "A datagram with one hop left.",
    seen: "It goes no further; the client hears of it from the VIP.",
    async run(context) {
      const exchange = await Exchange.asked(context, await context.service("udp"));
      await context.dropped("ttl-expired", 1, () => exchange.send("client", "the end", { hopLimit: 1 }));
      await until("the error", () => context.errors("client").length > 0);
      await exchange.lively();
      assert.ok(context.arrived("endpoint").every((heard) => textOf(heard) !== "the end"));
    },
  },
  {
    number: 18,
    name: "DSCP and the hop limit",
    rfc: "2474 §3; 791 §3.2",
    done: "A datagram with DSCP 46 and 30 hops left.",
    seen: "DSCP as sent, one hop fewer.",
    async run(context) {
      const exchange = await Exchange.asked(context, await context.service("udp"));
      const text = exchange.text("client");
      exchange.send("client", text, { trafficClass: 46 << 2, hopLimit: 30 });
      const { packet } = await context.hears("endpoint", text, (each) => textOf(each) === text);
      assert.equal(packet.trafficClass, 46 << 2);
      assert.equal(packet.ttl, 29);
    },
  },
];
