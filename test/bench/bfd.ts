// `npm run bench -- bfd`: three members with sessions to a BIRD and an FRR router; nothing goes wrong, and
// every processor is busy with something else. Each session that is lost meanwhile is a false alarm.
//
//   --minutes N   default 10
//   --bfd-ms N    default 100, which docs/routers.md recommends
//   --busy N      processes that never wait, default two for each processor
import { cpus } from "node:os";
import { BFD_INTERVAL_MS, BgpRouter, Lab, type RouterSoftware, until } from "@holdfast/testkit";
import { numberOf } from "./options/options.ts";
import { print, type Row, rounded } from "./replication/report.ts";
import { Announcing } from "./routes/announcing.ts";
import { burner } from "./takeover/burner.ts";

const MEMBER_COUNT = 3;
const ROUTERS: readonly RouterSoftware[] = ["bird", "frr"];
const SAY_MS = 30_000;

export async function run({
  json,
  args,
}: {
  readonly json: boolean;
  readonly args: string[];
}): Promise<void> {
  const lab = new Lab();
  try {
    print("bfd", await measure(lab, args), json);
  } finally {
    await lab.close();
  }
}

async function measure(lab: Lab, args: readonly string[]): Promise<Row[]> {
  const minutes = numberOf(args, "minutes", 10);
  const bfdIntervalMs = numberOf(args, "bfd-ms", BFD_INTERVAL_MS);
  const busy = numberOf(args, "busy", 2 * cpus().length);
  lab.network("wire");
  const hosts = Array.from({ length: MEMBER_COUNT }, (_, n) =>
    lab.host(`m${n + 1}`, { wire: [`198.18.0.${n + 1}/24`] }),
  );
  const routers = ROUTERS.map((software, n) => {
    const host = lab.host(`r${n + 1}`, { wire: [`198.18.0.${254 - n}/24`] });
    new BgpRouter(lab, host, "wire", hosts, { software, bfdIntervalMs }).start();
    return { name: software, address: `198.18.0.${254 - n}` };
  });
  const members = hosts.map((host) => new Announcing(lab, host, routers, bfdIntervalMs));
  for (const member of members) member.order([{ vip: "203.0.113.1", rank: members.indexOf(member) }]);
  await until("all sessions, BFD included", () => members.every((member) => member.isUp()), 60_000);
  const before = members.map((member) => member.flapsByRouter());
  const burners = Array.from({ length: busy }, burner);
  try {
    const fromMs = performance.now();
    const endMs = fromMs + minutes * 60_000;
    let sayMs = fromMs + SAY_MS;
    await until(
      "the time to be over",
      () => {
        if (performance.now() >= sayMs) {
          sayMs += SAY_MS;
          console.error(
            `${Math.round((performance.now() - fromMs) / 1_000)} s: ${flaps(members, before)} lost`,
          );
        }
        return performance.now() >= endMs;
      },
      (minutes + 1) * 60_000,
      500,
    );
    return [
      { case: "minutes", value: rounded((performance.now() - fromMs) / 60_000), unit: "" },
      { case: "BFD interval", value: bfdIntervalMs, unit: "ms" },
      { case: "processes that never wait", value: busy, unit: "" },
      { case: "sessions watched", value: members.length * routers.length, unit: "" },
      ...routers.map(({ name }) => ({
        case: `${name.toUpperCase()}: sessions lost`,
        value: flaps(members, before, name),
        unit: "",
      })),
      {
        case: "speakers without real-time priority",
        value: members.filter((m) => !m.isRealtime).length,
        unit: "",
      },
    ];
  } finally {
    for (const one of burners) one.kill("SIGKILL");
  }
}

/** Of one router, or of all. */
function flaps(
  members: readonly Announcing[],
  before: readonly ReadonlyMap<string, number>[],
  router?: string,
): number {
  let sum = 0;
  for (const [index, member] of members.entries())
    for (const [name, count] of member.flapsByRouter())
      if (router === undefined || name === router) sum += count - (before[index]?.get(name) ?? 0);
  return sum;
}
