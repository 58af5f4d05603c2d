// docs/kubernetes.md, word by word, against a real API server: what it says to apply is accepted, and what it
// says that comes of it comes.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { OUR_HEALTH, OURS } from "@holdfast/kubernetes/testing";
import { until } from "@holdfast/testkit";
import { parseAllDocuments } from "yaml";
import { type RealServer, startRealServer } from "./real-server.ts";
import { NAMESPACE, openWorldOn, pod, type World } from "./world.ts";

const TOP = fileURLToPath(new URL("../../", import.meta.url));
const TEXT = readFileSync(`${TOP}docs/kubernetes.md`, "utf8");
/** What a reader would put into files; values for helm are none of them. */
const MANIFESTS = [...TEXT.matchAll(/^```yaml\n([\s\S]*?)^```/gm)]
  .map(([, block = ""]) => block)
  .filter((block) => /^apiVersion:/m.test(block));

let server: RealServer;
let world: World;
before(async () => {
  server = await startRealServer();
  world = await openWorldOn(server, {}, () => server.close());
});
after(() => world?.close());

function kubectl(words: string, input?: string): string {
  const access = [`--server=${server.admin.url}`, "--token=admin", "--insecure-skip-tls-verify"];
  return execFileSync("kubectl", [...access, ...words.split(" ")], {
    cwd: TOP,
    encoding: "utf8",
    ...(input !== undefined && { input }),
  });
}

test("what is rendered for kustomize is accepted as it is", () => {
  for (const directory of ["base", "nodes"])
    kubectl(`apply --server-side --force-conflicts -k deploy/kubernetes/${directory}`);
  const sets = kubectl("-n holdfast get daemonsets,deployments -o name");
  assert.match(sets, /daemonset\.apps\/holdfast-member/);
  assert.match(sets, /deployment\.apps\/holdfast-controller/);
  kubectl("get members.holdfast.io");
  kubectl("get vippools");
});

test("the AMF with three paths and the Gateway are applied, and become what the page shows", async () => {
  assert.ok(MANIFESTS.length >= 2, `${MANIFESTS.length} blocks`);
  // In the order of the page, the first of them first: addresses are given in it.
  const [amf = "", ...others] = MANIFESTS;
  kubectl("apply --server-side -f -", amf);
  const { cluster } = world;
  await cluster.slice("amf", [pod("10.0.0.5")]);
  assert.equal(await cluster.address("amf"), "203.0.113.1");
  const said = kubectl("get service amf");
  assert.match(said, /^amf +LoadBalancer +\S+ +203\.0\.113\.1 +38412\/SCTP /m);
  const shown = /holdfast\.io\/vips: (\S+)/.exec(TEXT)?.[1];
  const written = await until(
    "its VIPs",
    async () => (await cluster.get("amf")).metadata.annotations?.["holdfast.io/vips"],
  );
  assert.equal(written, shown);
  for (const reason of ["IPAllocated", "EnsuredLoadBalancer", "VipOwner"]) {
    assert.match(TEXT, new RegExp(`Normal  ${reason} `));
    await cluster.event("amf", reason);
  }
  for (const block of others) kubectl("apply --server-side -f -", block);
  const kinds = others.flatMap((block) => parseAllDocuments(block).map((each) => each.toJS().kind));
  assert.ok(kinds.includes("Gateway") && kinds.includes("SCTPRoute"));
  const addresses = await until("the Gateway's addresses", () => {
    const { status } = JSON.parse(kubectl(`-n ${NAMESPACE} get gateway core -o json`));
    const found = (status?.addresses ?? []).map(({ value }: { value: string }) => value);
    return found.length === 2 && found;
  });
  assert.deepEqual(addresses, ["203.0.113.2", "198.51.100.2"]);
  await until("its endpoint", async () =>
    (await world.served()).includes("203.0.113.2+198.51.100.2:38412 -> 10.0.0.5:38412"),
  );
});

test("every annotation and every chart value that the page names is there", async () => {
  const table = TEXT.slice(TEXT.indexOf("| `holdfast.io/…` |"), TEXT.indexOf("All others of kube-loxilb's"));
  const named = table
    .split("\n")
    .slice(2)
    .flatMap((row) => [...(row.split("|")[1] ?? "").matchAll(/`([a-z-]+)`/g)].map(([, name = ""]) => name));
  const known = [...Object.keys(OURS), ...OUR_HEALTH, "vips", "owners"];
  assert.deepEqual(named.sort(), known.sort());
  const values = parseAllDocuments(
    readFileSync(`${TOP}deploy/kubernetes/chart/values.yaml`, "utf8"),
  )[0]?.toJS();
  for (const [, path = ""] of TEXT.matchAll(/--set '?([a-zA-Z.]+)=/g)) {
    const found = path
      .split(".")
      .reduce((at: unknown, key) => (at as Record<string, unknown>)?.[key], values);
    assert.notEqual(found, undefined, path);
  }
});
