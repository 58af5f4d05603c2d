#!/usr/bin/env bash
# Expected: a value that is set to what it is makes no change, as Automerge does with numbers, dates and bytes: to write a state
# again and again costs nothing.
# Found (Automerge 3.5.0): a string is a text object, made anew each time: the same string again is a change with an operation for
# each character and one more, for every peer to fetch. An ImmutableString behaves as expected.
. "$(dirname "$0")/lib/common.sh"
cd "$work"
npm install --silent --no-audit --no-fund --prefix "$work" @automerge/automerge@3.5.0
cat >ask.mjs <<'JS'
import * as Automerge from "@automerge/automerge";
const text = "n".repeat(100);
const values = {
  number: () => 7, date: () => new Date(7), bytes: () => new Uint8Array([7]),
  "ImmutableString": () => new Automerge.ImmutableString(text), string: () => text,
};
for (const [kind, value] of Object.entries(values)) {
  let doc = Automerge.from({ state: value() }, { actor: "aa" });
  const before = Automerge.stats(doc);
  for (let i = 0; i < 10; i++) doc = Automerge.change(doc, (it) => { it.state = value(); });
  const after = Automerge.stats(doc);
  console.log(`${kind}: ${after.numChanges - before.numChanges} changes, ${after.numOps - before.numOps} operations`);
}
JS
echo "@automerge/automerge $(node -p 'require("./node_modules/@automerge/automerge/package.json").version'), node $(node --version)"
echo "--- set ten times to what it is"
node ask.mjs | tee answers
said() { grep -qxF "$1" answers; }
for kind in number date bytes ImmutableString; do expect "$kind: no change" said "$kind: 0 changes, 0 operations"; done
expect "a string of 100 characters: ten changes" said "string: 10 changes, 1010 operations"
