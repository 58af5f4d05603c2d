// LoxiLB's `proxyprotocolv2` of a rule: of TCP it is the service's proxyProtocol, of others it is refused.
import assert from "node:assert/strict";
import { test } from "node:test";
import { serviceOf } from "../services/specification.ts";
import { foldKeys } from "./fold.ts";
import { serviceAfter } from "./post.ts";
import { parseRule } from "./rule.ts";
import { ruleView } from "./rule-view.ts";

const NO_CHECK = () => undefined;
const rule = (protocol: string, proxyprotocolv2: boolean | undefined) =>
  parseRule(
    foldKeys({
      serviceArguments: {
        externalIP: "203.0.113.1",
        port: 443,
        protocol,
        mode: 2,
        name: "web",
        proxyprotocolv2,
      },
      endpoints: [{ endpointIP: "10.0.0.5", targetPort: 8443, weight: 1 }],
    }),
  );
const view = (service: ReturnType<typeof serviceOf>) =>
  ruleView(service, {}, () => ({ up: true, packets: 0, bytes: 0 }))["serviceArguments"] as Record<
    string,
    unknown
  >;

test("a rule of TCP says proxyprotocolv2, shows it, and takes it back; other protocols are refused", () => {
  const made = serviceAfter(rule("tcp", true), undefined, NO_CHECK);
  assert.ok(made !== undefined);
  const service = serviceOf(made);
  assert.equal(service.proxyProtocol, true);
  assert.equal(view(service)["proxyprotocolv2"], true);
  const before = { service, isKnown: true };
  assert.equal(serviceAfter(rule("tcp", undefined), before, NO_CHECK)?.proxyProtocol, true);
  const without = serviceAfter(rule("tcp", false), before, NO_CHECK);
  assert.ok(without !== undefined);
  assert.equal(serviceOf(without).proxyProtocol, undefined);
  assert.ok(!("proxyprotocolv2" in view(serviceOf(without))));
  for (const protocol of ["sctp", "udp"]) {
    assert.throws(() => rule(protocol, true), /proxy protocol is not offered for/);
    assert.equal(rule(protocol, false).proxyProtocol, undefined);
  }
});
