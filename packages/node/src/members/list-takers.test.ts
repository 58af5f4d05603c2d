import assert from "node:assert/strict";
import { test } from "node:test";
import { HoldfastError, type ListedMember } from "@holdfast/model";
import { CAPABILITIES, CARRIES_UNKNOWN, MEMBER_LISTS } from "@holdfast/sync";
import { mustAllTakeLists } from "./list-takers.ts";

test("a member of a release that reads its file alone keeps the list as it is, one that nobody has heard does not", () => {
  const members = [1, 2, 3].map(
    (number): ListedMember => ({
      name: `m${number}`,
      number,
      addresses: [{ address: `192.0.2.${number}` }],
      probePort: 7082,
      replicationPort: 7081,
    }),
  );
  const offers = new Map<number, readonly string[]>([
    [1, CAPABILITIES],
    [2, [...CAPABILITIES, "what-comes"]],
  ]);
  const link = { capabilitiesOf: (number: number) => offers.get(number) };
  mustAllTakeLists(members, link);
  for (const older of [[CARRIES_UNKNOWN], [CARRIES_UNKNOWN, MEMBER_LISTS]]) {
    offers.set(3, older);
    assert.throws(
      () => mustAllTakeLists(members, link),
      (error) =>
        error instanceof HoldfastError && error.code === "MEMBER_TOO_OLD" && error.message.includes("m3"),
    );
  }
  mustAllTakeLists(members.slice(0, 2), link);
});
