// TCP: what somebody sends who does not see the connection's packets, errors of the network, and fragments.
import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { Connection, FAR } from "../connection.ts";
import { fragmentsOf } from "../fragments.ts";
import { quotingError } from "../icmp.ts";
import type { PlainScenario } from "../scenario.ts";
import { ACK, FIN, PSH, RST, SYN, segment, textOf } from "../segments.ts";

const FORGED_COUNT = 50;

export const forged: readonly PlainScenario[] = [
  ...(["client", "endpoint"] as const).map(
    (end, index): PlainScenario => ({
      number: 30 + index,
      name: `Forged resets in the ${end}'s name`,
      rfc: "5961 §3",
      done: `${FORGED_COUNT} RSTs with numbers far outside of the window.`,
      seen: "All are dropped and counted; none arrives; the connection goes on.",
      selected: true,
      async run(context) {
        const connection = await Connection.open(context, await context.service("tcp"));
        await connection.lives();
        await context.dropped("tcp-window", FORGED_COUNT, () => {
          for (let n = 0; n < FORGED_COUNT; n++) {
            const sequence = connection.next[end] + FAR + randomInt(0x6000_0000);
            connection.send(end, { flags: RST, sequence, acknowledgment: 0 });
          }
        });
        await connection.lives();
        connection.wasNotReset("client", "endpoint");
      },
    }),
  ),
  {
    number: 32,
    name: "Forged FINs",
    rfc: "5961 §3; 9293 §3.6",
    done: "FINs of both ends with numbers far outside of the window.",
    seen: "All are dropped and counted; the connection is established and goes on.",
    selected: true,
    async run(context) {
      const connection = await Connection.open(context, await context.service("tcp"));
      await connection.lives();
      await context.dropped("tcp-window", 20, () => {
        for (let n = 0; n < 10; n++)
          for (const end of ["client", "endpoint"] as const) {
            const sequence = connection.next[end] + FAR + randomInt(0x6000_0000);
            connection.send(end, { flags: FIN | ACK, sequence });
          }
      });
      await connection.lives();
      await connection.phase("established");
    },
  },
  {
    number: 33,
    name: "A forged SYN into an open connection",
    rfc: "5961 §4",
    done: "A SYN from the client's address and port; the endpoint answers with an acknowledgment.",
    seen: "SYN and acknowledgment pass; nothing changes.",
    selected: true,
    async run(context) {
      const connection = await Connection.open(context, await context.service("tcp"));
      await connection.lives();
      const sequence = randomInt(2 ** 32);
      connection.send("client", { flags: SYN, sequence, acknowledgment: 0 });
      await connection.hears(
        "endpoint",
        "the SYN",
        (each) => each.flags === SYN && each.sequence === sequence,
      );
      await connection.ack("endpoint");
      await connection.lives();
      await connection.phase("established");
    },
  },
  {
    number: 34,
    name: "Many forged SYNs into an open connection",
    rfc: "5961 §4, §7",
    done: "Forty at once.",
    seen: "One of them goes to the endpoint, the others are dropped; the connection goes on.",
    async run(context) {
      const connection = await Connection.open(context, await context.service("tcp"));
      await connection.lives();
      await context.dropped("syn-rate", 30, () => {
        for (let n = 0; n < 40; n++)
          connection.send("client", { flags: SYN, sequence: randomInt(2 ** 32), acknowledgment: 0 });
      });
      await connection.ack("endpoint");
      await connection.lives();
      const passed = connection.heard("endpoint").filter(({ flags }) => flags === SYN).length;
      assert.ok(passed >= 2 && passed < 12, `${passed} SYNs arrived, that of the handshake among them`);
    },
  },
  {
    number: 35,
    name: "A client that has forgotten its connection",
    rfc: "9293 §3.5.1",
    done: "It begins anew from its port; the endpoint's acknowledgment tells it, its RST ends the old one, its SYN comes again.",
    seen: "A new connection.",
    selected: true,
    async run(context) {
      const service = await context.service("tcp");
      const old = await Connection.open(context, service);
      await old.lives();
      const sequence = (old.next.client + 0x2000_0000) >>> 0;
      old.send("client", { flags: SYN, sequence, acknowledgment: 0 });
      await old.hears("endpoint", "the SYN", (each) => each.flags === SYN && each.sequence === sequence);
      await old.ack("endpoint");
      // RFC 9293 §3.5.2: the reset has the number that the unexpected acknowledgment acknowledged.
      old.send("client", { flags: RST, acknowledgment: 0 });
      await old.hears("endpoint", "the reset", ({ flags }) => flags === RST);
      const second = await Connection.open(context, service, { client: old.client, sequence });
      await second.lives();
    },
  },
  {
    number: 36,
    name: "A refusal of another SYN than the last",
    rfc: "5961 §4; 9293 §3.10.7.3",
    done: "A SYN into an open connection; a RST from the endpoint's address that acknowledges something else.",
    seen: "Dropped; the connection goes on.",
    async run(context) {
      const connection = await Connection.open(context, await context.service("tcp"));
      await connection.lives();
      const sequence = randomInt(2 ** 31);
      connection.send("client", { flags: SYN, sequence, acknowledgment: 0 });
      await connection.hears("endpoint", "the SYN", (each) => each.sequence === sequence);
      await context.dropped("wrong-phase", 1, () =>
        connection.send("endpoint", {
          flags: RST | ACK,
          sequence: 0,
          acknowledgment: (sequence + 77_777) >>> 0,
        }),
      );
      await connection.ack("endpoint");
      await connection.lives();
      connection.wasNotReset("client");
    },
  },
  {
    number: 37,
    name: "Forged data",
    rfc: "5961 §5",
    done: "Ten segments with numbers from far away, then a RST that continues them.",
    seen: "The ends judge the data; the reset is dropped: nobody learned from forgeries.",
    async run(context) {
      const connection = await Connection.open(context, await context.service("tcp"));
      await connection.lives();
      const far = (connection.next.client + FAR) >>> 0;
      for (let n = 0; n < 10; n++)
        connection.send("client", {
          flags: ACK | PSH,
          sequence: far + n * 7,
          acknowledgment: (connection.next.endpoint + FAR) >>> 0,
          payload: "forged.",
        });
      await connection.hears("endpoint", "forged data", (each) => textOf(each) === "forged.");
      await context.dropped("tcp-window", 1, () =>
        connection.send("client", { flags: RST, sequence: far + 70, acknowledgment: 0 }),
      );
      await connection.lives();
      connection.wasNotReset("endpoint");
    },
  },
  {
    number: 38,
    name: "A packet that is too big somewhere behind",
    rfc: "5382 REQ-9; 1191 §3; 8201 §4",
    done: "A router toward the endpoint, and one toward the client, report the MTU for a segment in flight.",
    seen: "Each sender gets the error, with the MTU, about the segment as it had sent it; the connection goes on.",
    selected: true,
    async run(context) {
      const connection = await Connection.open(context, await context.service("tcp"));
      for (const from of ["client", "endpoint"] as const) {
        const at = from === "client" ? "endpoint" : "client";
        const payload = `in flight from ${from}`;
        connection.send(from, { flags: ACK | PSH, payload });
        const heard = await connection.hears(at, "the segment", (each) => textOf(each) === payload);
        context.send(at, quotingError(heard.packet, "too-big", 1_300));
        const sent = connection.packet(from, {
          flags: ACK | PSH,
          sequence: connection.next[from],
          acknowledgment: connection.next[at],
          payload,
        });
        await context.quoted(from, sent, 1_300);
        connection.next[from] = (connection.next[from] + payload.length) >>> 0;
        await connection.ack(at);
      }
      await connection.lives();
    },
  },
  {
    number: 39,
    name: "An unreachable host, for a moment",
    rfc: "5382 REQ-6; 5927 §4",
    done: "ICMP port unreachable toward the client about a segment in flight.",
    seen: "It arrives, and ends nothing.",
    async run(context) {
      const connection = await Connection.open(context, await context.service("tcp"));
      await connection.lives();
      const payload = "into the void";
      connection.send("client", { flags: ACK | PSH, payload });
      const heard = await connection.hears("endpoint", "the segment", (each) => textOf(each) === payload);
      context.send("endpoint", quotingError(heard.packet, "unreachable"));
      const { client, endpoint } = connection.next;
      const fields = { flags: ACK | PSH, sequence: client, acknowledgment: endpoint, payload };
      await context.quoted("client", connection.packet("client", fields));
      connection.next.client = (client + payload.length) >>> 0;
      await connection.lives();
      await connection.phase("established");
    },
  },
  {
    number: 40,
    name: "Forged ICMP errors",
    rfc: "5927 §4.1; 5382 REQ-6",
    done: "Errors that quote numbers that are not in flight, and ports that no connection has.",
    seen: "Dropped as unproven and as unrelated; nothing arrives.",
    selected: true,
    async run(context) {
      const connection = await Connection.open(context, await context.service("tcp"));
      const heard = await connection.speak("client");
      const quote = (sequence: number, port: number) =>
        segment({ address: context.vip, port }, connection.service.endpoint, { flags: ACK, sequence });
      const forge = (packet: Uint8Array) =>
        context.send("endpoint", quotingError({ ...heard.packet, bytes: packet }, "too-big", 600));
      await context.dropped("icmp-unproven", 1, () =>
        forge(quote(connection.next.client + FAR, connection.natPort)),
      );
      await context.dropped("icmp-unrelated", 1, () => forge(quote(connection.next.client, 999)));
      await connection.lives();
      assert.equal(context.errors("client").length, 0);
    },
  },
  {
    number: 41,
    name: "A segment in fragments",
    rfc: "4787 REQ-14; 791 §3.2",
    done: "A segment of 2,000 bytes in three fragments from either end, the last one first.",
    seen: "Its bytes arrive, put together or in fragments of the VIP's; the connection goes on.",
    families: ["ipv4"],
    async run(context) {
      const connection = await Connection.open(context, await context.service("tcp"));
      for (const from of ["client", "endpoint"] as const) {
        const at = from === "client" ? "endpoint" : "client";
        const payload = `${from} `.repeat(300).slice(0, 2_000);
        const [sequence, acknowledgment] = [connection.next[from], connection.next[at]];
        const packet = connection.packet(
          from,
          { flags: ACK | PSH, sequence, acknowledgment, payload },
          { dontFragment: false, identification: 77 + randomInt(60_000) },
        );
        for (const part of fragmentsOf(packet, 800).reverse()) context.send(from, part);
        await context.reassembled(at, payload);
        connection.next[from] = (sequence + payload.length) >>> 0;
        await connection.ack(at);
      }
      await connection.lives();
    },
  },
  {
    number: 42,
    name: "A checksum that is wrong",
    rfc: "9293 §3.1",
    done: "A segment whose checksum is wrong.",
    seen: "It arrives with a checksum that is wrong by as much: the receiver refuses it, nobody repairs it.",
    async run(context) {
      context.wrongChecksumsAllowed = true;
      const connection = await Connection.open(context, await context.service("tcp"));
      const { client: sequence, endpoint: acknowledgment } = connection.next;
      const packet = connection.packet("client", { flags: ACK, sequence, acknowledgment, payload: "broken" });
      packet[packet.length - 1] = (packet[packet.length - 1] as number) ^ 0x55;
      context.send("client", packet);
      const heard = await connection.hears("endpoint", "it", (each) => each.payload.length === 6);
      assert.equal(heard.isChecksumRight, false);
      await connection.lives();
    },
  },
  {
    number: 43,
    name: "An endpoint that calls its own VIP",
    rfc: "5382 REQ-8 (hairpinning)",
    done: "The endpoint's host opens a connection to the VIP, whose endpoint it is itself.",
    seen: "It is served as any client: SYN, SYN-ACK and data come back to it from the VIP.",
    async run(context) {
      const service = await context.service("tcp");
      const [{ address }, port] = [service.endpoint, context.freePort()];
      const caller = { address, port };
      context.send("endpoint", segment(caller, service.place, { flags: SYN, sequence: 100 }));
      const syn = await context.hears(
        "endpoint",
        "its SYN",
        (each) => each.flags === SYN && each.sequence === 100,
      );
      const back = { address: context.vip, port: syn.source.port };
      context.send(
        "endpoint",
        segment(service.endpoint, back, { flags: SYN | ACK, sequence: 500, acknowledgment: 101 }),
      );
      await context.hears(
        "endpoint",
        "its SYN-ACK",
        (each) => each.flags === (SYN | ACK) && each.destination.port === port,
      );
      context.send(
        "endpoint",
        segment(caller, service.place, {
          flags: ACK,
          sequence: 101,
          acknowledgment: 501,
          payload: "to myself",
        }),
      );
      await context.hears("endpoint", "its data", (each) => textOf(each) === "to myself");
    },
  },
];
