// The systemd unit: well-formed, and its capabilities are enough for the daemon, and no more than it needs.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chownSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Cluster, HOLDFAST_PROGRAM, ROUTED_PROFILE, sessionsUp, until } from "@holdfast/testkit";

const UNIT = "deploy/systemd/holdfast.service";
const text = readFileSync(UNIT, "utf8");
const withBgp = readFileSync("deploy/systemd/holdfast-bgp.conf", "utf8");
const capabilitiesOf = (unit: string) =>
  (/^CapabilityBoundingSet=(.*)$/m.exec(unit)?.[1] ?? "")
    .split(" ")
    .map((name) => name.replace("CAP_", "").toLowerCase());
const capabilities = capabilitiesOf(text);

test("systemd finds nothing wrong with the unit", () => {
  const directory = mkdtempSync(join(tmpdir(), "holdfast-unit-"));
  try {
    // The program is not installed here: any that exists stands in for it.
    const file = join(directory, "holdfast.service");
    writeFileSync(file, text.replaceAll("/usr/bin/holdfast", "/bin/true"));
    mkdirSync(`${file}.d`);
    writeFileSync(join(`${file}.d`, "bgp.conf"), withBgp);
    const { status, stderr } = spawnSync("systemd-analyze", ["verify", "--man=no", file], {
      encoding: "utf8",
    });
    const ours = stderr.split("\n").filter((line) => /holdfast\.service|bgp\.conf/.test(line));
    assert.deepEqual(ours, []);
    assert.equal(status, 0, stderr);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});

/** Any that is nobody's. */
const USER = 64_321;

/** The only member, started as the unit starts it; its log so far. */
async function started(cluster: Cluster, names: readonly string[]): Promise<() => string> {
  const [member] = cluster.members;
  assert.ok(member);
  // What the unit makes before the start, as root: its part of the bpffs, its state; a place for the socket.
  for (const own of [member.pinDirectory, member.storeDirectory, cluster.lab.directory]) {
    mkdirSync(own, { recursive: true });
    chownSync(own, USER, USER);
  }
  const list = names.map((name) => `+${name}`).join(",");
  const daemon = member.host.spawn(
    "setpriv",
    [
      `--reuid=${USER}`,
      `--regid=${USER}`,
      "--clear-groups",
      `--bounding-set=-all,${list}`,
      `--inh-caps=-all,${list}`,
      `--ambient-caps=-all,${list}`,
      "--no-new-privs",
      process.execPath,
      "--disable-warning=ExperimentalWarning",
      HOLDFAST_PROGRAM,
      "run",
      "--config",
      member.configFile,
    ],
    { stdio: ["ignore", "pipe", "pipe"] },
  );
  let log = "";
  daemon.stdout?.on("data", (data) => {
    log += data;
  });
  daemon.stderr?.on("data", (data) => {
    log += data;
  });
  await until("the daemon to be ready", async () => {
    if (daemon.exitCode !== null) throw new Error(log);
    return (await member.fetch("GET", "/v1/health/ready")).status === 200;
  });
  assert.equal(statSync(`/proc/${daemon.pid}`).uid, USER);
  return () => log;
}

test("the unit's user and capabilities are enough for BPF, announcements and an association", async () => {
  assert.ok(capabilities.length > 1);
  assert.match(text, /^User=holdfast$/m);
  const cluster = new Cluster({ fastPath: "tc" });
  try {
    const log = await started(cluster, capabilities);
    assert.match(log(), /"fastPath":"tc"/);
    await cluster.startEndpoint();
    const client = await cluster.startClient(0);
    await client.established(1);
    await until("an echo", async () => ((await client.associations())[0]?.echoes ?? 0) > 0);
  } finally {
    await cluster.close();
  }
});

test("with what the drop-in for bgp adds, the speaker runs with real-time priority and has its sessions", async () => {
  const cluster = new Cluster({ fastPath: "tc", profile: ROUTED_PROFILE });
  try {
    await Promise.all(cluster.bgpRouters.map((router) => router.start()));
    const log = await started(cluster, [...capabilities, ...capabilitiesOf(withBgp)]);
    await sessionsUp(cluster.members);
    assert.match(log(), /"realtime":true.*the speaker runs/);
  } finally {
    await cluster.close();
  }
});
