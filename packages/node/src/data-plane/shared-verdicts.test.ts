import assert from "node:assert/strict";
import { test } from "node:test";
import type { Clock } from "@holdfast/model";
import { parseVerdicts, shareVerdicts } from "./shared-verdicts.ts";

const bytes = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));

test("the others' verdicts are taken, and forgotten when they are gone or say nothing of a place any more", async () => {
  let tick: () => void = () => {};
  const clock = {
    every(_ms: number, action: () => void) {
      tick = action;
      return { cancel() {} };
    },
  } as unknown as Clock;
  const heard: string[] = [];
  let connected = [2];
  let answer: unknown = [{ address: "192.0.2.1", port: 7, verdict: "down" }];
  let own: (from: number, body: Uint8Array) => unknown = () => undefined;
  shareVerdicts(
    {
      connected: () => connected,
      request: async () => (answer === undefined ? undefined : bytes(answer)),
      onRequest: (_topic, handler) => {
        own = handler;
      },
    },
    {
      setOtherVerdict: (member, { address, port }, verdict) =>
        heard.push(`${member} ${address} ${port} ${verdict}`),
      health: { ownVerdicts: () => [{ address: "192.0.2.9", port: 8, verdict: "up" }] },
    },
    clock,
  );
  const turn = async () => {
    tick();
    for (let i = 0; i < 4; i++) await Promise.resolve();
    return heard.splice(0);
  };
  assert.deepEqual(await turn(), ["2 192.0.2.1 7 down"]);
  answer = undefined;
  assert.deepEqual(await turn(), []);
  answer = [];
  assert.deepEqual(await turn(), ["2 192.0.2.1 7 undefined"]);
  answer = [{ address: "192.0.2.1", port: 7, verdict: "up" }];
  await turn();
  connected = [];
  assert.deepEqual(await turn(), ["2 192.0.2.1 7 undefined"]);
  assert.deepEqual(parseVerdicts(own(2, new Uint8Array(0)) as Uint8Array), [
    { address: "192.0.2.9", port: 8, verdict: "up" },
  ]);
});

test("anything but a list of verdicts is no answer", () => {
  for (const value of [
    {},
    [1],
    [{}],
    [null],
    [{ address: "x", port: 1, verdict: "up" }],
    [{ address: "::1", port: 1, verdict: "?" }],
  ]) {
    assert.equal(parseVerdicts(bytes(value)), undefined);
  }
  assert.equal(parseVerdicts(new Uint8Array([1, 2])), undefined);
});
