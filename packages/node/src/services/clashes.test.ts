import assert from "node:assert/strict";
import { test } from "node:test";
import type { Address, AddressHolder, Service } from "@holdfast/model";
import { ClashJudge, SETTLED_AFTER_MS } from "./clashes.ts";
import { createServiceRegistry } from "./registry.ts";
import { serviceOf } from "./specification.ts";
import { createLocalConfigurationStore } from "./store.ts";

const VIP = "203.0.113.1";
const OTHER = "203.0.113.2";
const spec = (vips: string[], endpoints: string[] = []) => ({
  name: "",
  protocol: "sctp" as const,
  vips,
  port: 5,
  selection: "roundRobin" as const,
  endpoints: endpoints.map((address) => ({ address, port: 9, weight: 1, state: "active" as const })),
  idleTimeoutS: 900,
  restartNewAddresses: "abort" as const,
  clientPrefixes: [],
  withdrawWhenDown: false,
});
const service: Service = serviceOf(spec([VIP, OTHER]));

class World {
  readonly holders = new Map<Address, AddressHolder>();
  readonly own = new Set<Address>();
  readonly announced = new Set<Address>();
  /** The last other one that did. */
  readonly announcers = new Map<Address, string>();
  nowMs = 0;
  readonly judge = new ClashJudge({
    nowMs: () => this.nowMs,
    holderOf: (vip) => this.holders.get(vip),
    ownHolderOf: (vip) => (this.own.has(vip) ? this.holders.get(vip) : undefined),
    isAnnouncedElsewhere: (vip) => this.announced.has(vip),
    wasAnnouncedBy: (vip, member) => this.announcers.get(vip) === member,
  });

  has(member: string, vip: Address): void {
    this.holders.set(vip, { member, as: "interface", interface: "eth0" });
    if (member === "self") this.own.add(vip);
  }

  unserved(): string[] {
    return [...this.judge.judge([service]).unserved];
  }
}

test("this host keeps its own address, whenever it came, and serves the VIP again when it goes", () => {
  const world = new World();
  assert.deepEqual(world.unserved(), []);
  world.has("self", VIP);
  assert.deepEqual(world.unserved(), [VIP]);
  const clash = world.judge.judge([service]).clashes.get(VIP);
  assert.deepEqual([clash?.servedHere, clash?.problem.code], [false, "VIP_IS_MEMBER_ADDRESS"]);
  world.holders.clear();
  world.own.clear();
  assert.deepEqual(world.unserved(), []);
  world.has("self", VIP);
  assert.deepEqual(world.unserved(), [VIP]);
});

test("a VIP that its owner let go of when it got the address is served on by whoever has taken it by then", () => {
  const world = new World();
  world.unserved();
  world.announcers.set(VIP, "m2");
  world.has("m2", VIP);
  assert.deepEqual(world.unserved(), []);
  assert.equal(world.judge.judge([service]).clashes.get(VIP)?.servedHere, true);
  const another = new World();
  another.unserved();
  another.announcers.set(VIP, "m3");
  another.has("m2", VIP);
  assert.deepEqual(another.unserved(), [VIP], "it was not its holder that served it");
});

test("another's address that came later is served on here; one that was there before the VIP is not", () => {
  const later = new World();
  later.unserved();
  later.nowMs = SETTLED_AFTER_MS;
  later.has("m2", VIP);
  assert.deepEqual(later.unserved(), []);
  assert.equal(later.judge.judge([service]).clashes.get(VIP)?.servedHere, true);
  assert.deepEqual(later.unserved(), [], "it stays so");
  // A start: the other has not yet said what it has.
  const starting = new World();
  starting.unserved();
  starting.nowMs = SETTLED_AFTER_MS - 1;
  starting.has("m2", VIP);
  assert.deepEqual(starting.unserved(), [VIP]);
  const before = new World();
  before.has("m2", VIP);
  assert.deepEqual(before.unserved(), [VIP]);
  assert.deepEqual(before.unserved(), [VIP], "no judgement settles it");
  // Whoever has been away does not stop what the others have gone on with.
  before.announced.add(VIP);
  assert.deepEqual(before.unserved(), []);
  before.announced.clear();
  assert.deepEqual(before.unserved(), [], "when the one that announced it dies this member may take it");
});

test("the registry refuses VIPs with a holder; one in force already is no reason to refuse another change", () => {
  const holders = new Map<Address, AddressHolder>();
  const store = createLocalConfigurationStore();
  const registry = createServiceRegistry(store, "self", { holderOf: (address) => holders.get(address) });
  const code = (action: () => unknown) => {
    try {
      action();
      return undefined;
    } catch (error) {
      return (error as { code?: string }).code;
    }
  };
  holders.set(OTHER, { member: "m2", as: "gateway", interface: "eth0" });
  assert.equal(
    code(() => registry.create(spec([VIP, OTHER]))),
    "VIP_IS_GATEWAY",
  );
  assert.equal(
    code(() => registry.put(spec([OTHER]))),
    "VIP_IS_GATEWAY",
  );
  assert.equal(
    code(() => registry.applyFile([spec([OTHER])])),
    "VIP_IS_GATEWAY",
  );
  assert.deepEqual(registry.list(), []);
  registry.create(spec([VIP]));
  holders.set(VIP, { member: "m2", as: "interface", interface: "eth0" });
  registry.put(spec([VIP], ["192.0.2.1"]));
  assert.equal(
    code(() => registry.put(spec([VIP, OTHER]))),
    "VIP_IS_GATEWAY",
  );
  assert.equal(
    code(() => registry.put(spec([VIP], [VIP]))),
    "ENDPOINT_IS_VIP",
  );
  assert.equal(
    code(() => registry.put(spec([VIP], ["0.0.0.0"]))),
    "ENDPOINT_NOT_UNICAST",
  );
  assert.equal(
    code(() => registry.create(spec(["192.0.2.1"]))),
    "VIP_IS_ENDPOINT",
  );
  // A start takes the file in: what clashes is not served, which is no reason for the member to stay away.
  const again = createServiceRegistry(createLocalConfigurationStore(), "self", {
    holderOf: (address) => holders.get(address),
  });
  again.applyFile([spec([VIP])], { starting: true });
  assert.equal(again.list().length, 1);
  assert.equal(
    code(() => again.applyFile([spec([VIP]), spec([OTHER])])),
    "VIP_IS_GATEWAY",
  );
});
