import assert from "node:assert/strict";
import { test } from "node:test";
import { readAnnotations } from "./annotations.ts";
import { editDistance } from "./nearest.ts";

test("our own annotations", () => {
  const { settings, notes, error } = readAnnotations({
    "holdfast.io/pool": "net-a",
    "holdfast.io/secondary-pools": "net-b, net-c",
    "holdfast.io/selection": "roundrobin",
    "holdfast.io/health": "http:8080/healthz",
    "holdfast.io/nat-port": "keep",
    "holdfast.io/bgp": "when-up",
    "holdfast.io/networks": "pod,core/net-b",
    "holdfast.io/client-prefixes": "10.0.0.0/8",
    "holdfast.io/drain": "60",
    "kubectl.kubernetes.io/last-applied-configuration": "{}",
  });
  assert.deepEqual(notes, []);
  assert.equal(error, undefined);
  assert.deepEqual(settings, {
    pool: "net-a",
    secondaryPools: ["net-b", "net-c"],
    selection: "roundRobin",
    healthCheck: { kind: "http", port: 8080, path: "/healthz" },
    natPort: "keep",
    withdrawWhenDown: true,
    networks: ["pod", "core/net-b"],
    clientPrefixes: ["10.0.0.0/8"],
    drainS: 60,
  });
});

test("kube-loxilb's dialects, the blog's and the present one", () => {
  assert.deepEqual(
    readAnnotations({ "loxilb.io/num-secondary-networks": "2", "loxilb.io/lbmode": "fullnat" }),
    {
      settings: { secondaryCount: 2 },
      notes: [],
      error: undefined,
    },
  );
  const { settings, notes } = readAnnotations({
    "loxilb.io/poolSelect": "defaultPool",
    "loxilb.io/poolSelectSecondary": "p2,p3",
    "loxilb.io/epselect": "lc",
    "loxilb.io/timeout": "60",
    "loxilb.io/probetype": "tcp",
    "loxilb.io/probeport": "9000",
    "loxilb.io/probetimeout": "5",
    "loxilb.io/proberetries": "3",
    "loxilb.io/liveness": "yes",
    "loxilb.io/multus-nets": "core/a,core/b",
    "loxilb.io/zoneselect": "z1",
  });
  assert.deepEqual(settings, {
    pool: "defaultPool",
    secondaryPools: ["p2", "p3"],
    selection: "leastAssociations",
    idleTimeoutS: 60,
    healthCheck: { kind: "tcp", port: 9000, intervalMs: 5000, downCount: 3 },
    networks: ["core/a", "core/b"],
  });
  assert.deepEqual(
    notes.map(({ reason }) => reason),
    ["AnnotationIgnored"],
  );
});

test("misspelled ones are named with the nearest, also with the domain of the blog's manifest", () => {
  const { notes } = readAnnotations({
    "loixlb.io/lbmode": "fullnat",
    "holdfast.io/secondary-pool": "b",
    "loxilb.io/poolselect": "x",
    "example.com/pool": "fine",
    "holdfast.io/something-else-entirely": "x",
  });
  const text = notes.map(({ message }) => message).join("\n");
  assert.match(text, /loixlb\.io\/lbmode: did you mean loxilb\.io\/lbmode\?/);
  assert.match(text, /did you mean holdfast\.io\/secondary-pools\?/);
  assert.match(text, /loxilb\.io\/poolselect: did you mean loxilb\.io\/poolSelect\?/);
  assert.match(text, /something-else-entirely: see docs/);
  assert.equal(notes.length, 4);
});

test("what is wrong is said; wrong addresses keep anything from being assigned", () => {
  const soft = readAnnotations({ "holdfast.io/selection": "fastest", "holdfast.io/health": "pong" });
  assert.equal(soft.error, undefined);
  assert.deepEqual(
    soft.notes.map(({ reason }) => reason),
    ["AnnotationInvalid", "AnnotationInvalid"],
  );
  assert.match(
    readAnnotations({ "holdfast.io/secondary-ips": "10.0.0.1,x" }).error ?? "",
    /'x' is no address/,
  );
  assert.match(readAnnotations({ "loxilb.io/poolSelectSecondary": "a,b,c,d" }).error ?? "", /at most 3/);
  assert.deepEqual(readAnnotations({ "loxilb.io/secondaryIPs": "2001:DB8::0:1" }).settings.secondaryIps, [
    "2001:db8::1",
  ]);
});

test("ours have the last word over kube-loxilb's", () => {
  const annotations = { "loxilb.io/poolSelect": "old", "holdfast.io/pool": "new" };
  assert.equal(readAnnotations(annotations).settings.pool, "new");
});

test("edits between two texts", () => {
  assert.equal(editDistance("loixlb", "loxilb"), 1);
  assert.equal(editDistance("", "abc"), 3);
  assert.equal(editDistance("kitten", "sitting"), 3);
});
