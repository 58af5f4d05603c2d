// Moves that an operator asks for, behind routers: the better way first, the worse one after, and nothing
// between. `npm run bench -- moves` makes a hundred, with five thousand packets a second, which need a machine
// of their own.
import assert from "node:assert/strict";
import { test } from "node:test";
import { brief } from "@holdfast/testkit";
import { moved } from "./moves.ts";

const MOVE_COUNT = 12;
/** What the clients ask for: what two shared cores carry beside routers, members and captures of every packet. */
const PACKETS_PER_SECOND = 1_000;

for (const software of ["bird", "frr"] as const)
  test(`${software}: ${MOVE_COUNT} planned moves of the primary VIP lose not one packet`, async () => {
    const { moves, associationsLost, messagesLost } = await moved({
      software,
      moveCount: MOVE_COUNT,
      packetsPerSecond: PACKETS_PER_SECOND,
    });
    assert.equal(moves.length, MOVE_COUNT);
    for (const [index, { lost, packetCount }] of moves.entries()) {
      assert(packetCount > 1_000, `move ${index + 1}: ${packetCount} packets show nothing`);
      assert.deepEqual(lost.slice(0, 20).map(brief), [], `move ${index + 1}: ${lost.length} lost`);
    }
    assert.deepEqual({ associationsLost, messagesLost }, { associationsLost: 0, messagesLost: 0 });
  });
