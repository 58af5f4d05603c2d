// A path is cut and healed: what multi-homing is for.
import { pause, until } from "@holdfast/testkit";
import { bold, green, yellow } from "./screen.ts";
import type { Stage } from "./stage.ts";
import type { Scene } from "./story-cluster.ts";

/** How long numbers flow between two events of a story, ms. */
export const FLOW_MS = 2000;

/**
 * Cuts path-a at the client with two addresses and heals it: its primary path moves to a secondary VIP and
 * back.
 */
export async function cutAndHeal(stage: Stage): Promise<void> {
  const client = stage.clients[1];
  const host = stage.cluster.clients[1];
  if (client === undefined || host === undefined) throw new Error("the story needs two clients");
  const vip = stage.cluster.vips[0];
  const seen = (state: string) =>
    client.events.filter((e) => e.event === "path" && e.state === state && e.address === vip).length;
  const [down, up] = [seen("unreachable"), seen("reachable")];
  stage.screen.say(
    yellow(`${bold("cutting")} path-a of client ${host.name}: its messages must go on over path-b`),
  );
  host.cut("path-a");
  await until("the client to see the cut", () => seen("unreachable") > down);
  await pause(FLOW_MS);
  stage.screen.say(green(`${bold("healing")} path-a of client ${host.name}`));
  host.heal("path-a");
  await until("the client to see the path again", () => seen("reachable") > up);
  await pause(FLOW_MS);
}

/** The daemon is killed: what is established lives in the kernel, and the next daemon adopts it. */
export async function killAndAdopt(stage: Scene): Promise<void> {
  const [member] = stage.cluster.members;
  if (member === undefined || /"fastPath":"userspace"/.test(member.log())) return; // it stops with its daemon
  stage.screen.say(yellow(`${bold("kill -9")} of the daemon: the pinned data plane goes on`));
  await member.killDaemon();
  await pause(FLOW_MS);
  stage.screen.say("starting the daemon again: it adopts the data plane");
  await member.start();
  const { items } = await member.get<{ items: unknown[] }>("/v1/sessions");
  stage.screen.say(green(`the daemon is back and knows ${items.length} sessions`));
  await pause(FLOW_MS);
}
