// A lab cluster whose members' APIs a browser on this machine reaches, with a token for each role.
import { join } from "node:path";
import { Cluster, Door, type Peer, relayScript, until } from "@holdfast/testkit";

export const OPERATE = "a-token-that-operates";
export const READ = "a-token-that-only-reads";
const PORT = 7080;

export interface Rig {
  readonly cluster: Cluster;
  /** By member. */
  readonly origins: readonly string[];
  readonly clients: readonly Peer[];
}

/** Runs `story` on a cluster with associations, and removes it. */
export async function withCluster(
  options: { readonly members: number; readonly endpoints: number; readonly clients: readonly number[] },
  story: (rig: Rig) => Promise<void>,
): Promise<void> {
  const doors = await Promise.all(Array.from({ length: options.members }, () => Door.open()));
  let cluster: Cluster | undefined;
  try {
    cluster = new Cluster({
      ...options,
      configuration: { health: { intervalMs: 250, timeoutMs: 200, downCount: 2, upCount: 2 } },
      api: (index) => ({
        listen: [`127.0.0.1:${PORT}`],
        url: doors[index]?.origin,
        tokens: [
          { name: "operator", role: "operate", token: OPERATE },
          { name: "wallboard", role: "read", token: READ },
        ],
      }),
    });
    for (const [index, member] of cluster.members.entries()) {
      const socket = join(cluster.lab.directory, `${member.name}.relay`);
      member.host.spawn(process.execPath, ["-e", relayScript(socket, PORT)], { stdio: "ignore" });
      (doors[index] as Door).socket = socket;
    }
    const starting = cluster.start();
    starting.catch(() => {});
    for (const index of cluster.endpoints.keys()) await cluster.startEndpoint(index, { echo: false });
    await starting;
    await cluster.settled();
    const clients: Peer[] = [];
    for (const index of cluster.clients.keys())
      clients.push(await cluster.startClient(index, { rate: 50, size: 200, associations: 2 }));
    await Promise.all(clients.map((client) => client.established(2, 60_000)));
    const origins = doors.map(({ origin }) => origin);
    for (const origin of origins)
      await until(`${origin} to answer`, () =>
        fetch(`${origin}/v1/health/live`).then(
          ({ ok }) => ok,
          () => false,
        ),
      );
    await story({ cluster, origins, clients });
  } finally {
    for (const door of doors) door.close();
    await cluster?.close();
  }
}
