// Every annotation that there is does what it says, or an event says why it does nothing.
import assert from "node:assert/strict";
import { test } from "node:test";
import { readAnnotations } from "./annotations.ts";
import { LOXILB_PROBE, OUR_HEALTH } from "./health-check.ts";
import { LOXILB } from "./loxilb-annotations.ts";
import { memberServiceOf, type PortDemand } from "./member-service.ts";
import { OURS } from "./own-annotations.ts";
import type { PortProtocol, Settings } from "./settings.ts";

/** Value, ports, and what becomes of it: settings, or why it has no effect. */
type Row = readonly [
  value: string,
  protocols: readonly PortProtocol[],
  outcome: Settings | RegExp,
  others?: Readonly<Record<string, string>>,
];
const ANY: readonly PortProtocol[] = ["SCTP"];
const TCP: readonly PortProtocol[] = ["TCP"];
const UDP: readonly PortProtocol[] = ["UDP"];
const HTTP = { "loxilb.io/probetype": "http" };
const OUR_HTTP = { "holdfast.io/health": "http" };

const KUBE_LOXILB: Readonly<Record<string, readonly Row[]>> = {
  poolSelect: [["p1", ANY, { pool: "p1" }]],
  poolSelectSecondary: [["p2,p3", ANY, { secondaryPools: ["p2", "p3"] }]],
  secondaryIPs: [["10.0.0.1", ANY, { secondaryIps: ["10.0.0.1"] }]],
  staticIP: [["10.0.0.1", ANY, { primaryIp: "10.0.0.1" }]],
  "num-secondary-networks": [["2", ANY, { secondaryCount: 2 }]],
  epselect: [
    ["rr", ANY, { selection: "roundRobin" }],
    ["persist", TCP, { selection: "persist" }],
    ["n3", ANY, /'n3' is not offered/],
    ["chwbl", TCP, /'chwbl' is not offered/],
    ["fastest", ANY, /'fastest' is not understood: it takes one of rr/],
  ],
  ipam: [
    ["nat66", ANY, { family: 6 }],
    ["nat64", ANY, /'nat64' is not offered/],
    ["ipx", ANY, /'ipx' is not understood/],
  ],
  timeout: [
    ["1800", ANY, { idleTimeoutS: 1800 }],
    ["60", TCP, { idleTimeoutS: 60 }],
    ["60", ANY, /loxilb\.io\/timeout: ports of SCTP take 210 to 86400 seconds: they have 210/],
    ["0", ANY, {}],
  ],
  lbmode: [
    ["fullnat", ANY, {}],
    ["onearm", ANY, /'onearm' works as fullnat/],
    ["dsr", ANY, /'dsr' is not offered/],
    ["fulnat", ANY, /'fulnat' is not understood/],
  ],
  liveness: [
    ["yes", ANY, {}],
    ["no", ANY, /endpoints are asked whether they live/],
    ["maybe", ANY, /'maybe' is not understood/],
  ],
  "multus-nets": [["n1,core/n2", ANY, { networks: ["n1", "core/n2"] }]],
  useproxyprotov2: [
    ["yes", TCP, { proxyProtocol: true }],
    ["no", ANY, { proxyProtocol: false }],
    ["yes", ANY, /useproxyprotov2 has no effect: it is for ports of TCP/],
    ["v2", TCP, /'v2' is not understood/],
  ],
  zoneselect: [["z1", ANY, /zoneselect has no effect: all members serve all Services/]],
  zoneinstance: [["llb-inst1", ANY, /zoneinstance has no effect: there are no instances/]],
  nodelabel: [["role", ANY, /nodelabel has no effect: endpoints are pods/]],
  prefLocalPod: [
    ["yes", ANY, /prefLocalPod has no effect/],
    ["no", ANY, {}],
  ],
  usepodnetwork: [
    ["yes", ANY, {}],
    ["no", ANY, /usepodnetwork has no effect: endpoints are always pods/],
  ],
  useExternalEndpoint: [
    ["yes", ANY, {}],
    ["no", ANY, /useExternalEndpoint has no effect/],
  ],
  egress: [
    ["yes", ANY, /egress has no effect: egress rules are not offered/],
    ["no", ANY, {}],
  ],
  "connection-limit": [["5000", TCP, /connection-limit has no effect/]],
  probetype: [
    ["ping", ANY, { healthCheck: { kind: "ping" } }],
    ["sctp", TCP, /probetype has no effect: only ports of SCTP/],
    ["icmp", ANY, /'icmp' is not understood/],
  ],
  probeport: [
    ["8080", ANY, { healthCheck: { kind: "http", port: 8080 } }, HTTP],
    ["0", ANY, { healthCheck: { kind: "http" } }, HTTP],
    ["8080", ANY, /probeport has no effect: it goes with a loxilb\.io\/probetype/],
    [
      "8080",
      ANY,
      /probeport has no effect: checks of kind ping have none/,
      { "loxilb.io/probetype": "ping" },
    ],
  ],
  probereq: [
    ["health", ANY, { healthCheck: { kind: "http", path: "/health" } }, HTTP],
    ["PING", ANY, { healthCheck: { kind: "tcp", send: "PING" } }, { "loxilb.io/probetype": "tcp" }],
    ["PING", ANY, /probereq has no effect/, { "loxilb.io/probetype": "sctp" }],
  ],
  proberesp: [["OK", ANY, { healthCheck: { kind: "http", expect: "OK" } }, HTTP]],
  probetimeout: [["5", ANY, { healthCheck: { kind: "http", intervalMs: 5000 } }, HTTP]],
  proberetries: [["3", ANY, { healthCheck: { kind: "http", downCount: 3 } }, HTTP]],
  "probe-path": [["/healthz", ANY, { healthCheck: { kind: "http", path: "/healthz" } }, HTTP]],
  "probe-expected-codes": [
    ["200,202", ANY, { healthCheck: { kind: "http", status: [200, 202] } }, HTTP],
    ["fine", ANY, /'fine' is not understood: it takes statuses/, HTTP],
  ],
  "probe-method": [
    ["get", ANY, { healthCheck: { kind: "http" } }, HTTP],
    ["HEAD", ANY, /probe-method has no effect: checks ask with GET/, HTTP],
  ],
  "probe-domain": [["api.example.com", ANY, /probe-domain has no effect/, HTTP]],
  "probe-http-version": [["1.0", ANY, /probe-http-version has no effect/, HTTP]],
};
/** Of families that are known by their beginnings. */
const LAYER_7 = [
  ...["mtls-frontend-mode", "mtls-frontend-secret", "mtls-frontend-require-cn", "mtls-frontend-cn-pattern"],
  ...["mtls-backend-verify", "mtls-backend-ca-secret", "mtls-backend-client-secret"],
  ...["tls-ciphers", "tls-versions", "alpn-protocols", "hsts-max-age", "hsts-include-subdomains"],
  ...["hsts-preload", "backend-ca-cert-id", "backend-client-cert-id"],
  ...["timeout-member-connect", "timeout-member-data", "timeout-tcp-inspect"],
  ...["model-name", "sse-mode", "session-header-name", "max-stream-duration", "backend-keepalive-interval"],
  ...["trace-type", "cb-enable", "chwbl-replication", "kv-exact-mode", "pd-disagg"],
];

const OWN: Readonly<Record<string, readonly Row[]>> = {
  pool: [["p1", ANY, { pool: "p1" }]],
  "secondary-pools": [["p2", ANY, { secondaryPools: ["p2"] }]],
  ip: [["10.0.0.1", ANY, { primaryIp: "10.0.0.1" }]],
  "secondary-ips": [["10.0.0.2", ANY, { secondaryIps: ["10.0.0.2"] }]],
  "source-addresses": [
    ["10.0.0.3, 10.0.0.4", TCP, { sourceAddresses: ["10.0.0.3", "10.0.0.4"] }],
    ["10.0.0.3", ANY, /source-addresses has no effect: it is for ports of TCP and UDP/],
  ],
  "sharing-key": [["k", ANY, { sharingKey: "k" }]],
  "idle-timeout": [
    ["30", UDP, { idleTimeoutS: 30 }],
    ["100000", ["SCTP", "TCP"], /ports of SCTP take 210 to 86400 seconds: they have 86400/],
    ["0", TCP, /it takes a number from 1/],
  ],
  "transitory-timeout": [
    ["60", TCP, { transitoryS: 60 }],
    ["60", UDP, /transitory-timeout has no effect: it is for ports of TCP/],
  ],
  "one-shot-timeout": [
    ["5", UDP, { oneShotS: 5 }],
    ["5", TCP, /one-shot-timeout has no effect: it is for ports of UDP/],
  ],
  "nat-port": [
    ["require", ANY, { natPort: "require" }],
    ["any", TCP, { natPort: "any" }],
    ["require", TCP, /nat-port has no effect: 'require' is for ports of SCTP/],
  ],
  "proxy-protocol": [
    ["yes", TCP, { proxyProtocol: true }],
    ["yes", UDP, /proxy-protocol has no effect: it is for ports of TCP/],
    ["no", TCP, { proxyProtocol: false }, { "loxilb.io/useproxyprotov2": "yes" }],
  ],
  stateless: [
    ["yes", UDP, { stateless: true }],
    ["yes", TCP, { stateless: true }],
    ["yes", ANY, /stateless has no effect: it is for ports of TCP and UDP/],
    ["yes", TCP, /stateless has no effect: of ports of TCP, as sel/, { "holdfast.io/selection": "persist" }],
    ["yes", TCP, /of ports of TCP, as they send the header/, { "holdfast.io/proxy-protocol": "yes" }],
    ["yes", TCP, /of ports of TCP, as replicate/, { "holdfast.io/replicate": "always" }],
    ["yes", UDP, /selection has no effect: a port without sessions/, { "holdfast.io/selection": "weighted" }],
  ],
  replicate: [
    ["always", TCP, { replicate: "always" }],
    ["always", ANY, /replicate has no effect: it is for ports of TCP and UDP/],
    ["sometimes", TCP, /'sometimes' is not understood/],
  ],
  "replicate-after": [["500", UDP, { replicateAfterMs: 500 }]],
  "client-prefixes": [
    ["10.0.0.0/8", ANY, { clientPrefixes: ["10.0.0.0/8"] }],
    ["10.0.0.0/8", TCP, /client-prefixes has no effect: it is for ports of SCTP/],
    ["10.0.0.0/99", ANY, /'10\.0\.0\.0\/99' is no prefix/],
  ],
  "endpoints-may-begin": [
    ["yes", ANY, { endpointsMayBegin: true }],
    ["yes", UDP, /endpoints-may-begin has no effect/],
  ],
  peers: [
    ["10.1.0.1", ANY, { peers: ["10.1.0.1"] }],
    ["10.1.0.1", TCP, /peers has no effect/],
  ],
  "restart-new-addresses": [
    ["accept", ANY, { restartNewAddresses: "accept" }],
    ["accept", TCP, /restart-new-addresses has no effect/],
  ],
  selection: [["weighted", ANY, { selection: "weighted" }]],
  health: [
    ["tcp:81", TCP, { healthCheck: { kind: "tcp", port: 81 } }],
    ["sctp", TCP, /health has no effect: only ports of SCTP/],
    ["ping:81", TCP, /ping has no port/],
  ],
  drain: [["60", ANY, { drainS: 60 }]],
  bgp: [["when-up", ANY, { withdrawWhenDown: true }]],
  announce: [
    ['{"ranks":[{"med":10},false]}', ANY, { announce: { ranks: [{ med: 10 }, false] } }],
    ['{"rank":[]}', ANY, /announce: .*rank/],
    ["med 10", ANY, /it takes JSON/],
  ],
  networks: [["pod,n1", ANY, { networks: ["pod", "n1"] }]],
  zones: [["z1", ANY, { zones: ["z1"] }]],
  "health-interval-ms": [
    ["500", ANY, { healthCheck: { kind: "http", intervalMs: 500 } }, OUR_HTTP],
    ["500", ANY, /health-interval-ms has no effect: it goes with holdfast\.io\/health/],
    ["1", ANY, /'1' is not understood: it takes a number from 100/, OUR_HTTP],
  ],
  "health-timeout-ms": [
    ["200", ANY, { healthCheck: { kind: "http", timeoutMs: 200 } }, OUR_HTTP],
    ["500", ANY, /less than the interval/, { ...OUR_HTTP, "holdfast.io/health-interval-ms": "500" }],
  ],
  "health-down-count": [["2", ANY, { healthCheck: { kind: "http", downCount: 2 } }, OUR_HTTP]],
  "health-up-count": [["4", ANY, { healthCheck: { kind: "http", upCount: 4 } }, OUR_HTTP]],
  "health-send": [
    ["PING", ANY, { healthCheck: { kind: "udp", send: "PING" } }, { "holdfast.io/health": "udp" }],
    ["PING", ANY, /health-send has no effect: checks of kind http have none/, OUR_HTTP],
  ],
  "health-expect": [["OK", ANY, { healthCheck: { kind: "http", expect: "OK" } }, OUR_HTTP]],
  "health-status": [
    ["204, 200-202,203", ANY, { healthCheck: { kind: "http", status: "200-204" } }, OUR_HTTP],
    ["100-399", ANY, { healthCheck: { kind: "http" } }, OUR_HTTP],
  ],
};

for (const [domain, table, known] of [
  ["loxilb.io", KUBE_LOXILB, [...Object.keys(LOXILB), ...LOXILB_PROBE]],
  ["holdfast.io", OWN, [...Object.keys(OURS), ...OUR_HEALTH]],
] as const) {
  test(`${domain}: all that there are are in the table`, () => {
    assert.deepEqual(Object.keys(table).sort(), [...known].sort());
  });
  for (const [name, rows] of Object.entries(table))
    for (const [value, protocols, outcome, others = {}] of rows)
      test(`${domain}/${name}: '${value}' for ${protocols.join("+")}`, () => {
        const { settings, notes } = readAnnotations({ ...others, [`${domain}/${name}`]: value }, protocols);
        const told = notes.map(({ message }) => message);
        if (outcome instanceof RegExp) {
          assert.equal(told.length, 1, told.join("\n"));
          assert.match(told[0] ?? "", outcome);
          return;
        }
        assert.deepEqual(told, []);
        assert.deepEqual(settings, outcome);
      });
}

test("what needs layer 7 is named as such", () => {
  for (const name of LAYER_7) {
    const { settings, notes } = readAnnotations({ [`loxilb.io/${name}`]: "x" }, ["TCP"]);
    assert.deepEqual(settings, {});
    assert.equal(notes.length, 1, name);
    assert.match(notes[0]?.message ?? "", new RegExp(`^loxilb\\.io/${name} has no effect: it is for `));
  }
});

test("names that every object has are no annotations", () => {
  for (const key of ["holdfast.io/constructor", "loxilb.io/toString"])
    assert.equal(readAnnotations({ [key]: "x" }).notes[0]?.reason, "AnnotationUnknown");
});

const DEMAND: Omit<PortDemand, "port" | "settings"> = {
  cluster: "kubernetes",
  key: "default/web",
  vips: ["203.0.113.1"],
  allowedSources: [],
  isSticky: false,
  endpoints: [],
  graceS: undefined,
};

test("each port of a Service takes what is for its protocol", () => {
  const all = {
    "holdfast.io/idle-timeout": "100",
    "holdfast.io/transitory-timeout": "50",
    "holdfast.io/one-shot-timeout": "5",
    "holdfast.io/proxy-protocol": "yes",
    "holdfast.io/stateless": "yes",
    "holdfast.io/replicate": "always",
    "holdfast.io/replicate-after": "1000",
    "holdfast.io/source-addresses": "203.0.113.9",
    "holdfast.io/restart-new-addresses": "accept",
    "holdfast.io/client-prefixes": "10.0.0.0/8",
  };
  const { settings } = readAnnotations(all, ["SCTP", "TCP", "UDP"]);
  const of = (protocol: PortProtocol) => {
    const service = memberServiceOf({ ...DEMAND, settings, port: { protocol, port: 80 } }, undefined);
    const { idle, idleTimeoutS, proxyProtocol, stateless, selection, replicate } = service;
    const { replicateAfterMs, sourceAddresses, restartNewAddresses, clientPrefixes } = service;
    const plain = { idle, proxyProtocol, stateless, replicate, replicateAfterMs, sourceAddresses };
    return {
      ...Object.fromEntries(Object.entries(plain).filter(([, value]) => value !== undefined)),
      said: [idleTimeoutS, selection, restartNewAddresses, clientPrefixes?.length],
    };
  };
  assert.deepEqual(of("SCTP"), { said: [210, "leastAssociations", "accept", 1] });
  assert.deepEqual(of("TCP"), {
    idle: { establishedS: 100, transitoryS: 50 },
    proxyProtocol: true,
    replicate: "always",
    replicateAfterMs: 1000,
    sourceAddresses: ["203.0.113.9"],
    said: [900, "leastAssociations", "abort", 0],
  });
  assert.deepEqual(of("UDP"), {
    idle: { flowS: 100, oneShotS: 5 },
    stateless: true,
    replicate: "long-lived",
    replicateAfterMs: 1000,
    sourceAddresses: ["203.0.113.9"],
    said: [900, "hash", "abort", 0],
  });
});

test("ports of TCP are stateless unless something else of theirs needs sessions", () => {
  const of = (protocol: PortProtocol, more: Readonly<Record<string, string>> = {}, isSticky = false) => {
    const annotations = { "holdfast.io/stateless": "yes", ...more };
    const { settings } = readAnnotations(annotations, ["TCP", "UDP"]);
    const demand = { ...DEMAND, isSticky, settings, port: { protocol, port: 80 } };
    const { stateless, selection, replicate } = memberServiceOf(demand, undefined);
    return [stateless, selection, replicate];
  };
  assert.deepEqual(of("TCP"), [true, "leastAssociations", "long-lived"]);
  assert.deepEqual(of("TCP", { "holdfast.io/selection": "weighted" }), [true, "weighted", "long-lived"]);
  assert.deepEqual(of("TCP", { "holdfast.io/replicate": "never" }), [true, "leastAssociations", "never"]);
  assert.deepEqual(of("TCP", {}, true), [undefined, "persist", "long-lived"]);
  const always = { "holdfast.io/replicate": "always" };
  assert.deepEqual(of("TCP", always), [undefined, "leastAssociations", "always"]);
  assert.deepEqual(of("UDP", always, true), [true, "hash", "long-lived"]);
});
