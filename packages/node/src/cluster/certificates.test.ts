import assert from "node:assert/strict";
import { copyFileSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, beforeEach, test } from "node:test";
import { type Clock, HoldfastError, type Logger, silentLogger, systemClock } from "@holdfast/model";
import { initAuthority, issueMember, type MemberTls } from "@holdfast/sync";
import { parseConfiguration } from "../config/load.ts";
import { CertificateKeeper, type CertificateState } from "./certificates.ts";

const DAY_MS = 86_400_000;
let top: string;
let place: string;
let wallMs: number;
let lines: string[];
let applied: MemberTls[];
let states: CertificateState[];

before(async () => {
  top = mkdtempSync(join(tmpdir(), "holdfast-keeper-"));
  await initAuthority(top, { clusterId: "alpha" });
  for (const memberName of ["m0", "m1"]) await issueMember(top, { memberName });
});
after(() => rmSync(top, { recursive: true, force: true }));
beforeEach(() => {
  place = mkdtempSync(join(top, "member-"));
  wallMs = Date.now();
  lines = [];
  applied = [];
  states = [];
});

/** As an operator copies it: beside its place, then renamed. */
function install(what: "crt" | "key", from = "m0"): void {
  copyFileSync(join(top, `${from}.${what}`), join(place, `${what}.new`));
  renameSync(join(place, `${what}.new`), join(place, `member.${what}`));
}

async function keeper(): Promise<CertificateKeeper> {
  const { configuration } = parseConfiguration(
    `cluster: { id: alpha, secret: "0123456789abcdef", certificates: { authority: ${top}/authority.crt,
       certificate: ${place}/member.crt, key: ${place}/member.key } }
member: { name: m0, number: 0 }
members: [{ name: m1, number: 1, addresses: [192.0.2.1] }]`,
    "test.yaml",
  );
  const clock: Clock = { ...systemClock, wallMs: () => wallMs, every: () => ({ cancel: () => {} }) };
  const note = (fields: object, message: string) => void lines.push(`${JSON.stringify(fields)} ${message}`);
  const logger: Logger = { ...silentLogger, info: note, warn: note, error: note };
  const made = new CertificateKeeper({
    configuration,
    own: { name: "m0", number: 0, zone: "" },
    clock,
    logger,
  });
  await made.load();
  made.watch(
    (tls) => void applied.push(tls),
    (state) => void states.push(state),
  );
  return made;
}

test("new files are taken once both are there, and a half change is none", async () => {
  install("crt");
  install("key");
  const kept = await keeper();
  await kept.look();
  assert.equal(applied.length, 0);
  await issueMember(top, { memberName: "m0", validDays: 100 });
  install("crt");
  await kept.look();
  assert.equal(applied.length, 0);
  assert.match(lines.at(-1) ?? "", /CERTIFICATE_KEY_MISMATCH.*old ones stay/);
  install("key");
  await kept.look();
  assert.equal(applied.length, 1);
  assert.match(lines.at(-1) ?? "", /certificates were read anew/);
  assert.ok([99, 100].includes(states.at(-1)?.daysLeft ?? 0));
  await kept.look();
  assert.equal(applied.length, 1);
});

test("another member's is refused, said once, and again when somebody asks", async () => {
  install("crt");
  install("key");
  const kept = await keeper();
  install("crt", "m1");
  install("key", "m1");
  const refusals = () => lines.filter((line) => line.includes("CERTIFICATE_OF_ANOTHER_MEMBER")).length;
  await kept.look();
  await kept.look();
  assert.equal(refusals(), 1);
  await kept.look(true);
  assert.equal(refusals(), 2);
  assert.equal(applied.length, 0);
});

test("an end that comes is told in time, one that has come is no reason not to start", async () => {
  await issueMember(top, { memberName: "m0", validDays: 40 });
  install("crt");
  install("key");
  const kept = await keeper();
  assert.deepEqual([states.at(-1)?.ok, lines.length], [true, 0]);
  wallMs += 11 * DAY_MS;
  await kept.look();
  await kept.look();
  assert.equal(states.at(-1)?.ok, false);
  assert.equal(lines.length, 1, "told once a day");
  assert.match(lines[0] ?? "", /"daysLeft":2[89].*ends soon/);
  wallMs += 30 * DAY_MS;
  await kept.look();
  assert.equal(lines.length, 2);
  assert.match(
    lines[1] ?? "",
    /CERTIFICATE_EXPIRED/,
    "told when it comes, however lately it was said to come",
  );
  const again = await keeper();
  assert.match(lines.at(-1) ?? "", /CERTIFICATE_EXPIRED.*issue NAME.*none begins/);
  const { ok, detail } = again.state() ?? {};
  assert.equal(ok, false);
  assert.match(detail ?? "", /ended at/);
});

test("files that are not there are named", async () => {
  await assert.rejects(
    keeper(),
    (error) => error instanceof HoldfastError && error.code === "CERTIFICATE_FILE_UNREADABLE",
  );
});
