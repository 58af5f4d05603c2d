import assert from "node:assert/strict";
import { test } from "node:test";
import type { Endpoint, HealthCheck, Service } from "@holdfast/model";
import { probedEndpoints } from "./checks.ts";

const PLACE = { address: "192.0.2.1", port: 7 } as const;

function checkWith(services: readonly { id: string; healthCheck?: HealthCheck; own?: HealthCheck }[]) {
  const entries = services.map(({ id, healthCheck, own }) => {
    const endpoint: Endpoint = {
      ...PLACE,
      weight: 1,
      state: "active",
      ...(own !== undefined && { healthCheck: own }),
    };
    return {
      service: {
        id,
        endpoints: [endpoint],
        ...(healthCheck !== undefined && { healthCheck }),
      } as unknown as Service,
    };
  });
  const [primary, alias] = probedEndpoints({
    entries,
    endpointList: () => [PLACE, { address: "192.0.2.2", port: 7 }],
    endpointAddress: () => PLACE.address,
  });
  assert.deepEqual(primary?.check, alias?.check, "all addresses of an endpoint are asked alike");
  return primary?.check?.kind;
}

test("an endpoint's own check, then a service's, then none; of equals the first id, whatever the order", () => {
  assert.equal(checkWith([{ id: "a" }]), undefined);
  const b = { id: "b", healthCheck: { kind: "tcp" } as const };
  const c = { id: "c", healthCheck: { kind: "ping" } as const };
  const own = { id: "d", own: { kind: "none" } as const, healthCheck: { kind: "udp" } as const };
  for (const order of [
    [{ id: "a" }, b, c],
    [c, { id: "a" }, b],
  ])
    assert.equal(checkWith(order), "tcp");
  assert.equal(checkWith([b, c, own]), "none");
  assert.equal(checkWith([own, c, b]), "none");
});

test("hosts of no service are asked beside them, and none twice", () => {
  const registry = {
    entries: [],
    endpointList: () => [PLACE],
    endpointAddress: () => PLACE.address,
  };
  const host = { address: "192.0.2.9", port: 0, check: { kind: "ping" } } as const;
  assert.deepEqual(probedEndpoints(registry, [{ ...PLACE, check: { kind: "none" } }, host]), [PLACE, host]);
});
