// `npm run bench -- takeover`: three members, associations of a two-homed client with fixed timers and numbered
// messages; the owner of the primary VIP is killed again and again, as a whole node and as a daemon alone in turn.
//
// Beside it the same death of a node with keepalived, nftables and conntrackd.
//
//   --kills N            default 20
//   --associations N     default 20
//   --keepalived-kills N default 5; each takes some 15 s. 0 leaves it out
//   --announcer KIND     default l2; bgp: routers between everybody, BIRD and BFD at 3 x 50 ms
//   --busy N             default 1: so many processors are kept busy by something else meanwhile
//
// A kill and the return of the member take some six seconds: a hundred take ten minutes.
import { type ChildProcess, spawn } from "node:child_process";
import { Cluster, ROUTED_PROFILE, sessionsUp } from "@holdfast/testkit";
import { numberOf, print, type Row, rounded } from "./replication/report.ts";
import { KEEPALIVED_OBSERVATION_MS, measureKeepalived } from "./takeover/keepalived.ts";
import { type KillClock, kill, messagesLost, revive } from "./takeover/kill.ts";

/** Messages per second and association: a gap is known to 20 ms. */
const RATE = 50;

export async function run(options: { readonly json: boolean; readonly args: string[] }): Promise<void> {
  const kills = numberOf(options.args, "kills", 20);
  const associations = numberOf(options.args, "associations", 20);
  const busy = numberOf(options.args, "busy", 1);
  const burners = Array.from({ length: busy }, burner);
  const routed = announcerOf(options.args) === "bgp";
  const cluster = new Cluster({
    members: 3,
    clients: [2],
    ...(routed
      ? { profile: ROUTED_PROFILE, bfdIntervalMs: 50, vips: ROUTED_PROFILE.vips.ipv4.slice(0, 2) }
      : { vips: ["203.0.113.1", "198.51.100.1"] }),
  });
  try {
    await cluster.start();
    if (routed) await sessionsUp(cluster.members);
    const endpoint = await cluster.startEndpoint(0);
    const client = await cluster.startClient(0, { associations, rate: RATE, startRate: 50 });
    await client.established(associations);
    const clocks: KillClock[] = [];
    for (let i = 0; i < kills; i++) {
      const { victim, clock } = await kill(cluster, i % 2 === 0 ? "node" : "daemon");
      clocks.push(clock);
      console.error(`kill ${i + 1} of ${kills}: ${JSON.stringify(clock)}`);
      await revive(cluster, victim);
      if (routed) await sessionsUp(cluster.members);
    }
    const figures = await client.settle();
    // Routers are told nothing at a death: they know the way around it.
    const stages = STAGES.filter(([key]) => !routed || key !== "announcement");
    const rows = [...rowsOf("node", clocks, stages), ...rowsOf("daemon", clocks, stages)];
    rows.push(
      {
        case: "associations lost",
        value: figures.filter(({ up, lost, restarts }) => !up || lost + restarts > 0).length,
        unit: "",
      },
      { case: "messages lost", value: await messagesLost(endpoint), unit: "" },
    );
    const theirs = numberOf(options.args, "keepalived-kills", 5);
    await cluster.close();
    if (theirs > 0) await compare(theirs, associations, rows);
    rows.push({ case: "processors kept busy by something else", value: busy, unit: "" });
    print("takeover", rows, options.json);
  } finally {
    for (const one of burners) one.kill("SIGKILL");
    await cluster.close();
  }
}

function announcerOf(args: readonly string[]): "l2" | "bgp" {
  const at = args.indexOf("--announcer");
  const kind = at < 0 ? "l2" : args[at + 1];
  if (kind === "l2" || kind === "bgp") return kind;
  throw new Error(`--announcer takes l2 or bgp, not '${kind}'`);
}

/** Something else that wants a processor, as much as it can get. It ends with this process at the latest. */
function burner(): ChildProcess {
  const program = `setInterval(() => process.ppid === ${process.pid} || process.exit(), 100);
    setImmediate(function burn() { const end = Date.now() + 50; while (Date.now() < end); setImmediate(burn); });`;
  return spawn(process.execPath, ["-e", program], { stdio: "ignore" });
}

const THEM = "keepalived, nftables, conntrackd";

/** Measures theirs, writes the ratios into our rows and adds theirs. */
async function compare(kills: number, associations: number, rows: Row[]): Promise<void> {
  const theirs = await measureKeepalived(kills, associations, RATE);
  if (theirs.trouble !== undefined) {
    console.error(`no comparison with ${THEM}: ${theirs.trouble}`);
    return;
  }
  const middle = (values: readonly number[]) =>
    rounded(
      percentile(
        [...values].sort((a, b) => a - b),
        50,
      ),
    );
  const figures = new Map([
    ["first packet through the successor", middle(theirs.firstForwarded)],
    ["longest gap of an association", middle(theirs.clientGap)],
  ]);
  // A take-over that the associations do not survive is no take-over: no ratio then.
  const carried = theirs.associationsLost === 0;
  if (!carried) console.error(`${THEM} moved the VIP, but did not carry the associations over`);
  for (const [what, value] of carried ? figures : []) {
    const own = rows.find((row) => row.case === `node killed: ${what} p50`);
    if (own === undefined || Number.isNaN(value)) continue;
    rows[rows.indexOf(own)] = { ...own, versus: THEM, ratio: rounded(value / own.value, 2) };
  }
  const watched = `within ${KEEPALIVED_OBSERVATION_MS / 1_000} s`;
  rows.push(
    ...[...figures].map(([what, value]) => ({ case: `${THEM}: ${what} p50, ${watched}`, value, unit: "ms" })),
    {
      case: `${THEM}: associations lost ${watched}, of ${kills * associations}`,
      value: theirs.associationsLost,
      unit: "",
    },
  );
}

const STAGES = [
  ["detection", "detection"],
  ["announcement", "announcement"],
  ["firstForwarded", "first packet through the successor"],
  ["clientGap", "longest gap of an association"],
] as const;

function rowsOf(
  how: KillClock["how"],
  clocks: readonly KillClock[],
  stages: readonly (typeof STAGES)[number][],
): Row[] {
  const these = clocks.filter((clock) => clock.how === how);
  if (these.length === 0) return [];
  return stages.flatMap(([key, what]) => {
    const values = these.flatMap((clock) => clock[key] ?? []).sort((a, b) => a - b);
    const name = `${how} killed: ${what}`;
    const missing = these.length - values.length;
    return [
      ...[50, 99].map((percent) => ({
        case: `${name} p${percent}`,
        value: rounded(percentile(values, percent)),
        unit: "ms",
      })),
      { case: `${name} max`, value: rounded(values.at(-1) ?? Number.NaN), unit: "ms" },
      ...(missing > 0
        ? [{ case: `${name}: not within the observation`, value: missing, unit: `of ${these.length}` }]
        : []),
    ];
  });
}

/** Nearest rank. */
function percentile(sorted: readonly number[], percent: number): number {
  return sorted[Math.max(0, Math.ceil((percent / 100) * sorted.length) - 1)] ?? Number.NaN;
}
