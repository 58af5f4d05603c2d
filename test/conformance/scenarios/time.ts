// Long silences and long runs.
import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { systemRandom } from "@holdfast/model";
import { CHUNK } from "@holdfast/sctp";
import { hasChunk, type Peer, pause, until } from "@holdfast/testkit";
import type { Scenario } from "../scenario.ts";

const MINUTE_MS = 60_000;
const SOAK_MS = Number(process.env["HOLDFAST_SOAK_MINUTES"] ?? 5) * MINUTE_MS;
const SOAK_ASSOCIATIONS = 1_000;
/** Between a member's return and the next death. */
const SOAK_REST_MS = 10_000;

export const time: readonly Scenario[] = [
  {
    number: 48,
    name: "Silence: HEARTBEATs only, and none at all",
    rfc: "9260 §8.3",
    done: "Ten minutes with HEARTBEATs every 30 s and nothing else; fourteen minutes without any packet; both scaled 1:20.",
    seen: "Both associations live, and carry messages again without a loss.",
    limitMs: 120_000,
    async run(context) {
      await context.open({ clients: [2, 2], endpoints: 2, service: { selection: "roundRobin" } });
      const { cluster } = context;
      const silent = { noHeartbeat: true, heartbeat: 3_600_000 };
      const talking = context.inLab({ heartbeat: 30_000 * context.timeScale });
      // Each client meets an endpoint of its own kind: least surprise about who sends HEARTBEATs.
      const servers = [await cluster.startEndpoint(0, talking), await cluster.startEndpoint(1, silent)];
      const first = await cluster.startClient(0, { rate: 50, ...talking });
      await first.established(1);
      const second = await cluster.startClient(1, { rate: 50, ...silent });
      await second.established(1);
      const clients = [first, second];
      for (const server of servers) await context.flowing(server);
      for (const client of clients) client.command("rate 0");
      const quietFrom = Date.now();
      await pause(14 * MINUTE_MS * context.timeScale);
      const during = (await context.atEndpoint(0)).filter((p) => p.wallMs >= quietFrom + 1_000);
      assert.ok(during.filter((p) => hasChunk(p, CHUNK.HEARTBEAT)).length >= 10, "HEARTBEATs in between");
      assert.ok(
        during.every((p) => !hasChunk(p, CHUNK.DATA)),
        "nothing but HEARTBEATs",
      );
      // Neighbour discovery goes on, of course.
      const quietSince = (await context.atEndpoint(1)).findLast((p) => p.sctp !== undefined)?.wallMs ?? 0;
      assert.ok(
        Date.now() - quietSince > 10 * MINUTE_MS * context.timeScale,
        "the silent association was silent",
      );
      for (const client of clients) client.command("rate 50");
      for (const server of servers) await context.flowing(server);
      await context.intact(clients, servers);
    },
  },
  {
    number: 50,
    name: `${SOAK_ASSOCIATIONS.toLocaleString("en")} associations, members die all the time`,
    rfc: "9260 §8.1, §8.2",
    done: "For five minutes messages flow on a thousand associations, while every few seconds a member's daemon or whole host dies and returns cold.",
    seen: "No ABORT of ours, no association and no message lost, no client address at the endpoint and no endpoint address at a client.",
    limitMs: SOAK_MS + 5 * MINUTE_MS,
    async run(context) {
      await context.open({
        members: 3,
        clients: [1, 2, 3],
        vipCount: 3,
        edges: "ends",
        configuration: { timers: { scale: 1 } },
      });
      const { cluster } = context;
      // A thousand stacks' worth of HEARTBEATs: in the field a clock that is only twice as fast makes them as
      // rare.
      const quiet =
        context.profile.name === "lab"
          ? { heartbeat: 5_000, rtoMax: 1_000, pathMaxRetrans: 4 }
          : { clock: 2 };
      const server = await cluster.startEndpoint(0, { ...quiet, echo: false });
      const shares = [
        SOAK_ASSOCIATIONS - 2 * Math.floor(SOAK_ASSOCIATIONS / 3),
        ...[0, 0].map(() => Math.floor(SOAK_ASSOCIATIONS / 3)),
      ];
      const clients: Peer[] = [];
      for (const [index, associations] of shares.entries()) {
        const client = await cluster.startClient(index, {
          ...quiet,
          rate: 0.5,
          associations,
          startRate: 200,
        });
        await client.established(associations, 60_000);
        clients.push(client);
      }
      const random = systemRandom();
      const end = performance.now() + SOAK_MS;
      let deaths = 0;
      while (performance.now() < end) {
        await pause(SOAK_REST_MS);
        const member = cluster.members[random.below(3)];
        if (member === undefined) continue;
        const whole = random.below(2) === 0;
        if (whole) {
          await member.killNode();
          for (const path of [member.pinDirectory, member.storeDirectory])
            rmSync(path, { recursive: true, force: true });
          await pause(2_000);
          member.host.plug();
        } else await member.killDaemon();
        await member.start();
        await cluster.settled();
        deaths++;
        const lost = clients.reduce((sum, client) => sum + client.count("lost"), 0);
        assert.equal(lost, 0, `${lost} associations lost after ${deaths} deaths`);
      }
      assert.ok(deaths >= SOAK_MS / 60_000, `${deaths} deaths only`);
      await until("sessions everywhere", async () => {
        const counts = await Promise.all(cluster.members.map((m) => m.metric("holdfast_service_sessions")));
        return counts.every((count) => count === SOAK_ASSOCIATIONS);
      });
      await context.intact(clients, [server]);
    },
  },
];
