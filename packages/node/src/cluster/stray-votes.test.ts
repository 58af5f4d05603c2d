import assert from "node:assert/strict";
import { test } from "node:test";
import type { ServicePlace } from "@holdfast/model";
import { createLocalConfigurationStore } from "../services/store.ts";
import type { RequestHandler } from "./link.ts";
import { StrayVotes } from "./stray-votes.ts";

const GONE: ServicePlace = { serviceId: "sctp/203.0.113.1:38412" };
const ENDPOINT: ServicePlace = { ...GONE, endpoint: { address: "10.0.0.1", port: 38412 } };

/** What each of the members knows, and what it answers with. */
function members(
  known: readonly { readonly version: string; readonly deleted: boolean; readonly cut?: boolean }[],
) {
  const handlers: RequestHandler[] = [];
  const connected = (self: number) => [...known.keys()].filter((n) => n !== self && known[n]?.cut !== true);
  return known.map(({ version, deleted }, self) => {
    const store = { ...createLocalConfigurationStore(), version: () => version, isDeleted: () => deleted };
    const link = {
      connected: () => connected(self),
      request: async (member: number, _topic: string, body: Uint8Array) => handlers[member]?.(self, body),
      onRequest: (_topic: string, handler: RequestHandler) => {
        handlers[self] = handler;
      },
    };
    return { votes: new StrayVotes(link, store, () => Math.floor(known.length / 2) + 1), handlers };
  });
}

const agreed = async (known: Parameters<typeof members>[0]) =>
  (await members(known)[0]?.votes.confirm([GONE, ENDPOINT]))?.length;

test("a majority in the same configuration that knows the deletion, and nothing less", async () => {
  const [knows, asks] = [
    { version: "1", deleted: true },
    { version: "1", deleted: true },
  ];
  const older = { version: "0", deleted: true };
  const ignorant = { version: "1", deleted: false };
  assert.equal(await agreed([asks]), 2, "a lone member is its own majority");
  assert.equal(await agreed([asks, knows, ignorant]), 2);
  assert.equal(await agreed([asks, older, older]), 0, "others are not in the same configuration");
  assert.equal(await agreed([asks, ignorant, ignorant]), 0);
  assert.equal(
    await agreed([asks, { ...knows, cut: true }, { ...knows, cut: true }]),
    0,
    "nobody else is there",
  );
  assert.equal(await agreed([ignorant, knows, knows]), 0, "it does not know itself what it asks for");
  assert.equal(await agreed([asks, knows, older, older]), 0, "two of four are no majority");
});

test("whatever another member sends is answered", async () => {
  const [{ handlers } = { handlers: [] }] = members([{ version: "1", deleted: true }]);
  for (const text of [
    "",
    "null",
    "7",
    "[]",
    '{"places":7}',
    '{"version":"1","places":[null,7,{"serviceId":1}]}',
  ]) {
    const reply = await handlers[0]?.(1, new TextEncoder().encode(text));
    const { answers } = JSON.parse(new TextDecoder().decode(reply)) as { answers: boolean[] };
    assert.ok(answers.every((answer) => !answer));
  }
});
