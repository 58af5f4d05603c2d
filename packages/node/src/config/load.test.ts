import assert from "node:assert/strict";
import { test } from "node:test";
import { ConfigurationError, parseConfiguration } from "./load.ts";

function mistakesOf(text: string, environment: Record<string, string> = {}): string[] {
  try {
    parseConfiguration(text, "holdfast.yaml", environment);
  } catch (error) {
    assert.ok(error instanceof ConfigurationError, String(error));
    return error.all.map((e) => `${e.code} ${e.message} ${e.remedy}`);
  }
  return [];
}

test("an empty file is a single node with every default filled in", () => {
  const { configuration } = parseConfiguration("", "holdfast.yaml");
  assert.equal(configuration.cluster.memberNumberCount, 8);
  assert.equal(configuration.coordinator.probeIntervalMs, 50);
  assert.equal(configuration.dataPlane.mode, "auto");
  assert.equal(configuration.dataPlane.handOver, "none");
  assert.deepEqual(configuration.services, []);
});

test("a service of the file gets its defaults", () => {
  const { configuration } = parseConfiguration(
    `services:
  - vips: [203.0.113.1, "2001:db8::1"]
    port: 38412
    endpoints: [{ address: 10.0.0.5, port: 38412 }]
`,
    "holdfast.yaml",
  );
  assert.deepEqual(configuration.services[0], {
    name: "",
    protocol: "sctp",
    vips: ["203.0.113.1", "2001:db8::1"],
    port: 38412,
    selection: "leastAssociations",
    endpoints: [{ address: "10.0.0.5", port: 38412, weight: 1, state: "active" }],
    idleTimeoutS: 900,
    restartNewAddresses: "abort",
    clientPrefixes: [],
    withdrawWhenDown: false,
    allowedSources: [],
    endpointRemoval: { mode: "drain", graceS: 300 },
    natPort: "keep",
    endpointsMayBegin: false,
    peers: [],
  });
});

const cases: { name: string; text: string; environment?: Record<string, string>; expect: RegExp }[] = [
  {
    name: "a broken line",
    text: "log:\n  level: [info\n",
    expect: /^CONFIG_SYNTAX holdfast\.yaml:\d+: this is not YAML/,
  },
  {
    name: "a hand-over that there is not",
    text: "dataPlane:\n  handOver: peer\n",
    expect: /holdfast\.yaml:2: dataPlane\.handOver must be one of none, veth.*not 'peer'/,
  },
  {
    name: "a misspelt section",
    text: "log:\n  level: info\ncordinator: {}\n",
    expect:
      /^CONFIG_INVALID holdfast\.yaml:3: cordinator is not a known field\. Did you mean 'coordinator'\?/,
  },
  {
    name: "a misspelt field",
    text: "coordinator:\n  probeIntervallMs: 20\n",
    expect:
      /holdfast\.yaml:2: coordinator\.probeIntervallMs is not a known field\. Did you mean 'probeIntervalMs'/,
  },
  {
    name: "a wrong number",
    text: "\n\ncoordinator:\n  probeIntervalMs: 1\n",
    expect: /holdfast\.yaml:4: coordinator\.probeIntervalMs must be an integer from 5 to 1000, not '1'/,
  },
  {
    name: "one missed probe as a death",
    text: "coordinator: { missedCountMax: 1 }\n",
    expect: /holdfast\.yaml:1: coordinator\.missedCountMax must be an integer from 2 to 100, not '1'/,
  },
  {
    name: "a death that takes too long",
    text: "coordinator:\n  probeIntervalMs: 667\n",
    expect:
      /holdfast\.yaml:\d: coordinator has probeIntervalMs 667 and missedCountMax 3: .* dead after 2001 ms\. .*at most 2000 ms/,
  },
  {
    name: "a wrong address in a list",
    text: "services:\n  - vips:\n      - 203.0.113.1\n      - 203.0.113.256\n    port: 5\n",
    expect: /holdfast\.yaml:4: services\[0\]\.vips\[1\] must be an IP address .*, not '203\.0\.113\.256'/,
  },
  {
    name: "a missing field",
    text: "services:\n  - vips: [203.0.113.1]\n",
    expect: /holdfast\.yaml:2: services\[0\]\.port is missing/,
  },
  {
    name: "an unknown word",
    text: "dataPlane:\n  mode: fast\n",
    expect: /holdfast\.yaml:2: dataPlane\.mode must be one of auto, xdp, .*not 'fast'/,
  },
  {
    name: "a wrong variable",
    text: "",
    environment: { HOLDFAST_LOG_LEVEL: "loud" },
    expect: /environment variable HOLDFAST_LOG_LEVEL: log\.level must be one of/,
  },
  {
    name: "a VIP and port twice",
    text: "services:\n  - { vips: [203.0.113.1], port: 5 }\n  - { vips: [203.0.113.2, 203.0.113.1], port: 5 }\n",
    expect:
      /holdfast\.yaml:3: services\[1\]\.vips\[1\] is 203\.0\.113\.1, whose port 5 services\[0\] has already/,
  },
  ...[
    ["0.0.0.0", "unspecified"],
    ["127.0.0.2", "a loopback address"],
    ["224.0.0.1", "multicast"],
    ["255.255.255.255", "the broadcast address"],
    ["169.254.1.1", "link-local"],
    ["'::'", "unspecified"],
    ["'::1'", "a loopback address"],
    ["'ff02::1'", "multicast"],
    ["'fe80::1'", "link-local"],
  ].map(([vip, kind]) => ({
    name: `the VIP ${vip}`,
    text: `services:\n  - { vips: [203.0.113.1, ${vip}], port: 5 }\n`,
    expect: new RegExp(`^VIP_NOT_UNICAST .* cannot be a VIP: it is ${kind}`),
  })),
  {
    name: "a health check that contradicts itself",
    text: "services:\n  - vips: [203.0.113.1]\n    port: 5\n    endpoints:\n      - address: 10.0.0.1\n        port: 5\n        healthCheck: { kind: ping, port: 7 }\n",
    expect: /holdfast\.yaml:7: services\[0\]\.endpoints\[0\]\.healthCheck\.port has no meaning for ping/,
  },
  {
    name: "a health check of a kind that nobody knows",
    text: "services:\n  - { vips: [203.0.113.1], port: 5, healthCheck: { kind: gopher } }\n",
    expect: /healthCheck\.kind must be one of none, ping, sctp, tcp, udp, http, https, not 'gopher'/,
  },
  {
    name: "an IPv4-mapped VIP",
    text: "services:\n  - { vips: ['::ffff:203.0.113.1'], port: 5 }\n",
    expect: /^ADDRESS_INVALID /,
  },
  {
    name: "a VIP that is a member's address",
    text: "member: { name: a, number: 0 }\nmembers:\n  - { name: a, number: 0, addresses: [192.0.2.1] }\nservices:\n  - { vips: [192.0.2.1], port: 5 }\n",
    expect: /^VIP_IS_MEMBER_ADDRESS 192\.0\.2\.1 cannot be a VIP: member a has it/,
  },
  {
    name: "an endpoint that is another service's VIP",
    text: "services:\n  - { vips: [203.0.113.1], port: 5 }\n  - { name: b, vips: [203.0.113.2], port: 5, endpoints: [{ address: 203.0.113.1, port: 5 }] }\n",
    expect: /^ENDPOINT_IS_VIP 203\.0\.113\.1 cannot be an endpoint: it is a VIP of port 5/,
  },
  {
    name: "members without certificates",
    text: "member: { name: a, number: 0 }\nmembers:\n  - { name: b, number: 1, addresses: [192.0.2.2] }\n",
    expect: /^CONFIG_CERTIFICATES_MISSING holdfast\.yaml:2: .*holdfast certificates/,
  },
  {
    name: "a list without this member",
    text: "member: { name: c }\nmembers:\n  - { name: b, number: 1, addresses: [192.0.2.2] }\n",
    expect: /holdfast\.yaml:2: members has no entry for this member, 'c'/,
  },
  {
    name: "a number twice",
    text: "member: { name: a, number: 0 }\ncluster: {certificates: {authority: a, certificate: b, key: c}}\nmembers:\n  - { name: b, number: 0, addresses: [192.0.2.2] }\n",
    expect: /holdfast\.yaml:4: members\[0\]\.number is 0, which is a's/,
  },
  {
    name: "an open API",
    text: "api:\n  listen: 0.0.0.0:7080\n",
    expect:
      /^API_NOT_PROTECTED The API would listen on 0\.0\.0\.0:7080, beyond the loopback, without a token and TLS/,
  },
];
for (const { name, text, environment, expect } of cases) {
  test(`names place and way out: ${name}`, () => {
    const mistakes = mistakesOf(text, environment);
    assert.match(mistakes[0] ?? "nothing was wrong", expect);
  });
}

test("a service is not gone and there", () => {
  const services = "services: [{ name: amf, vips: [203.0.113.1], port: 38412 }]";
  for (const named of ["amf", "sctp/203.0.113.1:38412"]) {
    const mistakes = mistakesOf(`${services}\nremovedServices: [{ service: "${named}" }]`);
    assert.match(
      mistakes[0] ?? "nothing was wrong",
      /removedServices\[0\]\.service is .*, which the file has/,
    );
  }
  const { configuration } = parseConfiguration(
    `${services}\nremovedServices: [{ service: other }]`,
    "x.yaml",
  );
  assert.deepEqual(configuration.removedServices, [{ service: "other", sessions: "drain" }]);
});

test("the environment overrides the file", () => {
  const { configuration, overrides, unknownVariables } = parseConfiguration(
    "log: { level: warn }",
    "holdfast.yaml",
    {
      HOLDFAST_LOG_LEVEL: "debug",
      HOLDFAST_COORDINATOR_PROBE_INTERVAL_MS: "20",
      HOLDFAST_API_LISTEN: "127.0.0.1:1,unix:/run/x",
      HOLDFAST_PORT_7080_TCP: "tcp://10.0.0.1:7080",
      HOLDFAST_TOKEN: "the command line's",
    },
  );
  assert.equal(configuration.log.level, "debug");
  assert.equal(configuration.coordinator.probeIntervalMs, 20);
  assert.deepEqual(configuration.api.listen, ["127.0.0.1:1", "unix:/run/x"]);
  assert.equal(overrides.get("log.level"), "HOLDFAST_LOG_LEVEL");
  assert.deepEqual(unknownVariables, ["HOLDFAST_PORT_7080_TCP"]);
});
