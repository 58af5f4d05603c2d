// What tests of networks share: a story whose failure shows the members' logs, and associations that came to
// no harm.
import assert from "node:assert/strict";
import { type Cluster, type Peer, until, withLogs } from "@holdfast/testkit";

export const isV6 = (address: string) => address.includes(":");

export async function played(cluster: Cluster, story: () => Promise<void>): Promise<void> {
  try {
    await story();
  } catch (error) {
    throw withLogs(error, cluster.members);
  } finally {
    await cluster.close();
  }
}

/** Nothing was lost, nobody began anew, and so many messages came back. */
export async function unharmed(client: Peer, echoCount: number): Promise<void> {
  let seen: unknown;
  await until(
    `${echoCount} echoes`,
    async () => {
      const figures = await client.associations();
      seen = figures;
      return figures.every((a) => a.echoes >= echoCount);
    },
    15_000,
    50,
  ).catch((error: Error) => {
    throw new Error(`${error.message}: ${JSON.stringify(seen)}`);
  });
  for (const figure of await client.associations()) {
    assert.equal(figure.ups, 1, JSON.stringify(figure));
    assert.equal(figure.lost + figure.restarts + figure.cannotStart, 0, JSON.stringify(figure));
  }
}
