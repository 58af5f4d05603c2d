// A server dies: its clients are told with an ABORT that carries their own tag, and return to another server.
import { pause, until } from "@holdfast/testkit";
import { bold, green, yellow } from "./screen.ts";
import type { Stage } from "./stage.ts";
import { FLOW_MS } from "./story-paths.ts";

export interface EndpointFigures {
  readonly associations: number;
  /** By association of the dead endpoint: from the verdict's first sign at any client to this client's notice, ms after the kill. */
  readonly toldMs: readonly number[];
  readonly returned: number;
  /** Associations of other endpoints that noticed anything. */
  readonly disturbed: number;
}

export async function killEndpoint(stage: Stage): Promise<EndpointFigures> {
  const { screen, servers, clients } = stage;
  const victim = servers[0];
  if (victim === undefined || servers.length < 2)
    throw new Error("--kill-endpoint needs two endpoints at least");
  const carried = new Set((await victim.receipts()).map((r) => r.client));
  screen.say(
    `endpoint ${victim.host.name} carries ${bold(String(carried.size))} of ${stage.associationCount} associations`,
  );
  const known = new Map(clients.map((client) => [client, client.events.length]));
  screen.say(yellow(`${bold(`kill -9 of endpoint ${victim.host.name}`)}`));
  const killedAtMs = Number(process.hrtime.bigint()) / 1e6;
  await victim.kill();
  const after = () => clients.flatMap((client) => client.events.slice(known.get(client)));
  const told = () =>
    new Map(
      after().flatMap((e) =>
        e.event === "lost" && e.id !== undefined ? [[e.id, (e.atMs ?? 0) - killedAtMs] as const] : [],
      ),
    );
  await until(
    "every client of the dead endpoint to be told",
    () => [...carried].every((id) => told().has(id)),
    30_000,
    50,
  );
  const back = () => new Set(after().flatMap((e) => (e.event === "up" && e.id !== undefined ? [e.id] : [])));
  await until("every one of them to return", () => [...carried].every((id) => back().has(id)), 30_000, 50);
  const toldMs = [...carried].map((id) => Math.round(told().get(id) as number)).sort((a, b) => a - b);
  screen.say(
    green(
      `all ${carried.size} were told after ${toldMs[0]} … ${toldMs.at(-1)} ms, and are back on another endpoint`,
    ),
  );
  await pause(FLOW_MS);
  const disturbed = new Set(
    after().flatMap((e) =>
      e.id !== undefined && !carried.has(e.id) && ["lost", "restart", "cannotStart", "up"].includes(e.event)
        ? [e.id]
        : [],
    ),
  );
  return {
    associations: stage.associationCount,
    toldMs,
    returned: [...carried].filter((id) => back().has(id)).length,
    disturbed: disturbed.size,
  };
}
