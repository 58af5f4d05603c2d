// Beside a member, on its node: makes the member's key, which never leaves the node, asks the controller for
// a certificate by the node's `Member`, and writes the member's configuration with what it was given. It
// stays, and takes what changes later: a certificate that was made anew is in its place before the old one
// ends.
import { chownSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { type NetworkInterfaceInfo, networkInterfaces } from "node:os";
import { join } from "node:path";
import { parse } from "yaml";
import { KubernetesClient } from "../client/client.ts";
import type { Connection } from "../client/connection.ts";
import { isNotFound } from "../client/error.ts";
import { MEMBERS } from "../objects.ts";
import { digestOf, type MemberObject, type MemberStatus } from "./member-object.ts";

export interface IdentityOptions {
  readonly connection: Connection;
  readonly node: string;
  /** On the node's own disk: key, request and certificate. */
  readonly directory: string;
  /** The configuration that all members share, YAML; undefined: none. */
  readonly base: string | undefined;
  /** Where the member's whole configuration goes. */
  readonly write: string;
  /** The cluster's authority, as the other members trust it, and its secret. */
  readonly authorityFile: string;
  readonly secretFile: string;
  readonly addresses: readonly string[];
  /** Who reads key and configuration: the member's user and group. */
  readonly owner: { readonly uid: number; readonly gid: number } | undefined;
  readonly makeRequest: (memberName: string) => Promise<{ requestPem: string; keyPem: string }>;
  readonly log?: (message: string) => void;
  readonly pollMs?: number;
  readonly signal?: AbortSignal;
}

const POLL_MS = 2_000;
/** Between two looks when everything is as it should be. */
const WATCH_MS = 60_000;
/** Of every key's request: who it is for is the controller's to say. */
const REQUEST_NAME = "member";

interface Files {
  readonly key: string;
  readonly request: string;
  readonly certificate: string;
}

/** Runs until `signal`; each failure is told and tried again. `once`: until the configuration is written. */
export async function runIdentity(options: IdentityOptions & { readonly once: boolean }): Promise<void> {
  const { log = (message: string) => process.stderr.write(`${message}\n`), signal } = options;
  const client = new KubernetesClient(options.connection);
  let said = "";
  try {
    while (signal?.aborted !== true) {
      const standing = await look(client, options).catch((error: unknown) => String(error));
      if (standing !== said) log(standing === undefined ? "the member has its identity" : standing);
      said = standing ?? "";
      if (standing === undefined && options.once) return;
      await pause(standing === undefined ? WATCH_MS : (options.pollMs ?? POLL_MS), signal);
    }
  } finally {
    client.close();
  }
}

/** What is still missing; undefined: nothing. */
async function look(client: KubernetesClient, options: IdentityOptions): Promise<string | undefined> {
  const { node, directory, addresses } = options;
  mkdirSync(directory, { recursive: true, mode: 0o750 });
  own(directory, options);
  const files: Files = {
    key: join(directory, "member.key"),
    request: join(directory, "request.pem"),
    certificate: join(directory, "member.crt"),
  };
  const request = await requestOf(files, options);
  let object: MemberObject;
  try {
    object = await client.get<MemberObject>(MEMBERS, { name: node });
  } catch (error) {
    if (isNotFound(error))
      return `there is no Member ${node} yet: does the node have the label holdfast.io/member, and does the controller run with --members-on-nodes?`;
    throw error;
  }
  const { spec = {}, status = {} } = object;
  if (spec.request?.trim() !== request.trim() || spec.addresses?.join() !== addresses.join()) {
    await client.patch(MEMBERS, { name: node }, { spec: { request, addresses } });
    return "the controller is asked for a certificate";
  }
  if (
    status.certificate === undefined ||
    status.requestDigest !== digestOf(`${spec.request}${addresses.join()}`)
  )
    return "the controller has not answered with a certificate yet";
  place(files.certificate, status.certificate, 0o640, options);
  place(options.write, configurationOf(status, files, options), 0o640, options);
  return undefined;
}

/** Most addresses of a member. */
const ADDRESS_COUNT_MAX = 8;

/**
 * Where the others find a member: what kubelet says of the node, then the first global address of each
 * interface that the shared configuration names.
 */
export function nodeAddresses(
  hostIps: readonly string[],
  base: string | undefined,
  interfaces: NodeJS.Dict<NetworkInterfaceInfo[]> = networkInterfaces(),
): string[] {
  const shared = (base === undefined ? {} : (parse(readFileSync(base, "utf8")) ?? {})) as {
    interfaces?: { name: string }[];
  };
  const patterns = (shared.interfaces ?? []).map(({ name }) => {
    const text = name
      .replace(/[.+^${}()|[\]\\]/g, "\\$&")
      .replaceAll("*", ".*")
      .replaceAll("?", ".");
    return new RegExp(`^${text}$`);
  });
  const found = Object.entries(interfaces).flatMap(([name, addresses = []]) => {
    if (!patterns.some((pattern) => pattern.test(name))) return [];
    const first = addresses.find(({ address, internal }) => !internal && !address.startsWith("fe80:"));
    return first === undefined ? [] : [first.address];
  });
  return [...new Set([...hostIps, ...found])].slice(0, ADDRESS_COUNT_MAX);
}

/** The key's request; both are made once for a node's disk. */
async function requestOf(files: Files, options: IdentityOptions): Promise<string> {
  if (existsSync(files.key) && existsSync(files.request)) return readFileSync(files.request, "utf8");
  const { requestPem, keyPem } = await options.makeRequest(REQUEST_NAME);
  place(files.key, keyPem, 0o640, options);
  place(files.request, requestPem, 0o640, options);
  return requestPem;
}

/** The shared configuration with what is this member's alone; JSON is YAML. */
export function configurationOf(status: MemberStatus, files: Files, options: IdentityOptions): string {
  const base = (
    options.base === undefined ? {} : (parse(readFileSync(options.base, "utf8")) ?? {})
  ) as Record<string, Record<string, unknown>>;
  const { certificate, key } = files;
  const usesTls = base["api"]?.["listen"] !== undefined;
  return `${JSON.stringify(
    {
      ...base,
      cluster: {
        ...base["cluster"],
        admit: "certificate",
        join: status.join ?? [],
        certificates: { authority: options.authorityFile, certificate, key },
        secretFile: options.secretFile,
      },
      member: {
        ...base["member"],
        name: status.memberName,
        number: status.number,
        ...(status.zone !== undefined && { zone: status.zone }),
      },
      ...(usesTls && { api: { tls: { certificate, key }, ...base["api"] } }),
    },
    undefined,
    1,
  )}\n`;
}

/** The whole file or none of it, and only when it is another one. */
function place(file: string, text: string, mode: number, options: IdentityOptions): void {
  if (existsSync(file) && readFileSync(file, "utf8") === text) return;
  writeFileSync(`${file}.new`, text, { mode });
  own(`${file}.new`, options);
  renameSync(`${file}.new`, file);
}

function own(path: string, { owner }: IdentityOptions): void {
  if (owner !== undefined) chownSync(path, owner.uid, owner.gid);
}

function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
