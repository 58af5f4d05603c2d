// TCP: how open connections live, and how they end.
import assert from "node:assert/strict";
import { pause, until } from "@holdfast/testkit";
import { Connection } from "../connection.ts";
import type { PlainScenario } from "../scenario.ts";
import { ACK, RST, SYN } from "../segments.ts";

/** So many seconds of silence, and it is over. */
const SHORT = { idle: { establishedS: 600, transitoryS: 2 } };
const TRANSITORY_MS = 2_000;

export const life: readonly PlainScenario[] = [
  {
    number: 17,
    name: "Half closed",
    rfc: "9293 §3.6; 5382 REQ-5",
    done: "The client's FIN is acknowledged; the endpoint goes on for longer than the transitory time.",
    seen: "It is closing, and not forgotten: the endpoint's bytes arrive, and then its FIN.",
    selected: true,
    async run(context) {
      const service = await context.service("tcp", SHORT);
      const connection = await Connection.open(context, service);
      await connection.fin("client");
      await connection.phase("closing");
      await pause(1.5 * TRANSITORY_MS);
      await connection.speak("endpoint");
      await connection.fin("endpoint");
      await connection.phase("timeWait");
    },
  },
  {
    number: 18,
    name: "Closed by both, one after the other",
    rfc: "9293 §3.6; 7857 §2.1",
    done: "FIN, ACK, FIN, ACK; then silence for the transitory time.",
    seen: "timeWait, and then closed.",
    selected: true,
    async run(context) {
      const connection = await Connection.open(context, await context.service("tcp", SHORT));
      await connection.fin("endpoint");
      await connection.fin("client");
      await connection.phase("timeWait");
      await connection.ended();
    },
  },
  {
    number: 19,
    name: "Both close at once",
    rfc: "9293 §3.6",
    done: "FINs cross each other; both are acknowledged afterwards.",
    seen: "All arrive; timeWait.",
    async run(context) {
      const connection = await Connection.open(context, await context.service("tcp", SHORT));
      const before = { ...connection.next };
      connection.send("client", { flags: 1 | ACK });
      connection.send("endpoint", { flags: 1 | ACK });
      for (const at of ["client", "endpoint"] as const)
        await connection.hears(at, "the FIN", ({ flags }) => flags === (1 | ACK));
      connection.next.client = (before.client + 1) >>> 0;
      connection.next.endpoint = (before.endpoint + 1) >>> 0;
      await connection.ack("client");
      await connection.ack("endpoint");
      await connection.phase("timeWait");
    },
  },
  {
    number: 20,
    name: "A FIN that is not acknowledged",
    rfc: "9293 §3.6; 5961 §5",
    done: "The client's FIN arrives, and the endpoint acknowledges nothing.",
    seen: "It counts for nothing yet: the connection is established for longer than the transitory time.",
    async run(context) {
      const connection = await Connection.open(context, await context.service("tcp", SHORT));
      await connection.fin("client", false);
      await pause(1.5 * TRANSITORY_MS);
      await connection.phase("established");
      await connection.ack("endpoint");
      await connection.phase("closing");
    },
  },
  ...(["client", "endpoint"] as const).map(
    (end, index): PlainScenario => ({
      number: 21 + index,
      name: `A reset by the ${end}`,
      rfc: "7857 §2.2; 5961 §3.2",
      done: "A RST with the number that is expected, then silence for the transitory time.",
      seen: "It arrives at the other end; the connection ends after the transitory time, not before.",
      ...(index === 0 && { selected: true }),
      async run(context) {
        const connection = await Connection.open(context, await context.service("tcp", SHORT));
        await connection.lives();
        await connection.phase("established");
        connection.send(end, { flags: RST, acknowledgment: 0 });
        const at = end === "client" ? "endpoint" : "client";
        await connection.hears(at, "the reset", ({ flags }) => flags === RST);
        await connection.phase("established");
        await connection.ended();
      },
    }),
  ),
  {
    number: 23,
    name: "A reset that was not meant",
    rfc: "7857 §2.2",
    done: "A RST inside the window arrives; both ends speak on.",
    seen: "The connection stands for longer than the transitory time.",
    selected: true,
    async run(context) {
      const connection = await Connection.open(context, await context.service("tcp", SHORT));
      connection.send("client", { flags: RST, acknowledgment: 0 });
      await connection.hears("endpoint", "the reset", ({ flags }) => flags === RST);
      await connection.lives();
      await pause(1.5 * TRANSITORY_MS);
      await connection.lives();
      await connection.phase("established");
    },
  },
  {
    number: 24,
    name: "TIME-WAIT, and a SYN with a higher number",
    rfc: "9293 §3.6.1; 6191",
    done: "Both have closed; the client connects from the same port with a number behind all of the old ones.",
    seen: "A new connection on another NAT port.",
    selected: true,
    async run(context) {
      const service = await context.service("tcp");
      const first = await Connection.open(context, service);
      await first.fin("client");
      await first.fin("endpoint");
      await first.phase("timeWait");
      const again = { client: first.client, sequence: (first.next.client + 1_000) >>> 0 };
      const second = await Connection.open(context, service, again);
      assert.notEqual(second.natPort, first.natPort);
      await second.lives();
    },
  },
  {
    number: 25,
    name: "TIME-WAIT, and a SYN with a lower number",
    rfc: "9293 §3.6.1; 6191",
    done: "Both have closed; a SYN from the same port with a number from before.",
    seen: "It goes to the endpoint on the old NAT port, which answers it as it likes; no new connection.",
    async run(context) {
      const first = await Connection.open(context, await context.service("tcp"));
      await first.lives();
      await first.fin("endpoint");
      await first.fin("client");
      await first.phase("timeWait");
      const sequence = (first.next.client - 500) >>> 0;
      first.send("client", { flags: SYN, sequence, acknowledgment: 0 });
      const heard = await first.hears("endpoint", "the old SYN", (each) => each.sequence === sequence);
      assert.equal(heard.source.port, first.natPort);
      await first.ack("endpoint");
    },
  },
  {
    number: 26,
    name: "Keepalives",
    rfc: "5382 REQ-10; 9293 §3.8.4",
    done: "Probes of a byte before the next one, answered, for three times the established time of 2 s.",
    seen: "All arrive; the connection stands.",
    async run(context) {
      const service = await context.service("tcp", { idle: { establishedS: 2, transitoryS: 1 } });
      const connection = await Connection.open(context, service);
      for (let n = 0; n < 12; n++) {
        const sequence = (connection.next.client - 1) >>> 0;
        const before = connection.heard("endpoint").length;
        connection.send("client", { flags: ACK, sequence });
        await until("the probe", () => connection.heard("endpoint").length > before);
        connection.send("endpoint", { flags: ACK });
        await pause(500);
      }
      await connection.lives();
      await connection.phase("established");
    },
  },
  {
    number: 27,
    name: "An open connection that falls silent",
    rfc: "5382 REQ-5",
    done: "Silence for the service's established time, 2 s here, beside a service with the default.",
    seen: "The one is closed as idle, and its client's next segment is answered with a RST; the other stands.",
    selected: true,
    async run(context) {
      const short = await context.service("tcp", { idle: { establishedS: 2, transitoryS: 1 } });
      const long = await context.service("tcp");
      const [silent, lasting] = [await Connection.open(context, short), await Connection.open(context, long)];
      await silent.phase("established");
      await silent.ended();
      await context.dropped("no-session", 1, () => silent.send("client", { flags: ACK, payload: "late" }));
      const reset = await silent.hears("client", "a reset", ({ flags }) => (flags & RST) !== 0);
      assert.equal(reset.sequence, silent.next.endpoint);
      await lasting.lives();
    },
  },
  {
    number: 28,
    name: "An operator ends a connection",
    rfc: "5961 §3.2; 9293 §3.5.2",
    done: "DELETE of the session.",
    seen: "Both ends get a RST with exactly the number that they expect.",
    async run(context) {
      const service = await context.service("tcp");
      const connection = await Connection.open(context, service);
      await connection.lives();
      await connection.phase("established");
      const flow = (await context.flows(service)).find((each) => each.clientPort === connection.client.port);
      const { status } = await context.member.fetch("DELETE", `/v1/sessions/${flow?.id}`);
      assert.ok(status < 300, `${status}`);
      for (const [at, from] of [
        ["client", "endpoint"],
        ["endpoint", "client"],
      ] as const) {
        const reset = await connection.hears(at, "the reset", ({ flags }) => (flags & RST) !== 0);
        assert.equal(reset.sequence, connection.next[from]);
      }
    },
  },
  {
    number: 29,
    name: "An endpoint that takes nothing new",
    rfc: "5382 REQ-5",
    done: "The endpoint's state becomes drain beside another one; old connections go on, new ones come.",
    seen: "The old ones stay where they are; new ones go to the other endpoint's port.",
    async run(context) {
      const one = await context.service("tcp");
      const connection = await Connection.open(context, one);
      const other = { address: one.endpoint.address, port: context.freePort() };
      for (const endpoint of [{ ...one.endpoint, state: "drain" }, other]) {
        const { status, body } = await context.member.fetch("PUT", `${one.url}/endpoints`, endpoint);
        assert.ok(status < 300, body);
      }
      const moved = { ...one, endpoint: other };
      for (let n = 0; n < 3; n++) await (await Connection.open(context, moved)).lives();
      await connection.lives();
    },
  },
];
