// `npm run bench -- init`: INITs a second, and what they do to an established association.
//
// In the lab: a member with its daemon, four endpoints with real stacks, one real association with 200
// numbered messages a second, and a generator that sends INITs of ever new clients at rising rates, at last
// as fast as a core makes them: such whose answers come back, and spoofed ones that nobody answers. The same
// with nftables and connection tracking in the same run. And in one process the slow path alone, without a
// kernel.
//
//   --slice-ms N   of each rate, default 4,000
//   --rates A,B    INITs a second, default 2000,10000,30000; the full rate comes last
//   --inits N      in process, of each kind; default 200,000
import { measureInProcess } from "./init/in-process.ts";
import { openHoldfast, openNftables } from "./init/subjects.ts";
import { FloodBench, type FloodKind, type Slice, type Subject } from "./init/traffic.ts";
import { numberOf, textOf } from "./options/options.ts";
import { printJson, type Row, rounded } from "./replication/report.ts";

const FULL_RATE = 0;
const RATES: readonly number[] = [2_000, 10_000, 30_000];
const KINDS: readonly FloodKind[] = ["answered", "unanswered"];
const BASELINE = "nftables";

export async function run(options: { readonly json: boolean; readonly args: string[] }): Promise<void> {
  const durationMs = numberOf(options.args, "slice-ms", 4_000);
  const rates = [...ratesOf(options.args), FULL_RATE];
  const ours = await measure(openHoldfast, rates, durationMs);
  const theirs = await measure(openNftables, rates, durationMs);
  const inProcess = await measureInProcess(numberOf(options.args, "inits", 200_000));
  const rows = [...rowsOf(ours, theirs), ...inProcess];
  table([...ours, ...theirs]);
  for (const { case: name, value, unit } of inProcess)
    console.log(`${name}: ${value.toLocaleString("en")} ${unit}`);
  if (options.json) printJson("init", rows);
}

interface Measured extends Slice {
  /** What was asked for; 0: as fast as can be. */
  readonly perSecond: number;
}

/**
 * Each kind begins with a fresh subject: embryos and entries of one flood would be what the next one meets.
 */
async function measure(
  open: () => Promise<Subject>,
  rates: readonly number[],
  durationMs: number,
): Promise<Measured[]> {
  const slices: Measured[] = [];
  for (const kind of KINDS) {
    const subject = await open();
    const bench = new FloodBench(subject);
    try {
      const take = async (what: FloodKind | "none", perSecond: number) => {
        slices.push({ ...(await bench.measure(what, { perSecond, durationMs })), perSecond });
        console.error(line(slices.at(-1) as Measured));
      };
      // The first call begins to keep the gaps.
      for (const server of subject.servers) await server.gaps();
      if (slices.length === 0) await take("none", FULL_RATE);
      for (const rate of rates) await take(kind, rate);
    } finally {
      await bench.close();
      await subject.close();
    }
  }
  return slices;
}

function rowsOf(ours: readonly Measured[], theirs: readonly Measured[]): Row[] {
  const rows: Row[] = [];
  for (const slice of ours) {
    const other = theirs.find(({ kind, perSecond }) => kind === slice.kind && perSecond === slice.perSecond);
    const name = nameOf(slice);
    const versus = (own: number, their: number | undefined) =>
      their === undefined || !(own > 0) || !(their > 0)
        ? {}
        : { versus: BASELINE, ratio: rounded(own / their, 2) };
    const inverse = versus(other?.gapLongestMs ?? 0, slice.gapLongestMs);
    rows.push(
      { case: `${name}/longest gap`, value: rounded(slice.gapLongestMs), unit: "ms", ...inverse },
      {
        case: `${name}/p99 gap`,
        value: rounded(slice.gapP99Ms),
        unit: "ms",
        ...versus(other?.gapP99Ms ?? 0, slice.gapP99Ms),
      },
      { case: `${name}/messages lost`, value: slice.messagesLost, unit: "" },
    );
    if (slice.kind === "none") continue;
    rows.push(
      {
        case: `${name}/forwarded`,
        value: rounded(slice.forwarded, 0),
        unit: "INIT/s",
        ...versus(slice.forwarded, other?.forwarded),
      },
      { case: `${name}/offered`, value: rounded(slice.offered, 0), unit: "INIT/s" },
      { case: `${name}/slow path`, value: rounded(processed(slice), 0), unit: "INIT/s" },
      { case: `${name}/answers`, value: rounded(slice.answers, 0), unit: "INIT-ACK/s" },
      ...dropsOf(slice).map(([reason, rate]) => ({
        case: `${name}/dropped ${reason}`,
        value: rounded(rate, 0),
        unit: "packets/s",
      })),
    );
  }
  for (const slice of theirs) {
    rows.push({ case: `${nameOf(slice)}/messages lost`, value: slice.messagesLost, unit: "" });
    rows.push({ case: `${nameOf(slice)}/longest gap`, value: rounded(slice.gapLongestMs), unit: "ms" });
    if (slice.kind !== "none")
      rows.push({ case: `${nameOf(slice)}/forwarded`, value: rounded(slice.forwarded, 0), unit: "INIT/s" });
  }
  return rows;
}

function nameOf({ subject, kind, perSecond }: Measured): string {
  if (kind === "none") return `${subject}/no flood`;
  return `${subject}/${kind}/${perSecond === FULL_RATE ? "full rate" : perSecond}`;
}

function processed({ counters }: Slice): number {
  return counters.get("event inits") ?? 0;
}

function dropsOf({ counters }: Slice): [string, number][] {
  return [...counters]
    .filter(([name, rate]) => name.startsWith("drop ") && rate >= 1)
    .map(([name, rate]): [string, number] => [name.slice("drop ".length), rate])
    .sort((a, b) => b[1] - a[1]);
}

const COLUMNS = [
  "offered/s",
  "slow path/s",
  "forwarded/s",
  "answers/s",
  "lost",
  "gap p99",
  "longest",
] as const;
const NAME_WIDTH = 32;
const WIDTH = 12;

function table(slices: readonly Measured[]): void {
  console.log("".padEnd(NAME_WIDTH) + COLUMNS.map((column) => column.padStart(WIDTH)).join(""));
  for (const slice of slices) console.log(line(slice));
}

function line(slice: Measured): string {
  const count = (value: number) => Math.round(value).toLocaleString("en").padStart(WIDTH);
  const time = (ms: number) => `${rounded(ms)} ms`.padStart(WIDTH);
  const rates = [slice.offered, processed(slice), slice.forwarded, slice.answers, slice.messagesLost].map(
    count,
  );
  const drops = dropsOf(slice)
    .map(([reason, rate]) => `${reason} ${Math.round(rate).toLocaleString("en")}/s`)
    .join(", ");
  const figures = [...rates, time(slice.gapP99Ms), time(slice.gapLongestMs)].join("");
  return `${nameOf(slice).padEnd(NAME_WIDTH)}${figures}${drops === "" ? "" : `  dropped: ${drops}`}`;
}

function ratesOf(args: readonly string[]): readonly number[] {
  return (
    textOf(args, "rates")
      ?.split(",")
      .map((rate) => numberOf(["--rates", rate], "rates", 0)) ?? RATES
  );
}
