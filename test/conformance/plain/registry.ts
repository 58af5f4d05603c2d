// All scenarios of TCP and UDP, in the order of their numbers.
import assert from "node:assert/strict";
import type { PlainProtocol } from "../../plain/steady.ts";
import type { PlainScenario } from "./scenario.ts";
import { forged } from "./scenarios/tcp-forged.ts";
import { life } from "./scenarios/tcp-life.ts";
import { opening } from "./scenarios/tcp-opening.ts";
import { rare } from "./scenarios/tcp-rare.ts";
import { takeover } from "./scenarios/tcp-takeover.ts";
import { udp } from "./scenarios/udp.ts";
import { errors } from "./scenarios/udp-icmp.ts";
import { rareDatagrams } from "./scenarios/udp-rare.ts";

export const PLAIN_SCENARIOS: Readonly<Record<PlainProtocol, readonly PlainScenario[]>> = {
  tcp: [...opening, ...life, ...forged, ...takeover, ...rare],
  udp: [...udp, ...errors, ...rareDatagrams],
};

for (const [protocol, scenarios] of Object.entries(PLAIN_SCENARIOS))
  assert.ok(
    scenarios.every(({ number }, index) => number === index + 1),
    `${protocol}: a number is missing, or used twice`,
  );
