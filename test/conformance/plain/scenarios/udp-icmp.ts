// UDP: ICMP errors that prove nothing, and what they and strangers' datagrams do to a mapping's life.
import assert from "node:assert/strict";
import { pause } from "@holdfast/testkit";
import { Exchange } from "../exchange.ts";
import { quotingError } from "../icmp.ts";
import type { PlainScenario } from "../scenario.ts";
import { datagram, textOf } from "../segments.ts";

const SHORT = { idle: { flowS: 4, oneShotS: 2 } };
/** Of IPv4 without options, and of IPv6. */
const headerSize = (packet: Uint8Array) => ((packet[0] as number) >>> 4 === 4 ? 20 : 40);

/** Again and again until the mapping is over, as it must be when none of that counts. */
async function endsDespite(exchange: Exchange, action: () => void): Promise<void> {
  let isOver = false;
  const ended = exchange.ended().finally(() => {
    isOver = true;
  });
  // Whoever fails is heard below.
  ended.catch(() => {});
  while (!isOver) {
    action();
    await pause(300);
  }
  await ended;
}

export const errors: readonly PlainScenario[] = [
  {
    number: 25,
    name: "An ICMP error with a wrong checksum",
    rfc: "5508 REQ-3",
    done: "Port unreachable about a datagram that was sent, one bit wrong; then as it should be.",
    seen: "The broken one is dropped and counted, and not repaired; the other arrives.",
    selected: true,
    async run(context) {
      const exchange = await Exchange.asked(context, await context.service("udp"));
      const heard = await exchange.ask();
      const whole = quotingError(heard.packet, "unreachable");
      const broken = whole.slice();
      broken[broken.length - 1] = (broken[broken.length - 1] as number) ^ 0x10;
      await context.dropped("bad-checksum", 1, () => context.send("endpoint", broken));
      assert.equal(context.errors("client").length, 0);
      context.send("endpoint", whole);
      await context.quoted("client", exchange.packet("client", textOf(heard)));
      assert.equal(context.errors("client").length, 1);
    },
  },
  {
    number: 26,
    name: "An ICMP error that quotes too little",
    rfc: "5508 REQ-4; 792; 4443 §2.4",
    done: "Errors that quote half a UDP header, half an IP header and nothing; then eight bytes of UDP.",
    seen: "The three are dropped and counted; what has the eight bytes arrives.",
    async run(context) {
      const exchange = await Exchange.asked(context, await context.service("udp"));
      const heard = await exchange.ask();
      const { packet } = heard;
      const start = headerSize(packet.bytes);
      const quoting = (size: number) => {
        const bytes = packet.bytes.subarray(0, size);
        context.send("endpoint", quotingError({ ...packet, bytes }, "unreachable"));
      };
      await context.dropped("icmp-unrelated", 3, () => {
        for (const size of [start + 4, start / 2, 0]) quoting(size);
      });
      assert.equal(context.errors("client").length, 0);
      quoting(start + 8);
      await context.quoted("client", exchange.packet("client", textOf(heard)));
    },
  },
  {
    number: 27,
    name: "An ICMP error about another conversation",
    rfc: "5508 REQ-4",
    done: "Errors that quote a mapping's NAT port, to another port and to another address than its endpoint's.",
    seen: "Both are dropped and counted; the mapping goes on.",
    selected: true,
    async run(context) {
      const exchange = await Exchange.asked(context, await context.service("udp"));
      const { packet } = await exchange.ask();
      const { endpoint } = exchange.service;
      const natPlace = { address: context.vip, port: exchange.natPort };
      const others = [
        { ...endpoint, port: context.freePort() },
        { ...endpoint, address: exchange.client.address },
      ];
      await context.dropped("icmp-unrelated", others.length, () => {
        for (const other of others) {
          const bytes = datagram(natPlace, other, "never sent");
          context.send("endpoint", quotingError({ ...packet, bytes }, "unreachable"));
        }
      });
      await exchange.lively();
      assert.equal(context.errors("client").length, 0);
    },
  },
  {
    number: 28,
    name: "A hop limit that ends behind the member",
    rfc: "5508 REQ-4, REQ-10; 792; 4443 §3.3",
    done: "Time exceeded about a datagram of the client's, and about one of the endpoint's.",
    seen: "Each sender gets it from the VIP, about the datagram as it sent it; the mapping stands.",
    async run(context) {
      const exchange = await Exchange.asked(context, await context.service("udp"));
      const asked = await exchange.ask();
      context.send("endpoint", quotingError(asked.packet, "expired"));
      await context.quoted("client", exchange.packet("client", textOf(asked)));
      const answered = await exchange.answer();
      context.send("client", quotingError(answered.packet, "expired"));
      await context.quoted("endpoint", exchange.packet("endpoint", textOf(answered)));
      for (const end of ["client", "endpoint"] as const)
        assert.equal(context.errors(end)[0]?.payload[0], context.vip.includes(":") ? 3 : 11);
      await exchange.lively();
    },
  },
  {
    number: 29,
    name: "ICMP errors keep no mapping",
    rfc: "5508 REQ-6; 4787 REQ-6",
    done: "An exchange falls silent; errors about its last datagram come on; flowS is 4 s.",
    seen: "They arrive while it stands, and it is closed as if nothing had come.",
    async run(context) {
      const exchange = await Exchange.asked(context, await context.service("udp", SHORT));
      await exchange.lively();
      const heard = await exchange.ask();
      await endsDespite(exchange, () => context.send("endpoint", quotingError(heard.packet, "unreachable")));
      assert.ok(context.errors("client").length > 1);
    },
  },
  {
    number: 30,
    name: "Datagrams of strangers keep no mapping",
    rfc: "4787 REQ-6, REQ-8",
    done: "An exchange falls silent; datagrams from another port of its endpoint come to its NAT port; flowS is 4 s.",
    seen: "All are dropped, and it is closed as if nothing had come.",
    async run(context) {
      const exchange = await Exchange.asked(context, await context.service("udp", SHORT));
      await exchange.lively();
      const from = { ...exchange.service.endpoint, port: context.freePort() };
      const to = { address: context.vip, port: exchange.natPort };
      await context.dropped("port-not-served", 5, () =>
        endsDespite(exchange, () => context.send("endpoint", datagram(from, to, "keep it"))),
      );
      assert.ok(context.arrived("client").every((heard) => textOf(heard) !== "keep it"));
    },
  },
];
