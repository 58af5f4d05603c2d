// `npm run bench -- routes`: how long it takes from a member's decision to the UPDATE on the wire, with as
// many VIPs, and what so many changes do to the session with the router and its BFD. BIRD at both ends.
//
//   --vips N      default 1000
//   --changes N   default 1000
//   --bfd-ms N    default 100
//   --busy N      default 0: so many processors are kept busy by something else meanwhile
import { createInterface } from "node:readline";
import { BgpRouter, Lab, until } from "@holdfast/testkit";
import { numberOf } from "./options/options.ts";
import { print, type Row, rounded } from "./replication/report.ts";
import { Announcing } from "./routes/announcing.ts";
import { burner } from "./takeover/burner.ts";
import { percentile } from "./takeover/percentile.ts";

const MEMBER = "198.18.0.1";
const ROUTER = "198.18.0.254";

export async function run({
  json,
  args,
}: {
  readonly json: boolean;
  readonly args: string[];
}): Promise<void> {
  const [vips, changes] = [numberOf(args, "vips", 1_000), numberOf(args, "changes", 1_000)];
  const lab = new Lab();
  const burners = Array.from({ length: numberOf(args, "busy", 0) }, burner);
  try {
    print("routes", await measure(lab, vips, changes, numberOf(args, "bfd-ms", 100)), json);
  } finally {
    for (const one of burners) one.kill("SIGKILL");
    await lab.close();
  }
}

async function measure(lab: Lab, vips: number, changes: number, bfdIntervalMs: number): Promise<Row[]> {
  lab.network("wire");
  const router = lab.host("r1", { wire: [`${ROUTER}/24`] });
  const member = lab.host("m1", { wire: [`${MEMBER}/24`] });
  new BgpRouter(lab, router, "wire", [member], { software: "bird", bfdIntervalMs }).start();
  const announcing = new Announcing(lab, member, [{ name: "tor", address: ROUTER }], bfdIntervalMs);
  announcing.order(Array.from({ length: vips }, (_, n) => ({ vip: `203.0.${n >> 8}.${n & 255}`, rank: 1 })));
  await until("the session, BFD included", () => announcing.isUp(), 60_000);
  const updates = updatesOf(router);
  await until("the capture", () => updates.listens(), 10_000);
  const before = { flaps: announcing.flapsByRouter().get("tor") ?? 0, since: announcing.sinces() };
  announcing.order({ changes });
  await until("all changes", () => announcing.startsMs.length === changes, 600_000, 100);
  await until("their UPDATEs", () => updates.count() >= changes, 10_000).catch(() => {});
  const waits = announcing.startsMs.map((atMs, n) => updates.take(announcing.changed[n]) - atMs);
  const told = waits.filter((ms) => !Number.isNaN(ms));
  const at = (values: readonly number[], percent: number) =>
    rounded(
      percentile(
        [...values].sort((a, b) => a - b),
        percent,
      ),
    );
  const rowsOf = (what: string, values: readonly number[]) =>
    [50, 99].map((percent) => ({
      case: `${what} with ${vips} VIPs, p${percent}`,
      value: at(values, percent),
      unit: "ms",
    }));
  return [
    ...rowsOf("decision to UPDATE", told),
    ...rowsOf("of that, until the speaker is told,", announcing.orderedMs),
    { case: "changes", value: changes, unit: "" },
    { case: "changes without an UPDATE", value: waits.length - told.length, unit: "" },
    {
      case: "sessions reset",
      value: (announcing.flapsByRouter().get("tor") ?? Number.NaN) - before.flaps,
      unit: "",
    },
    { case: "BFD transitions", value: announcing.sinces() === before.since ? 0 : 1, unit: "" },
  ];
}

/** The routes in UPDATEs from the member to the router, as tcpdump prints them, and wall ms of each. */
function updatesOf(router: ReturnType<Lab["host"]>) {
  const timesByVip = new Map<string, number[]>();
  let [listens, count, atMs] = [false, 0, Number.NaN];
  const filter = `tcp and src host ${MEMBER}`;
  const child = router.spawn("tcpdump", ["-i", "wire", "-nn", "-tt", "-l", "-v", filter], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  child.stderr?.on("data", (data) => {
    listens ||= String(data).includes("listening on");
  });
  if (child.stdout !== null)
    createInterface({ input: child.stdout }).on("line", (line) => {
      const [, seconds] = /^(\d+\.\d+) /.exec(line) ?? [];
      if (seconds !== undefined) atMs = Number(seconds) * 1_000;
      const [, vip] = /^\s+(203\.0\.\d+\.\d+)\/32$/.exec(line) ?? [];
      if (vip === undefined) return;
      count++;
      timesByVip.set(vip, [...(timesByVip.get(vip) ?? []), atMs]);
    });
  return {
    listens: () => listens,
    /** Routes so far. */
    count: () => count,
    /** Wall ms of the next UPDATE of that VIP, each once; NaN when there was none. */
    take: (vip = "") => timesByVip.get(vip)?.shift() ?? Number.NaN,
  };
}
