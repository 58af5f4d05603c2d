// The compose file's nginx: a slow download goes on when the owner of its VIP is killed.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { pause, until } from "@holdfast/testkit";
import { Engine } from "./engine.ts";

const PRIMARY = "203.0.113.1";
const LIMIT_MS = 180_000;
const ENDPOINTS = ["198.19.0.23:8080", "198.19.0.24:8080"];

interface Vip {
  readonly vip: string;
  readonly owner?: string;
}

let engine: Engine;

before(() => {
  engine = Engine.open();
  engine.build("holdfast", "holdfast:local");
  engine.build("web", "holdfast-web:local");
});
after(() => engine?.close());

const downloads = () => engine.logs("download").filter((line) => line.startsWith("download "));

const endOf = (number: number) =>
  downloads()
    .find((line) => line.startsWith(`download ${number}: `) && !line.endsWith("begins"))
    ?.slice(`download ${number}: `.length);

function ownerOf(member: string): string | undefined {
  const printed = JSON.parse(engine.exec(member, "holdfast", "get", "vips", "-o", "json")) as
    | { items?: Vip[] }
    | Vip[];
  const vips = Array.isArray(printed) ? printed : (printed.items ?? []);
  return vips.find(({ vip }) => vip === PRIMARY)?.owner;
}

test("curl --limit-rate goes on through the kill of the member that carries it", {
  timeout: 900_000,
}, async () => {
  engine.compose("--profile", "web", "up", "-d", "--no-build", "m1", "m2", "m3", "web-1", "web-2");
  await until("an owner", () => ownerOf("m1") !== undefined, LIMIT_MS, 500);
  const endpoints = ENDPOINTS.flatMap((endpoint) => ["--endpoint", endpoint]);
  const service = ["--name", "web", "--protocol", "tcp", "--vip", PRIMARY, "--port", "8080", ...endpoints];
  engine.exec("m1", "holdfast", "create", "service", ...service);
  engine.compose("--profile", "web", "up", "-d", "--no-build", "download");
  await until(
    "the first whole download",
    () => downloads().some((line) => line.endsWith("whole")),
    LIMIT_MS,
    500,
  );

  const owner = ownerOf("m1") as string;
  const witness = ["m1", "m2", "m3"].find((member) => member !== owner) as string;
  const begun = downloads().length;
  await until("the next one", () => downloads().length > begun, LIMIT_MS, 200);
  const number = Number(/download (\d+): begins$/.exec(downloads().at(-1) ?? "")?.[1]);
  assert.ok(number > 1, downloads().join("\n"));
  // Older than replicateAfterMs; it lasts forty.
  await pause(3_000);
  engine.compose("kill", owner);
  assert.equal(downloads().at(-1), `download ${number}: begins`, "it was under way");
  await until("another owner", () => ![owner, undefined].includes(ownerOf(witness)), LIMIT_MS, 500);
  // … and one that begins afterwards.
  await until("two more to end", () => endOf(number + 1) !== undefined, LIMIT_MS, 500);
  assert.deepEqual(
    [endOf(number), endOf(number + 1)],
    ["whole", "whole"],
    engine.logs("download").join("\n"),
  );
});
