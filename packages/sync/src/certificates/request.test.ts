// A member's key that is made elsewhere: only its public half comes to the authority.
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseAddress } from "@holdfast/model";
import { certifyRequest, createAuthority, createMemberRequest, verifyMemberCertificate } from "./index.ts";

const MEMBER = {
  clusterId: "lab",
  memberName: "n1",
  memberNumber: 3,
  addresses: [parseAddress("198.18.0.11")],
  dnsNames: ["holdfast-members.holdfast.svc"],
};

test("a request gets the certificate of whom the authority says it is", async () => {
  const authority = await createAuthority({ clusterId: "lab" });
  const { requestPem, keyPem } = await createMemberRequest("somebody-else");
  const certificatePem = await certifyRequest(authority, requestPem, MEMBER);
  const verified = verifyMemberCertificate({
    certificatePem,
    authorityPem: authority.certificatePem,
    keyPem,
  });
  assert.equal(verified.memberName, "n1");
  assert.equal(verified.memberNumber, 3);
});

test("what is no request, or another's, is refused", async () => {
  const authority = await createAuthority({ clusterId: "lab" });
  const { requestPem } = await createMemberRequest("n1");
  const body = requestPem.split("\n").slice(1, -2).join("");
  const bytes = Buffer.from(body, "base64");
  for (const at of [40, bytes.length - 5]) {
    const broken = Buffer.from(bytes);
    broken[at] = (broken[at] ?? 0) ^ 1;
    const pem = `-----BEGIN CERTIFICATE REQUEST-----\n${broken.toString("base64")}\n-----END CERTIFICATE REQUEST-----\n`;
    await assert.rejects(certifyRequest(authority, pem, MEMBER), { code: "CERTIFICATE_REQUEST_INVALID" });
  }
  for (const text of ["", "nonsense", authority.certificatePem, "x".repeat(10_000)])
    await assert.rejects(certifyRequest(authority, text, MEMBER), { code: "CERTIFICATE_REQUEST_INVALID" });
});
