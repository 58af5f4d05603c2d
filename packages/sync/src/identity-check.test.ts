import "reflect-metadata";
import assert from "node:assert/strict";
import { createPrivateKey, generateKeyPairSync, webcrypto } from "node:crypto";
import { test } from "node:test";
import { silentLogger, systemClock } from "@holdfast/model";
import * as x509 from "@peculiar/x509";
import { createAuthority, issueMemberCertificate, type KeyPair } from "./certificates/authority.ts";
import { checkCertificate } from "./identity-check.ts";
import type { SyncOptions } from "./sync.ts";

const CLUSTER = "lab";
const SIGNED_WITH = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const OPTIONS = {
  ...{ memberName: "m1", memberNumber: 1, memberNumberCount: 8, clusterId: CLUSTER },
  ...{ clock: systemClock, logger: silentLogger },
} as SyncOptions;

/** As an operator's own tool may make it: the authority signs whatever key it is given. */
async function withRsaKey(authority: KeyPair, modulusLength: number): Promise<KeyPair> {
  const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength });
  const der = createPrivateKey(authority.keyPem).export({ format: "der", type: "pkcs8" });
  const certificate = await x509.X509CertificateGenerator.create({
    subject: "CN=m1",
    issuer: new x509.X509Certificate(authority.certificatePem).subject,
    publicKey: new x509.PublicKey(publicKey.export({ format: "der", type: "spki" })),
    signingKey: await webcrypto.subtle.importKey("pkcs8", der, SIGNED_WITH, false, ["sign"]),
    signingAlgorithm: SIGNED_WITH,
    notAfter: new Date(Date.now() + 86_400_000),
    extensions: [
      new x509.SubjectAlternativeNameExtension([
        { type: "url", value: `holdfast://${CLUSTER}/members/m1?number=1` },
      ]),
    ],
  });
  return {
    certificatePem: certificate.toString("pem"),
    keyPem: privateKey.export({ format: "pem", type: "pkcs8" }).toString(),
  };
}

test("a certificate that TLS would not take is an operator's mistake, and says why", async () => {
  const authority = await createAuthority({ clusterId: CLUSTER });
  const authorityPem = authority.certificatePem;
  checkCertificate(OPTIONS, { ...(await withRsaKey(authority, 2_048)), authorityPem });
  const short = await withRsaKey(authority, 1_024);
  assert.throws(() => checkCertificate(OPTIONS, { ...short, authorityPem }), {
    code: "CERTIFICATE_NOT_USABLE",
    message: "TLS does not take the certificate of m1 or its key: SSL routines::ee key too small.",
  });
});

test("a certificate of another number than the configuration's is refused", async () => {
  const authority = await createAuthority({ clusterId: CLUSTER });
  const other = { clusterId: CLUSTER, memberName: "m1", memberNumber: 2, addresses: [] };
  const pair = await issueMemberCertificate(authority, other);
  assert.throws(() => checkCertificate(OPTIONS, { ...pair, authorityPem: authority.certificatePem }), {
    code: "SYNC_NUMBER_MISMATCH",
  });
});
