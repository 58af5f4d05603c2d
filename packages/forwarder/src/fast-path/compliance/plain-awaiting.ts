// Handshakes of TCP whose answer a fast path knows by itself (docs/decisions/0540).
import assert from "node:assert/strict";
import { PROTOCOL } from "@holdfast/sctp";
import { TCP_FLAG } from "../../packet/plain/header.ts";
import type { WithRig } from "../compliance.ts";
import type { PlainAwaiting, PlainFlow } from "../plain.ts";
import { install, PAYLOAD, passes, sidesOf } from "./plain-rig.ts";
import {
  CLIENT_NUMBER,
  ENDPOINT_NUMBER,
  PLAIN_SESSION,
  type PlainPacket,
  plainDown,
  plainPackets,
  plainUp,
} from "./plain-world.ts";
import { hex, type Rig, recordPunts, until } from "./rig.ts";
import type { WorldFamily } from "./world.ts";

const { SYN, FIN, RST, ACK } = TCP_FLAG;
/** MSS of 536; SACK permitted; NOP and the window scale. */
const optionsOf = (scale: number, mss = 536) =>
  Uint8Array.of(2, 4, mss >> 8, mss & 0xff, 4, 2, 1, 3, 3, scale, 0, 0);
const SYN_PACKET: PlainPacket = { flags: SYN, by: -1, acknowledgment: 0, options: optionsOf(7) };
const ANSWER: PlainPacket = { flags: SYN | ACK, by: -1, options: optionsOf(9) };

interface Pair {
  readonly up: PlainFlow;
  readonly down: PlainFlow;
}

function awaitingPair(
  family: WorldFamily,
  scale: number | undefined,
  changes: Partial<PlainFlow> = {},
): Pair {
  const awaiting: PlainAwaiting = { sequence: CLIENT_NUMBER, scale };
  const more = { handshake: true, awaiting, tcp: { windowScale: 0, shift: 0 }, ...changes };
  return {
    up: plainUp(family, PROTOCOL.TCP, { learn: true, ...more }),
    down: plainDown(family, PROTOCOL.TCP, more),
  };
}

const entryOf = (rig: Rig, { key }: PlainFlow) => rig.fastPath.plain.read(key);

/** What stands there, but for the time, which is coarse. */
function known(rig: Rig, { up, down }: Pair): unknown {
  return [up, down].map((flow) => {
    const entry = entryOf(rig, flow);
    return entry && { ...entry, state: { ...entry.state, lastSeenMs: 0 } };
  });
}

export function describeAwaiting(withRig: WithRig, family: WorldFamily): void {
  describeAnswers(withRig, family);
  describeOthers(withRig, family);
  describeSizes(withRig, family);
  describeQuiet(withRig, family);
}

function describeAnswers(withRig: WithRig, family: WorldFamily): void {
  const title = (text: string) => `${family.name} TCP: ${text}`;

  for (const [client, endpoint, both] of [
    [7, 9, 9],
    [9, 2, 9],
    [undefined, 9, 0],
    [7, undefined, 0],
    [3, 200, 14],
  ] as const) {
    withRig(title(`window scales of ${client} and ${endpoint} are one of ${both}`), async (rig) => {
      const pair = awaitingPair(family, client);
      install(rig, pair.up, pair.down);
      const options = endpoint === undefined ? new Uint8Array() : optionsOf(endpoint);
      await passes(rig, pair.down, { ...ANSWER, options });
      for (const flow of [pair.up, pair.down]) assert.equal(entryOf(rig, flow)?.flow.tcp?.windowScale, both);
    });
  }

  withRig(title("an awaited SYN-ACK is forwarded, and what acknowledges it opens"), async (rig) => {
    const pair = awaitingPair(family, 7);
    const { up, down } = pair;
    install(rig, up, down);
    assert.deepEqual(entryOf(rig, up)?.flow, up);
    assert.deepEqual(entryOf(rig, down)?.flow, down);
    const punts = recordPunts(rig.fastPath);
    rig.fastPath.start();
    // Either is sent again before the other has come.
    for (let i = 0; i < 2; i++) await passes(rig, up, SYN_PACKET);
    for (let i = 0; i < 2; i++) await passes(rig, down, ANSWER);
    await passes(rig, up, SYN_PACKET);
    await passes(rig, down, ANSWER);
    const { awaiting: _, ...answered } = up;
    const tcp = { windowScale: 9, shift: 0 };
    assert.deepEqual(entryOf(rig, up)?.flow, { ...answered, opening: true, tcp });
    assert.equal(entryOf(rig, down)?.flow.awaiting, undefined);
    assert.equal(entryOf(rig, down)?.flow.handshake, true);
    const [mine, theirs] = [CLIENT_NUMBER, ENDPOINT_NUMBER];
    assert.deepEqual(entryOf(rig, up)?.state.edges, { sequence: mine, acknowledged: theirs });
    assert.deepEqual(entryOf(rig, down)?.state.edges, { sequence: theirs, acknowledged: mine });
    assert.deepEqual([entryOf(rig, up)?.state.packets, entryOf(rig, down)?.state.packets], [3, 3]);
    assert.equal(punts.length, 0);
    await passes(rig, up, { payload: PAYLOAD });
    await until("the copy", () => punts.length === 1);
    assert.deepEqual([punts[0]?.reason, punts[0]?.copy, punts[0]?.session], ["learn", true, PLAIN_SESSION]);
    await passes(rig, down, { payload: PAYLOAD });
    assert.equal(entryOf(rig, down)?.flow.handshake, false);
  });

  withRig(title("with its checksum left to a device a SYN-ACK is answered for, too"), async (rig) => {
    if (rig.link === undefined) return;
    const pair = awaitingPair(family, 7);
    install(rig, pair.up, pair.down);
    rig.link.injectPartial("core", plainPackets(pair.down, ANSWER).arriving);
    await until("the packet leaves", () => rig.received("client").length > 0);
    assert.equal(entryOf(rig, pair.up)?.flow.opening, true);
  });
}

/** Punted one after the other: the reasons, and nothing is forwarded or learned. */
async function arePunted(
  rig: Rig,
  pair: Pair,
  packets: readonly (readonly [keyof Pair, PlainPacket, reason: string])[],
): Promise<void> {
  const before = known(rig, pair);
  const punts = recordPunts(rig.fastPath);
  rig.fastPath.start();
  for (const [index, [direction, plan, reason]] of packets.entries()) {
    const flow = pair[direction];
    const { arriving } = plainPackets(flow, plan);
    rig.inject(sidesOf(flow)[0], arriving);
    await until("the punt", () => punts.length === index + 1);
    const said = JSON.stringify([direction, plan]);
    assert.deepEqual([punts[index]?.reason, punts[index]?.copy], [reason, false], said);
    assert.equal(hex(punts[index]?.packet), hex(arriving), said);
  }
  assert.deepEqual(known(rig, pair), before);
  assert.deepEqual([rig.received("core").length, rig.received("client").length], [0, 0]);
}

function describeOthers(withRig: WithRig, family: WorldFamily): void {
  const title = (text: string) => `${family.name} TCP: ${text}`;
  const strange: readonly (readonly [keyof Pair, PlainPacket, string])[] = [
    ["up", { ...SYN_PACKET, by: 0 }, "syn"],
    ["up", { ...SYN_PACKET, by: -2 }, "syn"],
    ["up", { ...SYN_PACKET, hopLimit: 1 }, "syn"],
    ["up", { ...ANSWER, by: -1 }, "synAck"],
    ["up", {}, "handshake"],
    ["up", { flags: RST }, "handshake"],
    ["down", { ...ANSWER, acknowledgment: CLIENT_NUMBER + 1 }, "synAck"],
    ["down", { ...ANSWER, acknowledgment: CLIENT_NUMBER - 1 }, "synAck"],
    ["down", { ...ANSWER, hopLimit: 1 }, "synAck"],
    ["down", { ...ANSWER, flags: SYN }, "syn"],
    ["down", { flags: RST | ACK, by: -1 }, "handshake"],
    ["down", {}, "handshake"],
  ];

  withRig(title("what a flow does not await is punted as ever"), async (rig) => {
    const pair = awaitingPair(family, 7);
    install(rig, pair.up, pair.down);
    await arePunted(rig, pair, strange);
  });

  withRig(title("another SYN-ACK than the first one is punted"), async (rig) => {
    const { up, down } = awaitingPair(family, 7);
    const { awaiting: _, ...mine } = up;
    const { awaiting: __, ...theirs } = down;
    const pair = {
      up: { ...mine, opening: true, tcp: plainUp(family, PROTOCOL.TCP).tcp as NonNullable<PlainFlow["tcp"]> },
      down: { ...theirs, tcp: plainDown(family, PROTOCOL.TCP).tcp as NonNullable<PlainFlow["tcp"]> },
    };
    install(rig, pair.up, pair.down);
    await arePunted(rig, pair, [
      ["down", { ...ANSWER, by: 0 }, "synAck"],
      ["down", { ...ANSWER, acknowledgment: CLIENT_NUMBER + 1 }, "synAck"],
      ["up", { ...SYN_PACKET, by: 0 }, "syn"],
    ]);
    await passes(rig, pair.down, ANSWER);
    await passes(rig, pair.up, SYN_PACKET);
  });

  withRig(title("two halves of different connections await nothing"), async (rig) => {
    const pair = awaitingPair(family, 7);
    install(rig, pair.up, { ...pair.down, session: PLAIN_SESSION + 1 });
    await arePunted(rig, pair, [
      ["up", SYN_PACKET, "syn"],
      ["down", ANSWER, "synAck"],
    ]);
  });

  withRig(title("half of a pair awaits nothing by itself"), async (rig) => {
    const pair = awaitingPair(family, 7);
    install(rig, pair.down);
    await arePunted(rig, pair, [["down", ANSWER, "synAck"]]);
  });

  withRig(title("SYNs of a connection that is told of its challenge are punted"), async (rig) => {
    const up = plainUp(family, PROTOCOL.TCP, { handshake: true });
    const down = plainDown(family, PROTOCOL.TCP, { handshake: true });
    install(rig, up, down);
    await arePunted(rig, { up, down }, [
      ["up", SYN_PACKET, "syn"],
      ["down", ANSWER, "synAck"],
    ]);
  });
}

function describeSizes(withRig: WithRig, family: WorldFamily): void {
  const title = (text: string) => `${family.name} TCP: ${text}`;

  withRig(title("a segment size that is to be lowered is the slow path's"), async (rig) => {
    const pair = awaitingPair(family, 7);
    install(rig, pair.up, pair.down);
    await arePunted(rig, pair, [
      ["up", { ...SYN_PACKET, options: optionsOf(7, 65_000) }, "syn"],
      ["down", { ...ANSWER, options: optionsOf(7, 65_000) }, "synAck"],
      // Behind an option of another size, and behind the first word.
      ["down", { ...ANSWER, options: Uint8Array.of(2, 3, 0, 1, 1, 2, 4, 0xff, 0xff, 0, 0, 0) }, "synAck"],
    ]);
    // What stands behind the end, or behind what is broken, says nothing.
    await passes(rig, pair.up, { ...SYN_PACKET, options: Uint8Array.of(0, 2, 4, 0xff, 0xff, 0, 0, 0) });
    await passes(rig, pair.down, { ...ANSWER, options: Uint8Array.of(8, 99, 2, 4, 0xff, 0xff, 0, 0) });
  });
}

function describeQuiet(withRig: WithRig, family: WorldFamily): void {
  withRig(`${family.name} TCP: nobody is told of the ends of a quiet flow`, async (rig) => {
    const up = plainUp(family, PROTOCOL.TCP, { quiet: true });
    const down = plainDown(family, PROTOCOL.TCP, { quiet: true });
    install(rig, up, down);
    assert.equal(entryOf(rig, up)?.flow.quiet, true);
    const punts = recordPunts(rig.fastPath);
    rig.fastPath.start();
    await passes(rig, up, { flags: FIN | ACK });
    await passes(rig, down, { flags: RST });
    assert.equal(entryOf(rig, up)?.state.finEnd, (CLIENT_NUMBER + 1) >>> 0);
    assert.equal(entryOf(rig, down)?.state.reset, true);
    // A second one of a flow that is not quiet comes as the only one.
    rig.fastPath.plain.install({ ...plainDown(family, PROTOCOL.TCP), learn: true });
    await passes(rig, down, {});
    await until("the copy", () => punts.length > 0);
    assert.deepEqual(
      punts.map(({ reason }) => reason),
      ["learn"],
    );
  });
}
