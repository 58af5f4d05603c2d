import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { initAuthority, issueMember } from "@holdfast/sync/certificates";
import { parseConfiguration } from "../config/load.ts";
import { diagnoseMachine, thisMachine } from "./machine.ts";

let top: string;
before(async () => {
  top = mkdtempSync(join(tmpdir(), "holdfast-diagnose-"));
  await initAuthority(top, { clusterId: "alpha" });
  await issueMember(top, { memberName: "m0" });
  await issueMember(top, { memberName: "m1", validDays: 10 });
  for (const part of ["journals", "values"]) mkdirSync(join(top, "store", part), { recursive: true });
});
after(() => rmSync(top, { recursive: true, force: true }));

function findings(member: string, number: number, certificate = member, machine = thisMachine) {
  const { configuration } = parseConfiguration(
    `cluster: { id: alpha, secret: "0123456789abcdef", certificates: { authority: ${top}/authority.crt,
       certificate: ${top}/${certificate}.crt, key: ${top}/${certificate}.key } }
member: { name: ${member}, number: ${number} }
members: [{ name: m9, number: 9, addresses: [192.0.2.1] }]
store: { directory: ${top}/store }`.replace("number: 9", "number: 7"),
    "test.yaml",
  );
  const found = diagnoseMachine(configuration, machine);
  return (subject: string) => found.find((finding) => finding.subject === subject);
}

test("a certificate is good, ends soon, is another member's, or cannot be read", () => {
  assert.equal(findings("m0", 0)("certificate")?.level, "ok");
  const soon = findings("m1", 1)("certificate");
  assert.equal(soon?.level, "warn");
  assert.match(`${soon?.detail} ${soon?.remedy}`, /ends in 9 days.*no restart/);
  assert.match(findings("m0", 0, "m1")("certificate")?.detail ?? "", /certificate of m1/);
  assert.match(findings("m0", 0, "m5")("certificate")?.detail ?? "", /m5.crt.*cannot be read/);
  writeFileSync(join(top, "m6.crt"), readFileSync(join(top, "m0.crt")));
  writeFileSync(join(top, "m6.key"), readFileSync(join(top, "m1.key")));
  assert.match(findings("m0", 0, "m6")("certificate")?.detail ?? "", /not the key/);
});

test("capabilities that are missing are named; without SYS_NICE it runs", () => {
  const having = (...bits: readonly number[]) => {
    const effective = bits.reduce((sum, bit) => sum | (1n << BigInt(bit)), 0n).toString(16);
    const status = `CapInh:\t0\nCapEff:\t${effective.padStart(16, "0")}\n`;
    const read = (path: string) => (path === "/proc/self/status" ? status : thisMachine.read(path));
    return findings("m0", 0, "m0", { ...thisMachine, read })("capabilities");
  };
  assert.equal(having(12, 13, 21, 23)?.level, "ok");
  assert.equal(having(12, 13, 23, 38, 39)?.level, "ok");
  const hurried = having(12, 13, 38, 39);
  assert.match(`${hurried?.level} ${hurried?.detail}`, /^warn .*not SYS_NICE/);
  const deaf = having(12, 23, 38, 39);
  assert.match(`${deaf?.level} ${deaf?.detail}`, /^fail .*CAP_NET_RAW/);
});

test("files of the store that were put aside are named", () => {
  assert.equal(findings("m0", 0)("store")?.level, "ok");
  writeFileSync(join(top, "store", "values", "configuration.value.broken-20260102T030405Z"), "x");
  const store = findings("m0", 0)("store");
  assert.equal(store?.level, "warn");
  assert.match(store?.detail ?? "", /1 broken files.*configuration.value.broken/);
});
