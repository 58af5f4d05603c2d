import assert from "node:assert/strict";
import { test } from "node:test";
import { type Address, type ListedMember, MemberBook, silentLogger } from "@holdfast/model";
import type { HostAddress } from "../network/interfaces.ts";
import { Readiness } from "../readiness.ts";
import { watchOwnAddresses } from "./own-addresses.ts";

const listed = (number: number, address: Address): ListedMember => ({
  ...{ name: `m${number}`, number, addresses: [{ address }], probePort: 7082, replicationPort: 7081 },
});

/** m1, as an interface has addresses and a list names them. */
function memberOf({ isJoining, host, list }: { isJoining: boolean; host: Address; list: ListedMember[] }) {
  const readiness = new Readiness(silentLogger);
  const members = new MemberBook(list);
  let addresses: Address[] = [host];
  let changed = () => {};
  const close = watchOwnAddresses({
    ...{ own: { name: "m1" }, members, readiness, isJoining },
    network: {
      hostAddresses: (): HostAddress[] =>
        addresses.map((address) => ({ address, prefixLength: 24, interface: "eth0" })),
      onChange: (listener) => {
        changed = listener;
        return () => {};
      },
    },
  });
  const state = () => {
    const check = readiness.health("m1", "0").checks.find(({ name }) => name === "addresses");
    return check === undefined ? "unsaid" : check.ok ? "ok" : check.required === true ? "not ready" : "told";
  };
  const has = (...now: Address[]) => {
    addresses = now;
    changed();
  };
  const isOn = (...now: ListedMember[]) => members.set({ version: 1, members: now, resting: [] });
  return { readiness, state, has, isOn, close };
}

test("a member that was added with another's address is not ready, and says what to do", () => {
  const m1 = memberOf({ isJoining: true, host: "10.8.0.2", list: [] });
  assert.equal(m1.state(), "not ready");
  m1.isOn(listed(0, "10.8.0.1"), listed(1, "10.8.0.22"));
  assert.equal(m1.state(), "not ready");
  assert.match(
    m1.readiness.missing ?? "",
    /no interface has .* m1 \(10\.8\.0\.22\).*: .*, or remove it and add it/,
  );
  m1.has("10.8.0.2", "10.8.0.22");
  assert.equal(m1.state(), "ok");
  m1.has("10.8.0.2");
  assert.equal(m1.state(), "told", "it has been heard: a network that is dead does not end what it carries");
});

test("a member of the files goes on without its addresses, and says so", () => {
  const list = [listed(0, "10.8.0.1"), listed(1, "10.8.0.2")];
  const m1 = memberOf({ isJoining: false, host: "10.8.0.3", list });
  assert.equal(m1.state(), "told");
  m1.has("10.8.0.2");
  assert.equal(m1.state(), "ok");
});

test("a member alone needs no address", () => {
  const m1 = memberOf({ isJoining: false, host: "10.8.0.3", list: [listed(1, "10.8.0.2")] });
  assert.equal(m1.state(), "unsaid");
});
