// A server dies: its clients are told with an ABORT that carries their own tag, and return to another server.
import { monotonicMs, pause, until } from "@holdfast/testkit";
import { downVerdictAtMs } from "../endpoints/verdicts.ts";
import { bold, green, yellow } from "./screen.ts";
import type { Stage } from "./stage.ts";
import { FLOW_MS } from "./story-paths.ts";

export interface EndpointFigures {
  readonly associations: number;
  /**
   * By association of the dead endpoint: from the first member's verdict that it is down to this client's
   * notice, ms.
   */
  readonly toldMs: readonly number[];
  readonly returned: number;
  /** Associations of other endpoints that noticed anything. */
  readonly disturbed: number;
}

/** Changes of an association that its application sees. */
const NOTICED: ReadonlySet<string> = new Set(["lost", "restart", "cannotStart", "up"]);
const WAIT_MS = 30_000;

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
  const killedAtMs = monotonicMs();
  await victim.kill();
  const after = () => clients.flatMap((client) => client.events.slice(known.get(client)));
  const first = (event: string) => {
    const times = new Map<number, number>();
    for (const e of after())
      if (e.event === event && e.id !== undefined && !times.has(e.id)) times.set(e.id, e.atMs ?? 0);
    return times;
  };
  const everyone = async (what: string, event: string) => {
    const missing = () => {
      const times = first(event);
      return [...carried].filter((id) => !times.has(id));
    };
    await until(what, () => missing().length === 0, WAIT_MS, 50).catch((error: Error) => {
      const ended = clients.filter((client) => !client.running).map(({ host }) => host.name);
      const why = ended.length === 0 ? "" : `; the peer of ${ended.join(", ")} ended`;
      throw new Error(`${error.message}: not ${missing().join(", ")}${why}`);
    });
  };
  await everyone("every client of the dead endpoint to be told", "lost");
  await everyone("every one of them to return", "up");
  const verdict = await until("a member's verdict", () =>
    downVerdictAtMs(stage.cluster.members, victim.host, killedAtMs),
  );
  const told = first("lost");
  const toldMs = [...carried]
    .map((id) => Math.round((told.get(id) as number) - verdict))
    .sort((a, b) => a - b);
  screen.say(
    green(
      `the verdict fell ${Math.round(verdict - killedAtMs)} ms after the kill; all ${carried.size} were told ` +
        `${toldMs[0]} … ${toldMs.at(-1)} ms after it, and are back on another endpoint`,
    ),
  );
  await pause(FLOW_MS);
  const disturbed = new Set(
    after().flatMap((e) => (e.id !== undefined && !carried.has(e.id) && NOTICED.has(e.event) ? [e.id] : [])),
  );
  const back = first("up");
  return {
    associations: stage.associationCount,
    toldMs,
    returned: [...carried].filter((id) => back.has(id)).length,
    disturbed: disturbed.size,
  };
}
