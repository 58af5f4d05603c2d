// The chart and what is rendered from it fit the program that they start.
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { main } from "@holdfast/cli/testing";
import { configurationOf, createMetrics } from "@holdfast/kubernetes/testing";
import { loadConfiguration } from "@holdfast/node/testing";
import { parseAllDocuments } from "yaml";

const TOP = fileURLToPath(new URL("../../deploy/kubernetes/", import.meta.url));
const read = (file: string) => readFileSync(TOP + file, "utf8");

interface Rendered {
  readonly kind: string;
  readonly rules?: readonly { resources: string[]; verbs: string[] }[];
  readonly spec?: { template: { spec: PodSpec } };
}
interface PodSpec {
  readonly securityContext: { runAsNonRoot: boolean; seccompProfile: { type: string } };
  readonly containers: readonly {
    command: string[];
    args: string[];
    securityContext: {
      allowPrivilegeEscalation: boolean;
      readOnlyRootFilesystem: boolean;
      capabilities: { drop: string[]; add?: string[] };
    };
  }[];
}

const base = parseAllDocuments(read("base/controller.yaml")).map((document) => document.toJS() as Rendered);
const podSpec = base.find(({ kind }) => kind === "Deployment")?.spec?.template.spec as PodSpec;

test("the base has the chart's definitions and rights", () => {
  const files = readdirSync(`${TOP}chart/crds`).sort();
  assert.equal(
    read("base/crds.yaml").split("\n").slice(1).join("\n"),
    files.map((file) => `---\n${read(`chart/crds/${file}`)}`).join(""),
  );
  assert.equal(read("nodes/crds.yaml"), read("base/crds.yaml"));
  const plain = (text: string) =>
    text
      .replace(/ *\{\{- if .Values.nodes.enabled \}\}[\s\S]*?\{\{- end \}\}\n/g, "")
      .replaceAll("{{ .Release.Name }}", "holdfast-controller")
      .replaceAll("{{ .Release.Namespace }}", "holdfast");
  const rights = parseAllDocuments(plain(read("chart/templates/rbac.yaml"))).map((document) =>
    document.toJS(),
  );
  for (const object of rights)
    assert.ok(base.some((each) => JSON.stringify(each) === JSON.stringify(object)));
});

test("no right is for everything", () => {
  const rules = base.flatMap((object) => object.rules ?? []);
  assert.ok(rules.length >= 7);
  for (const { resources, verbs } of rules) assert.equal([...resources, ...verbs].includes("*"), false);
});

test("the pod passes Pod Security 'restricted', and writes to no disk", () => {
  const [container] = podSpec.containers;
  assert.equal(podSpec.securityContext.runAsNonRoot, true);
  assert.equal(podSpec.securityContext.seccompProfile.type, "RuntimeDefault");
  assert.deepEqual(container?.securityContext, {
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ["ALL"] },
  });
});

test("the program has every option that the chart gives it", async () => {
  const [container] = podSpec.containers;
  assert.equal(container?.command[0], "holdfast");
  assert.equal(container.args[0], "controller");
  await hasOptions("controller", read("chart/templates/deployment.yaml"), 10);
});

async function hasOptions(command: string, text: string, least: number): Promise<void> {
  let help = "";
  await main([command, "--help"], { out: (said) => (help += said), error: () => {} });
  const options = text.match(/(?<!value: )--[a-z][a-z-]+/g) ?? [];
  assert.ok(options.length >= least);
  for (const option of options) assert.ok(help.includes(option), `${command} ${option}`);
}

interface OnNodes extends Rendered {
  readonly metadata: { name: string };
  readonly data?: Record<string, string>;
  readonly spec?: Rendered["spec"] & {
    updateStrategy?: { rollingUpdate: { maxUnavailable: number } };
    template: { spec: PodSpec & { hostNetwork?: boolean; initContainers?: PodSpec["containers"] } };
  };
}
const nodes = parseAllDocuments(read("nodes/holdfast.yaml")).map((document) => document.toJS() as OnNodes);
const daemonSet = (name: string) =>
  nodes.find(({ kind, metadata }) => kind === "DaemonSet" && metadata.name === name)?.spec;

test("members on nodes are replaced one at a time, in their nodes' network, each beside its identity", async () => {
  const member = daemonSet("holdfast-member");
  assert.equal(member?.updateStrategy?.rollingUpdate.maxUnavailable, 1);
  assert.equal(member?.template.spec.hostNetwork, true);
  const [identity] = member?.template.spec.initContainers ?? [];
  await hasOptions("identity", (identity?.args ?? []).join(" "), 4);
  const [agent] = daemonSet("holdfast-agent")?.template.spec.containers ?? [];
  await hasOptions("agent", (agent?.args ?? []).join(" "), 2);
  assert.deepEqual(agent?.securityContext.capabilities, { drop: ["ALL"], add: ["NET_ADMIN"] });
  const rules = nodes.flatMap((object) => object.rules ?? []);
  for (const { resources, verbs } of rules) assert.equal([...resources, ...verbs].includes("*"), false);
});

test("the configuration that members on nodes share is one that they take", () => {
  const shared = nodes.find(({ kind }) => kind === "ConfigMap")?.data?.["holdfast.yaml"] ?? "";
  const directory = mkdtempSync(join(tmpdir(), "holdfast-chart-"));
  try {
    const [base, token] = [join(directory, "base.yaml"), join(directory, "token")];
    writeFileSync(token, "a token that is long enough\n");
    writeFileSync(base, shared.replace("/etc/holdfast/token/token", token));
    const files = { key: "/k", request: "/r", certificate: "/c" };
    const status = {
      memberName: "n1",
      number: 3,
      join: ["198.18.0.11:7081", "[fd01::12]:7081"],
      zone: "west",
    };
    const own = configurationOf(status, files, {
      ...({ base, authorityFile: "/a", secretFile: "/s" } as Parameters<typeof configurationOf>[2]),
    });
    const file = join(directory, "holdfast.yaml");
    writeFileSync(file, own);
    const { configuration } = loadConfiguration(file);
    assert.equal(configuration.member.name, "n1");
    assert.equal(configuration.member.number, 3);
    assert.deepEqual(configuration.cluster.join, status.join);
    assert.deepEqual(configuration.host, { loop: true, loopName: "hf", identityNat: true, rpFilter: "set" });
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});

test("alerts are about metrics that there are", () => {
  const { registry } = createMetrics({
    isLeader: () => false,
    controller: () => undefined,
    eventsDropped: () => 0,
  });
  const names = registry.getMetricsAsArray().map(({ name }) => name);
  const used = read("chart/templates/monitoring.yaml").match(/holdfast_controller_[a-z_]+/g) ?? [];
  assert.ok(used.length >= 4);
  for (const name of used) assert.ok(names.includes(name), name);
});
