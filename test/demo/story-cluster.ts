// Members are killed: a whole node first, then a daemon alone; both come back.
import { type Cluster, type Member, pause, until } from "@holdfast/testkit";
import { bold, cyan, green, yellow } from "./screen.ts";
import type { Stage } from "./stage.ts";
import { FLOW_MS } from "./story-paths.ts";

/** First packet that reaches an endpoint from a VIP after `killedAtMs` through another member than `dead`, in ms after it. */
export function takeoverMs(
  stage: Stage,
  vip: string,
  deadMacs: ReadonlySet<string>,
  killedAtMs: number,
): number | undefined {
  const cores = stage.edges.filter((edge) => edge.network === "core");
  const packets = cores.flatMap((edge) => edge.packets());
  const times = packets
    .filter(
      (p) => p.wallMs >= killedAtMs && p.source === vip && p.sctp !== undefined && !deadMacs.has(p.sourceMac),
    )
    .map((p) => p.wallMs - killedAtMs);
  return times.length === 0 ? undefined : Math.min(...times);
}

/** Hardware addresses of a member's interfaces. */
export function macsOf(member: Member): Set<string> {
  const links = JSON.parse(member.host.run("ip", ["-j", "link"])) as { address?: string }[];
  return new Set(links.flatMap(({ address }) => address ?? []));
}

/** Kills the owner of the primary and returns the take-over of the primary in ms. */
async function killOwner(
  stage: Stage,
  how: "node" | "daemon",
): Promise<{ member: Member; takeover: number }> {
  const { cluster, screen } = stage;
  const vip = cluster.vips[0] as string;
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
      `${cyan(vip)} is with ${bold(after.get(vip) ?? "?")}: first packet through it after ${bold(`${takeover.toFixed(0)} ms`)}`,
    ),
  );
  await pause(FLOW_MS);
  return { member, takeover };
}

async function bringBack(stage: Stage, cluster: Cluster, member: Member): Promise<void> {
  stage.screen.say(`bringing ${bold(member.name)} back`);
  member.host.plug();
  await member.start();
  await cluster.settled();
  const { items } = await member.get<{ items: unknown[] }>("/v1/sessions?limit=1000");
  stage.screen.say(green(`${member.name} has caught up: it holds ${items.length} sessions`));
  await pause(FLOW_MS);
}

/** Kills two members, one after the other, and brings them back. Returns the take-overs in ms. */
export async function killTwo(stage: Stage): Promise<number[]> {
  const first = await killOwner(stage, "node");
  const second = await killOwner(stage, "daemon");
  await bringBack(stage, stage.cluster, first.member);
  await bringBack(stage, stage.cluster, second.member);
  return [first.takeover, second.takeover];
}
