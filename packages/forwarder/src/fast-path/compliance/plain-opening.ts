// Handshakes of TCP that a fast path ends by itself, and what does not end them (docs/decisions/0500).
import assert from "node:assert/strict";
import { PROTOCOL } from "@holdfast/sctp";
import { TCP_FLAG } from "../../packet/plain/header.ts";
import type { WithRig } from "../compliance.ts";
import { install, PAYLOAD, passes, WINDOW } from "./plain-rig.ts";
import {
  ENDPOINT_NUMBER,
  PLAIN_SESSION,
  type PlainPacket,
  plainDown,
  plainPackets,
  plainUp,
} from "./plain-world.ts";
import { type Rig, recordPunts, until } from "./rig.ts";
import type { WorldFamily } from "./world.ts";

const { FIN, RST, ACK } = TCP_FLAG;

export function describeOpening(withRig: WithRig, family: WorldFamily): void {
  const title = (text: string) => `${family.name} TCP: ${text}`;
  const up = plainUp(family, PROTOCOL.TCP, { handshake: true, opening: true, learn: true });
  const down = plainDown(family, PROTOCOL.TCP, { handshake: true });
  const isHandshake = (rig: Rig) =>
    [up, down].map(({ key }) => rig.fastPath.plain.read(key)?.flow).map((flow) => flow?.handshake);

  withRig(
    title("what acknowledges the endpoint's SYN ends the handshake of both directions"),
    async (rig) => {
      install(rig, up, down);
      const punts = recordPunts(rig.fastPath);
      rig.fastPath.start();
      await passes(rig, up, { payload: PAYLOAD });
      await until("the copy", () => punts.length === 1);
      assert.deepEqual(isHandshake(rig), [false, false]);
      await passes(rig, down, { payload: PAYLOAD });
      await passes(rig, up, { by: PAYLOAD.length });
      const { flow } = rig.fastPath.plain.read(up.key) ?? {};
      assert.deepEqual([flow?.opening, flow?.learn], [undefined, false]);
      assert.deepEqual(
        punts.map(({ reason, copy, session, proven }) => [reason, copy, session, proven]),
        [["learn", true, PLAIN_SESSION, true]],
      );
    },
  );

  withRig(title("nothing else ends a handshake"), async (rig) => {
    install(rig, up, down);
    const punts = recordPunts(rig.fastPath);
    rig.fastPath.start();
    const others: PlainPacket[] = [
      { acknowledgment: ENDPOINT_NUMBER + 1 },
      { acknowledgment: ENDPOINT_NUMBER - 1 },
      { by: WINDOW + 1 },
      { flags: FIN | ACK },
      { flags: RST },
    ];
    for (const [index, plan] of others.entries()) {
      rig.inject("client", plainPackets(up, plan).arriving);
      await until("the punt", () => punts.length === index + 1);
      assert.deepEqual(
        [punts[index]?.reason, punts[index]?.copy],
        ["handshake", false],
        JSON.stringify(plan),
      );
    }
    assert.deepEqual(isHandshake(rig), [true, true]);
    // The other direction's flow is another connection's, or gone.
    rig.fastPath.plain.install({ ...down, session: PLAIN_SESSION + 1 });
    rig.inject("client", plainPackets(up).arriving);
    await until("the punt", () => punts.length === others.length + 1);
    rig.fastPath.plain.remove(down.key);
    rig.inject("client", plainPackets(up).arriving);
    await until("the punt", () => punts.length === others.length + 2);
    assert.equal(rig.received("core").length, 0);
  });
}
