// Members are killed: a whole node first, then a daemon alone; both come back.
import type { Address } from "@holdfast/model";
import {
  type Capture,
  type CapturedPacket,
  type Cluster,
  type Member,
  pause,
  until,
} from "@holdfast/testkit";
import { bold, cyan, green, type Screen, yellow } from "./screen.ts";
import { FLOW_MS } from "./story-paths.ts";

/** Longer than a message takes whose packet a member had in hand. */
const GAP_OVER_MS = 500;

/** What a story about members needs of its stage. */
export interface Scene {
  readonly cluster: Cluster;
  readonly screen: Screen;
  /** Captures, those at the endpoints among them. */
  readonly edges: readonly Capture[];
  /** A packet that carries one of the clients' messages. */
  readonly isMessage: (packet: CapturedPacket) => boolean;
}

/**
 * The silence that the clients' messages to a VIP met when its owner died, ms: the longest time between two
 * of them at the endpoints, around the death. undefined until it is over, and another member than the dead
 * one carries them.
 */
export function takeoverMs(
  stage: Scene,
  vip: string,
  deadMacs: ReadonlySet<string>,
  killedAtMs: number,
): number | undefined {
  const cores = stage.edges.filter((edge) => edge.network === "core");
  const packets = cores.flatMap((edge) => edge.packets());
  const messages = packets
    .filter((p) => p.source === vip && stage.isMessage(p))
    .filter((p) => p.wallMs >= killedAtMs - GAP_OVER_MS)
    .sort((a, b) => a.wallMs - b.wallMs);
  const last = messages.at(-1);
  const others = messages.filter((p) => p.wallMs >= killedAtMs && !deadMacs.has(p.sourceMac));
  if (last === undefined || !others.some((p) => p.wallMs <= last.wallMs - GAP_OVER_MS)) return undefined;
  const gaps = messages.map(({ wallMs }, index) =>
    wallMs < killedAtMs ? 0 : wallMs - Math.max(messages[index - 1]?.wallMs ?? 0, killedAtMs - GAP_OVER_MS),
  );
  return Math.max(...gaps);
}

/** Hardware addresses of a member's interfaces. */
export function macsOf(member: Member): Set<string> {
  const links = JSON.parse(member.host.run("ip", ["-j", "link"])) as { address?: string }[];
  return new Set(links.flatMap(({ address }) => address ?? []));
}

/** Kills the owner of the primary and returns the take-over of the primary in ms. */
async function killOwner(
  stage: Scene,
  how: "node" | "daemon",
): Promise<{ member: Member; takeover: number }> {
  const { cluster, screen } = stage;
  const vip = cluster.vips[0] as Address;
  const before = await cluster.settled();
  const member = cluster.memberOf(before.get(vip) as string);
  const macs = macsOf(member);
  screen.say(
    yellow(
      how === "node"
        ? `${bold(`killing node ${member.name}`)}, the owner of ${vip}: its interfaces vanish, kill -9`
        : `${bold(`kill -9 of the daemon of ${member.name}`)}, the owner of ${vip}: its data plane is left alone`,
    ),
  );
  const killedAtMs = Date.now();
  if (how === "node") await member.killNode();
  else await member.killDaemon();
  const takeover = await until(
    `${vip} to be forwarded by a successor`,
    () => takeoverMs(stage, vip, macs, killedAtMs),
    15_000,
  );
  const after = await cluster.settled();
  screen.say(
    green(
      `${cyan(vip)} is with ${bold(after.get(vip) ?? "?")}: its messages were silent for ${bold(`${takeover.toFixed(0)} ms`)}`,
    ),
  );
  await pause(FLOW_MS);
  return { member, takeover };
}

async function bringBack(stage: Scene, cluster: Cluster, member: Member): Promise<void> {
  stage.screen.say(`bringing ${bold(member.name)} back`);
  member.host.plug();
  await member.start();
  await cluster.settled();
  const { items } = await member.get<{ items: unknown[] }>("/v1/sessions?limit=1000");
  stage.screen.say(green(`${member.name} has caught up: it holds ${items.length} sessions`));
  await pause(FLOW_MS);
}

/** Kills two members, one after the other, and brings them back. Returns the take-overs in ms. */
export async function killTwo(stage: Scene): Promise<number[]> {
  const first = await killOwner(stage, "node");
  const second = await killOwner(stage, "daemon");
  await bringBack(stage, stage.cluster, first.member);
  await bringBack(stage, stage.cluster, second.member);
  return [first.takeover, second.takeover];
}
