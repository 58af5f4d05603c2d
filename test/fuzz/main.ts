// Fuzzing: damaged and hostile input for everything that reads bytes.
//
//   npm run fuzz -- --packets 1e6 [--seed N] [--only TARGET] [--blind] [--commit N] [--json]
//
// --commit writes up to N inputs that reached new code into test/fuzz/corpus. The exit code is 1 when anything was found.
import { parseArgs } from "node:util";
import { commitInputs } from "./corpus.ts";
import { fuzz } from "./run.ts";
import { Finding, type TargetReport } from "./target.ts";

const { values } = parseArgs({
  options: {
    packets: { type: "string", default: "1e5" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    only: { type: "string" },
    blind: { type: "boolean", default: false },
    commit: { type: "string" },
    json: { type: "boolean", default: false },
  },
});
const packets = Number(values.packets);
const seed = Number(values.seed);
if (!Number.isSafeInteger(packets) || packets < 1 || !Number.isSafeInteger(seed)) {
  console.error("--packets and --seed take whole numbers, as in --packets 1e6 --seed 7");
  process.exit(2);
}

const say = (text: string) => {
  if (!values.json) console.log(text);
};
say(`seed ${seed}`);
if (process.getuid?.() !== 0) say("not root: the BPF programs are left out");
const startedMs = performance.now();
let finding: string | undefined;
const reports: TargetReport[] = [];
try {
  await fuzz({
    packets,
    seed,
    guided: !values.blind,
    ...(values.only === undefined ? {} : { only: values.only }),
    onReport(report) {
      reports.push(report);
      const { target, inputs, seconds, perSecond, slowestMs, newBlocks, figures } = report;
      const rest = Object.entries(figures)
        .map(([name, count]) => `${name} ${count}`)
        .join(", ");
      say(
        `${target.padEnd(14)} ${String(inputs).padStart(9)} in ${seconds.toFixed(1)} s, ${perSecond}/s, slowest ${slowestMs} ms, ${newBlocks} new blocks; ${rest}`,
      );
    },
    onFound(kind, inputs) {
      if (values.commit !== undefined) commitInputs(kind, inputs, Number(values.commit));
    },
  });
} catch (error) {
  if (!(error instanceof Finding)) throw error;
  finding = error.message;
  console.error(`FOUND (seed ${seed}): ${finding}\n${(error.cause as Error).stack}`);
}
const seconds = Math.round((performance.now() - startedMs) / 100) / 10;
const inputs = reports.reduce((sum, report) => sum + report.inputs, 0);
say(`${inputs} inputs in ${seconds} s; ${finding === undefined ? "nothing found" : "one finding"}`);
if (values.json)
  console.log(
    JSON.stringify({ fuzz: { seed, packets, inputs, seconds, finding: finding ?? null, targets: reports } }),
  );
process.exit(finding === undefined ? 0 : 1);
