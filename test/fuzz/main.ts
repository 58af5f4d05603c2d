// Fuzzing: damaged and hostile input for everything that reads bytes.
//
// The exit code is 1 when anything was found; how far it is goes to standard error.
import { readCommandLine, refuse, wholeNumberOf } from "../run/command-line.ts";
import { commitInputs } from "./corpus.ts";
import { fuzz, TARGET_NAMES } from "./run.ts";
import { Finding, type TargetReport } from "./target.ts";
import { Watch } from "./watch.ts";

/** Which corpus a target's inputs go to. */
const CORPUS_OF: Readonly<Record<string, string>> = {
  codec: "packet",
  "slow-path": "packet",
  "fast-path": "packet",
  messages: "message",
};

const USAGE = `npm run fuzz -- [options]

  --packets N     inputs for each target (default 1e5)
  --seed N        the same seed makes the same inputs (default: of the clock)
  --only TARGET   this target alone
  --blind         without asking which code an input reached
  --commit N      up to N inputs that reached new code, and the input of a finding, go into test/fuzz/corpus
  --json          the last line is the result`;
const values = readCommandLine(USAGE, {
  packets: { type: "string", default: "1e5" },
  seed: { type: "string", default: String(Date.now() % 1_000_000) },
  only: { type: "string" },
  blind: { type: "boolean", default: false },
  commit: { type: "string" },
  json: { type: "boolean", default: false },
});
const packets = wholeNumberOf(values.packets, "packets", USAGE);
const seed = wholeNumberOf(values.seed, "seed", USAGE, 0);
const { only } = values;
if (only !== undefined && !TARGET_NAMES.some((name) => name.includes(only)))
  refuse(`--only takes one of ${TARGET_NAMES.join(", ")}, not '${only}'`, USAGE);
const commitMax = values.commit === undefined ? undefined : wholeNumberOf(values.commit, "commit", USAGE);

const say = (text: string) => {
  if (!values.json) console.log(text);
};
say(`seed ${seed}`);
if (process.getuid?.() !== 0) say("not root: the BPF programs are left out");
const startedMs = performance.now();
let finding: string | undefined;
const watch = new Watch(`seed ${seed}, --packets ${values.packets}`);
const reports: TargetReport[] = [];
try {
  await fuzz({
    packets,
    seed,
    guided: !values.blind,
    watch,
    onProgress(target, inputs, count) {
      const seconds = Math.round((performance.now() - startedMs) / 1_000);
      console.error(`${target}: ${inputs} of ${count}, ${seconds} s since the start`);
    },
    ...(only !== undefined && { only }),
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
      if (commitMax !== undefined) commitInputs(kind, inputs, commitMax);
    },
  });
} catch (error) {
  if (!(error instanceof Finding)) throw error;
  finding = error.message;
  const kind = CORPUS_OF[error.target];
  if (commitMax !== undefined && kind !== undefined) commitInputs(kind, [error.input], 1);
  console.error(`FOUND (seed ${seed}): ${finding}\n${(error.cause as Error).stack}`);
}
await watch.close();
const seconds = Math.round((performance.now() - startedMs) / 100) / 10;
const inputs = reports.reduce((sum, report) => sum + report.inputs, 0);
say(`${inputs} inputs in ${seconds} s; ${finding === undefined ? "nothing found" : "one finding"}`);
if (values.json)
  console.log(
    JSON.stringify({ fuzz: { seed, packets, inputs, seconds, finding: finding ?? null, targets: reports } }),
  );
process.exit(finding === undefined ? 0 : 1);
