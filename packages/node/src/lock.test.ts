import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { HoldfastError } from "@holdfast/model";
import { lockDataPlane, lockStore } from "./lock.ts";

let top: string;
before(() => {
  top = mkdtempSync(join(tmpdir(), "holdfast-lock-"));
  chmodSync(top, 0o755);
});
after(() => rmSync(top, { recursive: true, force: true }));

const code = (expected: string) => (error: unknown) =>
  error instanceof HoldfastError && error.code === expected;

test("a second daemon is refused until the first has gone; another data plane is another matter", () => {
  const place = join(top, "pins");
  const free = lockDataPlane(place);
  assert.throws(() => lockDataPlane(place), code("DAEMON_RUNNING"));
  lockDataPlane(`${place}-other`)();
  free();
  assert.equal(existsSync(place), false, "an empty one is not left behind");
  lockDataPlane(place)();
});

test("a store has one daemon, whatever its data plane; no store, no lock", () => {
  const directory = join(top, "store");
  const free = lockStore(directory);
  assert.throws(() => lockStore(directory), code("STORE_IN_USE"));
  free();
  lockStore(directory)();
  assert.ok(existsSync(directory));
  lockStore("")();
});

test("where no directory can be made there is nothing to protect", () => {
  lockDataPlane("/proc/holdfast/pins")();
  assert.throws(() => lockStore("/proc/holdfast/store"), code("STORE_DIRECTORY_UNUSABLE"));
});

test("the lock ends with the process that holds it, killed or not", async () => {
  const directory = join(top, "killed");
  const program = `
    import { lockStore } from ${JSON.stringify(fileURLToPath(new URL("./lock.ts", import.meta.url)))};
    lockStore(${JSON.stringify(directory)});
    console.log("locked");
    setInterval(() => {}, 1000);`;
  const child: ChildProcess = spawn(process.execPath, ["--input-type=module", "-e", program], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(child.stdout as NonNullable<typeof child.stdout>, "data");
  assert.throws(() => lockStore(directory), code("STORE_IN_USE"));
  child.kill("SIGKILL");
  await once(child, "exit");
  lockStore(directory)();
});

test("no other user can take it, also of a directory that was open to all", () => {
  const directory = join(top, "open");
  mkdirSync(directory, { mode: 0o755 });
  const open = () =>
    spawnSync("sh", ["-c", `exec 9<${directory}`], { uid: 65_534, gid: 65_534 }).status === 0;
  assert.ok(open(), "before, anybody could");
  const free = lockStore(directory);
  assert.ok(!open());
  free();
});
