import assert from "node:assert/strict";
import {
  appendFile,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  truncate,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { type Logger, silentLogger, systemClock } from "@holdfast/model";
import fc from "fast-check";
import { ACTOR_A, ACTOR_B, change, runStoreCompliance } from "./compliance.ts";
import { FileStore, STORE_QUEUE_BYTES_MAX, STORE_RETRY_MS } from "./file-store.ts";
import { MemoryDisk } from "./memory-store.ts";
import { changeRecord, JOURNAL_MAGIC, journalName, parseJournal, sealedRecord } from "./records.ts";

runStoreCompliance("memory", async () => {
  const disk = new MemoryDisk();
  return { open: async () => disk.open(), remove: async () => {} };
});

const temporary = () => mkdtemp(join(tmpdir(), "holdfast-store-"));
const openAt = (directory: string, logger: Logger = silentLogger) =>
  FileStore.open({ directory, clock: systemClock, logger });

runStoreCompliance("files", async () => {
  const directory = await temporary();
  return { open: () => openAt(directory), remove: () => rm(directory, { recursive: true, force: true }) };
});

describe("a damaged store", () => {
  let directory: string;
  beforeEach(async () => {
    directory = await temporary();
    const store = await openAt(directory);
    await store.load();
    for (let tick = 0; tick < 10; tick++) {
      store.append(ACTOR_A, 0, tick, change(tick, 100));
      store.append(ACTOR_B, 0, tick, change(tick, 100));
    }
    store.put("incarnation", change(1));
    store.put("floors", change(2));
    await store.close();
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));
  const file = (actor: string) => join(directory, "journals", journalName(actor, 0));

  const reload = async () => {
    const warnings: string[] = [];
    const logger: Logger = {
      ...silentLogger,
      error: (fields, message) => void warnings.push(JSON.stringify(fields) + message),
    };
    const store = await openAt(directory, logger);
    const state = await store.load();
    return {
      store,
      state,
      warnings,
      ticks: (actor: string) => state.segments.find((s) => s.actor === actor)?.changes.length ?? 0,
    };
  };

  it("loses the torn tail of one file, says which, and goes on behind it", async () => {
    await truncate(file(ACTOR_A), (await stat(file(ACTOR_A))).size - 30);
    const { store, state, warnings, ticks } = await reload();
    assert.deepEqual([ticks(ACTOR_A), ticks(ACTOR_B)], [9, 10]);
    assert.equal(state.damaged.length, 1);
    assert.match(state.damaged[0] ?? "", new RegExp(`${ACTOR_A}-0.*torn.*9 ticks`));
    assert.match(warnings[0] ?? "", /STORE_FILE_DAMAGED/);
    store.append(ACTOR_A, 0, 9, change(9, 100));
    await store.close();
    const again = await reload();
    assert.equal(again.ticks(ACTOR_A), 10);
    assert.deepEqual(again.state.damaged, []);
    await again.store.close();
  });

  it("keeps what stands before a corrupt record", async () => {
    const bytes = await readFile(file(ACTOR_A));
    bytes[4 + 109 * 4 + 50] = 0xff;
    await writeFile(file(ACTOR_A), bytes);
    const { store, state, ticks } = await reload();
    assert.deepEqual([ticks(ACTOR_A), ticks(ACTOR_B)], [4, 10]);
    assert.match(state.damaged[0] ?? "", /corrupt/);
    await store.close();
  });

  it("loses a file of garbage, a value of garbage, and ignores what is not its own", async () => {
    await writeFile(file(ACTOR_A), Buffer.alloc(5_000, 0x7f));
    await writeFile(join(directory, "values", "floors.value"), "nonsense");
    await writeFile(join(directory, "values", "notes.txt"), "hello");
    await writeFile(join(directory, "journals", "README"), "hello");
    const { store, state, ticks } = await reload();
    assert.deepEqual([ticks(ACTOR_A), ticks(ACTOR_B)], [0, 10]);
    assert.deepEqual([...state.values.keys()], ["incarnation"]);
    assert.equal(state.damaged.length, 2);
    await store.close();
  });

  it("never throws and never invents a tick, whatever happened to the bytes", () => {
    const good = Buffer.concat([
      JOURNAL_MAGIC,
      changeRecord(change(1)),
      changeRecord(change(2)),
      sealedRecord(),
    ]);
    fc.assert(
      fc.property(
        fc.nat(good.length),
        fc.uint8Array({ maxLength: 40 }),
        fc.nat(good.length - 1),
        fc.nat(255),
        (cut, tail, at, flip) => {
          const bytes = Buffer.concat([good.subarray(0, cut), tail]);
          if (at < bytes.length) bytes[at] = (bytes[at] ?? 0) ^ flip;
          const parsed = parseJournal(bytes);
          for (const [tick, found] of parsed.changes.entries()) assert.deepEqual(found, change(tick + 1));
          assert.ok(parsed.changes.length <= 2);
        },
      ),
      { numRuns: 2_000 },
    );
  });
});

describe("a disk that fails", () => {
  let directory: string;
  beforeEach(async () => {
    directory = await temporary();
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  it("stops the writing, with a code, and never the caller; a later segment is whole again", async () => {
    let nowMs = 0;
    const errors: object[] = [];
    const store = await FileStore.open({
      directory,
      clock: { ...systemClock, nowMs: () => nowMs },
      logger: { ...silentLogger, error: (fields) => void errors.push(fields) },
    });
    await store.load();
    store.append(ACTOR_A, 0, 0, change(0));
    await store.flush();
    // A directory where the journal should be: open fails, as write does on a full disk.
    await mkdir(join(directory, "journals", journalName(ACTOR_B, 0)));
    store.append(ACTOR_B, 0, 0, change(1));
    await store.flush();
    assert.equal(store.counters().writeErrorCount, 1);
    assert.match(JSON.stringify(errors[0]), /STORE_WRITE_FAILED/);
    // While it waits nothing is written, and what is left out is counted, not queued.
    store.append(ACTOR_A, 0, 1, change(1));
    await store.flush();
    assert.equal(store.counters().leftOutCount, 2);
    assert.equal(store.counters().queuedBytes, 0);
    nowMs += STORE_RETRY_MS + 1;
    store.append(ACTOR_A, 0, 2, change(2));
    store.append(ACTOR_A, 1, 0, change(3));
    await store.close();
    const next = await openAt(directory);
    const state = await next.load();
    assert.deepEqual(
      state.segments.map(({ actor, segment, changes }) => [actor, segment, changes.length]),
      [
        [ACTOR_A, 0, 1],
        [ACTOR_A, 1, 1],
      ],
    );
    await next.close();
  });

  it("bounds what waits", async () => {
    const store = await openAt(directory);
    await store.load();
    const big = change(1, 1024 * 1024);
    for (let tick = 0; tick < 80; tick++) store.append(ACTOR_A, 0, tick, big);
    assert.ok(store.counters().queuedBytes <= STORE_QUEUE_BYTES_MAX + 1024);
    assert.ok(store.counters().leftOutCount > 0);
    await store.close();
    const next = await openAt(directory);
    const ticks = (await next.load()).segments[0]?.changes.length ?? 0;
    assert.ok(ticks > 50 && ticks < 80, `${ticks} ticks, without a gap`);
    await next.close();
  });

  it("is named when it cannot be used at all", async () => {
    await writeFile(join(directory, "file"), "");
    await assert.rejects(openAt(join(directory, "file")), { code: "STORE_DIRECTORY_UNUSABLE" });
  });

  it("holds few files open and removes what is dropped", async () => {
    const store = await openAt(directory);
    await store.load();
    for (let segment = 0; segment < 120; segment++) store.append(ACTOR_A, segment, 0, change(1));
    await store.flush();
    const open = (await readdir("/proc/self/fd")).length;
    assert.ok(open < 100, `${open} files open`);
    store.drop(ACTOR_A, 119);
    await store.flush();
    assert.deepEqual(await readdir(join(directory, "journals")), [journalName(ACTOR_A, 119)]);
    await appendFile(join(directory, "journals", journalName(ACTOR_A, 119)), "");
    await store.close();
  });
});
