// A process that writes a store and kills itself (kill -9) at a step of the disk: before it, or, of an
// append, in its middle. What was confirmed it has said before.
//
//   node store-writer.ts DIRECTORY STEP
import { writeSync } from "node:fs";
import { silentLogger, systemClock } from "@holdfast/model";
import { type Disk, type DiskFile, FileStore, machineDisk } from "@holdfast/sync/testing";
import { ACTOR_A, change } from "@holdfast/sync/testing/store";

const [directory = "", last = ""] = process.argv.slice(2);
let steps = 0;

/** true: this is the one, and something may be done before the end. */
function step(): boolean {
  steps++;
  return steps === Number(last);
}

async function die(): Promise<never> {
  process.kill(process.pid, "SIGKILL");
  return new Promise(() => {});
}

function counted<Arguments extends readonly unknown[], Result>(
  call: (...words: Arguments) => Promise<Result>,
): (...words: Arguments) => Promise<Result> {
  return async (...words) => (step() ? die() : call(...words));
}

const disk: Disk = {
  makeDirectory: counted(machineDisk.makeDirectory),
  open: counted(async (path, at) => {
    const file = await machineDisk.open(path, at);
    const wrapped: DiskFile = {
      async append(bytes) {
        if (!step()) return file.append(bytes);
        await file.append(bytes.subarray(0, bytes.length >> 1));
        return die();
      },
      sync: counted(() => file.sync()),
      close: counted(() => file.close()),
    };
    return wrapped;
  }),
  rename: counted(machineDisk.rename),
  remove: counted(machineDisk.remove),
  cut: counted(machineDisk.cut),
  copy: counted(machineDisk.copy),
  list: counted(machineDisk.list),
  size: counted(machineDisk.size),
  read: counted(machineDisk.read),
  syncDirectory: counted(machineDisk.syncDirectory),
};

const store = await FileStore.open({ directory, clock: systemClock, logger: silentLogger, disk });
const state = await store.load();
let round = state.values.get("configuration")?.[0] ?? 0;
let tick = state.segments.find(({ actor }) => actor === ACTOR_A)?.changes.length ?? 0;
for (let n = 0; n < 3; n++) {
  round++;
  store.put("configuration", change(round, 10_000));
  store.append(ACTOR_A, 0, tick, change(tick, 5_000));
  tick++;
  if ((await store.flush()) !== undefined) throw new Error("the disk failed by itself");
  writeSync(1, `${round} ${tick}\n`);
}
await store.close();
