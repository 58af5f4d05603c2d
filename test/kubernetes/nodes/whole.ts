// What "complete" means in the table of docs/kubernetes.md: every path of the association is confirmed at
// both ends, every message came back, and nobody began anew.
import assert from "node:assert/strict";
import { type Peer, until } from "@holdfast/testkit";

/** Both VIPs are confirmed at both ends of every association. */
export async function confirmed(client: Peer, server: Peer, vips: readonly string[]): Promise<void> {
  let seen: unknown;
  const allActive = async (peer: Peer, wanted: readonly string[] | undefined) => {
    const paths = await peer.paths();
    seen = { host: peer.host.name, paths: [...paths] };
    return (
      paths.size > 0 &&
      [...paths.values()].every(
        (list) =>
          list.length >= vips.length &&
          list.every(({ state }) => state === "active") &&
          (wanted === undefined || wanted.every((vip) => list.some(({ address }) => address === vip))),
      )
    );
  };
  await until(
    "every path to be confirmed",
    async () => (await allActive(client, vips)) && (await allActive(server, vips)),
    15_000,
    50,
  ).catch((error: Error) => {
    throw new Error(`${error.message}: ${JSON.stringify(seen)}`);
  });
}

/** So many more messages came back, and nothing began anew. */
export async function alive(client: Peer, echoCount = 40): Promise<void> {
  const before = await client.associations();
  let seen: unknown;
  await until(
    `${echoCount} echoes more`,
    async () => {
      const figures = await client.associations();
      seen = figures;
      return figures.every((each, index) => each.echoes >= (before[index]?.echoes ?? 0) + echoCount);
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
