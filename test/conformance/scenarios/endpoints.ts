// Endpoints that do not answer, crash, go away or are drained.
import assert from "node:assert/strict";
import { CHUNK, T_BIT } from "@holdfast/sctp";
import { ENDPOINT_PORT, hasChunk, RawHost, until } from "@holdfast/testkit";
import type { Context } from "../context.ts";
import type { Scenario } from "../scenario.ts";

/** ADDRESS:PORT of endpoint `index` as the API writes it. */
function endpointKey(context: Context, index: number): string {
  const v6 = context.cluster.vips[0]?.includes(":") === true;
  const address =
    context.cluster.endpoints[index]?.addresses("core").find((a) => a.includes(":") === v6) ?? "";
  return v6 ? `[${address}]:${ENDPOINT_PORT}` : `${address}:${ENDPOINT_PORT}`;
}

export const endpoints: readonly Scenario[] = [
  {
    number: 22,
    name: "An endpoint is dead while INITs come",
    rfc: "9260 §5.1",
    done: "One of two endpoints is silent; six clients connect; probes are off.",
    seen: "All six come up, none gives up, none needs more than four INITs; all are at the other endpoint.",
    async run(context) {
      // The stack repeats its INIT after its own second: unscaled, the member still remembers whom it has
      // tried.
      await context.open({ endpoints: 2, configuration: { timers: { scale: 1 } } });
      const { cluster } = context;
      new RawHost(cluster.endpoints[0] as never);
      const server = await cluster.startEndpoint(1);
      const client = await cluster.startClient(0, { associations: 6, rate: 50 });
      await client.established(6, 10_000);
      assert.equal(client.count("cannotStart"), 0);
      for (const session of await context.sessions())
        if (session.phase === "established") assert.equal(session.endpoint, endpointKey(context, 1));
      const inits = (await context.atClient()).filter((p) => hasChunk(p, CHUNK.INIT));
      for (let port = 36_412; port < 36_418; port++) {
        const count = inits.filter((p) => p.sctp?.sourcePort === port).length;
        assert.ok(count >= 1 && count <= 4, `port ${port} took ${count} INITs`);
      }
      await context.flowing(server);
      await context.intact([client], [server]);
    },
  },
  {
    number: 23,
    name: "An endpoint crashes and comes back",
    rfc: "9260 §8.4",
    done: "The server's process is killed and started again; the client may reconnect.",
    seen: "The new server's ABORT, with the T bit, reaches the client; its next INIT comes up.",
    async run(context) {
      await context.open({ clients: [2] });
      const { cluster } = context;
      // The host stays; only the process dies. No ICMP: as a kernel with SCTP behaves.
      new RawHost(cluster.endpoints[0] as never);
      const first = await cluster.startEndpoint();
      const client = await cluster.startClient(0, { rate: 100, reconnect: true });
      await context.confirmed([client, first], 4);
      await context.flowing(first);
      await first.kill();
      const second = await cluster.startEndpoint();
      await until("the client to lose its association", () => client.count("lost") === 1);
      await client.established(2);
      await until(
        "messages at the new server",
        async () => ((await second.receipts())[0]?.received ?? 0) >= 20,
      );
      const abort = (await context.atClient()).find((p) =>
        p.sctp?.chunks.some(({ type, flags }) => type === CHUNK.ABORT && (flags & T_BIT) !== 0),
      );
      assert.ok(abort, "an ABORT with the T bit at the client");
    },
  },
  {
    number: 24,
    name: "An endpoint is removed",
    rfc: "9260 §3.3.10.12, §9.1",
    done: "The operator removes one of two endpoints from the service, and its associations now; clients may reconnect.",
    seen: "Its clients get an ABORT with their own tag within a second and are back at the other endpoint; the others notice nothing.",
    async run(context) {
      context.allowed.ownAborts = true;
      await context.open({ endpoints: 2, clients: [2], withService: false });
      const service = await context.createService();
      const { cluster } = context;
      const servers = [await cluster.startEndpoint(0), await cluster.startEndpoint(1)];
      const client = await cluster.startClient(0, { associations: 8, rate: 50, reconnect: true });
      await client.established(8);
      await context.flowing(servers[1] as never);
      const removed = endpointKey(context, 0);
      const touched = (await context.sessions()).filter(
        (s) => s.phase === "established" && s.endpoint === removed,
      );
      assert.ok(touched.length > 0 && touched.length < 8, "least associations spreads them");
      const { status, body } = await context.member.fetch(
        "DELETE",
        `${service}/endpoints/${encodeURIComponent(removed)}?sessions=end`,
      );
      assert.ok(status < 300, `${status} ${body}`);
      await until("its clients to be told", () => client.count("lost") === touched.length, 1_000);
      await client.established(8 + touched.length);
      await until("all to be at the other endpoint", async () =>
        (await context.sessions())
          .filter((s) => s.phase === "established")
          .every((s) => s.endpoint === endpointKey(context, 1)),
      );
      assert.equal(client.count("lost"), touched.length);
      await context.flowing(servers[1] as never);
    },
  },
  {
    number: 25,
    name: "Drain with a living association",
    rfc: "9260 §5.2",
    done: "The endpoint of a living association is drained; later the client restarts.",
    seen: "Messages flow on without a loss while it drains; the restart is at the other endpoint.",
    async run(context) {
      // The old endpoint is told with an ABORT that its association has gone elsewhere.
      context.allowed.ownAborts = true;
      await context.open({ endpoints: 2, clients: [2], withService: false });
      const service = await context.createService();
      const { cluster } = context;
      const servers = [await cluster.startEndpoint(0), await cluster.startEndpoint(1)];
      const first = await cluster.startClient(0, { rate: 100 });
      await first.established(1);
      const before = await context.session();
      const index = before.endpoint === endpointKey(context, 0) ? 0 : 1;
      const url = `${service}/endpoints/${encodeURIComponent(before.endpoint ?? "")}/drain`;
      const { status, body } = await context.member.fetch("POST", url);
      assert.ok(status < 300, `${status} ${body}`);
      await context.flowing(servers[index] as never, 100);
      await context.intact([first], [servers[index] as never]);
      await first.kill();
      const second = await cluster.startClient(0, { rate: 100, id: 500, blackhole: true });
      await second.established(1);
      await until("the session to move", async () => {
        const session = (await context.sessions()).find((s) => s.phase === "established" && !s.pending);
        return session?.endpoint === endpointKey(context, 1 - index);
      });
      await context.flowing(servers[1 - index] as never);
      await context.intact([second], [servers[1 - index] as never]);
    },
  },
];
