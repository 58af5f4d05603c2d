import assert from "node:assert/strict";
import { test } from "node:test";
import type { Address } from "./address.ts";
import type { HoldfastError } from "./errors.ts";
import { PROTOCOL_TCP, type Service } from "./service.ts";
import {
  type AddressHolder,
  EMPTY_ADDRESS_BOOK,
  scopeOf,
  serviceProblem,
  serviceWarnings,
  unservableServices,
  unusableKind,
} from "./service-rule.ts";

const service = (id: string, vips: readonly Address[], endpoints: readonly Address[] = []): Service => ({
  id,
  name: id,
  protocol: 132,
  vips,
  port: 5,
  selection: "roundRobin",
  endpoints: endpoints.map((address) => ({ address, port: 9, weight: 1, state: "active" })),
  idleTimeoutS: 900,
  restartNewAddresses: "abort",
  clientPrefixes: [],
  withdrawWhenDown: false,
});
const codeOf = (problem: HoldfastError | undefined) => problem?.code;

test("what is no unicast address of a network is neither VIP nor endpoint", () => {
  const never = [
    ...["0.0.0.0", "0.1.2.3", "127.0.0.1", "127.255.255.254", "169.254.9.9", "224.0.0.1", "239.255.255.255"],
    ...["240.0.0.1", "255.255.255.255", "::", "::1", "fe80::1", "febf::1", "ff02::1", "::ffff:a00:1"],
    "::a00:1",
  ] as const;
  for (const address of never) {
    assert.notEqual(unusableKind(address), undefined, address);
    const problem = serviceProblem(service("a", ["203.0.113.1", address]), [], EMPTY_ADDRESS_BOOK);
    assert.equal(codeOf(problem), "VIP_NOT_UNICAST", address);
    assert.ok(problem?.message.startsWith(`${address} cannot be a VIP`), problem?.message);
    const endpoint = serviceProblem(service("a", ["203.0.113.1"], [address]), [], EMPTY_ADDRESS_BOOK);
    assert.equal(codeOf(endpoint), "ENDPOINT_NOT_UNICAST", address);
  }
  for (const address of [
    "1.0.0.1",
    "10.0.0.1",
    "100.64.0.1",
    "223.255.255.1",
    "2001:db8::1",
    "fd00::1",
  ] as const)
    assert.equal(unusableKind(address), undefined, address);
});

test("a VIP is nobody's address, and an endpoint is no VIP, whichever comes first", () => {
  const first = service("a", ["203.0.113.1"], ["192.0.2.1"]);
  const problem = (made: Service) => codeOf(serviceProblem(made, [first, made], EMPTY_ADDRESS_BOOK));
  assert.equal(problem(service("b", ["203.0.113.2"], ["203.0.113.2"])), "ENDPOINT_IS_VIP");
  assert.equal(problem(service("b", ["203.0.113.2"], ["203.0.113.1"])), "ENDPOINT_IS_VIP");
  assert.equal(problem(service("b", ["203.0.113.2", "192.0.2.1"])), "VIP_IS_ENDPOINT");
  assert.equal(problem(service("b", ["203.0.113.2"], ["192.0.2.1"])), undefined);
  const kinds: [AddressHolder["as"], string][] = [
    ["interface", "VIP_IS_MEMBER_ADDRESS"],
    ["gateway", "VIP_IS_GATEWAY"],
    ["broadcast", "VIP_IS_BROADCAST"],
  ];
  for (const [as, code] of kinds) {
    const holderOf = (address: Address): AddressHolder | undefined =>
      address === "198.51.100.9" ? { member: "m2", as, interface: "eth7" } : undefined;
    const found = serviceProblem(service("b", ["203.0.113.2", "198.51.100.9"]), [first], { holderOf });
    assert.equal(codeOf(found), code);
    assert.match(found?.message ?? "", /198\.51\.100\.9.*m2.*eth7/);
  }
});

test("of replicated services that break the rule the same are left out everywhere", () => {
  const good = service("a", ["203.0.113.1"], ["192.0.2.1"]);
  const late = service("b", ["203.0.113.2"], ["203.0.113.1"]);
  const taken = service("c", ["192.0.2.1"]);
  const broken = service("d", ["224.0.0.1"]);
  const fine = service("e", ["203.0.113.9"], ["192.0.2.1"]);
  const refused = unservableServices([fine, taken, broken, late, good]);
  assert.deepEqual([...refused].map(([id, { code }]) => [id, code]).sort(), [
    ["b", "ENDPOINT_IS_VIP"],
    ["c", "VIP_IS_ENDPOINT"],
    ["d", "VIP_NOT_UNICAST"],
  ]);
  // What is refused itself takes no place from others.
  assert.deepEqual(
    [...unservableServices([service("a", ["224.0.0.1"], ["192.0.2.1"]), taken]).keys()],
    ["a"],
  );
});

test("scopes as Linux sees them, and the warning when they mix", () => {
  for (const [address, scope] of [
    ["10.1.2.3", "private"],
    ["172.16.0.1", "private"],
    ["172.32.0.1", "global"],
    ["192.168.9.9", "private"],
    ["100.64.0.1", "global"],
    ["fd00::1", "global"],
    ["fec0::1", "private"],
    ["198.18.0.9", "unusable"],
    ["198.18.1.9", "global"],
  ] as const)
    assert.equal(scopeOf(address), scope, address);
  const codes = (...vips: Address[]) => serviceWarnings(service("a", vips)).map(({ code }) => code);
  assert.deepEqual(codes("203.0.113.1", "10.0.0.1"), ["SERVICE_SCOPES_MIXED"]);
  assert.deepEqual(codes("2001:db8::1", "192.168.0.1"), ["SERVICE_SCOPES_MIXED"]);
  assert.deepEqual(codes("203.0.113.1", "100.64.0.1"), []);
  assert.deepEqual(codes("10.0.0.1", "192.168.0.1"), []);
  assert.deepEqual(codes("198.18.0.1"), ["SERVICE_VIP_UNUSED"]);
  const plain = {
    ...service("a", ["203.0.113.1", "10.0.0.1", "198.18.0.1"]),
    protocol: PROTOCOL_TCP,
  } as const;
  assert.deepEqual(serviceWarnings(plain), []);
});

test("fields that a protocol has no use for are warned of, however they came", () => {
  const plain: Service = { ...service("a", ["203.0.113.1"]), protocol: PROTOCOL_TCP };
  const said = (changes: Partial<Service>) =>
    serviceWarnings({ ...plain, ...changes }).map(({ code, message }) => `${code} ${message}`);
  assert.deepEqual(said({ replicateAfterMs: 5, idle: { establishedS: 60 } }), []);
  assert.deepEqual(
    said({ idleTimeoutS: 600, restartNewAddresses: "accept", clientPrefixes: ["10.0.0.0/8"] }),
    [
      "SERVICE_FIELDS_UNUSED a says what has no meaning for tcp: idleTimeoutS, restartNewAddresses, clientPrefixes.",
    ],
  );
  for (const replicate of ["always", "never"] as const)
    assert.match(said({ replicate, replicateAfterMs: 5 }).join(), /replicateAfterMs\.$/);
  assert.deepEqual(
    serviceWarnings({ ...plain, protocol: 132, idleTimeoutS: 600, restartNewAddresses: "accept" }),
    [],
  );
});

test("source addresses are no VIP and no endpoint, and shared only with the same first VIP", () => {
  const [vip, further] = ["203.0.113.1", "203.0.113.77"] as const;
  const first = { ...service("a", [vip], ["192.0.2.1"]), sourceAddresses: [further] };
  const problem = (made: Service, others: readonly Service[] = [first, made]) =>
    serviceProblem(made, others, EMPTY_ADDRESS_BOOK);
  assert.equal(problem(first), undefined);
  assert.equal(problem({ ...service("b", [vip]), sourceAddresses: [further] }), undefined);
  const shared = problem({ ...service("b", ["203.0.113.2", vip]), sourceAddresses: [further] });
  assert.match(
    shared?.message ?? "",
    /203.0.113.77 is a's: services share one if their first VIP is the same/,
  );
  assert.match(problem(service("b", [further]))?.message ?? "", /203.0.113.77 is a VIP/);
  const taken = problem({ ...service("b", ["203.0.113.2"]), sourceAddresses: [vip] });
  assert.match(taken?.message ?? "", /203.0.113.1 is a VIP/);
  // What is no VIP is not called one.
  const said = (clash: HoldfastError | undefined) => {
    assert.equal(codeOf(clash), "SERVICE_INVALID");
    return clash?.message ?? "";
  };
  const asEndpoint = /203.0.113.77 cannot be an endpoint: it is a source address of a,/;
  assert.match(said(problem(service("b", ["203.0.113.2"], [further]))), asEndpoint);
  const own = { ...service("b", ["203.0.113.2"], ["192.0.2.9"]), sourceAddresses: ["192.0.2.9"] } as const;
  assert.match(said(problem(own)), /192.0.2.9 cannot be a source address: it is an endpoint of b,/);
  const others = { ...service("b", ["203.0.113.2"]), sourceAddresses: ["192.0.2.1"] } as const;
  assert.match(said(problem(others)), /192.0.2.1 cannot be a source address: it is an endpoint of a,/);
  assert.equal(codeOf(problem({ ...first, id: "b", sourceAddresses: ["224.0.0.9"] })), "VIP_NOT_UNICAST");
  const holder: AddressHolder = { member: "m1", as: "interface", interface: "eth0" };
  const book = { holderOf: (address: Address) => (address === further ? holder : undefined) };
  assert.equal(codeOf(serviceProblem(first, [first], book)), "VIP_IS_MEMBER_ADDRESS");
  const refused = unservableServices([first, service("b", ["203.0.113.2"], [further])]);
  assert.deepEqual([...refused.keys()], ["b"]);
  assert.match(said(refused.get("b")), asEndpoint);
});
