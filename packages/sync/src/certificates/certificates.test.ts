import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { HoldfastError } from "@holdfast/model";
import {
  createAuthority,
  identityOfCertificate,
  initAuthority,
  issueMember,
  issueMemberCertificate,
  type KeyPair,
  listMembers,
  loadMemberTls,
  parseIdentityUri,
  verifyMemberCertificate,
} from "./index.ts";

const DAY_MS = 86_400_000;
const code = (expected: string) => (error: unknown) =>
  error instanceof HoldfastError && error.code === expected;

describe("authority and member certificates", () => {
  let authority: KeyPair;
  let member: KeyPair;
  const identity = { clusterId: "alpha", memberName: "m1", memberNumber: 3 };

  before(async () => {
    authority = await createAuthority({ clusterId: "alpha" });
    member = await issueMemberCertificate(authority, { ...identity, addresses: ["10.0.0.1", "2001:db8::1"] });
  });

  const tls = () => ({ ...member, authorityPem: authority.certificatePem });

  it("carries cluster, name, number and addresses", () => {
    const verified = verifyMemberCertificate(tls(), { clusterId: "alpha" });
    assert.equal(verified.memberName, "m1");
    assert.equal(verified.memberNumber, 3);
    assert.equal(verified.clusterId, "alpha");
    assert.equal(verified.daysLeft, 824 - 3 * 14);
    assert.equal(verified.renewSoon, false);
    const names = new X509Certificate(member.certificatePem).subjectAltName ?? "";
    assert.match(names, /IP Address:10\.0\.0\.1/);
    assert.match(names, /IP Address:2001:DB8:0:0:0:0:0:1/i);
  });

  it("is neither an authority nor good for anything but TLS of members", () => {
    const certificate = new X509Certificate(member.certificatePem);
    assert.equal(certificate.ca, false);
    assert.deepEqual(certificate.keyUsage, ["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"]);
    assert.equal(new X509Certificate(authority.certificatePem).ca, true);
  });

  it("tells a slow and a fast clock apart from an hour's skew", () => {
    const now = Date.now();
    assert.throws(
      () => verifyMemberCertificate(tls(), { wallMs: now - 2 * DAY_MS }),
      code("CERTIFICATE_NOT_YET_VALID"),
    );
    assert.throws(
      () => verifyMemberCertificate(tls(), { wallMs: now + 826 * DAY_MS }),
      code("CERTIFICATE_EXPIRED"),
    );
    verifyMemberCertificate(tls(), { wallMs: now - 3_500_000 });
    assert.equal(verifyMemberCertificate(tls(), { wallMs: now + 760 * DAY_MS }).renewSoon, true);
  });

  it("refuses another authority, also one of the same name", async () => {
    const impostor = await createAuthority({ clusterId: "alpha" });
    assert.throws(
      () => verifyMemberCertificate({ ...member, authorityPem: impostor.certificatePem }),
      code("CERTIFICATE_WRONG_AUTHORITY"),
    );
    await assert.rejects(
      issueMemberCertificate(
        { certificatePem: authority.certificatePem, keyPem: impostor.keyPem },
        { ...identity, addresses: [] },
      ),
      code("CERTIFICATE_AUTHORITY_UNUSABLE"),
    );
  });

  it("refuses another cluster, a foreign key, garbage, and a certificate without identity", async () => {
    assert.throws(
      () => verifyMemberCertificate(tls(), { clusterId: "beta" }),
      code("CERTIFICATE_WRONG_CLUSTER"),
    );
    assert.throws(
      () => verifyMemberCertificate({ ...tls(), keyPem: authority.keyPem }),
      code("CERTIFICATE_KEY_MISMATCH"),
    );
    assert.throws(
      () => verifyMemberCertificate({ ...tls(), certificatePem: "garbage" }),
      code("CERTIFICATE_UNREADABLE"),
    );
    assert.throws(
      () => verifyMemberCertificate({ ...authority, authorityPem: authority.certificatePem }),
      code("CERTIFICATE_WITHOUT_IDENTITY"),
    );
    await assert.rejects(
      issueMemberCertificate(authority, { ...identity, clusterId: "beta", addresses: [] }),
      code("CERTIFICATE_AUTHORITY_UNUSABLE"),
    );
  });

  it("never outlives its authority, and an expired authority signs nothing", async () => {
    const short = await createAuthority({ clusterId: "alpha", validDays: 10 });
    const issued = await issueMemberCertificate(short, { ...identity, addresses: [] });
    const verified = verifyMemberCertificate({ ...issued, authorityPem: short.certificatePem });
    assert.ok(verified.notAfterMs <= new X509Certificate(short.certificatePem).validToDate.getTime());
    await assert.rejects(
      issueMemberCertificate(short, { ...identity, addresses: [], wallMs: Date.now() + 11 * DAY_MS }),
      code("CERTIFICATE_AUTHORITY_UNUSABLE"),
    );
  });

  it("of members made on one day do not end on one day", async () => {
    const ends = new Set<number>();
    for (let memberNumber = 0; memberNumber < 16; memberNumber++) {
      const issued = await issueMemberCertificate(authority, { ...identity, memberNumber, addresses: [] });
      const { daysLeft } = verifyMemberCertificate({ ...issued, authorityPem: authority.certificatePem });
      assert.ok(daysLeft > 600);
      ends.add(daysLeft);
    }
    const sorted = [...ends].sort((a, b) => a - b);
    assert.equal(sorted.length, 16);
    for (const [n, days] of sorted.entries()) if (n > 0) assert.ok(days - (sorted[n - 1] ?? 0) >= 14);
  });

  it("tells instead of throwing that its time is over, when it is asked to", () => {
    const wallMs = Date.now() + 826 * DAY_MS;
    const verified = verifyMemberCertificate(tls(), { wallMs, time: "tell" });
    assert.equal(verified.trouble?.code, "CERTIFICATE_EXPIRED");
    assert.match(verified.trouble.remedy, /takes them by itself/);
    assert.ok(verified.daysLeft < 0 && verified.renewSoon);
    assert.equal(verifyMemberCertificate(tls(), { time: "tell" }).trouble, undefined);
  });

  it("are verified with every authority of a bundle, whatever its order", async () => {
    const next = await createAuthority({ clusterId: "alpha" });
    const issued = await issueMemberCertificate(next, { ...identity, addresses: [] });
    for (const authorityPem of [
      `${authority.certificatePem}${next.certificatePem}`,
      `# the new one\n${next.certificatePem}\n${authority.certificatePem}`,
    ]) {
      verifyMemberCertificate({ ...member, authorityPem });
      const { authorityNotAfterMs } = verifyMemberCertificate({ ...issued, authorityPem });
      assert.equal(authorityNotAfterMs, new X509Certificate(next.certificatePem).validToDate.getTime());
    }
    assert.throws(
      () => verifyMemberCertificate({ ...issued, authorityPem: authority.certificatePem }),
      code("CERTIFICATE_WRONG_AUTHORITY"),
    );
  });

  it("warns of the authority's end as of its own, and bounds a bundle", async () => {
    const wallMs = Date.now() + 3_630 * DAY_MS;
    const late = await issueMemberCertificate(authority, { ...identity, addresses: [], wallMs });
    const verified = verifyMemberCertificate({ ...late, authorityPem: authority.certificatePem }, { wallMs });
    assert.ok(verified.renewSoon);
    assert.throws(
      () => verifyMemberCertificate({ ...tls(), authorityPem: authority.certificatePem.repeat(33) }),
      code("CERTIFICATE_UNREADABLE"),
    );
    assert.throws(
      () => verifyMemberCertificate({ ...tls(), authorityPem: "-----BEGIN CERTIFICATE-----".repeat(1_000) }),
      code("CERTIFICATE_UNREADABLE"),
    );
  });

  it("takes no bundle that is half written, wherever it ends within a certificate", async () => {
    const next = await createAuthority({ clusterId: "alpha" });
    const first = authority.certificatePem.trimEnd().length;
    const bundle = `${authority.certificatePem}${next.certificatePem}`;
    const verifies = (length: number) => {
      try {
        return verifyMemberCertificate({ ...member, authorityPem: bundle.slice(0, length) }).memberName;
      } catch (error) {
        return code("CERTIFICATE_UNREADABLE")(error) ? undefined : assert.fail(String(error));
      }
    };
    // Between the two nothing shows that there is to be a second one.
    const begun = authority.certificatePem.length + "-----BEGIN CERTIFICATE-----".length;
    for (const length of [0, 100, first - 1, begun, begun + 200, bundle.trimEnd().length - 1])
      assert.equal(verifies(length), undefined, `${length} bytes of ${bundle.length}`);
    assert.equal(verifies(bundle.length), identity.memberName);
  });

  it("refuses names and numbers that no slot or URI can carry", async () => {
    for (const memberName of ["", "-m", "m-", "M", "m/1", "m,1", "x".repeat(64)]) {
      await assert.rejects(
        issueMemberCertificate(authority, { ...identity, memberName, addresses: [] }),
        code("CERTIFICATE_NAME_INVALID"),
      );
    }
    for (const memberNumber of [-1, 64, 1.5, Number.NaN]) {
      await assert.rejects(
        issueMemberCertificate(authority, { ...identity, memberNumber, addresses: [] }),
        code("CERTIFICATE_NUMBER_INVALID"),
      );
    }
  });

  it("reads identities totally", () => {
    assert.deepEqual(parseIdentityUri("holdfast://alpha/members/m1?number=3"), identity);
    for (const uri of [
      "holdfast://alpha/members/m1",
      "holdfast://alpha/members/m1?number=64",
      "holdfast://alpha/members/m1?number=3&number=4",
      "holdfast://-/members/m1?number=3",
      "http://alpha/members/m1?number=3",
      "",
    ]) {
      assert.equal(parseIdentityUri(uri), undefined, uri);
    }
    assert.equal(identityOfCertificate("nonsense"), undefined);
    assert.equal(identityOfCertificate(new Uint8Array(40)), undefined);
    assert.equal(identityOfCertificate("x".repeat(20_000)), undefined);
  });
});

describe("the authority's directory", () => {
  let directory: string;
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "holdfast-certificates-"));
  });
  after(() => rm(directory, { recursive: true, force: true }));

  it("issues, renews with the same number, and keeps keys private", async () => {
    await initAuthority(directory, { clusterId: "alpha" });
    const first = await issueMember(directory, { memberName: "m1", addresses: ["10.0.0.1"] });
    const second = await issueMember(directory, { memberName: "m2" });
    assert.deepEqual([first.memberNumber, second.memberNumber], [0, 1]);
    const renewed = await issueMember(directory, { memberName: "m1" });
    assert.equal(renewed.memberNumber, 0);
    const tls = await loadMemberTls(renewed);
    assert.match(new X509Certificate(tls.certificatePem).subjectAltName ?? "", /10\.0\.0\.1/);
    verifyMemberCertificate(tls, { clusterId: "alpha" });
    for (const file of ["authority.key", "m1.key", "m2.key"])
      assert.equal((await stat(join(directory, file))).mode & 0o777, 0o600, file);
    assert.deepEqual(
      (await readdir(directory)).filter((file) => file.endsWith(".new")),
      [],
    );
    assert.deepEqual((await listMembers(directory)).members, [
      { memberName: "m1", memberNumber: 0 },
      { memberName: "m2", memberNumber: 1 },
    ]);
  });

  it("gives a number to one name only, and a name one number only", async () => {
    await assert.rejects(
      issueMember(directory, { memberName: "m3", memberNumber: 1 }),
      code("CERTIFICATE_NUMBER_TAKEN"),
    );
    await assert.rejects(
      issueMember(directory, { memberName: "m1", memberNumber: 5 }),
      code("CERTIFICATE_NUMBER_FIXED"),
    );
    await assert.rejects(
      initAuthority(directory, { clusterId: "alpha" }),
      code("CERTIFICATE_AUTHORITY_EXISTS"),
    );
  });

  it("runs out of numbers with a code", async () => {
    const members = Object.fromEntries(
      Array.from({ length: 64 }, (_, number) => [`n${number}`, { number, addresses: [] }]),
    );
    const full = await mkdtemp(join(tmpdir(), "holdfast-certificates-"));
    try {
      await initAuthority(full, { clusterId: "alpha" });
      await writeFile(join(full, "members.json"), JSON.stringify({ clusterId: "alpha", members }));
      await assert.rejects(
        issueMember(full, { memberName: "one-more" }),
        code("CERTIFICATE_NUMBERS_EXHAUSTED"),
      );
      await writeFile(join(full, "members.json"), "{");
      await assert.rejects(issueMember(full, { memberName: "m" }), code("CERTIFICATE_AUTHORITY_UNUSABLE"));
    } finally {
      await rm(full, { recursive: true, force: true });
    }
  });

  it("names what is missing", async () => {
    const nowhere = join(directory, "nowhere");
    await assert.rejects(issueMember(nowhere, { memberName: "m1" }), code("CERTIFICATE_AUTHORITY_MISSING"));
    await assert.rejects(
      loadMemberTls({ authorityFile: nowhere, certificateFile: nowhere, keyFile: nowhere }),
      (error: unknown) => code("CERTIFICATE_FILE_UNREADABLE")(error) && String(error).includes("nowhere"),
    );
  });
});
