// TCP and UDP: what is forwarded, what the slow path is told, and what forged packets do not do.
import assert from "node:assert/strict";
import { PROTOCOL } from "@holdfast/sctp";
import { TCP_FLAG } from "../../packet/plain/header.ts";
import type { WithRig } from "../compliance.ts";
import type { PlainFlow, PlainFlowState } from "../plain.ts";
import { describeAwaiting } from "./plain-awaiting.ts";
import { describeOpening } from "./plain-opening.ts";
import { install, PAYLOAD, PROTOCOLS, passes, serve, sidesOf, WINDOW } from "./plain-rig.ts";
import {
  CLIENT_NUMBER,
  ENDPOINT_NUMBER,
  PLAIN_SESSION,
  type PlainPacket,
  plainDown,
  plainPackets,
  plainUp,
  unfinished,
} from "./plain-world.ts";
import { hex, type Rig, recordPunts, total, until } from "./rig.ts";
import { FAMILIES, type WorldFamily } from "./world.ts";

const { SYN, FIN, RST, ACK } = TCP_FLAG;
/** Of the kernel's coarse clock. */
const TICK_MS_MAX = 10;

export function describePlain(withRig: WithRig): void {
  for (const family of FAMILIES) {
    for (const [name, protocol] of PROTOCOLS) {
      describeForwarding(withRig, family, name, protocol);
      describeTold(withRig, family, name, protocol);
    }
    describeConnections(withRig, family);
    describeAwaiting(withRig, family);
    describeOpening(withRig, family);
    describeForged(withRig, family);
  }
  describeTables(withRig);
  describeRefresh(withRig);
}

/** The flow and what it knows, but for the time, which is coarse. */
function known(rig: Rig, { key }: PlainFlow): unknown {
  const entry = rig.fastPath.plain.read(key);
  return entry && { ...entry, state: { ...entry.state, lastSeenMs: 0 } };
}

async function isDropped(rig: Rig, flow: PlainFlow, plan: PlainPacket, reason: string): Promise<void> {
  const before = total(rig.fastPath, `drop.${reason}`);
  rig.inject(sidesOf(flow)[0], plainPackets(flow, plan).arriving);
  await until(`drop.${reason}`, () => total(rig.fastPath, `drop.${reason}`) === before + 1);
}

function describeForwarding(withRig: WithRig, family: WorldFamily, name: string, protocol: number): void {
  const title = (text: string) => `${family.name} ${name}: ${text}`;
  const both = [plainUp(family, protocol), plainDown(family, protocol)];

  withRig(title("both directions are translated, checksums right, and counted"), async (rig) => {
    install(rig, ...both);
    for (const flow of both) {
      await passes(rig, flow, { payload: PAYLOAD });
      await passes(rig, flow, {});
      const size = plainPackets(flow).arriving.length;
      const state = rig.fastPath.plain.read(flow.key)?.state;
      assert.deepEqual([state?.packets, state?.bytes], [2, 2 * size + PAYLOAD.length]);
    }
  });

  withRig(title("a checksum that a device is to fill in is right in the end"), async (rig) => {
    if (rig.link === undefined) return;
    install(rig, ...both);
    for (const flow of both) {
      const [from, to] = sidesOf(flow);
      const { arriving, leaving } = plainPackets(flow, { payload: PAYLOAD });
      rig.link.injectPartial(from, unfinished(arriving));
      await until("the packet leaves", () => rig.received(to).length > 0);
      // As it arrives where checksums are looked at: finished, or marked, and then the pseudo header's sum.
      const allowed = [leaving, unfinished(leaving)].map(hex);
      assert.ok(allowed.includes(hex(rig.received(to)[0])), hex(rig.received(to)[0]));
    }
  });

  if (protocol !== PROTOCOL.UDP) return;
  withRig(title("a checksum of zero stays zero"), async (rig) => {
    install(rig, ...both);
    for (const flow of both) await passes(rig, flow, { payload: PAYLOAD, checksum: 0 });
  });
}

/** What the slow path hears of. */
function describeTold(withRig: WithRig, family: WorldFamily, name: string, protocol: number): void {
  const title = (text: string) => `${family.name} ${name}: ${text}`;
  const both = [plainUp(family, protocol), plainDown(family, protocol)];

  withRig(
    title("without a flow: from clients to served ports, from endpoints; nothing else"),
    async (rig) => {
      serve(rig);
      const punts = recordPunts(rig.fastPath);
      rig.fastPath.start();
      const [up, down] = both as [PlainFlow, PlainFlow];
      const reasons =
        protocol === PROTOCOL.TCP ? ["syn", "synAck", "miss"] : ["datagram", "datagram", "datagram"];
      rig.inject("client", plainPackets(up, { flags: SYN }).arriving);
      await until("the first punt", () => punts.length === 1);
      rig.inject("core", plainPackets(down, { flags: SYN | ACK }).arriving);
      await until("the second punt", () => punts.length === 2);
      rig.inject("client", plainPackets(up).arriving);
      await until("the third punt", () => punts.length === 3);
      assert.deepEqual(
        punts.map(({ reason }) => reason),
        reasons,
      );
      assert.equal(punts[1]?.proven, true);
      const other = { ...up, key: { ...up.key, destinationPort: 9 } };
      await isDropped(rig, other, {}, "port-not-served");
    },
  );

  withRig(title("the first forwarded packet of a flow that is to learn is punted, too"), async (rig) => {
    const up = plainUp(family, protocol, { learn: true });
    install(rig, up);
    const punts = recordPunts(rig.fastPath);
    rig.fastPath.start();
    await passes(rig, up);
    await until("the copy", () => punts.length === 1);
    await passes(rig, up);
    assert.deepEqual(
      punts.map(({ reason, copy, session, packet }) => [reason, copy, session, hex(packet)]),
      [["learn", true, PLAIN_SESSION, hex(plainPackets(up).arriving)]],
    );
    assert.equal(rig.fastPath.plain.read(up.key)?.flow.learn, false);
  });

  withRig(title("every packet of a flow in its handshake is punted"), async (rig) => {
    const down = plainDown(family, protocol, { handshake: true });
    install(rig, down);
    const punts = recordPunts(rig.fastPath);
    rig.fastPath.start();
    rig.inject("core", plainPackets(down).arriving);
    await until("the punt", () => punts.length === 1);
    assert.deepEqual(
      [punts[0]?.reason, punts[0]?.session, punts[0]?.copy],
      ["handshake", PLAIN_SESSION, false],
    );
    assert.equal(rig.received("client").length, 0);
  });
}

function describeConnections(withRig: WithRig, family: WorldFamily): void {
  const title = (text: string) => `${family.name} TCP: ${text}`;
  const up = plainUp(family, PROTOCOL.TCP);
  const down = plainDown(family, PROTOCOL.TCP);

  withRig(
    title("a PROXY header shifts the client's numbers, and the endpoint's word on them"),
    async (rig) => {
      const flows = [
        plainUp(family, PROTOCOL.TCP, { shift: 52 }),
        plainDown(family, PROTOCOL.TCP, { shift: 52 }),
      ];
      install(rig, ...flows);
      for (const flow of flows) await passes(rig, flow, { payload: PAYLOAD });
      const [first, second] = flows as [PlainFlow, PlainFlow];
      assert.deepEqual(rig.fastPath.plain.read(first.key)?.state.edges, {
        sequence: (CLIENT_NUMBER + PAYLOAD.length) >>> 0,
        acknowledged: ENDPOINT_NUMBER,
      });
      assert.equal(rig.fastPath.plain.read(second.key)?.state.edges?.acknowledged, CLIENT_NUMBER);
    },
  );

  withRig(
    title("a FIN is forwarded and told once; the other side's acknowledgment proves it"),
    async (rig) => {
      install(rig, up, down);
      const punts = recordPunts(rig.fastPath);
      rig.fastPath.start();
      await passes(rig, up, { flags: FIN | ACK, payload: PAYLOAD });
      await until("the copy", () => punts.length === 1);
      // Sent again.
      await passes(rig, up, { flags: FIN | ACK, payload: PAYLOAD });
      const finEnd = (CLIENT_NUMBER + PAYLOAD.length + 1) >>> 0;
      assert.equal(rig.fastPath.plain.read(up.key)?.state.finEnd, finEnd);
      await passes(rig, down, { acknowledgment: finEnd });
      assert.equal(rig.fastPath.plain.read(down.key)?.state.edges?.acknowledged, finEnd);
      assert.deepEqual(
        punts.map(({ reason, copy, proven }) => [reason, copy, proven]),
        [["end", true, true]],
      );
    },
  );

  withRig(title("a reset inside the window is told, and forgotten by whoever speaks"), async (rig) => {
    install(rig, up, down);
    const punts = recordPunts(rig.fastPath);
    rig.fastPath.start();
    await passes(rig, up, { flags: RST });
    await until("the copy", () => punts.length === 1);
    assert.equal(punts[0]?.reason, "end");
    const marks = () => [up, down].map(({ key }) => rig.fastPath.plain.read(key)?.state.reset);
    assert.deepEqual(marks(), [true, true]);
    await passes(rig, down);
    assert.deepEqual(marks(), [true, false]);
    await passes(rig, up);
    assert.deepEqual(marks(), [false, false]);
  });
}

function describeForged(withRig: WithRig, family: WorldFamily): void {
  const title = (text: string) => `${family.name} TCP: ${text}`;
  const up = plainUp(family, PROTOCOL.TCP);
  const down = plainDown(family, PROTOCOL.TCP);

  withRig(
    title("forged resets and FINs outside the window are dropped, counted, and change nothing"),
    async (rig) => {
      install(rig, up, down);
      const before = [up, down].map((flow) => known(rig, flow));
      for (const flow of [up, down])
        for (const flags of [RST, RST | ACK, FIN | ACK])
          for (const by of [WINDOW + 2, 2 ** 31, -WINDOW - 2])
            await isDropped(rig, flow, { flags, by }, "tcp-window");
      assert.deepEqual(
        [up, down].map((flow) => known(rig, flow)),
        before,
      );
      for (const flow of [up, down]) await passes(rig, flow, { payload: PAYLOAD });
    },
  );

  withRig(title("a reset that was forged before the window passes, and is not believed"), async (rig) => {
    install(rig, up, down);
    await passes(rig, up, { flags: RST, by: -1 });
    assert.equal(rig.fastPath.plain.read(up.key)?.state.reset, false);
    assert.equal(total(rig.fastPath, "end.unproven"), 1);
  });

  withRig(title("forged SYNs in a connection are punted and change nothing"), async (rig) => {
    install(rig, up, down);
    const before = known(rig, up);
    const punts = recordPunts(rig.fastPath);
    rig.fastPath.start();
    rig.inject("client", plainPackets(up, { flags: SYN }).arriving);
    await until("the punt", () => punts.length === 1);
    assert.deepEqual(
      [punts[0]?.reason, punts[0]?.session, punts[0]?.proven],
      ["syn", PLAIN_SESSION, undefined],
    );
    assert.deepEqual(known(rig, up), before);
    assert.equal(rig.received("core").length, 0);
  });

  withRig(title("numbers far away are not believed, until enough of them come in a row"), async (rig) => {
    install(rig, up, down);
    const edges = () => rig.fastPath.plain.read(up.key)?.state.edges;
    const far = 2 ** 30;
    for (let i = 0; i < 15; i++) await passes(rig, up, { by: far });
    assert.equal(edges()?.sequence, CLIENT_NUMBER);
    await passes(rig, up, {});
    for (let i = 0; i < 15; i++) await passes(rig, up, { by: far });
    assert.equal(edges()?.sequence, CLIENT_NUMBER);
    await passes(rig, up, { by: far });
    assert.equal(edges()?.sequence, (CLIENT_NUMBER + far) >>> 0);
  });

  withRig(title("flags and lengths that cannot be are dropped by reason"), async (rig) => {
    install(rig, up);
    for (const flags of [0, SYN | FIN, SYN | RST, FIN, FIN | RST])
      await isDropped(rig, up, { flags }, "tcp-flags");
  });
}

/** A flow for each port; of even ones TCP, of others UDP. */
function flow(sourcePort: number, session = sourcePort): PlainFlow {
  const up = plainUp(FAMILIES[0], sourcePort % 2 === 0 ? PROTOCOL.TCP : PROTOCOL.UDP);
  return { ...up, key: { ...up.key, sourcePort }, session };
}

function describeRefresh(withRig: WithRig): void {
  withRig(
    "plain flows: a packet that went another way counts, and nothing else of the flow changes",
    (rig) => {
      const { plain } = rig.fastPath;
      for (const each of [10_000, 10_001].map((port) => flow(port))) {
        assert.ok(plain.install(each));
        const before = plain.read(each.key);
        const startMs = rig.fastPath.nowMs();
        for (let i = 0; i < 2; i++) plain.refresh(each.key, 700);
        const after = plain.read(each.key);
        assert.ok(before !== undefined && after !== undefined);
        assert.ok(after.state.lastSeenMs >= startMs - TICK_MS_MAX);
        const { lastSeenMs } = after.state;
        const state = { ...before.state, packets: 2, bytes: 1_400, lastSeenMs };
        assert.deepEqual(after, { ...before, state });
      }
      plain.refresh(flow(10_002).key, 700);
      assert.equal(plain.read(flow(10_002).key), undefined);
    },
  );
}

function describeTables(withRig: WithRig): void {
  const [family] = FAMILIES;

  withRig(
    "plain flows: sweep shows each once, removes and forgets what it is told to, in bounded steps",
    (rig) => {
      const { plain } = rig.fastPath;
      for (let port = 10_000; port < 12_500; port++) assert.ok(plain.install(flow(port)));
      const seen: number[] = [];
      let cursor: unknown;
      do {
        const before = seen.length;
        cursor = plain.sweep(cursor, ({ key }) => {
          seen.push(key.sourcePort);
          return key.sourcePort % 4 === 1 ? "remove" : "forget";
        });
        assert.ok(seen.length - before <= 1_024);
      } while (cursor !== undefined);
      assert.equal(new Set(seen).size, 2_500);
      assert.equal(seen.length, 2_500);
      assert.equal(plain.read(flow(10_001).key), undefined);
      const kept = plain.read(flow(10_002).key);
      const { edges: _, ...tcp } = flow(10_002).tcp as NonNullable<PlainFlow["tcp"]>;
      assert.deepEqual(kept?.flow, { ...flow(10_002), tcp });
      assert.equal(kept?.state.edges, undefined);
    },
  );

  withRig("plain flows: what was learned goes on in the same session, and not in another", async (rig) => {
    const up = plainUp(family, PROTOCOL.TCP);
    install(rig, up, plainDown(family, PROTOCOL.TCP));
    await passes(rig, up, { flags: FIN | ACK, payload: PAYLOAD });
    const before = rig.fastPath.plain.read(up.key)?.state;
    const { edges: _, ...tcp } = up.tcp as NonNullable<PlainFlow["tcp"]>;
    assert.ok(rig.fastPath.plain.install({ ...up, tcp, learn: true }));
    const again = rig.fastPath.plain.read(up.key)?.state;
    assert.deepEqual([again?.packets, again?.edges, again?.finEnd], [1, before?.edges, before?.finEnd]);
    assert.ok(rig.fastPath.plain.install({ ...up, tcp, session: PLAIN_SESSION + 1 }));
    const fresh = rig.fastPath.plain.read(up.key)?.state;
    assert.deepEqual([fresh?.packets, fresh?.edges, fresh?.finEnd], [0, undefined, undefined]);
    const { plain } = rig.fastPath;
    // The kernel's clock is coarse, and where it stands is measured each time.
    const timeless = (state: PlainFlowState | undefined) => state && { ...state, lastSeenMs: 0 };
    assert.deepEqual(timeless(plain.stateOf(up.key)), timeless(fresh));
    plain.remove(up.key, PLAIN_SESSION);
    assert.deepEqual(timeless(plain.stateOf(up.key)), timeless(fresh), "the flow is another session's");
    plain.remove(up.key, PLAIN_SESSION + 1);
    assert.deepEqual([plain.read(up.key), plain.stateOf(up.key)], [undefined, undefined]);
  });

  withRig(
    "plain flows: a full table says so",
    ({ fastPath }) => {
      let installed = 0;
      for (let port = 10_000; port < 10_200; port++) if (fastPath.plain.install(flow(port))) installed += 1;
      assert.equal(installed, 100);
      assert.equal(fastPath.totals().get("flow-table-full"), 100);
      assert.ok(fastPath.plain.install(flow(10_000)));
    },
    { flowCountMax: 100 },
  );
}
