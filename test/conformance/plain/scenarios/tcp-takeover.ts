// TCP when the owner's node dies: each state that a connection can be in, prepared before the one death.
import assert from "node:assert/strict";
import { pause, until } from "@holdfast/testkit";
import { Connection, FAR } from "../connection.ts";
import type { PlainContext, ScriptedService } from "../context.ts";
import type { PlainScenario } from "../scenario.ts";
import { ACK, RST, SYN } from "../segments.ts";

/** Every member knows so many flows of the service. */
export async function told(context: PlainContext, service: ScriptedService, count = 1): Promise<void> {
  for (const member of context.cluster.members.filter(({ running }) => running))
    await until(
      `${member.name} to know ${count} flows of ${service.id}`,
      async () => (await context.flows(service, member)).length >= count,
    );
}

async function toldPhase(context: PlainContext, service: ScriptedService, phase: string): Promise<void> {
  for (const member of context.cluster.members.filter(({ running }) => running))
    await until(`${member.name} to see ${phase}`, async () =>
      (await context.flows(service, member)).some((flow) => flow.phase === phase),
    );
}

export const takeover: readonly PlainScenario[] = [
  {
    number: 44,
    name: "Take-over of an open connection",
    rfc: "5382 REQ-5, REQ-7",
    done: "A connection that was told to the others; the owner's node dies.",
    seen: "Bytes both ways through another member, on the same NAT port; no reset.",
    selected: true,
    async bereave(context) {
      const service = await context.service("tcp", { replicate: "long-lived", replicateAfterMs: 200 });
      const connection = await Connection.open(context, service);
      await connection.lives();
      await told(context, service);
      return async () => {
        await speaksAgain(connection);
        const ports = connection.heard("endpoint").map(({ source }) => source.port);
        assert.deepEqual([...new Set(ports)], [connection.natPort]);
        connection.wasNotReset("client", "endpoint");
      };
    },
  },
  {
    number: 45,
    name: "Take-over of a half-closed connection",
    rfc: "9293 §3.6",
    done: "The client has closed its half; the owner's node dies.",
    seen: "The endpoint's bytes and its FIN arrive, and are acknowledged.",
    selected: true,
    async bereave(context) {
      const service = await context.service("tcp");
      const connection = await Connection.open(context, service);
      await connection.fin("client");
      await toldPhase(context, service, "closing");
      return async () => {
        await speaksAgain(connection, ["endpoint"]);
        await connection.fin("endpoint");
        connection.wasNotReset("client", "endpoint");
      };
    },
  },
  {
    number: 46,
    name: "Take-over in TIME-WAIT",
    rfc: "9293 §3.6.1; 6191",
    done: "Both have closed; the owner's node dies; the client connects again from its port.",
    seen: "A higher number opens a new connection on another NAT port.",
    selected: true,
    async bereave(context) {
      const service = await context.service("tcp");
      const first = await Connection.open(context, service);
      await first.fin("client");
      await first.fin("endpoint");
      await toldPhase(context, service, "timeWait");
      return async () => {
        const again = { client: first.client, sequence: (first.next.client + 100_000) >>> 0 };
        const second = await Connection.open(context, service, again);
        assert.notEqual(second.natPort, first.natPort);
        await second.lives();
      };
    },
  },
  {
    number: 47,
    name: "Take-over between SYN and SYN-ACK",
    rfc: "9293 §3.8.1",
    done: "The client's SYN has arrived, and nothing answered it; the owner's node dies; the SYN comes again.",
    seen: "It opens a connection through another member.",
    selected: true,
    async bereave(context) {
      const service = await context.service("tcp");
      const before = new Connection(context, service);
      const sequence = before.next.client;
      await before.syn();
      return async () => {
        const heard = context.arrived("endpoint").length;
        const retransmission = new Connection(context, service, { client: before.client, sequence });
        await until("the SYN through another member", async () => {
          context.send("client", retransmission.packet("client", { flags: SYN, sequence }));
          await pause(200);
          return context
            .arrived("endpoint")
            .slice(heard)
            .some((each) => each.flags === SYN && each.sequence === sequence);
        });
        const fresh = await Connection.open(context, service, {
          client: before.client,
          sequence: (sequence + 1_000_000) >>> 0,
        });
        await fresh.lives();
      };
    },
  },
  {
    number: 48,
    name: "replicate: always, and a connection that is a moment old",
    rfc: "5382 REQ-5",
    done: "The handshake is done, and told at once; the owner's node dies.",
    seen: "It goes on.",
    selected: true,
    async bereave(context) {
      const service = await context.service("tcp", { replicate: "always" });
      const connection = await Connection.open(context, service);
      await told(context, service);
      return async () => {
        await speaksAgain(connection);
        connection.wasNotReset("client", "endpoint");
      };
    },
  },
  {
    number: 49,
    name: "replicate: never, and an old connection",
    rfc: "9293 §3.5.2",
    done: "A connection of seconds that nobody was told of; the owner's node dies; its client speaks on.",
    seen: "Dropped, and no reset while the member that may know it is missing; a SYN begins anew at once.",
    async bereave(context) {
      const service = await context.service("tcp", { replicate: "never" });
      const connection = await Connection.open(context, service);
      await connection.lives();
      await pause(2_000);
      assert.equal((await context.flows(service)).length, 0);
      return () => isForgotten(context, connection);
    },
  },
  {
    number: 50,
    name: "replicate: long-lived, and a connection that has just begun",
    rfc: "5382 REQ-5",
    done: "A connection that is younger than replicateAfterMs, and one that is older; the owner's node dies.",
    seen: "The old one lives. The young one is dropped as one that nobody knows; a SYN begins anew at once.",
    selected: true,
    async bereave(context) {
      const late = await context.service("tcp", { replicate: "long-lived", replicateAfterMs: 600_000 });
      const soon = await context.service("tcp", { replicate: "long-lived", replicateAfterMs: 100 });
      const [young, old] = [await Connection.open(context, late), await Connection.open(context, soon)];
      await told(context, soon);
      return async () => {
        await speaksAgain(old);
        await isForgotten(context, young);
        await old.lives();
        old.wasNotReset("client", "endpoint");
      };
    },
  },
  {
    number: 51,
    name: "Forged resets after a take-over",
    rfc: "5961 §3",
    done: "The owner's node dies; both ends have spoken; RSTs with numbers far outside of the window.",
    seen: "All are dropped: the successor has learned where the window is.",
    async bereave(context) {
      const service = await context.service("tcp");
      const connection = await Connection.open(context, service);
      await told(context, service);
      return async () => {
        await speaksAgain(connection);
        await connection.lives();
        const dropped = () => dropsEverywhere(context, "tcp-window");
        const before = await dropped();
        for (let n = 0; n < 20; n++)
          for (const end of ["client", "endpoint"] as const)
            connection.send(end, {
              flags: RST,
              sequence: (connection.next[end] + FAR + n * 1_000_003) >>> 0,
              acknowledgment: 0,
            });
        await until("forty drops", async () => (await dropped()) >= before + 40);
        await connection.lives();
        connection.wasNotReset("client", "endpoint");
      };
    },
  },
];

/** Its next segments may meet a member that is not yet the owner: a stack would send them again. */
async function speaksAgain(
  connection: Connection,
  ends: readonly ("client" | "endpoint")[] = ["client", "endpoint"],
): Promise<void> {
  for (const from of ends) {
    const at = from === "client" ? "endpoint" : "client";
    const payload = `after the death, from the ${from}`;
    const sequence = connection.next[from];
    await until(`'${payload}'`, async () => {
      connection.send(from, { flags: ACK, payload, sequence });
      await pause(50);
      return connection.heard(at).some((each) => each.sequence === sequence && each.payload.length > 0);
    });
    connection.next[from] = (sequence + payload.length) >>> 0;
    connection.send(at, { flags: ACK });
  }
}

/** Its client's segments find nobody who knows it, and its next SYN opens another one. */
async function isForgotten(context: PlainContext, connection: Connection): Promise<void> {
  const before = await dropsEverywhere(context, "no-session");
  await until("a drop", async () => {
    connection.send("client", { flags: ACK, payload: "anybody?" });
    await pause(100);
    return (await dropsEverywhere(context, "no-session")) > before;
  });
  connection.wasNotReset("client");
  const sequence = (connection.next.client + 50_000) >>> 0;
  const again = { client: connection.client, sequence };
  await (await Connection.open(context, connection.service, again)).lives();
}

async function dropsEverywhere({ cluster }: PlainContext, reason: string): Promise<number> {
  const counts = await Promise.all(
    cluster.members.filter(({ running }) => running).map((member) => member.drops(reason)),
  );
  return counts.reduce((sum, count) => sum + count, 0);
}
