import assert from "node:assert/strict";
import { test } from "node:test";
import {
  HealthCheckSchema,
  type HealthCheckSpec,
  type ServiceSpec,
  ServiceSpecSchema,
  validate,
} from "@holdfast/api";
import {
  HEALTH_BOUNDS,
  HEALTH_KINDS,
  HEALTH_TEXT_LENGTH_MAX,
  healthCheckProblem,
  serviceWarnings,
} from "@holdfast/model";
import { specOf } from "../api/service-view.ts";
import { revisionOf, serviceOf } from "./specification.ts";

const SPEC: ServiceSpec = {
  name: "",
  protocol: "sctp",
  vips: ["203.0.113.1"],
  port: 38412,
  selection: "roundRobin",
  endpoints: [{ address: "198.51.100.1", port: 38412, weight: 1, state: "active" }],
  idleTimeoutS: 900,
  restartNewAddresses: "abort",
  clientPrefixes: [],
  allowedSources: [],
  withdrawWhenDown: false,
  endpointRemoval: { mode: "drain", graceS: 300 },
  natPort: "keep",
  endpointsMayBegin: false,
  peers: [],
};

const withCheck = (healthCheck: HealthCheckSpec): ServiceSpec => ({ ...SPEC, healthCheck });

test("the schema of health checks and the model's rule know the same kinds and bounds", () => {
  const properties = HealthCheckSchema.properties as unknown as Record<string, Record<string, unknown>>;
  assert.deepEqual(properties["kind"]?.["enum"], HEALTH_KINDS);
  for (const [name, bounds] of Object.entries(HEALTH_BOUNDS)) {
    const field = properties[name];
    assert.deepEqual([field?.["minimum"], field?.["maximum"]], bounds, name);
  }
  for (const name of ["path", "send", "expect"] as const)
    assert.equal(properties[name]?.["maxLength"], HEALTH_TEXT_LENGTH_MAX);
});

test("a service without a health check keeps the revision that it has always had", () => {
  assert.ok(!("healthCheck" in serviceOf(SPEC)));
  assert.notEqual(revisionOf(serviceOf(withCheck({ kind: "ping" }))), revisionOf(serviceOf(SPEC)));
});

test("a service of TCP that leaves everything out is warned of nothing", () => {
  const { vips, port, endpoints } = SPEC;
  const { value } = validate(ServiceSpecSchema, { protocol: "tcp", vips, port, endpoints });
  assert.deepEqual(serviceWarnings(serviceOf(value)), []);
});

test("checks of a service and of one endpoint come back as they were given", () => {
  const spec = {
    ...withCheck({ kind: "http", path: "/ready", expect: "ok", port: 8080 }),
    endpoints: [{ ...SPEC.endpoints[0], healthCheck: { kind: "none" } }],
  } as ServiceSpec;
  const back = specOf(serviceOf(spec));
  assert.deepEqual(back, spec);
  // The order of fields means nothing.
  const other = withCheck({ port: 8080, expect: "ok", path: "/ready", kind: "http" });
  assert.equal(
    revisionOf(serviceOf(other)),
    revisionOf(serviceOf(withCheck({ kind: "http", path: "/ready", expect: "ok", port: 8080 }))),
  );
});

test("what a kind has no use for, and what contradicts itself, is refused", () => {
  const wrong: [HealthCheckSpec, RegExp][] = [
    [{ kind: "ping", port: 7 }, /port has no meaning for ping/],
    [{ kind: "none", expect: "x" }, /expect has no meaning for none/],
    [{ kind: "sctp", send: "x" }, /send has no meaning for sctp/],
    [{ kind: "tcp", path: "/" }, /path has no meaning for tcp/],
    [{ kind: "http", path: "ready" }, /path must begin with/],
    [{ kind: "http", path: "/a b" }, /path must begin with/],
    [{ kind: "tcp", intervalMs: 1000, timeoutMs: 1000 }, /timeoutMs must be less/],
  ];
  for (const [check, text] of wrong) {
    assert.deepEqual(validate(HealthCheckSchema, structuredClone(check)).findings, []);
    assert.match(healthCheckProblem(check) ?? "", text);
    assert.throws(() => serviceOf(withCheck(check)), text);
  }
  assert.match(healthCheckProblem({ kind: "sctp", surprise: 1 }) ?? "", /not known/);
  assert.match(healthCheckProblem({ kind: "tcp", port: 1.5 }) ?? "", /integer/);
  assert.match(healthCheckProblem([]) ?? "", /must be an object/);
});

test("endpoints may begin with peers, and with nobody else", () => {
  const spec = { ...SPEC, endpointsMayBegin: true, peers: ["192.0.2.77"] };
  const service = serviceOf(spec);
  assert.deepEqual([service.endpointsMayBegin, service.peers], [true, ["192.0.2.77"]]);
  assert.deepEqual(specOf(service).peers, spec.peers);
  assert.notEqual(revisionOf(service), revisionOf(serviceOf(SPEC)));
  for (const [peers, words] of [
    [[], /needs peers/],
    [["203.0.113.1"], /is a VIP/],
    [["2001:db8::7"], /family/],
  ] as const)
    assert.throws(() => serviceOf({ ...spec, peers: [...peers] }), words);
});

test("an endpoint with several addresses: the first is its identity, and it comes back as it was given", () => {
  const of = (...endpoints: Partial<ServiceSpec["endpoints"][number]>[]) => ({
    ...SPEC,
    endpoints: endpoints.map((endpoint) => ({
      port: 38412,
      weight: 1,
      state: "active" as const,
      ...endpoint,
    })),
  });
  const both = ["198.51.100.1", "2001:db8::1"];
  const service = serviceOf(of({ addresses: both }));
  assert.deepEqual([service.endpoints[0]?.address, service.endpoints[0]?.addresses], [both[0], both]);
  assert.deepEqual(serviceOf(specOf(service)), service);
  assert.notEqual(revisionOf(service), revisionOf(serviceOf(of({ address: "198.51.100.1" }))));
  // One address is one address, however it is written: no other revision, no other record.
  assert.deepEqual(
    serviceOf(of({ addresses: ["198.51.100.1"] })),
    serviceOf(of({ address: "198.51.100.1" })),
  );
  for (const wrong of [
    of({}),
    of({ address: "198.51.100.2", addresses: both }),
    of({ addresses: both }, { address: "2001:db8::1" }),
  ])
    assert.throws(() => serviceOf(wrong), { code: "SERVICE_INVALID" });
  // A further address is one of its own like the first.
  assert.throws(() => serviceOf(of({ addresses: ["198.51.100.1", "203.0.113.1"] })), /it is a VIP of/);
});

test("what a service says of its routes comes back, changes its revision, and is judged in its own words", () => {
  const announce = { ranks: [{ med: 5, prepend: 1 }, false], routers: { core: [{ localPref: 7 }] } } as const;
  const service = serviceOf({ ...SPEC, announce });
  assert.deepEqual(service.announce, announce);
  assert.deepEqual(specOf(service).announce, announce);
  assert.notEqual(revisionOf(service), revisionOf(serviceOf(SPEC)));
  assert.equal(
    revisionOf(serviceOf({ ...SPEC, announce: {} })),
    revisionOf(serviceOf(SPEC)),
    "nothing is nothing",
  );
  assert.throws(
    () => serviceOf({ ...SPEC, announce: { ranks: [{ communities: ["65536:1"] }] } }),
    /announce\.ranks\[0\] has communities/,
  );
});

test("allowed sources have one form, and a service without them the revision that it has always had", () => {
  const { allowedSources: _, ...older } = SPEC;
  assert.equal(revisionOf(serviceOf(older)), revisionOf(serviceOf(SPEC)));
  assert.ok(!("allowedSources" in serviceOf(SPEC)));
  const of = (...allowedSources: string[]) => serviceOf({ ...SPEC, allowedSources });
  const service = of("198.51.100.77/24", "2001:DB8::1/32", "198.51.100.0/24");
  assert.deepEqual(service.allowedSources, ["198.51.100.0/24", "2001:db8::/32"]);
  assert.equal(revisionOf(of("2001:db8::/32", "198.51.100.0/24")), revisionOf(service));
  assert.notEqual(revisionOf(service), revisionOf(serviceOf(SPEC)));
  assert.deepEqual(specOf(service).allowedSources, service.allowedSources);
  assert.throws(() => of("198.51.100.0"), { code: "SERVICE_INVALID" });
});

test("what services of TCP and UDP may say beside: one form of each meaning, and the revision changes with it", () => {
  const { allowedSources: _, natPort: __, endpointsMayBegin: ___, peers: ____, ...rest } = SPEC;
  const udp: ServiceSpec = { ...rest, protocol: "udp", selection: "hash" };
  const tcp: ServiceSpec = { ...rest, protocol: "tcp" };
  const plain = serviceOf(udp);
  for (const nothing of [{ stateless: false }, { sourceAddresses: [] }])
    assert.equal(revisionOf(serviceOf({ ...udp, ...nothing })), revisionOf(plain), JSON.stringify(nothing));
  const said = serviceOf({ ...udp, stateless: true, sourceAddresses: ["203.0.113.77"] });
  assert.deepEqual([said.stateless, said.sourceAddresses], [true, ["203.0.113.77"]]);
  assert.notEqual(revisionOf(said), revisionOf(plain));
  assert.deepEqual(serviceOf(specOf(said)), said);
  const introduced = serviceOf({ ...tcp, proxyProtocol: true });
  assert.deepEqual(serviceOf(specOf(introduced)), introduced);
  assert.notEqual(revisionOf(introduced), revisionOf(serviceOf({ ...tcp, proxyProtocol: false })));
  const refused = (spec: ServiceSpec, reason: RegExp) =>
    assert.throws(() => serviceOf(spec), { code: "SERVICE_INVALID", message: reason });
  refused({ ...SPEC, sourceAddresses: ["203.0.113.77"] }, /sourceAddresses are of tcp and udp/);
  refused({ ...udp, sourceAddresses: ["203.0.113.1"] }, /is a VIP of the service/);
  refused({ ...udp, sourceAddresses: ["2001:db8::1"] }, /of a family that no VIP is of/);
  refused({ ...udp, proxyProtocol: true }, /proxyProtocol is of tcp/);
  refused({ ...udp, selection: "roundRobin", stateless: true }, /stateless of udp needs selection hash/);
});

test("a service has 32 endpoints at most, whichever way it comes", () => {
  const endpoints = Array.from({ length: 33 }, (_, index) => ({
    address: `198.51.100.${index + 1}`,
    port: 38412,
    weight: 1,
    state: "active" as const,
  }));
  assert.equal(serviceOf({ ...SPEC, endpoints: endpoints.slice(1) }).endpoints.length, 32);
  assert.throws(() => serviceOf({ ...SPEC, endpoints }), /more than 32 endpoints/);
});
