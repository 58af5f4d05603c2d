import assert from "node:assert/strict";
import { test } from "node:test";

import { type Address, addressBytes, type HealthCheck, seededRandom } from "@holdfast/model";
import { ManualClock } from "@holdfast/model/testing";
import {
  type Chunk,
  encodeAbort,
  encodeAddress,
  encodeInitAck,
  encodePacket,
  type Packet,
  parseInit,
  parsePacket,
} from "@holdfast/sctp";
import { ANSWERED, type Ask, type ProbeQuestion, UNANSWERED } from "./probe.ts";
import { HealthProber, type ProbeChannel, type ProbedEndpoint } from "./prober.ts";

const ENDPOINT: ProbedEndpoint = { address: "192.0.2.20", port: 7_000 };

function listing(...addresses: readonly Address[]): Uint8Array {
  const parameters = addresses.map((address) => encodeAddress(addressBytes(address)));
  return encodeInitAck({ initiateTag: 9, parameters });
}

class Wire implements ProbeChannel {
  readonly sent: { readonly to: Address; readonly bytes: Uint8Array }[] = [];
  /** What the endpoint does with a probe. */
  answer: "initAck" | "abort" | "unreachable" | "refused" | "silence" = "initAck";
  lists: readonly Address[] = [];
  closed = false;
  packet: (packet: Uint8Array) => void = () => {};
  echo: (payload: Uint8Array) => void = () => {};
  readonly pings: Uint8Array[] = [];
  unreachable: (to: Address, quoted: Uint8Array, refused: boolean) => void = () => {};

  /** Lets time pass before the answer. */
  delay: () => void = () => {};

  send(to: Address, bytes: Uint8Array): boolean {
    this.sent.push({ to, bytes });
    this.delay();
    const packet = parsePacket(bytes) as Packet;
    const init = parseInit(packet.chunks[0] as Chunk) as { initiateTag: number };
    assert.equal(packet.verificationTag, 0);
    const back = (chunk: Uint8Array, tag = init.initiateTag) =>
      encodePacket({
        sourcePort: packet.destinationPort,
        destinationPort: packet.sourcePort,
        verificationTag: tag,
        chunks: [chunk],
      });
    switch (this.answer) {
      case "initAck":
        // Somebody who does not know the tag lists what he likes.
        this.packet(back(listing("192.0.2.66"), (init.initiateTag + 1) >>> 0));
        this.packet(back(listing(...this.lists)));
        break;
      case "abort":
        this.packet(back(encodeAbort()));
        break;
      case "unreachable":
        this.unreachable(to, bytes, false);
        break;
      case "refused":
        this.unreachable(to, bytes, true);
        break;
      case "silence":
        // Somebody who cannot see the probe: wrong tag, reflected tag, eight bytes only.
        this.packet(back(encodeAbort(), (init.initiateTag + 1) >>> 0));
        this.packet(back(encodeAbort({ reflected: true })));
        this.unreachable(to, bytes.subarray(0, 8), true);
        this.unreachable(
          to,
          Uint8Array.from(bytes, (byte, i) => (i === 17 ? byte ^ 1 : byte)),
          true,
        );
    }
    return true;
  }

  ping(_to: Address, payload: Uint8Array): boolean {
    this.pings.push(payload);
    // A stranger's echo, and the right one.
    this.echo(new Uint8Array(payload.length));
    if (this.answer === "initAck") this.echo(payload);
    return true;
  }

  onEcho(listener: (payload: Uint8Array) => void): void {
    this.echo = listener;
  }

  onPacket(listener: (packet: Uint8Array) => void): void {
    this.packet = listener;
  }

  onUnreachable(listener: (to: Address, quoted: Uint8Array, refused: boolean) => void): void {
    this.unreachable = listener;
  }

  close(): void {
    this.closed = true;
  }
}

function prober(check?: HealthCheck, ask?: Ask) {
  const clock = new ManualClock();
  const wire = new Wire();
  const verdicts: (string | undefined)[] = [];
  const reasons: string[] = [];
  const signs: string[] = [];
  const health = new HealthProber({
    channel: wire,
    clock,
    random: seededRandom(1),
    ...(ask !== undefined && { ask }),
    verdict: (_endpoint, verdict, reason, gone, speaks) => {
      signs.push(`${verdict ?? "none"}${gone ? " gone" : ""}${speaks ? " speaks" : ""}`);
      if (verdicts.at(-1) !== verdict) {
        verdicts.push(verdict);
        reasons.push(reason);
      }
    },
  });
  health.setEndpoints([check === undefined ? ENDPOINT : { ...ENDPOINT, check }]);
  return { clock, wire, verdicts, reasons, signs, health };
}

test("an endpoint that answers INIT with INIT-ACK is up, and hears nothing but INITs", () => {
  const { clock, wire, verdicts, health } = prober();
  clock.advance(10_000);
  assert.deepEqual(verdicts, ["up"]);
  assert.ok(wire.sent.length >= 9);
  assert.deepEqual(wire.sent[0]?.to, ENDPOINT.address);
  health.stop();
  assert.ok(wire.closed);
  const sent = wire.sent.length;
  clock.advance(10_000);
  assert.equal(wire.sent.length, sent);
});

test("ABORT and a proven ICMP error are down at once; silence after three probes; forged signs are nothing", () => {
  for (const [answer, reason] of [
    ["abort", "ABORT to a probe"],
    ["unreachable", "unreachable (ICMP)"],
    ["refused", "refused (ICMP)"],
  ] as const) {
    const { clock, wire, verdicts, reasons } = prober();
    clock.advance(3_000);
    wire.answer = answer;
    clock.advance(1_000);
    assert.deepEqual(verdicts, ["up", "down"]);
    assert.equal(reasons[1], reason);
  }
  const { clock, wire, verdicts } = prober();
  clock.advance(3_000);
  wire.answer = "silence";
  clock.advance(2_400);
  assert.deepEqual(verdicts, ["up"]);
  clock.advance(1_200);
  assert.deepEqual(verdicts, ["up", "down"]);
});

test("hysteresis: every relapse has to be lived down longer", () => {
  const { clock, wire, verdicts } = prober();
  clock.advance(3_000);
  const recovery: number[] = [];
  for (let i = 0; i < 3; i++) {
    wire.answer = "abort";
    clock.advance(1_000);
    assert.equal(verdicts.at(-1), "down");
    wire.answer = "initAck";
    let probes = 0;
    while (verdicts.at(-1) === "down") {
      clock.advance(1_000);
      probes += 1;
      assert.ok(probes < 40);
    }
    recovery.push(probes);
  }
  assert.deepEqual(recovery, [4, 8, 16]);
});

test("a passive sign brings the next probe forward", () => {
  const { clock, wire, health, verdicts } = prober();
  clock.advance(3_000);
  wire.answer = "abort";
  const sent = wire.sent.length;
  health.probeNow(ENDPOINT);
  clock.advance(1);
  assert.equal(wire.sent.length, sent + 1);
  assert.deepEqual(verdicts, ["up", "down"]);
});

test("gone is a host that refuses twice in a row, the second time soon; never one that is only unreachable", () => {
  const { clock, wire, signs } = prober();
  clock.advance(3_000);
  wire.answer = "unreachable";
  clock.advance(3_000);
  assert.ok(signs.includes("down") && !signs.includes("down gone"));
  const relapse = prober();
  relapse.clock.advance(3_000);
  relapse.signs.length = 0;
  relapse.wire.answer = "refused";
  relapse.clock.advance(1_150);
  assert.deepEqual(relapse.signs, ["down", "down gone"]);
});

test("one answer brings nothing new to an endpoint that was down, and says that its associations live", () => {
  const { clock, wire, signs, verdicts } = prober();
  wire.answer = "refused";
  clock.advance(1_000);
  assert.deepEqual(signs, ["down", "down gone"]);
  wire.answer = "initAck";
  clock.advance(1_000);
  assert.equal(signs.at(-1), "down speaks");
  wire.answer = "refused";
  clock.advance(1_000);
  assert.equal(signs.at(-1), "down gone");
  assert.deepEqual(verdicts, ["down"]);
});

test("how long answers took: the latest ones, and nothing while it is down", () => {
  const clock = new ManualClock();
  const wire = new Wire();
  const health = new HealthProber({ channel: wire, clock, random: seededRandom(1), verdict: () => {} });
  health.setEndpoints([ENDPOINT]);
  assert.equal(health.delaysOf(ENDPOINT), undefined);
  const delaysMs = [4, 2, 9];
  let count = 0;
  wire.delay = () => clock.advance(delaysMs[count++ % delaysMs.length] as number);
  clock.advance(2_900);
  assert.equal(count, 3);
  assert.deepEqual(health.delaysOf(ENDPOINT), { minMs: 2, averageMs: 5, maxMs: 9 });
  // Old ones are forgotten.
  wire.delay = () => clock.advance(1);
  clock.advance(40_000);
  assert.deepEqual(health.delaysOf(ENDPOINT), { minMs: 1, averageMs: 1, maxMs: 1 });
  wire.answer = "abort";
  clock.advance(1_500);
  assert.equal(health.delaysOf(ENDPOINT), undefined);
  assert.equal(health.delaysOf({ address: "192.0.2.99", port: 1 }), undefined);
});

test("a ping is answered by its own bytes alone", () => {
  const { clock, wire, verdicts } = prober({ kind: "ping" });
  clock.advance(3_000);
  assert.deepEqual(verdicts, ["up"]);
  assert.equal(wire.sent.length, 0, "no INIT");
  assert.notDeepEqual(wire.pings[0], wire.pings[1]);
  wire.answer = "silence";
  clock.advance(4_000);
  assert.equal(verdicts.at(-1), "down");
});

test("a check's own interval, time-out, counts, port and texts are what is asked with", () => {
  const asked: ProbeQuestion[] = [];
  let outcome = ANSWERED;
  const ask: Ask = (question, tell) => {
    asked.push(question);
    tell(outcome);
    return { cancel: () => {}, atTimeout: UNANSWERED };
  };
  const check: HealthCheck = {
    kind: "http",
    port: 8080,
    path: "/up",
    expect: "ok",
    status: "200-204",
    intervalMs: 10_000,
    downCount: 2,
    upCount: 3,
  };
  const { clock, verdicts, reasons } = prober(check, ask);
  clock.advance(30_000);
  assert.equal(asked.length, 3);
  assert.deepEqual(asked[0], {
    kind: "http",
    address: ENDPOINT.address,
    port: 8080,
    path: "/up",
    send: "",
    expect: "ok",
    status: [[200, 204]],
  });
  outcome = { kind: "missed", what: "answered with status 503" };
  clock.advance(10_000);
  assert.deepEqual(verdicts, ["up"]);
  clock.advance(10_000);
  assert.deepEqual(verdicts, ["up", "down"]);
  assert.equal(reasons[1], "2 http probes answered with status 503");
  outcome = ANSWERED;
  clock.advance(50_000);
  assert.deepEqual(verdicts, ["up", "down"], "after a relapse it takes twice the answers");
  clock.advance(10_000);
  assert.deepEqual(verdicts, ["up", "down", "up"]);
});

test("what is not asked over SCTP makes nobody dead while an INIT is answered", () => {
  let isWell = true;
  const ask: Ask = (_question, tell) => {
    tell(isWell ? ANSWERED : UNANSWERED);
    return { cancel: () => {}, atTimeout: UNANSWERED };
  };
  const { clock, wire, signs } = prober({ kind: "tcp" }, ask);
  clock.advance(3_000);
  assert.equal(wire.sent.length, 0, "while all is well nobody asks");
  isWell = false;
  clock.advance(10_000);
  assert.ok(signs.includes("down speaks") && !signs.includes("down"), signs.join());
  wire.answer = "silence";
  clock.advance(10_000);
  assert.equal(signs.at(-1), "down", "its SCTP is silent, too");
  wire.answer = "initAck";
  clock.advance(3_000);
  assert.equal(signs.at(-1), "down speaks");
  isWell = true;
  clock.advance(8_000);
  assert.equal(signs.at(-1), "up");
  const sent = wire.sent.length;
  clock.advance(10_000);
  assert.equal(wire.sent.length, sent);
});

test("SCTP at another port is not what its associations live by", () => {
  const { clock, wire, signs } = prober({ kind: "sctp", port: 7_001 });
  clock.advance(3_000);
  const ports = wire.sent.map(({ bytes }) => (parsePacket(bytes) as Packet).destinationPort);
  assert.deepEqual([...new Set(ports)], [7_001]);
  wire.answer = "refused";
  clock.advance(2_000);
  assert.ok(signs.includes("down speaks") && !signs.some((sign) => sign.includes("gone")), signs.join());
});

test("silence is an answer where the kind says so, and says nothing of how long one takes", () => {
  const ask: Ask = () => ({ cancel: () => {}, atTimeout: ANSWERED });
  const { clock, verdicts, health } = prober({ kind: "udp" }, ask);
  clock.advance(3_000);
  assert.deepEqual(verdicts, ["up"]);
  assert.equal(health.delaysOf(ENDPOINT), undefined);
});

test("a check that changes begins anew with the verdict that was; none takes it away", () => {
  const { clock, wire, signs, health } = prober();
  clock.advance(3_000);
  wire.answer = "silence";
  clock.advance(5_000);
  assert.equal(signs.at(-1), "down");
  signs.length = 0;
  health.setEndpoints([{ ...ENDPOINT, check: { kind: "ping" } }]);
  clock.advance(900);
  assert.deepEqual(signs, [], "no verdict before three misses of its own");
  health.setEndpoints([{ ...ENDPOINT, check: { kind: "none" } }]);
  assert.deepEqual(signs, ["none"]);
  const sent = wire.sent.length + wire.pings.length;
  clock.advance(10_000);
  assert.equal(wire.sent.length + wire.pings.length, sent);
  wire.answer = "initAck";
  health.setEndpoints([ENDPOINT]);
  clock.advance(2_000);
  assert.equal(signs.at(-1), "up");
});

test("what an endpoint's answer lists is heard; what a stranger's lists is not", () => {
  const clock = new ManualClock();
  const wire = new Wire();
  wire.lists = ["192.0.2.20", "192.0.2.21"];
  const heard: string[] = [];
  const prober = new HealthProber({
    channel: wire,
    clock,
    random: seededRandom(1),
    verdict: () => {},
    listed: (address, _port, addresses) => heard.push(`${address}: ${addresses.join()}`),
  });
  prober.setEndpoints([ENDPOINT]);
  clock.advance(1_000);
  prober.stop();
  assert.ok(heard.length > 0);
  assert.deepEqual([...new Set(heard)], ["192.0.2.20: 192.0.2.20,192.0.2.21"]);
});
