// The part of the controller that is about members on nodes, put together.
import type { ApiClient, Members } from "@holdfast/api";
import { KubernetesClient } from "../client/client.ts";
import type { Connection } from "../client/connection.ts";
import type { EventRecorder } from "../events.ts";
import { Authority, type CertificateMaker } from "./authority.ts";
import { MembersController } from "./members-controller.ts";

const POLL_MS = 5_000;

export interface NodesOptions {
  readonly maker: CertificateMaker;
  /** cluster.id of the members. */
  readonly clusterId: string;
  readonly numberCount: number;
  readonly replicationPort: number;
  readonly authoritySecret: string;
  readonly clusterSecret: string;
  readonly dnsNames: readonly string[];
  /** The API of the member at an address, believed by `authority`, PEM. */
  readonly clientAt: (address: string, authority: string) => ApiClient;
  readonly pollMs?: number;
}

/** Of one leader at a time; without options, where members are elsewhere, it does nothing. */
export function membersOnNodes(
  options: NodesOptions | undefined,
  parts: {
    readonly client: KubernetesClient;
    readonly members: Members;
    readonly events: EventRecorder;
    readonly namespace: string;
    readonly log: (message: string) => void;
  },
): { start(): void; stop(): Promise<void> } {
  let controller: MembersController | undefined;
  return {
    start() {
      if (options === undefined) return;
      const { numberCount, replicationPort, dnsNames, clientAt, ...rest } = options;
      const { client, namespace, log } = parts;
      const authority = new Authority({ ...rest, client, namespace });
      controller = new MembersController({
        ...parts,
        ...{ authority, numberCount, replicationPort, dnsNames },
        clientAt: (address) => clientAt(address, authority.certificatePem),
        pollMs: options.pollMs ?? POLL_MS,
      });
      controller.start().catch((error: unknown) => log(`members on nodes: ${String(error)}`));
    },
    async stop() {
      await controller?.stop();
      controller = undefined;
    },
  };
}

const AUTHORITY_PERIOD_MS = 2_000;

/**
 * Makes the authority where it is not there, and returns its certificate, PEM; undefined where members are
 * elsewhere. Waits for an API server as long as it takes.
 */
export async function prepareAuthority(
  connection: Connection,
  options: NodesOptions | undefined,
  namespace: string | undefined,
  log: (message: string) => void = (message) => process.stderr.write(`${message}\n`),
): Promise<string | undefined> {
  if (options === undefined) return undefined;
  const client = new KubernetesClient(connection);
  const authority = new Authority({ ...options, client, namespace: namespace ?? connection.namespace });
  try {
    for (;;) {
      try {
        return (await authority.ready()).certificatePem;
      } catch (error) {
        log(`the members' authority: ${String(error)}; again in ${AUTHORITY_PERIOD_MS} ms`);
        await new Promise((resolve) => setTimeout(resolve, AUTHORITY_PERIOD_MS));
      }
    }
  } finally {
    client.close();
  }
}
