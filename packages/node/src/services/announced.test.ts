import assert from "node:assert/strict";
import { test } from "node:test";
import type { Service } from "@holdfast/model";
import { announceKeyOf, announcesOf } from "./announced.ts";

const VIP = "203.0.113.1";
const service = (id: string, rest: Partial<Service>) => ({ id, vips: [VIP], ...rest }) as Service;

test("of several services with one VIP the first by id that speaks of routes counts", () => {
  const services = [
    service("sctp/203.0.113.1:9", { announce: { ranks: [{ med: 9 }] } }),
    service("sctp/203.0.113.1:2", {}),
    service("sctp/203.0.113.1:5", { announce: { ranks: [{ med: 5 }] } }),
    service("sctp/203.0.113.1:1", { vips: ["203.0.113.2"], announce: { ranks: [{ med: 1 }] } }),
  ];
  assert.deepEqual(announcesOf(services).get(VIP), { ranks: [{ med: 5 }] });
  assert.equal(announcesOf(services).get("203.0.113.3"), undefined);
  assert.equal(announceKeyOf(services), announceKeyOf([...services].reverse()));
  assert.notEqual(announceKeyOf(services), announceKeyOf(services.slice(1)));
});
