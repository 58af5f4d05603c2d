// What links are told of the list, and of how this member stands to it.
import assert from "node:assert/strict";
import { it } from "node:test";
import { type Clock, type ListedMember, MemberBook } from "@holdfast/model";
import type { JoinAddress, Listing } from "@holdfast/sync";
import { followWithLinks } from "./follow-members.ts";

const listed = (number: number): ListedMember => ({
  name: `m${number}`,
  number,
  addresses: [{ address: `192.0.2.${number + 1}` }],
  probePort: 7082,
  replicationPort: 7081,
});

function following() {
  const told: Listing[] = [];
  const timers: (() => void)[] = [];
  const after = (_delayMs: number, action: () => void) => {
    timers.push(action);
    return { cancel: () => {} };
  };
  const standing = { isMember: true, join: [] as readonly JoinAddress[] };
  const members = new MemberBook([0, 1].map(listed));
  const link = { setMembers: (listing: Listing) => void told.push(listing) };
  const followed = followWithLinks(members, link, { after } as unknown as Clock, () => standing);
  const last = () => told.at(-1) as Listing;
  return { members, standing, followed, last, timers };
}

it("the version of a list is said by its members alone", () => {
  const { members, standing, followed, last } = following();
  members.set({ version: 3, members: [0, 1, 2].map(listed), resting: [] });
  assert.equal(last().version, 3);
  standing.isMember = false;
  followed.tell();
  assert.equal(last().version, 0);
});

it("who waits for the list asks whoever is there, also when links to those that it knew have ended", () => {
  const { members, standing, last, timers } = following();
  const join = [{ host: "192.0.2.9", port: 7081 }];
  Object.assign(standing, { isMember: false, join });
  members.set({ version: 0, members: [listed(0)], resting: [] });
  const namesOf = ({ members: each }: Listing) => each.map(({ name }) => name).join();
  assert.equal(namesOf(last()), "m0,m1");
  assert.deepEqual(last().join, join);
  for (const end of timers) end();
  assert.equal(namesOf(last()), "m0");
  assert.deepEqual(last().join, join);
});
