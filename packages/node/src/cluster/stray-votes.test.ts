import assert from "node:assert/strict";
import { test } from "node:test";
import { type ListedMember, MemberBook, type ServicePlace } from "@holdfast/model";
import { CAPABILITIES, LIST_VOTES } from "@holdfast/sync";
import { createLocalConfigurationStore } from "../services/store.ts";
import type { RequestHandler } from "./link.ts";
import { StrayVotes } from "./stray-votes.ts";

const GONE: ServicePlace = { serviceId: "sctp/203.0.113.1:38412" };
const ENDPOINT: ServicePlace = { ...GONE, endpoint: { address: "10.0.0.1", port: 38412 } };

const listed = (number: number): ListedMember => ({
  name: `m${number}`,
  number,
  addresses: [{ address: `192.0.2.${number + 1}` }],
  probePort: 7082,
  replicationPort: 7081,
});

interface Known {
  readonly version: string;
  readonly deleted: boolean;
  readonly cut?: boolean;
  /** Its list of members; all of them, version 0, when absent. */
  readonly list?: { readonly version: number; readonly numbers: readonly number[] };
  /** It is of a build without marks of lists. */
  readonly isOlder?: boolean;
}

/** What each of the members knows, and what it answers with. */
function members(known: readonly Known[]) {
  const handlers: RequestHandler[] = [];
  const connected = (self: number) => [...known.keys()].filter((n) => n !== self && known[n]?.cut !== true);
  return known.map(({ version, deleted, list, isOlder }, self) => {
    const store = { ...createLocalConfigurationStore(), version: () => version, isDeleted: () => deleted };
    const link = {
      connected: () => connected(self),
      capabilitiesOf: (member: number) =>
        CAPABILITIES.filter((name) => known[member]?.isOlder !== true || name !== LIST_VOTES),
      request: async (member: number, _topic: string, body: Uint8Array) => {
        const question = JSON.parse(new TextDecoder().decode(body)) as { list?: unknown };
        assert.equal(question.list === undefined, known[member]?.isOlder === true, "what it can read");
        return isOlder === true
          ? handlers[member]?.(
              self,
              new TextEncoder().encode(JSON.stringify({ ...question, list: undefined })),
            )
          : handlers[member]?.(self, body);
      },
      onRequest: (_topic: string, handler: RequestHandler) => {
        handlers[self] = handler;
      },
    };
    const book = new MemberBook([...known.keys()].map(listed));
    if (list !== undefined)
      book.set({ version: list.version, members: list.numbers.map(listed), resting: [] });
    return { votes: new StrayVotes(link, store, book, { number: self }), handlers, book };
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

test("votes are counted under one list of members", async () => {
  const [three, five] = [
    { version: 1, numbers: [0, 1, 2] },
    { version: 3, numbers: [0, 1, 2, 3, 4] },
  ];
  const knows = (list: typeof three | undefined) => ({
    version: "1",
    deleted: true,
    ...(list !== undefined && { list }),
  });
  const missing = { ...knows(five), cut: true };
  assert.equal(await agreed([knows(three), knows(five), knows(five), missing, missing]), 0, "it is behind");
  assert.equal(await agreed([knows(five), knows(three), missing, missing, missing]), 0, "two of five");
  assert.equal(await agreed([knows(five), knows(three), knows(five), missing, missing]), 2);
  // Files before the first change, which do not say the same.
  const files = [0, 1, 2].map(() => knows({ version: 0, numbers: [0, 1, 2] }));
  assert.equal(await agreed([...files.slice(0, 1), knows({ version: 0, numbers: [0, 1] })]), 0);
  assert.equal(await agreed(files), 2);
  // A build that does not look at lists has that of its file.
  const older = { ...knows(undefined), isOlder: true };
  assert.equal(await agreed([knows(undefined), older, { ...older, cut: true }]), 2);
  assert.equal(await agreed([older, knows(undefined), { ...older, cut: true }]), 2);
  assert.equal(await agreed([knows(three), older, older]), 0);
});

test("a list that changes while votes are counted makes none of them", async () => {
  const known = [0, 1, 2].map(() => ({ version: "1", deleted: true }));
  const [first] = members(known);
  const asking = first?.votes.confirm([GONE]);
  first?.book.set({ version: 1, members: [0, 1].map(listed), resting: [] });
  assert.deepEqual(await asking, []);
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
