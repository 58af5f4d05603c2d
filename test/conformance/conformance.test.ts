// The suite's frame: what it is asked for, what it plans, what it prints.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { readOptions } from "./options.ts";
import { PLAIN_DOCUMENT, plainDocument } from "./plain/document.ts";
import { PLAIN_SCENARIOS } from "./plain/registry.ts";
import { ELSEWHERE, planOf } from "./plan.ts";
import { scenarios } from "./registry.ts";
import { document, jsonLine, matrix, verdict } from "./report.ts";
import { FAMILIES, FAST_PATHS, type Outcome } from "./scenario.ts";

test("docs/conformance.md says what the scenarios say", () => {
  const text = readFileSync(new URL("../../docs/conformance.md", import.meta.url), "utf8");
  assert.equal(text, document(scenarios, ELSEWHERE), "run 'npm run conformance -- --write' and commit it");
});

test("docs/conformance-tcp-udp.md says what the scenarios of TCP and UDP say", () => {
  const text = readFileSync(new URL(`../../${PLAIN_DOCUMENT}`, import.meta.url), "utf8");
  assert.equal(text, plainDocument(), "run 'npm run conformance -- --protocol tcp --write' and commit it");
});

test("every scenario says what is done and seen, and where the protocol asks for it", () => {
  for (const { number, name, rfc, done, seen } of [
    ...scenarios,
    ...PLAIN_SCENARIOS.tcp,
    ...PLAIN_SCENARIOS.udp,
  ])
    for (const text of [name, rfc, done, seen])
      assert.ok(text.length > 0 && !text.includes("|") && !text.includes("\n"), `${number}: ${text}`);
});

test("the plain command runs all on tcx and IPv4, and a dozen in each of four other places", () => {
  const plan = planOf(scenarios, { full: false });
  const numbersAt = (fastPath: string, family: string) =>
    plan.filter(([, at]) => at.fastPath === fastPath && at.family === family).map(([{ number }]) => number);
  assert.deepEqual(
    numbersAt("tc", "ipv4"),
    scenarios.map(({ number }) => number),
  );
  assert.equal(ELSEWHERE.length, 4);
  for (const { fastPath, family } of ELSEWHERE) assert.equal(numbersAt(fastPath, family).length, 12);
  assert.equal(plan.length, scenarios.length + 48);
});

test("--full runs everything everywhere, but for what means nothing there", () => {
  const plan = planOf(scenarios, { full: true });
  for (const scenario of scenarios) {
    const families = scenario.families ?? FAMILIES;
    assert.equal(plan.filter(([s]) => s === scenario).length, FAST_PATHS.length * families.length);
  }
});

test("--only and --path choose", () => {
  const names = (words: string[]) =>
    planOf(scenarios, readOptions(words)).map(([{ number }, at]) => `${number} ${at.fastPath}/${at.family}`);
  assert.deepEqual(names(["--only", "17, 3"]), ["3 tc/ipv4", "17 tc/ipv4"]);
  assert.deepEqual(names(["--only", "8", "--profile", "lab"]), ["8 tc/ipv4"]);
  assert.deepEqual(names(["--only", "17", "--path", "xdp-generic/mixed"]), ["17 xdp-generic/mixed"]);
  assert.deepEqual(names(["--only", "8", "--path", "tc/ipv6"]), [], "8 is about a service of IPv4");
});

for (const name of ["field", "routed"] as const)
  test(`--profile ${name} runs everything once, with --full everywhere`, () => {
    const plan = planOf(scenarios, readOptions(["--profile", name]));
    assert.deepEqual(
      plan.map(([{ number }, { profile }]) => [number, profile]),
      scenarios.map(({ number }) => [number, name]),
    );
    assert.equal(
      planOf(scenarios, readOptions(["--profile", name, "--full"])).length,
      planOf(scenarios, readOptions(["--full"])).length,
    );
  });

test("a wrong option is answered with what would be right", () => {
  assert.throws(() => readOptions(["--only", "59"]), /1 to 58.*'59'/);
  assert.throws(() => readOptions(["--only", "0"]), /'0'/);
  assert.throws(() => readOptions(["--only", ""]), /''/);
  assert.throws(() => readOptions(["--only", "1,x"]), /'x'/);
  assert.throws(() => readOptions(["--path", "tcx/ipv4"]), /tc, xdp.*'tcx\/ipv4'/);
  assert.throws(() => readOptions(["--profile", "tight"]), /lab or field.*'tight'/);
  assert.throws(() => readOptions(["--jobs", "0"]), /1 to 16.*'0'/);
  assert.equal(readOptions(["--jobs", "2"]).jobs, 2);
  assert.throws(() => readOptions(["--full", "--path", "tc/ipv4"]), /one of them/);
  assert.throws(() => readOptions(["--fulll"]), /--fulll/);
  assert.throws(() => readOptions(["--protocol", "dccp"]), /sctp, tcp or udp.*'dccp'/);
  assert.throws(() => readOptions(["--protocol", "udp", "--only", "99"]), /1 to 40.*'99'/);
  assert.throws(() => readOptions(["--protocol", "tcp", "--profile", "field"]), /SCTP, not of tcp/);
  assert.equal(readOptions(["--protocol", "tcp", "--only", "51"]).protocol, "tcp");
  assert.throws(() => readOptions(["17"]), /17/);
});

test("the report names what failed and where", () => {
  const outcome = (number: number, path: string, passed: boolean): Outcome => ({
    number,
    name: `scenario ${number}`,
    path,
    passed,
    durationMs: 1,
  });
  const outcomes = [outcome(1, "tc/ipv4", true), outcome(2, "tc/ipv4", true), outcome(1, "xdp/ipv4", false)];
  assert.match(verdict(outcomes.slice(0, 2), 60_000), /^CONFORMS: 2 of 2 passed/);
  assert.match(verdict(outcomes, 60_000), /^DOES NOT CONFORM: 1 of 3 failed: 1 on xdp\/ipv4/);
  assert.match(matrix(outcomes), / 1 {2}ok {7}FAILED {4}scenario 1\n {2}2 {2}ok/);
  assert.deepEqual(JSON.parse(jsonLine(outcomes.slice(0, 1))), {
    scenarios: [{ number: 1, name: "scenario 1", passed: true, path: "tc/ipv4" }],
  });
});
