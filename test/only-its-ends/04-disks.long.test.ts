// A daemon whose disk fills, turns read-only, and heals: what the API confirms is there after a kill, what it
// cannot keep it refuses to confirm, and packets never notice. A second daemon on the same store is refused;
// broken files are put aside.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Cluster, HOLDFAST_PROGRAM, type Member, until } from "@holdfast/testkit";

const STORE_SIZE = "8m";

interface Health {
  readonly status: string;
  readonly checks: readonly { readonly name: string; readonly ok: boolean; readonly detail: string }[];
}

describe("a daemon on a disk of its own", () => {
  let cluster: Cluster;
  let member: Member;
  let filler: string;

  before(async () => {
    cluster = new Cluster();
    member = cluster.members[0] as Member;
    const store = member.storeDirectory;
    mkdirSync(store);
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${STORE_SIZE},mode=0700`, "holdfast-test", store]);
    cluster.lab.onEnd(() => execFileSync("umount", ["--lazy", store]));
    filler = join(store, "filler");
    await cluster.start();
    await cluster.startEndpoint();
  });
  after(() => cluster?.close());

  const post = async (port: number) => {
    const endpoints = [{ address: cluster.endpoints[0]?.addresses("core")[0], port }];
    const { status, body } = await member.fetch("POST", "/v1/services", {
      name: `s${port}`,
      vips: [cluster.vips[0]],
      port,
      endpoints,
    });
    return { status, problem: JSON.parse(body) as { code?: string; title?: string } };
  };
  const has = async (port: number) => {
    const { items } = await member.get<{ items: { port: number }[] }>("/v1/services");
    return items.some((service) => service.port === port);
  };
  const disk = async () =>
    (await member.get<Health>("/v1/health/ready")).checks.find(({ name }) => name === "store");
  const fill = () => {
    try {
      writeFileSync(filler, Buffer.alloc(64 * 1024 * 1024));
    } catch (error) {
      assert.equal((error as NodeJS.ErrnoException).code, "ENOSPC");
    }
  };
  const again = async () => {
    await member.killDaemon();
    await member.start();
  };
  const writable = (does: boolean) =>
    until(`the store to ${does ? "heal" : "fail"}`, async () => (await disk())?.ok === does);

  test("a change that was confirmed is there after kill -9", async () => {
    assert.equal((await post(40001)).status, 201);
    await again();
    assert.ok(await has(40001));
    assert.equal((await disk())?.ok, true);
  });

  test("on a full disk it is in force and answered with an error; packets do not notice", async () => {
    fill();
    const { status, problem } = await post(40002);
    assert.equal(status, 507);
    assert.equal(problem.code, "CONFIGURATION_NOT_KEPT");
    assert.match(problem.title ?? "", /in force.*ENOSPC/);
    assert.ok(await has(40002));
    await writable(false);
    assert.equal((await member.get<Health>("/v1/health/ready")).status, "ok", "it is ready all the same");
    assert.equal(await member.metric("holdfast_store_writable"), 0);
    assert.match(member.log(), /STORE_WRITE_FAILED/);
    const client = await cluster.startClient(0);
    await client.established(1);
    await until("an echo", async () => ((await client.associations())[0]?.echoes ?? 0) > 0);
  });

  test("killed then, it starts on the full disk with what was confirmed, and nothing else", async () => {
    await again();
    assert.ok(await has(40001));
    assert.ok(!(await has(40002)), "nobody was told that it is kept");
    await writable(false);
    assert.equal((await post(40002)).status, 507);
  });

  test("with room again it is written without being asked, and is there after kill -9", async () => {
    rmSync(filler);
    await writable(true);
    assert.match(member.log(), /the store can be written again/);
    assert.equal(await member.metric("holdfast_store_writable"), 1);
    await again();
    assert.ok(await has(40002));
  });

  test("a disk that turned read-only is the same, until it heals", async () => {
    // Refused while a file is open for writing: between two writes of the store it is not.
    await until("the disk to become read-only", () => {
      try {
        execFileSync("mount", ["-o", "remount,ro", member.storeDirectory], { stdio: "ignore" });
        return true;
      } catch {
        return false;
      }
    });
    try {
      const { status, problem } = await post(40003);
      assert.equal(status, 507);
      assert.match(problem.title ?? "", /EROFS/);
    } finally {
      execFileSync("mount", ["-o", "remount,rw", member.storeDirectory]);
    }
    // An operator does not wait for the timer: the same request again is answered as it is now.
    assert.equal((await post(40003)).status, 200);
    await again();
    assert.ok(await has(40003));
  });

  test("a second daemon on the same store is refused, whatever its data plane and network", async () => {
    const file = join(cluster.lab.directory, "second.json");
    const configuration = JSON.parse(readFileSync(member.configFile, "utf8"));
    configuration.dataPlane.pinDirectory += "-second";
    configuration.api.listen = `unix:${cluster.lab.directory}/second.sock`;
    writeFileSync(file, JSON.stringify(configuration));
    const child = cluster.endpoints[0]?.spawn(
      process.execPath,
      ["--disable-warning=ExperimentalWarning", HOLDFAST_PROGRAM, "run", "--config", file],
      { stdio: ["ignore", "pipe", "pipe"] },
    );
    assert.ok(child);
    let text = "";
    for (const stream of [child.stdout, child.stderr]) stream?.on("data", (data) => (text += data));
    const code = await new Promise((resolve) => child.once("close", resolve));
    assert.equal(code, 5, text);
    assert.match(text, /Another holdfast runs with the store in/);
    assert.ok(member.running);
  });

  test("broken files are put aside, told, and counted; the daemon starts", async () => {
    assert.equal(await member.stop(), 0);
    const journals = join(member.storeDirectory, "journals");
    const journal = `${"0".repeat(30)}2a-0.journal`;
    writeFileSync(join(journals, journal), "not what it was");
    const values = join(member.storeDirectory, "values");
    writeFileSync(join(values, "floors.value"), "HFV1nonsense");
    await member.start();
    assert.match(member.log(), new RegExp(`STORE_FILE_DAMAGED.*${journal}.broken-`));
    const aside = [journals, values].flatMap((place) =>
      readdirSync(place)
        .filter((name) => name.includes(".broken-"))
        .map((name) => readFileSync(join(place, name), "utf8")),
    );
    assert.deepEqual(aside.sort(), ["HFV1nonsense", "not what it was"]);
    assert.equal(await member.metric("holdfast_store_broken_files"), 2);
    assert.ok(await has(40003));
  });
});
