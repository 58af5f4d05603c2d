// npm run simulate -- --seeds N [--from SEED] [--members N] [--journal memory|automerge] [--fault TEXT] [--story] [--json]
import { parseArgs } from "node:util";
import { automergeJournal } from "../../packages/sync/src/journal/automerge-segment.ts";
import { memoryJournal } from "../../packages/sync/src/journal/memory-segment.ts";
import { FAULTS } from "./faults.ts";
import { simulate } from "./simulation.ts";

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "100" },
    from: { type: "string", default: "1" },
    members: { type: "string" },
    journal: { type: "string", default: "memory" },
    fault: { type: "string" },
    story: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
  },
});
const journals = values.journal === "automerge" ? automergeJournal : memoryJournal;
const fault =
  values.fault === undefined ? undefined : FAULTS.find(({ name }) => name.includes(values.fault as string));
if (values.fault !== undefined && fault === undefined) {
  console.error(`No such fault. There are: ${FAULTS.map(({ name }) => name).join("; ")}`);
  process.exit(2);
}
const from = Number(values.from);
const count = Number(values.seeds);
const startedAt = performance.now();
const failed: number[] = [];
let eventCount = 0;
let simulatedMs = 0;
let opened = 0;
for (let seed = from; seed < from + count; seed++) {
  const result = await simulate({
    seed,
    journals,
    ...(values.members === undefined ? {} : { memberCount: Number(values.members) }),
    ...(fault === undefined ? {} : { fault }),
  });
  eventCount += result.eventCount;
  simulatedMs += result.simulatedMs;
  opened += result.opened;
  if (values.story)
    console.log(`seed ${seed}, ${result.memberCount} members\n  ${result.story.join("\n  ")}`);
  if (result.violations.length === 0) continue;
  failed.push(seed);
  const members = values.members === undefined ? "" : ` --members ${values.members}`;
  const faults = values.fault === undefined ? "" : ` --fault "${values.fault}"`;
  console.log(`seed ${seed} (${result.memberCount} members): ${result.violations.slice(0, 6).join("\n  ")}`);
  console.log(
    `  again: npm run simulate -- --from ${seed} --seeds 1 --journal ${values.journal}${members}${faults} --story`,
  );
}
const seconds = (performance.now() - startedAt) / 1000;
if (values.json) {
  console.log(JSON.stringify({ seeds: count, failed, eventCount, simulatedMs, opened, seconds }));
} else {
  console.log(
    `${count} seeds, ${failed.length} failed; ${opened} associations, ${(simulatedMs / 1000).toFixed(0)} s simulated in ${seconds.toFixed(1)} s`,
  );
}
process.exit(failed.length > 0 && fault === undefined ? 1 : 0);
