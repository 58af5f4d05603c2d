import assert from "node:assert/strict";
import { test } from "node:test";
import { type Address, type Clock, staticMembers, systemClock } from "@holdfast/model";
import type { HostAddress, HostGateway } from "../network/interfaces.ts";
import type { RequestHandler } from "./link.ts";
import { decodeAddresses, MemberAddresses } from "./member-addresses.ts";

const bytes = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
const at = (address: Address, name = "eth0", prefixLength = 24): HostAddress => ({
  address,
  prefixLength,
  interface: name,
});

/** Members joined by links that deliver at once, while they are there. */
class Members {
  readonly all = new Map<number, Member>();
  readonly connected = new Set<number>();
}

class Member {
  addresses: HostAddress[] = [];
  gateways: HostGateway[] = [];
  readonly book: MemberAddresses;
  readonly handlers = new Map<string, RequestHandler>();
  #changed: () => void = () => {};
  #connected: (member: number) => void = () => {};
  #tick: () => void = () => {};

  constructor(members: Members, number: number, addresses: HostAddress[]) {
    this.addresses = addresses;
    members.all.set(number, this);
    const clock: Clock = {
      ...systemClock,
      every: (_periodMs, action) => {
        this.#tick = action;
        return { cancel: () => {} };
      },
    };
    this.book = new MemberAddresses({
      self: `m${number}`,
      network: {
        hostAddresses: () => this.addresses,
        defaultGateways: () => this.gateways,
        onChange: (listener) => {
          this.#changed = listener;
          return () => {};
        },
      },
      link: {
        request: async (to, topic, body) =>
          members.connected.has(to) ? members.all.get(to)?.handlers.get(topic)?.(number, body) : undefined,
        onRequest: (topic, handler) => void this.handlers.set(topic, handler),
        onConnect: (listener) => {
          this.#connected = listener;
        },
        connected: () => [...members.connected].filter((other) => other !== number),
      },
      directory: { nameOf: (other) => `m${other}` },
      members: staticMembers([
        {
          name: "m9",
          number: 9,
          addresses: [{ address: "192.0.2.9" }],
          probePort: 7082,
          replicationPort: 7081,
        },
      ]),
      clock,
    });
  }

  change(): void {
    this.#changed();
  }

  connect(to: number): void {
    this.#connected(to);
  }

  tick(): void {
    this.#tick();
  }
}

const settled = async () => {
  for (let i = 0; i < 8; i++) await Promise.resolve();
};

test("members tell each other what is on their interfaces, and what comes and goes", async () => {
  const members = new Members();
  const a = new Member(members, 0, [at("192.0.2.1"), at("fe80::1")]);
  const b = new Member(members, 1, [at("192.0.2.2"), at("10.0.0.2", "eth1", 31)]);
  b.gateways = [{ address: "192.0.2.254", interface: "eth0" }];
  assert.equal(a.book.holderOf("192.0.2.2"), undefined, "no link yet");
  assert.deepEqual(a.book.holderOf("192.0.2.9"), { member: "m9", as: "interface", interface: "" });
  members.connected.add(0).add(1);
  b.change();
  a.connect(1);
  await settled();
  assert.deepEqual(a.book.holderOf("192.0.2.2"), { member: "m1", as: "interface", interface: "eth0" });
  assert.deepEqual(a.book.holderOf("192.0.2.254"), { member: "m1", as: "gateway", interface: "eth0" });
  assert.deepEqual(a.book.holderOf("192.0.2.255"), { member: "m0", as: "broadcast", interface: "eth0" });
  assert.equal(a.book.holderOf("10.0.0.3"), undefined, "a point-to-point network has no broadcast address");
  assert.equal(b.book.ownHolderOf("192.0.2.2")?.interface, "eth0");
  assert.equal(a.book.ownHolderOf("192.0.2.2"), undefined);
  assert.ok(a.book.isMembers("10.0.0.2") && !a.book.isMembers("192.0.2.254"));
  let changes = 0;
  a.book.onChange(() => changes++);
  b.addresses = [at("192.0.2.2"), at("203.0.113.1", "lo", 32)];
  b.change();
  await settled();
  assert.deepEqual(a.book.holderOf("203.0.113.1"), { member: "m1", as: "interface", interface: "lo" });
  b.addresses = [at("192.0.2.2")];
  b.change();
  await settled();
  assert.equal(a.book.holderOf("203.0.113.1"), undefined);
  assert.equal(changes, 2);
  // A link that was down meanwhile: what is true now comes with the next second.
  members.connected.delete(0);
  b.addresses = [at("192.0.2.7")];
  b.change();
  await settled();
  assert.equal(a.book.isMembers("192.0.2.7"), false);
  members.connected.add(0);
  b.tick();
  await settled();
  assert.ok(a.book.isMembers("192.0.2.7"));
});

test("kube-proxy's copies of VIPs are no member's addresses, and no client's either", () => {
  const { book } = new Member(new Members(), 0, [at("203.0.113.1", "kube-ipvs0", 32)]);
  assert.equal(book.holderOf("203.0.113.1"), undefined);
  assert.ok(book.isMembers("203.0.113.1"));
});

test("what another member says is read in bounds, and what is not understood is left out", () => {
  for (const bad of ["", "[]", "{}", '{"addresses":1,"gateways":[]}', "null", "{"])
    assert.equal(decodeAddresses(new TextEncoder().encode(bad)), undefined, bad);
  const told = decodeAddresses(
    bytes({
      addresses: [
        null,
        7,
        { address: "nonsense" },
        { address: 5 },
        { address: "2001:DB8::1", prefixLength: 999 },
      ],
      gateways: [{ address: "192.0.2.1", interface: "x".repeat(999) }, {}],
    }),
  );
  assert.deepEqual(told?.addresses, [{ address: "2001:db8::1", prefixLength: 128, interface: "" }]);
  assert.deepEqual(
    told?.gateways.map(({ address, interface: name }) => [address, name.length]),
    [["192.0.2.1", 32]],
  );
  const many = decodeAddresses(bytes({ addresses: new Array(9_999).fill(at("192.0.2.1")), gateways: [] }));
  assert.equal(many?.addresses.length, 4_096);
});
