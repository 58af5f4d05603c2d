import assert from "node:assert/strict";
import { test } from "node:test";
import type { MemberSpec } from "@holdfast/api";
import { type ListedMember, parseAddress } from "@holdfast/model";
import { parseConfiguration } from "../config/load.ts";
import { listedMemberOf } from "./spec.ts";

const CERTIFICATES = "certificates: { authority: /a.crt, certificate: /m.crt, key: /m.key }";
const configurationOf = (cluster: string) =>
  parseConfiguration(`cluster: { id: lab, ${cluster} }\nmember: { name: m1, number: 0 }`, "test.yaml")
    .configuration;
const CLUSTERED = configurationOf(`secret: "0123456789abcdef", ${CERTIFICATES}`);

const listed = (address: string): ListedMember => ({
  ...{ name: "m1", number: 0, addresses: [{ address: parseAddress(address) }] },
  ...{ probePort: 7082, replicationPort: 7081 },
});
const SPEC: MemberSpec = { name: "m4", number: 3, addresses: ["10.8.0.4", "fd00::4"] };
const CONTEXT = {
  configuration: CLUSTERED,
  list: {
    members: [
      listed("10.8.0.1"),
      { ...listed("10.8.0.2"), addresses: [{ network: "far", address: parseAddress("10.9.0.2") }] },
    ],
  },
  networks: ["path-a", "core"],
  services: [{ id: "sctp/203.0.113.1/38412", vips: [parseAddress("203.0.113.1")] }],
};
const refused = (spec: Partial<MemberSpec>, context = CONTEXT) => {
  try {
    listedMemberOf({ ...SPEC, ...spec }, context);
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    return `${code}: ${message}`;
  }
  return undefined;
};

test("a member as it is said, with the ports of this one", () => {
  assert.deepEqual(listedMemberOf({ ...SPEC, zone: "b" }, CONTEXT), {
    ...{ name: "m4", number: 3, zone: "b", probePort: 7082, replicationPort: 7081 },
    addresses: [{ address: "10.8.0.4" }, { address: "fd00::4" }],
  });
});

test("what no member can be is said before anybody votes", () => {
  for (const [spec, expected] of [
    [{ name: "M4" }, /^CERTIFICATE_NAME_INVALID: 'M4'/],
    [{ name: "m4.example.net" }, /^CERTIFICATE_NAME_INVALID/],
    [{ number: 8 }, /^SYNC_NUMBER_OUT_OF_RANGE: Member number 8 needs .* it is 8\.$/],
    [{ addresses: ["m4.example.net"] }, /^ADDRESS_INVALID: 'm4\.example\.net' is not an IP address/],
    [{ addresses: ["10.8.0.4/24"] }, /^ADDRESS_INVALID/],
    [
      { addresses: ["10.8.0.4", "10.8.0.4"] },
      /^MEMBER_ADDRESS_UNUSABLE: 10\.8\.0\.4 .*: it is there twice\.$/,
    ],
    [{ addresses: ["0.0.0.0"] }, /^MEMBER_ADDRESS_UNUSABLE: .* unspecified/],
    [{ addresses: ["224.0.0.5"] }, /^MEMBER_ADDRESS_UNUSABLE: .*: it is multicast\.$/],
    [{ addresses: ["127.0.1.1"] }, /^MEMBER_ADDRESS_UNUSABLE: .*: it is a loopback address\.$/],
    [
      { addresses: ["10.8.0.4", { network: "cor", address: "10.3.0.4" }] },
      /^MEMBER_ADDRESS_UNUSABLE: 10\.3\.0\.4 .*: nobody is on network cor, but on core, far, path-a\.$/,
    ],
    [
      { addresses: [{ network: "path-a", address: "203.0.113.1" }] },
      /^MEMBER_ADDRESS_UNUSABLE: .*: it is a VIP of service sctp\/203\.0\.113\.1\/38412\.$/,
    ],
  ] as const)
    assert.match(refused(spec as Partial<MemberSpec>) ?? "it was taken", expected);
});

test("a network is one of this member's interfaces, or of anybody's on the list", () => {
  for (const network of ["core", "far"])
    assert.equal(refused({ addresses: [{ network, address: "10.3.0.4" }] }), undefined);
});

test("members on one machine may be at its loopback", () => {
  const list = { members: [listed("127.0.0.1")] };
  assert.equal(refused({ addresses: ["127.0.0.4"] }, { ...CONTEXT, list }), undefined);
});

test("nobody is added to a member that nobody could come to", () => {
  const alone = { ...CONTEXT, configuration: configurationOf("admit: list") };
  assert.match(refused({}, alone) ?? "", /^CONFIG_CERTIFICATES_MISSING: this member's own configuration/);
  const silent = { ...CONTEXT, configuration: configurationOf(CERTIFICATES) };
  assert.match(refused({}, silent) ?? "", /^CONFIG_SECRET_MISSING/);
});
