// Debian's kernels, each in an emulated machine: the programs load and are attached, every packet of the
// compliance suite gets its due, devices that this machine's kernel may not have (VRF, VLAN on a bond) are
// served, and real stacks associate.
//
// 5.10 stands for 5.15, of which there is no package: its verifier knows less. 6.6 stands between 6.1 and
// 6.12, which pass.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { kernels, runInGuest } from "./kernels/guest.ts";

const NODE = "node_modules/.bin/node --disable-warning=ExperimentalWarning";
const compliance = (hook: "tc" | "xdp") =>
  `packages/forwarder/src/fast-path/bpf/compliance-${hook}.lab.test.ts`;
/** Beyond the slowest seen on a host with thirty waiting for a processor. */
const LIMIT_MS = 1_500_000;

const suite = (...files: string[]) =>
  `HOLDFAST_TEST_PATIENCE=20 ${NODE} --test --test-reporter=tap ${files.join(" ")}`;

/** What the image runs: stripping sources of their types takes an emulated machine long. */
const CACHE = fileURLToPath(new URL("../../.cache", import.meta.url));
mkdirSync(CACHE, { recursive: true });
const tree = mkdtempSync(join(CACHE, "tree-"));
after(() => rmSync(tree, { recursive: true, force: true }));
const PROGRAM = join(tree, "packages/cli/build/main.js");
const BUNDLE = fileURLToPath(new URL("../../deploy/bundle.ts", import.meta.url));
const ASSOCIATE = `HOLDFAST_TEST_PATIENCE=20 LAB_PROGRAM=${PROGRAM} ${NODE} test/field/kernels/associate.ts`;

interface Plan {
  readonly kernel: string;
  /** The mirror always has it. */
  readonly isRequired: boolean;
  readonly commands: readonly string[];
}

const PLANS: readonly Plan[] = [
  // Before 5.18 the XDP program is refused, and TC does all of it.
  { kernel: "5.10", isRequired: false, commands: [suite(compliance("tc"))] },
  {
    kernel: "6.1",
    isRequired: true,
    commands: [
      suite(compliance("tc"), compliance("xdp")),
      suite("test/field/kernels/devices.guest.ts"),
      ASSOCIATE,
    ],
  },
  { kernel: "6.12", isRequired: true, commands: [suite(compliance("xdp")), ASSOCIATE] },
  { kernel: "newest", isRequired: false, commands: [suite(compliance("xdp"))] },
];

test("kernels from 5.10 to the newest that Debian has", async (t) => {
  // A guest cannot build: its file system is this one, read-only.
  for (const build of ["forwarder", "testkit"])
    execFileSync("bash", [fileURLToPath(new URL(`../../packages/${build}/build.sh`, import.meta.url))]);
  execFileSync(process.execPath, ["--disable-warning=ExperimentalWarning", BUNDLE, tree]);
  const present = kernels();
  // One after the other: a guest is one processor, the other one is other tests'.
  for (const { kernel, isRequired, commands } of PLANS) {
    if (!present.includes(kernel) && !isRequired) {
      t.diagnostic(`the mirror has no kernel ${kernel}`);
      continue;
    }
    await t.test(`Linux ${kernel}`, async () => {
      assert.ok(present.includes(kernel), `${kernel} is missing: see what deploy/setup/guests.sh says`);
      const { code, output } = await runInGuest(kernel, commands.join(" && "), LIMIT_MS);
      assert.equal(code, 0, output.slice(-6_000));
      // Something was tested.
      for (const [passed] of output.matchAll(/# pass \d+/g)) assert.notEqual(passed, "# pass 0");
      assert.match(output, /# pass \d+/);
      assert.equal(output.includes("associated: "), commands.includes(ASSOCIATE));
    });
  }
});
