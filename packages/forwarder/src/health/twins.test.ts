import assert from "node:assert/strict";
import { test } from "node:test";
import type { Address } from "@holdfast/model";
import { Twins } from "./twins.ts";

const port = 7_000;
const [A, B, C, A2] = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.101"] as const;
const server = (identity: Address, ...further: Address[]) => ({
  identity,
  port,
  addresses: [identity, ...further],
});

test("endpoints are one server when each lists the other, and only then", () => {
  const twins = new Twins();
  const all = [server(A), server(B), server(C)];
  assert.equal(twins.answered({ address: A, port }, [A, B]), true);
  assert.deepEqual([...twins.groups(all)], [], "one endpoint's word about another is not enough");
  twins.answered({ address: B, port }, [B, A]);
  assert.deepEqual(Object.fromEntries(twins.groups(all)), { [`${A}|${port}`]: [B], [`${B}|${port}`]: [A] });
  assert.equal(
    twins.answered({ address: B, port }, [A, B]),
    false,
    "the same in another order is nothing new",
  );
  // A floating address that moved to another host: its new answers say so.
  assert.equal(twins.answered({ address: B, port }, [B]), true);
  assert.deepEqual([...twins.groups(all)], []);
});

test("by way of a third, by any of its configured addresses, at its port alone, and not after it is gone", () => {
  const twins = new Twins();
  twins.answered({ address: A, port }, [A, A2, B]);
  twins.answered({ address: B, port }, [A2, C]);
  twins.answered({ address: C, port }, [B]);
  const all = [server(A, A2), server(B), server(C)];
  assert.deepEqual(twins.groups(all).get(`${C}|${port}`), [A, B]);
  assert.deepEqual([...twins.groups([server(A), { ...server(B), port: 1 }])], []);
  twins.retain([{ address: A, port }]);
  assert.deepEqual([...twins.groups(all)], []);
});
