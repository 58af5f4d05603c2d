#!/usr/bin/env bash
# Expected: to view a document at heads that it does not have (a peer's, whose changes are still on their way), to compare it
# with them or to change it there raises an error.
# Found (Automerge 3.5.0): an unknown head is passed over in silence. A view at it is the empty document, and calls the
# unknown heads its own; a diff towards it deletes every key; with a known head beside it, it is as if it had not been named.
. "$(dirname "$0")/lib/common.sh"
cd "$work"
npm install --silent --no-audit --no-fund --prefix "$work" @automerge/automerge@3.5.0
cat >ask.mjs <<'JS'
import * as Automerge from "@automerge/automerge";
const common = Automerge.from({ shared: 1 }, { actor: "aa" });
const peer = Automerge.change(Automerge.load(Automerge.save(common), { actor: "bb" }), (doc) => { doc.theirs = 2; });
const mine = Automerge.change(common, (doc) => { doc.own = 3; });
const unknown = Automerge.getHeads(peer);
const known = Automerge.getHeads(common);
const view = Automerge.view(mine, unknown);
const say = (what, value) => console.log(`${what}: ${JSON.stringify(value)}`);
say("has it", Automerge.hasHeads(mine, unknown));
say("view", view);
say("heads of the view are the unknown ones", Automerge.getHeads(view).join() === unknown.join());
say("view at known and unknown", Automerge.view(mine, [...known, ...unknown]));
say("diff towards unknown", Automerge.diff(mine, Automerge.getHeads(mine), unknown));
JS
echo "@automerge/automerge $(node -p 'require("./node_modules/@automerge/automerge/package.json").version'), node $(node --version)"
node ask.mjs | tee answers
said() { grep -qxF "$1" answers; }
expect "the document does not have the head" said 'has it: false'
expect "the view is empty" said 'view: {}'
expect "the view calls the unknown heads its own" said 'heads of the view are the unknown ones: true'
expect "beside a known head it is ignored" said 'view at known and unknown: {"shared":1}'
expect "the diff deletes everything" said 'diff towards unknown: [{"action":"del","path":["own"]},{"action":"del","path":["shared"]}]'
