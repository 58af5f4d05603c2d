#!/usr/bin/env bash
# Expected: what was applied to a document and waits for a change before it is in every kind of save, or in none.
# Found (Automerge 3.5.0): save() and clone() keep it. saveIncremental(), saveSince() and merge() leave it out: a node that
# stores increments, says "received" and starts again has lost it, and getMissingDeps() asks for nothing any more.
. "$(dirname "$0")/lib/common.sh"
cd "$work"
npm install --silent --no-audit --no-fund --prefix "$work" @automerge/automerge@3.5.0
cat >ask.mjs <<'JS'
import * as Automerge from "@automerge/automerge";
const base = Automerge.save(Automerge.from({ shared: 1 }, { actor: "aa" }));
let peer = Automerge.change(Automerge.load(base, { actor: "bb" }), (doc) => { doc.first = 1; });
const first = Automerge.getLastLocalChange(peer);
peer = Automerge.change(peer, (doc) => { doc.second = 2; });
const second = Automerge.getLastLocalChange(peer);
/** A document to which the second change came before the first. */
const waiting = () => Automerge.applyChanges(Automerge.load(base), [second])[0];
const stored = {
  "save": () => Automerge.load(Automerge.save(waiting())),
  "clone": () => Automerge.clone(waiting()),
  "saveIncremental": () => Automerge.loadIncremental(Automerge.load(base), Automerge.saveIncremental(waiting())),
  "saveSince": () => Automerge.loadIncremental(Automerge.init(), Automerge.saveSince(waiting(), [])),
  "merge": () => Automerge.merge(Automerge.load(base), waiting()),
};
for (const [kind, again] of Object.entries(stored)) {
  const missing = Automerge.getMissingDeps(again(), []).length;
  const [complete] = Automerge.applyChanges(again(), [first]);
  console.log(`${kind}: asks for ${missing}, then has ${Object.keys(complete).sort().join(" ")}`);
}
JS
echo "@automerge/automerge $(node -p 'require("./node_modules/@automerge/automerge/package.json").version'), node $(node --version)"
node ask.mjs | tee answers
said() { grep -qxF "$1" answers; }
for kind in save clone; do expect "$kind keeps it" said "$kind: asks for 1, then has first second shared"; done
for kind in saveIncremental saveSince merge; do
  expect "$kind leaves it out" said "$kind: asks for 0, then has first shared"
done
