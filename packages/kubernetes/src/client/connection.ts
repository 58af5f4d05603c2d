// Where the API server is and who we are: a pod's service account, or a kubeconfig. Tokens, authorities and
// client certificates that are files are read anew, since the kubelet and others renew them in place.
import { existsSync, readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { renewedText } from "@holdfast/api/node";
import { parse } from "yaml";

export type Material = string | (() => string);

export interface Connection {
  /** `https://HOST:PORT`, without a path at its end or with one. */
  readonly url: string;
  /** PEM; the system's authorities when absent. Functions are asked again: files are renewed in place. */
  readonly authority?: Material;
  readonly isUnverified?: boolean;
  readonly certificate?: Material;
  readonly key?: Material;
  readonly token?: () => string | undefined;
  /** The namespace that this identity lives in. */
  readonly namespace: string;
}

/** The operator's mistake: what is wrong, and what to do. */
export class ConnectionError extends Error {
  readonly code: "KUBERNETES_CONNECTION_INVALID" = "KUBERNETES_CONNECTION_INVALID";
  readonly status = 400;
  readonly remedy: string;

  constructor(message: string, remedy: string, cause?: unknown) {
    super(message, { cause });
    this.name = "ConnectionError";
    this.remedy = remedy;
  }
}

const ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount";

type Environment = Readonly<Record<string, string | undefined>>;

/** `kubeconfig`: a file; without one, $KUBECONFIG, and then the pod's service account. Throws ConnectionError. */
export function findConnection(
  kubeconfig: string | undefined,
  environment: Environment = process.env,
): Connection {
  const file = kubeconfig ?? environment["KUBECONFIG"];
  if (file !== undefined && file !== "") return connectionOfFile(file);
  return connectionOfPod(environment);
}

/** A pod's own. `directory`: of its service account. */
export function connectionOfPod(environment: Environment, directory = ACCOUNT): Connection {
  const host = environment["KUBERNETES_SERVICE_HOST"];
  const port = environment["KUBERNETES_SERVICE_PORT"] ?? "443";
  if (host === undefined || !existsSync(`${directory}/token`))
    throw new ConnectionError(
      "There is no API server to talk to: this is not a pod with a service account.",
      "Name a kubeconfig with --kubeconfig or KUBECONFIG, or let the pod have its service account's token.",
    );
  return {
    url: `https://${host.includes(":") ? `[${host}]` : host}:${port}`,
    authority: renewedText(() => read(`${directory}/ca.crt`)),
    token: () => read(`${directory}/token`).trim(),
    namespace: existsSync(`${directory}/namespace`) ? read(`${directory}/namespace`).trim() : "default",
  };
}

interface Named {
  readonly name?: string;
}
interface Kubeconfig {
  readonly "current-context"?: string;
  readonly contexts?: readonly (Named & { context?: Record<string, string> })[];
  readonly clusters?: readonly (Named & { cluster?: Record<string, string | boolean> })[];
  readonly users?: readonly (Named & { user?: Record<string, unknown> })[];
}

/** The current context of a kubeconfig. Tokens and certificates are understood; programs that make tokens are not. */
export function connectionOfFile(file: string): Connection {
  const config = (parse(read(file)) ?? {}) as Kubeconfig;
  const wanted = config["current-context"];
  const context = config.contexts?.find(({ name }) => name === wanted)?.context ?? {};
  const cluster = config.clusters?.find(({ name }) => name === context["cluster"])?.cluster ?? {};
  const user = config.users?.find(({ name }) => name === context["user"])?.user ?? {};
  const server = cluster["server"];
  if (typeof server !== "string")
    throw new ConnectionError(
      `${file} names no server in its current context '${wanted ?? ""}'.`,
      "Set current-context, its cluster and the cluster's server.",
    );
  for (const kind of ["exec", "auth-provider"])
    if (user[kind] !== undefined)
      throw new ConnectionError(
        `${file} asks a program for its user's token (${kind}), which the controller does not do.`,
        "Use a service account's token, a token file or a client certificate.",
      );
  const material = (source: Readonly<Record<string, unknown>>, key: string): Material | undefined => {
    const data = source[`${key}-data`];
    if (typeof data === "string" && data !== "") return Buffer.from(data, "base64").toString();
    const path = source[key];
    return typeof path === "string" && path !== ""
      ? renewedText(() => read(resolve(dirname(file), path)))
      : undefined;
  };
  const authority = material(cluster, "certificate-authority");
  const certificate = material(user, "client-certificate");
  const key = material(user, "client-key");
  const token = tokenOf(user, dirname(file));
  return {
    url: server.replace(/\/+$/, ""),
    namespace: context["namespace"] ?? "default",
    ...(authority !== undefined && { authority }),
    ...(cluster["insecure-skip-tls-verify"] === true && { isUnverified: true }),
    ...(certificate !== undefined && { certificate }),
    ...(key !== undefined && { key }),
    ...(token !== undefined && { token }),
  };
}

function tokenOf(user: Readonly<Record<string, unknown>>, directory: string): (() => string) | undefined {
  const { token, tokenFile } = user;
  if (typeof tokenFile === "string") return () => read(resolve(directory, tokenFile)).trim();
  return typeof token === "string" ? () => token : undefined;
}

function read(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    throw new ConnectionError(
      `${file} cannot be read: ${(cause as Error).message}.`,
      "Name a file that this user may read.",
      cause,
    );
  }
}
