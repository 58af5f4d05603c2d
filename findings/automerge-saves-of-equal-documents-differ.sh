#!/usr/bin/env bash
# Expected: two documents with the same changes and the same heads have the same save(), at least once both were loaded anew,
# so that a hash of the file says whether two copies are equal.
# Found (Automerge 3.5.0): the bytes keep the order in which concurrent changes arrived, and load() with save() keeps it, too. A copy
# that is made anew of the changes in the order of their hashes has the same bytes everywhere.
. "$(dirname "$0")/lib/common.sh"
cd "$work"
npm install --silent --no-audit --no-fund --prefix "$work" @automerge/automerge@3.5.0
cat >ask.mjs <<'JS'
import * as Automerge from "@automerge/automerge";
const base = Automerge.from({ shared: 1 }, { actor: "aa" });
const left = Automerge.change(Automerge.clone(base, { actor: "bb" }), (doc) => { doc.left = 1; });
const right = Automerge.change(Automerge.clone(base, { actor: "cc" }), (doc) => { doc.right = 1; });
const one = Automerge.merge(Automerge.clone(left), right);
const two = Automerge.merge(Automerge.clone(right), left);
const bytes = (doc) => Buffer.from(Automerge.save(doc)).toString("hex");
const again = (doc) => Automerge.load(Automerge.save(doc));
const sorted = (doc) => {
  const order = (change) => Automerge.decodeChange(change).hash;
  const changes = Automerge.getAllChanges(doc).sort((a, b) => (order(a) < order(b) ? -1 : 1));
  return Automerge.applyChanges(Automerge.init({ actor: "ff" }), changes)[0];
};
const say = (what, same) => console.log(`${what}: ${same ? "the same" : "different"}`);
say("heads", Automerge.getHeads(one).join() === Automerge.getHeads(two).join());
say("content", Automerge.equals(one, two));
say("saves", bytes(one) === bytes(two));
say("saves after load", bytes(again(one)) === bytes(again(two)));
say("saves of changes in one order", bytes(sorted(one)) === bytes(sorted(two)));
JS
echo "@automerge/automerge $(node -p 'require("./node_modules/@automerge/automerge/package.json").version'), node $(node --version)"
node ask.mjs | tee answers
said() { grep -qxF "$1" answers; }
for what in heads content "saves of changes in one order"; do expect "$what are the same" said "$what: the same"; done
for what in saves "saves after load"; do expect "$what are different" said "$what: different"; done
