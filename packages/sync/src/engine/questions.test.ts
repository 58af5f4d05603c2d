import assert from "node:assert/strict";
import { test } from "node:test";
import type { Clock } from "@holdfast/model";
import type { ToView } from "../ports/link.ts";
import type { PeerMessage } from "../ports/messages.ts";
import { Questions } from "./questions.ts";
import { REPLICATION_DEFAULTS, type ReplicationSettings } from "./settings.ts";

const about = { kind: "client", serviceId: "s", client: "192.0.2.1", clientPort: 1 } as const;
const record = Uint8Array.of(1);

/** Of three members; `late()` is the end of the time for answers. */
function questions(connected: readonly number[]) {
  const posted: ToView[] = [];
  const sent: { readonly peer: number; readonly question: number }[] = [];
  let late = () => {};
  const clock = {
    after: (_: number, action: () => void) => {
      late = action;
      return { cancel: () => {} };
    },
  } as unknown as Clock;
  const members = [0, 1, 2].map((number) => ({ number })) as unknown as ReplicationSettings["members"];
  const all = new Questions({
    clock,
    settings: { ...REPLICATION_DEFAULTS, member: members[0] as never, members },
    post: (message) => posted.push(message),
    send: (peer, message: PeerMessage) => {
      if (message.kind === "ask") sent.push({ peer, question: message.question });
      return true;
    },
    deliver: () => {},
  });
  all.ask(7, about, connected);
  const answer = (peer: number, records: readonly Uint8Array[] = []) =>
    all.answer(peer, sent.find((s) => s.peer === peer)?.question ?? 0, records);
  return { all, posted, answer, late: () => late() };
}

const answered = (complete: boolean) => [{ kind: "answered", token: 7, complete }];

test("an answer is complete when every other member has given one", () => {
  const { posted, answer } = questions([1, 2]);
  answer(1);
  assert.deepEqual(posted, []);
  answer(1);
  answer(2);
  assert.deepEqual(posted, answered(true));
});

test("it is not when one is missing, late, gone, or knows", () => {
  const missing = questions([1]);
  missing.answer(1);
  assert.deepEqual(missing.posted, answered(false));
  const late = questions([1, 2]);
  late.answer(1);
  late.late();
  assert.deepEqual(late.posted, answered(false));
  const gone = questions([1, 2]);
  gone.answer(1);
  gone.all.disconnected(2);
  assert.deepEqual(gone.posted, answered(false));
  const known = questions([1, 2]);
  known.answer(1, [record]);
  assert.deepEqual(known.posted, answered(false));
  assert.deepEqual(questions([]).posted, answered(false));
});
