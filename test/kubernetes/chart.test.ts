// The chart and what is rendered from it fit the program that they start.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { parseAllDocuments } from "yaml";
import { main } from "../../packages/cli/src/program.ts";
import { createMetrics } from "../../packages/kubernetes/src/metrics.ts";

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
      capabilities: { drop: string[] };
    };
  }[];
}

const base = parseAllDocuments(read("base/controller.yaml")).map((document) => document.toJS() as Rendered);
const podSpec = base.find(({ kind }) => kind === "Deployment")?.spec?.template.spec as PodSpec;

test("the base has the chart's definitions and rights", () => {
  const definitions = readdirSync(`${TOP}chart/crds`).sort();
  assert.ok(definitions.length >= 2);
  const expected = definitions.map((file) => `---\n${read(`chart/crds/${file}`)}`).join("");
  assert.equal(read("base/crds.yaml").split("\n").slice(1).join("\n"), expected);
  const plain = (text: string) =>
    text
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
  let help = "";
  await main(["controller", "--help"], { out: (text) => (help += text), error: () => {} });
  const options = read("chart/templates/deployment.yaml").match(/--[a-z][a-z-]+/g) ?? [];
  assert.ok(options.length >= 6);
  for (const option of options) assert.ok(help.includes(option), option);
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
