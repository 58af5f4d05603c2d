import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { PROTOCOL_SCTP, PROTOCOL_TCP, PROTOCOL_UDP, protocolOfId, serviceIdOf } from "../service.ts";
import { defaultCheckOf, idleOf, protocolProblem } from "./service.ts";

describe("what services of TCP and UDP say", () => {
  test("each protocol has its own times, and no other's", () => {
    const said = (protocol: number, idle: unknown) => protocolProblem({ protocol, idle });
    assert.equal(said(PROTOCOL_TCP, { establishedS: 7_440, transitoryS: 240 }), undefined);
    assert.equal(said(PROTOCOL_UDP, { flowS: 300, oneShotS: 30 }), undefined);
    assert.match(said(PROTOCOL_TCP, { flowS: 300 }) ?? "", /idle.flowS has no meaning for tcp/);
    assert.match(said(PROTOCOL_UDP, { establishedS: 1 }) ?? "", /idle.establishedS has no meaning for udp/);
    assert.match(said(PROTOCOL_SCTP, {}) ?? "", /idleTimeoutS/);
    for (const wrong of [0, 1.5, 604_801, "30", null])
      assert.match(said(PROTOCOL_UDP, { flowS: wrong }) ?? "", /idle.flowS must be/, String(wrong));
    for (const wrong of [null, [], 3]) assert.match(said(PROTOCOL_TCP, wrong) ?? "", /must be an object/);
  });

  test("what is SCTP's alone is refused, and what is theirs is bounded", () => {
    const tcp = { protocol: PROTOCOL_TCP };
    assert.match(protocolProblem({ ...tcp, peers: ["192.0.2.1"] }) ?? "", /peers/);
    assert.match(protocolProblem({ ...tcp, natPort: "require" }) ?? "", /natPort/);
    assert.match(protocolProblem({ ...tcp, replicate: "sometimes" }) ?? "", /always, long-lived, never/);
    assert.match(protocolProblem({ ...tcp, replicateAfterMs: -1 }) ?? "", /replicateAfterMs/);
    assert.equal(protocolProblem({ ...tcp, proxyProtocol: true }), undefined);
    assert.match(protocolProblem({ ...tcp, proxyProtocol: 1 }) ?? "", /true or false/);
    const stateless = { protocol: PROTOCOL_UDP, stateless: true, selection: "hash" };
    assert.equal(protocolProblem(stateless), undefined);
    assert.match(protocolProblem({ ...stateless, selection: "persist" }) ?? "", /needs selection hash/);
    assert.match(protocolProblem({ ...stateless, replicate: "always" }) ?? "", /nothing to replicate/);
    assert.match(protocolProblem({ ...stateless, stateless: "yes" }) ?? "", /true or false/);
    assert.match(protocolProblem({ ...stateless, protocol: PROTOCOL_SCTP }) ?? "", /stateless is of tcp and/);
    const begun = { ...tcp, stateless: true, selection: "weighted" };
    for (const fine of [{}, { replicate: "never" }, { replicateAfterMs: 5 }, { proxyProtocol: false }])
      assert.equal(protocolProblem({ ...begun, ...fine }), undefined);
    for (const selection of ["hash", "persist"])
      assert.match(protocolProblem({ ...begun, selection }) ?? "", /before clients come/);
    assert.match(protocolProblem({ ...begun, replicate: "always" }) ?? "", /long-lived or never/);
    assert.match(protocolProblem({ ...begun, proxyProtocol: true }) ?? "", /leave one of them out/);
    for (const protocol of [PROTOCOL_UDP, PROTOCOL_SCTP]) {
      assert.match(protocolProblem({ protocol, proxyProtocol: true }) ?? "", /proxyProtocol is of tcp/);
      assert.equal(protocolProblem({ protocol, proxyProtocol: false }), undefined);
    }
    assert.equal(protocolProblem({ ...tcp, replicate: "never", replicateAfterMs: 0, peers: [] }), undefined);
    assert.match(protocolProblem({ protocol: PROTOCOL_SCTP, replicate: "never" }) ?? "", /always replicated/);
    assert.match(protocolProblem({ protocol: 47 }) ?? "", /sctp, tcp or udp/);
  });

  test("what is not said is the RFCs' value", () => {
    assert.deepEqual(idleOf({}), { establishedS: 7_440, transitoryS: 240, flowS: 300, oneShotS: 30 });
    assert.equal(idleOf({ idle: { flowS: 60 } }).flowS, 60);
    assert.deepEqual(
      [PROTOCOL_SCTP, PROTOCOL_TCP, PROTOCOL_UDP].map((p) => defaultCheckOf(p).kind),
      ["sctp", "tcp", "ping"],
    );
  });

  test("an id says its protocol", () => {
    assert.equal(protocolOfId(serviceIdOf(PROTOCOL_UDP, "2001:db8::1", 2152)), PROTOCOL_UDP);
    assert.equal(protocolOfId("47/192.0.2.1:5"), undefined);
    assert.equal(protocolOfId(""), undefined);
  });
});
