#!/usr/bin/env bash
# Expected: view() is the document as at given heads, and what is made of it (a save, a merge, its list of changes) is of those heads;
# at least all of them agree.
# Found (Automerge 3.5.0): content, heads and clone() of a view are old; save(), merge() and getAllChanges() carry all that came since, and
# hasHeads() knows heads that getHeads() has not reached. To save an old state, save a clone of its view.
. "$(dirname "$0")/lib/common.sh"
cd "$work"
npm install --silent --no-audit --no-fund --prefix "$work" @automerge/automerge@3.5.0
cat >ask.mjs <<'JS'
import * as Automerge from "@automerge/automerge";
const first = Automerge.from({ first: 1 }, { actor: "aa" });
const heads = Automerge.getHeads(first);
const both = Automerge.change(first, (doc) => { doc.second = 2; });
const view = Automerge.view(both, heads);
const say = (what, doc) => console.log(`${what}: ${Object.keys(doc).sort().join(" ")}`);
const load = (bytes) => Automerge.load(bytes);
say("content", view);
say("clone", Automerge.clone(view));
say("save of a clone", load(Automerge.save(Automerge.clone(view))));
say("save", load(Automerge.save(view)));
say("merge", Automerge.merge(Automerge.init(), view));
say("changes", Automerge.applyChanges(Automerge.init(), Automerge.getAllChanges(view))[0]);
console.log("heads:", Automerge.getHeads(view).join() === heads.join() ? "those asked for" : "others");
console.log("has later heads:", Automerge.hasHeads(view, Automerge.getHeads(both)));
JS
echo "@automerge/automerge $(node -p 'require("./node_modules/@automerge/automerge/package.json").version'), node $(node --version)"
node ask.mjs | tee answers
said() { grep -qxF "$1" answers; }
for what in content clone "save of a clone"; do expect "$what: old" said "$what: first"; done
expect "heads: old" said "heads: those asked for"
for what in save merge changes; do expect "$what: all" said "$what: first second"; done
expect "it says that it has the later heads" said "has later heads: true"
