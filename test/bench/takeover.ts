// `npm run bench -- takeover`: three members, associations of a two-homed client with fixed timers and numbered
// messages; the owner of the primary VIP is killed again and again, as a whole node and as a daemon alone in turn.
//
//   --kills N         default 20
//   --associations N  default 20
import { Cluster } from "@holdfast/testkit";
import { numberOf, print, type Row, rounded } from "./replication/report.ts";
import { type KillClock, kill, messagesLost, revive } from "./takeover/kill.ts";

/** Messages per second and association: a gap is known to 20 ms. */
const RATE = 50;

export async function run(options: { readonly json: boolean; readonly args: string[] }): Promise<void> {
  const kills = numberOf(options.args, "kills", 20);
  const associations = numberOf(options.args, "associations", 20);
  const cluster = new Cluster({ members: 3, clients: [2], vips: ["203.0.113.1", "198.51.100.1"] });
  try {
    await cluster.start();
    const endpoint = await cluster.startEndpoint(0);
    const client = await cluster.startClient(0, { associations, rate: RATE, startRate: 50 });
    await client.established(associations);
    const clocks: KillClock[] = [];
    for (let i = 0; i < kills; i++) {
      const { victim, clock } = await kill(cluster, i % 2 === 0 ? "node" : "daemon");
      clocks.push(clock);
      console.error(`kill ${i + 1} of ${kills}: ${JSON.stringify(clock)}`);
      await revive(cluster, victim);
    }
    const figures = await client.settle();
    const rows = [...rowsOf("node", clocks), ...rowsOf("daemon", clocks)];
    rows.push(
      {
        case: "associations lost",
        value: figures.filter(({ up, lost, restarts }) => !up || lost + restarts > 0).length,
        unit: "",
      },
      { case: "messages lost", value: await messagesLost(endpoint), unit: "" },
    );
    print("takeover", rows, options.json);
  } finally {
    await cluster.close();
  }
}

const STAGES = [
  ["detection", "detection"],
  ["announcement", "announcement"],
  ["firstForwarded", "first packet through the successor"],
  ["clientGap", "longest gap of an association"],
] as const;

function rowsOf(how: KillClock["how"], clocks: readonly KillClock[]): Row[] {
  const these = clocks.filter((clock) => clock.how === how);
  if (these.length === 0) return [];
  return STAGES.flatMap(([key, what]) => {
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
