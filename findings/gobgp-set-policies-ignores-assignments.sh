#!/usr/bin/env bash
# Expected: SetPolicies, whose request has fields for defined sets, policies and assignments, makes all three true, or
# refuses what it does not.
# Found (GoBGP 4.8.0): sets and policies are taken; the assignments of the request are passed over without a word, and those
# that there were stay. A policy that is only assigned by this call is never asked: everything goes out.
. "$(dirname "$0")/lib/common.sh"
version=v4.8.0
command -v go >/dev/null || { echo "needs Go 1.25 or newer: GoBGP is built from its module"; exit 2; }
export GOBIN=$work/bin GOFLAGS=-modcacherw
go install "github.com/osrg/gobgp/v4/cmd/gobgpd@$version"
protos=$(cd "$work" && go mod download -json "github.com/osrg/gobgp/v4@$version" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')/proto
(cd "$work" && npm install --silent --no-audit --no-fund @grpc/grpc-js@1.14.0 @grpc/proto-loader@0.8.0 >/dev/null)
"$work/bin/gobgpd" --version
namespace host
cat >"$work/gobgp.toml" <<CONF
[global.config]
as = 65001
router-id = "198.18.0.1"
port = -1
CONF
background "$work/log" nsenter "--net=/run/netns/$host" "$work/bin/gobgpd" -f "$work/gobgp.toml" --api-hosts "unix://$work/api" --pprof-disable --log-plain
until_true 20 test -S "$work/api"
cat >"$work/call.js" <<'JS'
// set: one policy that rejects all, and its assignment to everything that goes out. show: what is assigned and defined.
const grpc = require("@grpc/grpc-js");
const { loadSync } = require("@grpc/proto-loader");
const [what, socket, protos] = process.argv.slice(2);
const { api } = grpc.loadPackageDefinition(loadSync("api/gobgp.proto", { keepCase: true, enums: String, includeDirs: [protos] }));
const client = new api.GoBgpService(`unix://${socket}`, grpc.credentials.createInsecure());
const policy = { name: "nothing-goes-out", statements: [{ name: "all", actions: { route_action: "ROUTE_ACTION_REJECT" } }] };
const assignment = { name: "global", direction: "POLICY_DIRECTION_EXPORT", policies: [policy], default_action: "ROUTE_ACTION_REJECT" };
const fail = (error) => { console.error(error.message); process.exit(1); };
if (what === "set")
  client.SetPolicies({ policies: [policy], assignments: [assignment] }, (error) => (error ? fail(error) : client.close()));
else {
  const list = (name, request) => new Promise((resolve) => {
    const all = [];
    client[name](request).on("data", (each) => all.push(each)).on("error", fail).on("end", () => resolve(all));
  });
  (async () => {
    for (const { policy } of await list("ListPolicy", {})) console.log("policy", policy.name);
    for (const { assignment } of await list("ListPolicyAssignment", { name: "global", direction: "POLICY_DIRECTION_EXPORT" }))
      console.log("assigned for export:", (assignment.policies ?? []).map(({ name }) => name).join() || "none", assignment.default_action);
    client.close();
  })();
}
JS
call() { (cd "$work" && node "$work/call.js" "$1" "$work/api" "$protos"); }
until_true 20 call show
expect "SetPolicies with a policy and its assignment is not refused" call set
call show | tee "$work/shown"
expect "the policy is there" grep -q "policy nothing-goes-out" "$work/shown"
expect "it is assigned to nothing, and everything goes out" grep -q "assigned for export: none ROUTE_ACTION_ACCEPT" "$work/shown"
