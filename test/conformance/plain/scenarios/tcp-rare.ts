// TCP: what few stacks send.
import assert from "node:assert/strict";
import { Connection, SYN_OPTIONS } from "../connection.ts";
import type { PlainScenario } from "../scenario.ts";
import { ACK, textOf } from "../segments.ts";

/** RFC 7413 §4.1.1: a cookie of eight bytes. */
const COOKIE = [34, 10, 0xc0, 0x0c, 1, 2, 3, 4, 5, 6, 1, 1];
/** Of RFC 9293 §3.1 and RFC 3168 §6.1. */
const [URG, ECE, CWR] = [0x20, 0x40, 0x80];
/** Time stamps (RFC 7323), a digest (RFC 2385 §3, which no translation leaves right), nothing. */
const OPTIONS = new Uint8Array([8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 19, 18, ...Array(16).fill(0xd1)]);
const CONGESTION_EXPERIENCED = 3;

export const rare: readonly PlainScenario[] = [
  {
    number: 52,
    name: "Bytes that come with the SYN",
    rfc: "7413 §4.2; 9293 §3.10.7.4",
    done: "A SYN with a cookie and data; the SYN-ACK acknowledges both, and the endpoint's data follows at once.",
    seen: "All of it arrives as sent; the connection goes on.",
    selected: true,
    async run(context) {
      const service = await context.service("tcp");
      const data = "a question before the handshake";
      const options = new Uint8Array([...SYN_OPTIONS, ...COOKIE]);
      const connection = new Connection(context, service, { options, data });
      const syn = await connection.syn();
      assert.deepEqual([textOf(syn), [...syn.options]], [data, [...options]]);
      assert.equal((await connection.synAck()).acknowledgment, connection.next.client);
      const answer = "and its answer";
      connection.send("endpoint", { flags: ACK, payload: answer });
      await connection.hears("client", "the answer", (heard) => textOf(heard) === answer);
      connection.next.endpoint = (connection.next.endpoint + answer.length) >>> 0;
      await connection.ack("client");
      await connection.lives();
      await connection.phase("established");
    },
  },
  {
    number: 53,
    name: "Urgent bytes, congestion marks, and options of all kinds",
    rfc: "9293 §3.8.5; 3168 §6.1; 2474 §3",
    done: "Segments of both ends with URG, ECE and CWR, an urgent pointer, ECN's mark, DSCP 46, time stamps and a digest.",
    seen: "Every bit as sent, but the hop limit, which is one less.",
    async run(context) {
      const connection = await Connection.open(context, await context.service("tcp"));
      const fields = { flags: ACK | URG | ECE | CWR, options: OPTIONS, urgent: 5 };
      const extras = { trafficClass: (46 << 2) | CONGESTION_EXPERIENCED, hopLimit: 30 };
      for (const [from, at] of [
        ["client", "endpoint"],
        ["endpoint", "client"],
      ] as const) {
        const payload = `urgent ${from}`;
        connection.send(from, { ...fields, payload }, extras);
        connection.next[from] = (connection.next[from] + payload.length) >>> 0;
        const heard = await connection.hears(at, payload, (each) => textOf(each) === payload);
        assert.equal(heard.flags, fields.flags);
        assert.deepEqual([...heard.options], [...OPTIONS]);
        assert.equal(heard.urgent, fields.urgent);
        const { trafficClass, ttl } = heard.packet;
        assert.deepEqual({ trafficClass, ttl }, { trafficClass: extras.trafficClass, ttl: 29 });
      }
      await connection.lives();
    },
  },
];
