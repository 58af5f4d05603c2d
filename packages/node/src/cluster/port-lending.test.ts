import assert from "node:assert/strict";
import { test } from "node:test";
import type { LoanMessage } from "@holdfast/forwarder";
import { type ListedMember, MemberBook } from "@holdfast/model";
import { CAPABILITIES, LIST_VOTES } from "@holdfast/sync";
import fc from "fast-check";
import { markOf } from "../members/list-mark.ts";
import type { ClusterLink, RequestHandler } from "./link.ts";
import { decodeLoanMessage, portLending, serveLending } from "./port-lending.ts";

const place = { endpoint: "10.3.0.1", endpointPort: 2_905, natPort: 2_905 } as const;
const messages: readonly LoanMessage[] = [
  {
    kind: "lend",
    ...place,
    clientTag: 7,
    serviceId: "sctp/203.0.113.1:2905",
    source: "10.1.0.9",
    listed: ["fd01::9"],
    isRequired: true,
  },
  { kind: "back", ...place, clientTag: 0xffff_ffff },
  { kind: "back", ...place, clientTag: 7, ask: 12 },
  { kind: "still", ...place, clientTag: 1 },
];
const encode = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));

test("what one member says the other understands", () => {
  for (const message of messages) assert.deepEqual(decodeLoanMessage(encode(message)), message);
  const marked = { ...messages[0], list: markOf({ version: 7, members: [], resting: [] }) };
  assert.deepEqual(decodeLoanMessage(encode(marked)), marked);
  const numbered = { ...messages[0], ask: 12 };
  assert.deepEqual(decodeLoanMessage(encode(numbered)), numbered);
  for (const ask of [null, 0, -1, 1.5, "12", 2 ** 60])
    assert.equal(decodeLoanMessage(encode({ ...numbered, ask })), undefined);
  for (const list of [null, 7, {}, { version: -1, digest: "x" }, { ...marked.list, digest: "x" }])
    assert.equal(decodeLoanMessage(encode({ ...marked, list })), undefined);
});

const listed = (number: number): ListedMember => ({
  name: `m${number}`,
  number,
  addresses: [{ address: `192.0.2.${number + 1}` }],
  probePort: 7082,
  replicationPort: 7081,
});

/** What member 0 hears from member 1, which says yes to everything that it is asked. */
async function answerOf(
  asker: { readonly version: number; readonly numbers?: readonly number[]; readonly isOlder?: boolean },
  voter: { readonly version: number; readonly isOlder?: boolean },
  natPort: number,
): Promise<string | undefined> {
  const bookOf = ({ version, numbers = [0, 1, 2] }: typeof asker) => {
    const book = new MemberBook(numbers.map(listed));
    book.set({ version, members: numbers.map(listed), resting: [] });
    return book;
  };
  let answers: RequestHandler = () => new Uint8Array(0);
  const books = [bookOf(asker), bookOf(voter)] as const;
  serveLending(
    {
      onRequest: (_topic: string, handler: RequestHandler) => {
        answers = handler;
      },
      onDisconnect: () => {},
    } as unknown as ClusterLink,
    { heardLoan: () => "yes", lenderGone: () => {} },
    // An older build looks at no list, as if every question came from one like it.
    voter.isOlder === true ? bookOf({ version: 0 }) : books[1],
    { number: 1, memberNumberCount: 8 },
  );
  const link = {
    connected: () => [1],
    capabilitiesOf: () => CAPABILITIES.filter((name) => voter.isOlder !== true || name !== LIST_VOTES),
    request: async (_member: number, _topic: string, body: Uint8Array) => {
      const { list, ...rest } = JSON.parse(new TextDecoder().decode(body)) as { list?: unknown };
      assert.ok(voter.isOlder !== true || list === undefined, "an older build is told what it can read");
      return answers(0, encode(asker.isOlder === true ? rest : { ...rest, list }));
    },
  } as unknown as ClusterLink;
  const lending = portLending(link, books[0], 8);
  assert.equal(lending.listVersion, asker.version);
  return lending.request(1, { ...(messages[0] as LoanMessage), natPort });
}

test("a member votes under its own list or a later one; a port of its own slot it lends whatever the list", async () => {
  const [ofNobody, ofVoter] = [2_908, 2_905];
  assert.equal(await answerOf({ version: 3 }, { version: 3 }, ofNobody), "yes");
  assert.equal(await answerOf({ version: 4 }, { version: 3 }, ofNobody), "yes");
  assert.equal(await answerOf({ version: 3 }, { version: 4 }, ofNobody), "stale");
  assert.equal(await answerOf({ version: 3 }, { version: 4 }, ofVoter), "yes");
  // Lists of files that are not one.
  assert.equal(await answerOf({ version: 0, numbers: [0, 1] }, { version: 0 }, ofNobody), "stale");
});

test("a build that reads no marks has the list of its file: its votes count under that one alone", async () => {
  const ofNobody = 2_908;
  assert.equal(await answerOf({ version: 0 }, { version: 0, isOlder: true }, ofNobody), "yes");
  assert.equal(await answerOf({ version: 1 }, { version: 0, isOlder: true }, ofNobody), undefined);
  assert.equal(await answerOf({ version: 0, isOlder: true }, { version: 0 }, ofNobody), "yes");
  assert.equal(await answerOf({ version: 0, isOlder: true }, { version: 1 }, ofNobody), "stale");
});

test("what is not understood is nothing, and never a throw", () => {
  for (const message of messages)
    for (const field of Object.keys(message).filter((name) => name !== "serviceId" && name !== "ask"))
      for (const wrong of [undefined, null, -1, 1.5, 70_000 * 70_000, "x", ["x"], {}])
        assert.equal(
          decodeLoanMessage(encode({ ...message, [field]: wrong })),
          undefined,
          `${field}: ${wrong}`,
        );
  fc.assert(fc.property(fc.uint8Array(), (bytes) => decodeLoanMessage(bytes) === undefined));
  fc.assert(
    fc.property(fc.json(), (text) => decodeLoanMessage(new TextEncoder().encode(text)) === undefined),
  );
});
