// The authority of the members' certificates, in a Secret that the controller alone reads, and what every
// member needs of it (its certificate, the cluster's secret) in another.
import type { KubernetesClient } from "../client/client.ts";
import { isConflict, isNotFound } from "../client/error.ts";
import { type KubernetesObject, SECRETS } from "../objects.ts";

export interface Pair {
  readonly certificatePem: string;
  readonly keyPem: string;
}

/** Who makes certificates: of @holdfast/node, so that nothing here loads it. */
export interface CertificateMaker {
  createAuthority(options: { readonly clusterId: string; readonly wallMs: number }): Promise<Pair>;
  newClusterSecret(): string;
  certifyRequest(
    authority: Pair,
    requestPem: string,
    member: {
      readonly clusterId: string;
      readonly memberName: string;
      readonly memberNumber: number;
      readonly addresses: readonly string[];
      readonly dnsNames: readonly string[];
      /** From when it is good. */
      readonly wallMs: number;
    },
  ): Promise<string>;
}

interface Secret extends KubernetesObject {
  readonly type?: string;
  readonly data?: Readonly<Record<string, string>>;
}

export interface AuthorityOptions {
  readonly client: KubernetesClient;
  readonly maker: CertificateMaker;
  readonly namespace: string;
  readonly clusterId: string;
  readonly authoritySecret: string;
  readonly clusterSecret: string;
  readonly wallMs?: () => number;
}

const text = (secret: Secret, key: string) =>
  Buffer.from(secret.data?.[key] ?? "", "base64").toString("utf8");
const encoded = (data: Readonly<Record<string, string>>) =>
  Object.fromEntries(
    Object.entries(data).map(([key, value]) => [key, Buffer.from(value).toString("base64")]),
  );

export class Authority {
  readonly #options: AuthorityOptions;
  #pair: Pair | undefined;

  constructor(options: AuthorityOptions) {
    this.#options = options;
  }

  /** Empty before the first `ready`. */
  get certificatePem(): string {
    return this.#pair?.certificatePem ?? "";
  }

  /** Both Secrets are there: those that are stay as they are, also half of them. Throws KubernetesError. */
  async ready(): Promise<Pair> {
    if (this.#pair !== undefined) return this.#pair;
    const { maker, clusterId, authoritySecret, clusterSecret } = this.#options;
    const authority = await this.#secret(authoritySecret, async () => {
      const made = await maker.createAuthority({
        clusterId,
        wallMs: (this.#options.wallMs ?? Date.now)(),
      });
      return { "ca.crt": made.certificatePem, "ca.key": made.keyPem };
    });
    const pair = { certificatePem: text(authority, "ca.crt"), keyPem: text(authority, "ca.key") };
    if (pair.certificatePem === "" || pair.keyPem === "")
      throw new Error(`Secret ${authoritySecret} has no ca.crt and ca.key`);
    await this.#secret(clusterSecret, async () => ({
      "ca.crt": pair.certificatePem,
      "cluster.secret": `${maker.newClusterSecret()}\n`,
    }));
    this.#pair = pair;
    return pair;
  }

  async certify(
    request: string,
    member: {
      readonly memberName: string;
      readonly memberNumber: number;
      readonly addresses: readonly string[];
      readonly dnsNames: readonly string[];
      readonly wallMs: number;
    },
  ): Promise<string> {
    const pair = await this.ready();
    return this.#options.maker.certifyRequest(pair, request, {
      clusterId: this.#options.clusterId,
      ...member,
    });
  }

  async #secret(name: string, make: () => Promise<Readonly<Record<string, string>>>): Promise<Secret> {
    const { client, namespace } = this.#options;
    try {
      return await client.get<Secret>(SECRETS, { namespace, name });
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
    try {
      return await client.create<Secret>(SECRETS, {
        metadata: { namespace, name },
        type: "Opaque",
        data: encoded(await make()),
      });
    } catch (error) {
      if (!isConflict(error)) throw error;
      // Another replica was faster: its authority is the one.
      return client.get<Secret>(SECRETS, { namespace, name });
    }
  }
}
