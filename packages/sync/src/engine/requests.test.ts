import assert from "node:assert/strict";
import { test } from "node:test";
import type { ToView } from "../ports/link.ts";
import type { PeerMessage } from "../ports/messages.ts";
import { Requests } from "./requests.ts";
import { WAITING_COUNT_MAX } from "./settings.ts";

const body = Uint8Array.of(1);

function requests(isConnected = true) {
  const posted: ToView[] = [];
  const sent: { readonly peer: number; readonly message: PeerMessage }[] = [];
  const all = new Requests({
    post: (message) => posted.push(message),
    send: (peer, message) => {
      if (isConnected) sent.push({ peer, message });
      return isConnected;
    },
  });
  return { all, posted, sent };
}

test("only the member that was asked answers, and once", () => {
  const { all, posted } = requests();
  all.ask({ kind: "request", token: 7, member: 2, topic: "t", body });
  all.answered(3, { kind: "response", id: 7, body });
  assert.deepEqual(posted, []);
  all.answered(2, { kind: "response", id: 7, body });
  all.answered(2, { kind: "response", id: 7, body });
  assert.deepEqual(posted, [{ kind: "response", token: 7, body }]);
});

test("a member that is not there has no answer, at once", () => {
  const { all, posted } = requests(false);
  all.ask({ kind: "request", token: 7, member: 2, topic: "t", body });
  assert.deepEqual(posted, [{ kind: "response", token: 7, body: undefined }]);
});

test("what members ask is answered to them, unless they have gone", () => {
  const { all, posted, sent } = requests();
  all.asked(4, { kind: "request", id: 11, topic: "t", body });
  all.asked(5, { kind: "request", id: 11, topic: "t", body });
  const tokens = posted.map((message) => (message.kind === "request" ? message.token : -1));
  all.disconnected(4);
  for (const token of tokens) all.answer({ kind: "response", token, body });
  assert.deepEqual(sent, [{ peer: 5, message: { kind: "response", id: 11, body } }]);
});

test("of what waits the oldest goes when there is too much", () => {
  const { all, posted, sent } = requests();
  for (let id = 0; id <= WAITING_COUNT_MAX; id++) all.asked(4, { kind: "request", id, topic: "t", body });
  const [first, second] = posted.map((message) => (message.kind === "request" ? message.token : -1));
  for (const token of [first, second]) all.answer({ kind: "response", token: token as number, body });
  assert.deepEqual(
    sent.map(({ message }) => (message.kind === "response" ? message.id : -1)),
    [1],
  );
});
