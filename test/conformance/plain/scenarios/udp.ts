// UDP: mappings, times, ports, floods, and the owner's death.
import assert from "node:assert/strict";
import { pause, until } from "@holdfast/testkit";
import { EMBRYO_COUNT_MAX_PER_PREFIX } from "../context.ts";
import { Exchange } from "../exchange.ts";
import type { PlainScenario } from "../scenario.ts";
import { datagram, textOf } from "../segments.ts";
import { told } from "./tcp-takeover.ts";
import { packets } from "./udp-packets.ts";

const SHORT = { idle: { flowS: 4, oneShotS: 2 } };

export const udp: readonly PlainScenario[] = [
  {
    number: 1,
    name: "A question, an answer, and on",
    rfc: "4787 REQ-1",
    done: "Datagrams to and fro.",
    seen: "The endpoint sees the VIP and one NAT port, the client the service's address and port; bytes as sent.",
    selected: true,
    async run(context) {
      const exchange = await Exchange.asked(context, await context.service("udp"));
      await exchange.answer();
      await exchange.phase("opening");
      await exchange.lively();
      await exchange.phase("established");
      assert.ok(exchange.natPort >= 1_024);
    },
  },
  {
    number: 2,
    name: "One mapping for each client's address and port",
    rfc: "4787 REQ-1",
    done: "One client port to a service twice and to another service; another address from the same port.",
    seen: "One mapping toward one service however often; others for the other service and the other address.",
    selected: true,
    async run(context) {
      const [one, two] = [await context.service("udp"), await context.service("udp")];
      const first = await Exchange.asked(context, one);
      assert.equal((await first.ask()).source.port, first.natPort);
      const elsewhere = await Exchange.asked(context, two, first.client);
      const stranger = { ...context.newClient(1), port: first.client.port };
      const beside = await Exchange.asked(context, one, stranger);
      assert.notEqual(beside.natPort, first.natPort);
      for (const each of [first, elsewhere, beside]) await each.answer();
    },
  },
  {
    number: 3,
    name: "A datagram to a NAT port from elsewhere",
    rfc: "4787 REQ-8",
    done: "From the endpoint's address and another port, to a mapping's NAT port.",
    seen: "Dropped: filtering goes by address and port. The endpoint's own passes.",
    selected: true,
    async run(context) {
      const exchange = await Exchange.asked(context, await context.service("udp"));
      const { endpoint } = exchange.service;
      const from = { address: endpoint.address, port: context.freePort() };
      const to = { address: context.vip, port: exchange.natPort };
      await context.dropped("port-not-served", 1, () =>
        context.send("endpoint", datagram(from, to, "hello")),
      );
      await exchange.answer();
      assert.ok(context.arrived("client").every((heard) => textOf(heard) !== "hello"));
    },
  },
  {
    number: 4,
    name: "A question and its answer",
    rfc: "4787 REQ-5; 7857 §2.1",
    done: "One question, one answer, silence; oneShotS is 2 s, flowS 10 minutes.",
    seen: "Closed after oneShotS; a late answer is dropped.",
    selected: true,
    async run(context) {
      const exchange = await Exchange.asked(
        context,
        await context.service("udp", { idle: { flowS: 600, oneShotS: 2 } }),
      );
      await exchange.answer();
      await exchange.phase("opening");
      await exchange.ended();
      await context.dropped("no-session", 1, () => exchange.send("endpoint", "late"));
      assert.ok(context.arrived("client").every((heard) => textOf(heard) !== "late"));
    },
  },
  {
    number: 5,
    name: "An exchange that falls silent",
    rfc: "4787 REQ-5",
    done: "The client has spoken after an answer; silence; flowS is 4 s, oneShotS 2 s.",
    seen: "It stands for longer than oneShotS, and is closed after flowS.",
    async run(context) {
      const exchange = await Exchange.asked(context, await context.service("udp", SHORT));
      await exchange.lively();
      await exchange.phase("established");
      await pause(2_600);
      await exchange.phase("established");
      await exchange.ended();
    },
  },
  ...(["client", "endpoint"] as const).map(
    (end, index): PlainScenario => ({
      number: 6 + index,
      name: `The ${end} alone keeps a mapping`,
      rfc: "4787 REQ-6",
      done: `Datagrams of the ${end} alone for twice the idle time of 4 s.`,
      seen: "The mapping stands, on the same NAT port.",
      async run(context) {
        const exchange = await Exchange.asked(context, await context.service("udp", SHORT));
        await exchange.lively();
        await exchange.monologue(end, 8_000);
        await exchange.lively();
      },
    }),
  ),
  ...packets,
  {
    number: 19,
    name: "The client's own port",
    rfc: "4787 REQ-3, REQ-4",
    done: "Six clients; six from the numbers of their NAT ports to another endpoint's port, and six from the next numbers.",
    seen: "A port of the member's slots is kept toward each endpoint, odd or even; others give way to one of them. None is below 1,024.",
    async run(context) {
      const [one, two] = [await context.service("udp"), await context.service("udp")];
      const given: number[] = [];
      for (let n = 0; n < 6; n++) given.push((await Exchange.asked(context, one)).natPort);
      assert.equal(new Set(given).size, 6);
      assert.ok(given.every((port) => port >= 1_024));
      for (const port of given) {
        const own = await Exchange.asked(context, two, { ...context.newClient(1), port });
        assert.equal(own.natPort, port);
        // The number beside it is of another member's slots.
        const other = await Exchange.asked(context, two, { ...context.newClient(2), port: port + 1 });
        assert.notEqual(other.natPort, port + 1);
      }
    },
  },
  {
    number: 20,
    name: "A flood from one prefix",
    rfc: "4787 §11 (security)",
    done: `Eight times ${EMBRYO_COUNT_MAX_PER_PREFIX} first datagrams, the quota of a prefix here, beside an exchange.`,
    seen: "No more embryos than the quota; the exchange goes on; a client of another prefix gets in.",
    families: ["ipv4"],
    selected: true,
    async run(context) {
      const service = await context.service("udp");
      const exchange = await Exchange.asked(context, service);
      await exchange.lively();
      const { address } = context.newClient(1);
      const before = await context.overQuota();
      for (let n = 0; n < 8 * EMBRYO_COUNT_MAX_PER_PREFIX; n++) {
        context.send("client", datagram({ address, port: 10_000 + n }, service.place, "flood"));
        if (n % 32 === 0) await pause(1);
      }
      await until("the quota to be reached", async () => (await context.overQuota()) > before);
      // Questions of other scenarios may still be there.
      assert.ok((await context.embryos()) <= EMBRYO_COUNT_MAX_PER_PREFIX + 100);
      await exchange.lively();
      await Exchange.asked(context, service);
    },
  },
  {
    number: 21,
    name: "An endpoint that asks its own VIP",
    rfc: "4787 REQ-9 (hairpinning)",
    done: "The endpoint's host sends a datagram to the VIP, whose endpoint it is itself, and answers it.",
    seen: "Question and answer come back to it from the VIP.",
    async run(context) {
      const service = await context.service("udp");
      const caller = { address: service.endpoint.address, port: context.freePort() };
      context.send("endpoint", datagram(caller, service.place, "who am I?"));
      const heard = await context.hears("endpoint", "its question", (each) => textOf(each) === "who am I?");
      const back = { address: context.vip, port: heard.source.port };
      context.send("endpoint", datagram(service.endpoint, back, "you"));
      await context.hears(
        "endpoint",
        "its answer",
        (each) => textOf(each) === "you" && each.destination.port === caller.port,
      );
    },
  },
  ...(
    [
      [22, "long-lived", "An exchange of more than replicateAfterMs; the owner's node dies.", true],
      [23, "always", "A question has just been asked; the owner's node dies; its answer comes.", true],
    ] as const
  ).map(
    ([number, replicate, done, selected]): PlainScenario => ({
      number,
      name: `Take-over, replicate: ${replicate}`,
      ...{ rfc: "4787 REQ-1, REQ-5", done, selected },
      seen: "Answers and questions pass through another member, on the same NAT port.",
      async bereave(context) {
        const service = await context.service("udp", { replicate, replicateAfterMs: 200 });
        const exchange = await Exchange.asked(context, service);
        if (replicate === "long-lived") {
          await exchange.lively();
          await pause(400);
          await exchange.lively();
        }
        await told(context, service);
        return async () => {
          const answer = exchange.text("endpoint");
          await until("an answer", async () => {
            exchange.send("endpoint", answer);
            await pause(50);
            return context.arrived("client").some((heard) => textOf(heard) === answer);
          });
          assert.equal((await exchange.ask()).source.port, exchange.natPort);
        };
      },
    }),
  ),
  {
    number: 24,
    name: "Take-over, replicate: never",
    rfc: "4787 REQ-1",
    done: "An exchange that nobody was told of; the owner's node dies; the client asks on.",
    seen: "Its next question makes a new mapping, and is answered.",
    selected: true,
    async bereave(context) {
      const service = await context.service("udp", { replicate: "never" });
      const exchange = await Exchange.asked(context, service);
      await exchange.lively();
      return async () => {
        const again = await Exchange.asked(context, service, exchange.client);
        await again.answer();
        await again.lively();
      };
    },
  },
];
