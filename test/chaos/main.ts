// Chaos: the lab's cluster under load, with random deaths, stops, freezes and cuts.
//
// An interrupt ends the storm early; everything is judged and removed all the same. The exit code is 1 when
// anything did not hold. The seed decides what strikes and in which order; how far each blow has got when the
// next one falls is the machine's business, so that a seed repeats a storm only nearly. With
// HOLDFAST_KEEP_LAB set, the captures of the last stretch stay when something did not hold.
import { readCommandLine, refuse, wholeNumberOf } from "../run/command-line.ts";
import { chaos } from "./run.ts";

const USAGE = `npm run chaos -- [options]

  --minutes N   how long the storm lasts (default 5)
  --seed N      what strikes, and in which order (default: of the clock)
  --operator    somebody reloads files, takes endpoints out and puts them back, drains, deletes services and creates
                them again in both dialects, at random members, and disks fail
  --json        the last line is the result`;
const values = readCommandLine(USAGE, {
  minutes: { type: "string", default: "5" },
  seed: { type: "string", default: String(Date.now() % 1_000_000) },
  operator: { type: "boolean", default: false },
  json: { type: "boolean", default: false },
});
const minutes = Number(values.minutes);
if (!(minutes > 0)) refuse(`--minutes takes a number above 0, not '${values.minutes}'`, USAGE);
const seed = wholeNumberOf(values.seed, "seed", USAGE, 0);
if (process.getuid?.() !== 0) {
  console.error("the lab needs root, for network namespaces and BPF");
  process.exit(2);
}
let stopped = false;
for (const signal of ["SIGINT", "SIGTERM"] as const)
  process.on(signal, () => {
    // The second time somebody means it: leaving removes the lab.
    if (stopped) process.exit(130);
    stopped = true;
  });
const say = (line: string) => (values.json ? console.error(line) : console.log(line));
say(`seed ${seed}, ${minutes} minutes`);
const report = await chaos({ minutes, seed, operator: values.operator, say, stopped: () => stopped });
for (const violation of report.violations) console.error(`VIOLATED ${violation}`);
if (values.json) console.log(JSON.stringify({ chaos: report }));
else {
  const { evidence } = report;
  console.log(
    `${report.minutes} minutes, ${Object.values(report.blows).reduce((a, b) => a + b, 0)} blows ${JSON.stringify(report.blows)}
${report.associations} associations, ${report.associationsLost} lost; ${report.messagesSent} messages, ${report.messagesLost} lost; longest gap ${report.longestGapMs} ms
${evidence.packets} packets at the edges: ${evidence.ownAborts} ABORTs of Holdfast's own, ${evidence.leaks} leaks, ${evidence.wrongChecksums} wrong checksums, ${evidence.sharedNatPorts} shared NAT ports`,
  );
}
process.exit(report.violations.length > 0 ? 1 : 0);
