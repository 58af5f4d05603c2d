import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, suite, test } from "node:test";
import { systemClock } from "@holdfast/model";
import { initAuthority, isRevoked, issueMember, type Revocation } from "@holdfast/sync";
import { createLocalConfigurationStore } from "../services/store.ts";
import { open } from "./probe-credentials.ts";
import { Revocations } from "./revocations.ts";

const directory = mkdtempSync(join(tmpdir(), "holdfast-revocations-"));
/** Of an authority whose members' certificates have ended. */
const old = mkdtempSync(join(tmpdir(), "holdfast-revocations-"));
after(() => {
  for (const made of [directory, old]) rmSync(made, { recursive: true, force: true });
});
await initAuthority(directory, { clusterId: "alpha" });

/** A certificate issued at a moment, and its key. */
async function issue(memberName: string, memberNumber: number, wallMs = Date.now(), at = directory) {
  const made = await issueMember(at, { memberName, memberNumber, wallMs });
  return {
    authorityPem: readFileSync(join(at, "authority.crt"), "utf8"),
    certificatePem: readFileSync(made.certificateFile, "utf8"),
    keyPem: readFileSync(made.keyFile, "utf8"),
    clusterId: "alpha",
  };
}

suite("revoked certificates", () => {
  test("a member's certificates until now, or one; the list is kept in order, bounded and told when it changes", async () => {
    let wallMs = Date.now() + 10_000;
    const store = createLocalConfigurationStore();
    const revocations = new Revocations(store, { ...systemClock, wallMs: () => wallMs });
    const told: (readonly Revocation[])[] = [];
    revocations.follow((entries) => told.push(entries));
    const [old, other] = [await issue("m1", 1), await issue("m2", 2)];
    revocations.add({ member: "m1" });
    const renewed = await issue("m1", 1, wallMs + 5_000);
    const judged = () =>
      [old, renewed, other].map(({ certificatePem }) => isRevoked(certificatePem, revocations.entries()));
    assert.deepEqual(judged(), [true, false, false]);
    // Stolen again: everything that was issued until the new moment.
    wallMs += 20_000;
    revocations.add({ member: "m1" });
    assert.deepEqual(judged(), [true, true, false]);
    const { serial } = revocations.add({ serial: "0A:BC" });
    assert.equal(serial, "abc");
    assert.deepEqual(
      revocations.list().map(({ id }) => id),
      ["member:m1", "serial:abc"],
    );
    revocations.add({ serial: "abc" });
    store.setNote("revoked/serial/nonsense", { atMs: 1e300 });
    store.setNote("something/else", {});
    assert.equal(revocations.list().length, 2);
    revocations.remove("member:m1");
    assert.deepEqual(judged(), [false, false, false]);
    assert.throws(() => revocations.remove("member:m1"), { code: "REVOCATION_NOT_FOUND" });
    assert.throws(() => revocations.add({ serial: "no" }), { code: "REQUEST_INVALID" });
    assert.deepEqual(
      told.map((entries) => entries.length),
      [0, 1, 1, 2, 1],
    );
    for (let n = 2; n < 1_024; n++) revocations.add({ serial: n.toString(16) });
    assert.throws(() => revocations.add({ member: "m3" }), { code: "REVOCATION_COUNT_EXCEEDED" });
  });

  test("a hello is believed for its certificate, also one that has ended, and for nothing else", async () => {
    const [a, b] = [open(await issue("m1", 1)), open(await issue("m2", 2))];
    const bytes = new Uint8Array([1, 2, 3]);
    assert.deepEqual(b.verify(a.shown, bytes, a.sign(bytes)), { ok: true, number: 1 });
    const reasonOf = (shown: Uint8Array, signature: Uint8Array, of = bytes) => {
      const proof = b.verify(shown, of, signature);
      return proof.ok ? "believed" : proof.reason;
    };
    assert.match(reasonOf(a.shown, a.sign(bytes), new Uint8Array(3)), /does not have the key/);
    assert.match(reasonOf(a.shown, b.sign(bytes)), /does not have the key/);
    assert.match(reasonOf(new Uint8Array(40), a.sign(bytes)), /certificate/);
    const day = 86_400_000;
    await initAuthority(old, { clusterId: "alpha", wallMs: Date.now() - 900 * day });
    const ended = open(await issue("m1", 1, Date.now() - 890 * day, old));
    const judge = open(await issue("m2", 2, Date.now() - 890 * day, old));
    assert.deepEqual(judge.verify(ended.shown, bytes, ended.sign(bytes)), { ok: true, number: 1 });
    assert.match(reasonOf(ended.shown, ended.sign(bytes)), /not signed by/);
    b.revoke([{ kind: "member", memberName: "m1", untilMs: Date.now() + day }]);
    const proof = b.verify(a.shown, bytes, a.sign(bytes));
    assert.ok(!proof.ok && proof.revoked && b.isRevoked(a.shown) && !b.isRevoked(b.shown));
  });
});
