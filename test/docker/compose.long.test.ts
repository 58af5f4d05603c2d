// The compose file, as a user runs it: up, look, kill the primary's owner, look, bring it back.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { ClusterPicture } from "@holdfast/api";
import { until } from "@holdfast/testkit";
import { Engine } from "./engine.ts";

const MEMBERS = ["m1", "m2", "m3"];
const PRIMARY = "203.0.113.1";
const LIMIT_MS = 180_000;

interface Vip {
  readonly vip: string;
  readonly owner?: string;
}
interface Session {
  readonly id: string;
  readonly phase: string;
}

let engine: Engine;

before(() => {
  engine = Engine.open();
  engine.build("holdfast", "holdfast:local");
  engine.build("peer", "holdfast-peer:local");
});
after(() => engine?.close());

function items<T>(member: string, what: string): T[] {
  const parsed = JSON.parse(engine.exec(member, "holdfast", "get", what, "-o", "json")) as
    | { items?: T[] }
    | T[];
  return Array.isArray(parsed) ? parsed : (parsed.items ?? []);
}

const answered = () => {
  const line = engine.logs("client").findLast((text) => text.startsWith("messages sent"));
  return Number(/answered (\d+)/.exec(line ?? "")?.[1] ?? 0);
};
const clientEvents = () => engine.logs("client").filter((line) => /^association|^error/.test(line));
const ownerOfPrimary = (member: string) => items<Vip>(member, "vips").find((v) => v.vip === PRIMARY)?.owner;

async function comesUp(): Promise<void> {
  engine.compose("up", "-d", "--no-build");
  await until(
    "the client's association",
    () => engine.logs("client").includes("association 0: up"),
    LIMIT_MS,
    500,
  );
  await until("messages to flow", () => answered() > 50, LIMIT_MS, 500);
}

/** A member whose processor was taken is dead to the others for a moment, and its VIP is with one of them. */
async function agree(): Promise<void> {
  const agreed = async (
    what: string,
    list: "vips" | "sessions",
    textOf: (item: Vip & Session) => string,
    isRight: (lines: readonly string[]) => boolean,
  ) => {
    let views: string[][] = [];
    await until(
      what,
      () => {
        views = MEMBERS.map((member) => items<Vip & Session>(member, list).map(textOf).sort());
        return new Set(views.map((lines) => JSON.stringify(lines))).size === 1 && isRight(views[0] ?? []);
      },
      LIMIT_MS,
      500,
    ).catch((error: Error) => assert.fail(`${error.message}: ${JSON.stringify(views)}`));
  };
  await agreed(
    "every member to name the same owners, one for each VIP",
    "vips",
    ({ vip, owner }) => `${vip} ${owner}`,
    (lines) => new Set(lines.map((line) => line.split(" ")[1])).size === 2,
  );
  await agreed(
    "every member to hold the session",
    "sessions",
    ({ id, phase }) => `${id} ${phase}`,
    (lines) => lines.length === 1 && lines[0]?.endsWith(" established") === true,
  );
}

function hasLittle(): void {
  for (const member of MEMBERS) {
    const shell = (words: string) => engine.exec(member, "sh", "-c", words).trim();
    assert.equal(shell("stat -c %U /proc/1"), "holdfast");
    const capabilities = BigInt(`0x${shell("sed -n 's/^CapEff:[^0-9a-f]*//p' /proc/1/status")}`);
    // NET_ADMIN, NET_RAW, SYS_ADMIN, SYS_NICE
    assert.equal(capabilities, (1n << 12n) | (1n << 13n) | (1n << 21n) | (1n << 23n));
    assert.equal(shell("touch /opt/holdfast/x 2>/dev/null || echo refused"), "refused");
    assert.deepEqual(shell("ls /certificates").split("\n").sort(), [
      "authority.crt",
      "cluster.secret",
      "member.crt",
      "member.key",
    ]);
    assert.equal(shell("ls /authority 2>/dev/null || echo nothing"), "nothing");
    assert.match(shell("head -c 200 /opt/holdfast/sbom.cdx.json"), /CycloneDX/);
  }
}

/** What a member compiled is the daemon's own, and outlives it: its next start compiles nothing. */
async function keepsCompiled(): Promise<void> {
  const place = "/var/lib/holdfast/cache/compiled";
  for (const member of MEMBERS) {
    // The container's root has no DAC_OVERRIDE, and looks into nothing of the daemon's.
    const own = "setpriv --reuid=holdfast --regid=holdfast --clear-groups";
    const shell = (words: string) => engine.exec(member, "sh", "-c", `${own} ${words}`).trim();
    await until(`${member} to keep what it compiled`, () => {
      const kept = shell(`find ${place} -type f -user holdfast 2>/dev/null | wc -l`);
      return Number(kept) > 0;
    });
    assert.equal(shell(`stat -c '%U %a' ${place}`), "holdfast 700");
  }
}

/** Of a published port: the answer's status and body, or what kept it from coming. */
const ASK = `fetch(process.argv[1], { headers: process.argv[2] ? { origin: process.argv[2] } : {}, redirect: "manual" })
  .then(async (r) => ({ status: r.status, policy: r.headers.get("content-security-policy") ?? "", text: await r.text() }),
    (error) => ({ status: 0, policy: "", text: String(error.cause ?? error) }))
  .then((answer) => console.log(JSON.stringify(answer)))`;
interface Answer {
  readonly status: number;
  readonly policy: string;
  readonly text: string;
}
const ask = (url: string, origin = ""): Answer =>
  JSON.parse(engine.machine(process.execPath, "-e", ASK, url, origin)) as Answer;

async function showsPages(): Promise<void> {
  await until("each member to know where the others' pages are", () =>
    [7081, 7082, 7083].every((port) => {
      const { policy } = ask(`http://127.0.0.1:${port}/console/`);
      return [7081, 7082, 7083].every((other) => policy.includes(`http://127.0.0.1:${other}`));
    }),
  );
  for (const [index, member] of MEMBERS.entries()) {
    const origin = `http://127.0.0.1:${7081 + index}`;
    assert.match(ask(`${origin}/console/`).text, /<script type="module" src="console\.js">/);
    assert.match(ask(`${origin}/console/console.js`).text, /Who is connected to what/);
    const { member: told, members } = JSON.parse(ask(`${origin}/v1/cluster`).text) as ClusterPicture;
    assert.equal(told, member);
    assert.deepEqual(members.map(({ name }) => name).sort(), MEMBERS);
  }
  // The page of one member may ask another; that of a stranger may not.
  assert.equal(ask("http://127.0.0.1:7081/v1/cluster", "http://127.0.0.1:7082").status, 200);
  assert.equal(ask("http://127.0.0.1:7081/v1/cluster", "https://elsewhere.example").status, 403);
  const published = engine.machine("docker", "ps", "--format", "{{.Ports}}").split("\n").join(",");
  const hosts = [...published.matchAll(/([^\s,]+):[\d-]+->/g)].map(([, host]) => host);
  assert.deepEqual([...new Set(hosts)], ["127.0.0.1"], published);
}

function logsNoError(): void {
  for (const member of MEMBERS) {
    const errors = engine.logs(member).filter((line) => /"level":"(error|fatal)"/.test(line));
    assert.deepEqual(errors, [], member);
  }
}

async function ownerDies(): Promise<void> {
  const owner = ownerOfPrimary("m1") ?? "";
  assert.ok(MEMBERS.includes(owner));
  const witness = MEMBERS.find((m) => m !== owner) as string;
  const before = answered();
  engine.compose("kill", owner);
  await until("another owner", () => ![owner, undefined].includes(ownerOfPrimary(witness)), LIMIT_MS, 500);
  await until("messages to go on", () => answered() > before + 100, LIMIT_MS, 500);
  assert.equal(items<Session>(witness, "sessions").filter((s) => s.phase === "established").length, 1);

  engine.compose("start", owner);
  await until(
    "the member to hold the session again",
    () => items<Session>(owner, "sessions").some((s) => s.phase === "established"),
    LIMIT_MS,
    1000,
  );
  const back = answered();
  await until("messages to go on after the return", () => answered() > back + 100, LIMIT_MS, 500);

  // Never reconnected, nothing missing: from the receiver's numbers.
  assert.deepEqual(clientEvents(), ["association 0: up"]);
  const receipts = ["server-1", "server-2"]
    .flatMap((server) => engine.logs(server))
    .filter((line) => line.startsWith("sender 0"));
  assert.match(receipts.at(-1) ?? "", /missing 0,/);
  assert.ok(receipts.every((line) => line.includes("missing 0,")));
}

// Each goes on where the last one ended.
test("the compose file", async (t) => {
  await t.test(
    "up: three members, two servers and a client come up by one command, and messages flow",
    { timeout: 600_000 },
    comesUp,
  );
  await t.test(
    "every member names the same owners, different ones for the two VIPs, and holds the session",
    agree,
  );
  await t.test(
    "a member is no root, writes nothing but its store and its pins, and has no key but its own",
    hasLittle,
  );
  await t.test("a member keeps what it compiled with its state", keepsCompiled);
  await t.test(
    "the page of each member is published on the machine's loopback, and nothing anywhere else",
    showsPages,
  );
  await t.test("no member logs an error", logsNoError);
  await t.test(
    "kill the primary's owner: the client goes on, nothing is lost, and the owner comes back",
    { timeout: 600_000 },
    ownerDies,
  );
});
