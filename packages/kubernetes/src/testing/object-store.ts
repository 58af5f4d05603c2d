// What the API server for tests holds: objects with one resource version for all, their history, and the rules by which
// kube-apiserver 1.36 changes and refuses them.
import { randomUUID } from "node:crypto";
import {
  apiVersionOf,
  type KubernetesObject,
  type KubernetesService,
  type Metadata,
  type Resource,
} from "../objects.ts";
import { canonical } from "../pools/address.ts";

export interface StoredObject extends KubernetesObject {
  readonly kind: string;
  readonly apiVersion: string;
  readonly spec?: Readonly<Record<string, unknown>>;
  readonly status?: Readonly<Record<string, unknown>>;
}

export type ChangeType = "ADDED" | "MODIFIED" | "DELETED";

interface Change {
  readonly version: number;
  readonly type: ChangeType;
  readonly object: StoredObject;
  readonly before: StoredObject | undefined;
}

export class ApiFailure extends Error {
  readonly code: number;
  readonly reason: string;

  constructor(code: number, reason: string, message: string) {
    super(message);
    this.code = code;
    this.reason = reason;
  }

  status(): unknown {
    const { code, reason, message } = this;
    return { kind: "Status", apiVersion: "v1", metadata: {}, status: "Failure", message, reason, code };
  }
}

/** Kinds whose status is written apart from the rest. */
const WITH_STATUS = [
  "GatewayClass",
  "Gateway",
  "SCTPRoute",
  "TCPRoute",
  "UDPRoute",
  "Service",
  "VipPool",
  "Member",
  "Pod",
  "Gateway",
  "GatewayClass",
  "SCTPRoute",
  "TCPRoute",
  "UDPRoute",
];

export class ObjectStore {
  readonly #objects = new Map<string, StoredObject>();
  readonly #tell: (type: ChangeType, object: StoredObject, before: StoredObject | undefined) => void;
  #history: Change[] = [];
  #version = 100;
  #oldest = 100;

  constructor(tell: (type: ChangeType, object: StoredObject, before: StoredObject | undefined) => void) {
    this.#tell = tell;
  }

  get version(): number {
    return this.#version;
  }

  /** The oldest version that can be watched from. */
  get oldest(): number {
    return this.#oldest;
  }

  compact(): void {
    this.#version++;
    this.#oldest = this.#version;
    this.#history = [];
  }

  all(): readonly StoredObject[] {
    return [...this.#objects.values()].sort((a, b) => (pathOf(a) < pathOf(b) ? -1 : 1));
  }

  /** What was there at `version`. */
  at(version: number, snapshot?: readonly StoredObject[]): readonly StoredObject[] {
    if (snapshot !== undefined) return snapshot;
    if (version === this.#version) return this.all();
    const past = new Map(this.#objects);
    for (const { version: at, object, before } of [...this.#history].reverse()) {
      if (at <= version) break;
      if (before === undefined) past.delete(pathOf(object));
      else past.set(pathOf(before), before);
    }
    return [...past.values()].sort((a, b) => (pathOf(a) < pathOf(b) ? -1 : 1));
  }

  since(version: number, { kind }: Resource): readonly Change[] {
    return this.#history.filter((change) => change.version > version && change.object.kind === kind);
  }

  get(resource: Resource, namespace: string | undefined, name: string): StoredObject {
    const found = this.#objects.get(pathFor(resource, namespace, name));
    if (found === undefined) throw new ApiFailure(404, "NotFound", `${resource.plural} "${name}" not found`);
    return found;
  }

  create(resource: Resource, namespace: string | undefined, body: KubernetesObject): StoredObject {
    const metadata = body.metadata as Metadata & { generateName?: string };
    const name = metadata.name ?? `${metadata.generateName ?? ""}${randomUUID().slice(0, 5)}`;
    if (this.#objects.has(pathFor(resource, namespace, name)))
      throw new ApiFailure(409, "AlreadyExists", `${resource.plural} "${name}" already exists`);
    const { status: _status, ...rest } = body as StoredObject;
    const object: StoredObject = {
      ...(WITH_STATUS.includes(resource.kind) ? rest : (body as StoredObject)),
      kind: resource.kind,
      apiVersion: apiVersionOf(resource),
      metadata: {
        ...metadata,
        name,
        ...(resource.isNamespaced && { namespace: namespace ?? "default" }),
        uid: randomUUID(),
        generation: 1,
        creationTimestamp: now(),
      },
    };
    checkObject(object, undefined);
    return this.#commit("ADDED", object, undefined);
  }

  replace(
    resource: Resource,
    namespace: string | undefined,
    name: string,
    body: StoredObject,
    isStatus: boolean,
  ): StoredObject {
    const before = this.get(resource, namespace, name);
    const version = body.metadata.resourceVersion;
    if (version !== undefined && version !== before.metadata.resourceVersion)
      throw new ApiFailure(409, "Conflict", `Operation cannot be fulfilled on ${resource.plural} "${name}"`);
    return this.#update(before, merged(before, body, isStatus && WITH_STATUS.includes(resource.kind)));
  }

  patch(
    resource: Resource,
    namespace: string | undefined,
    name: string,
    change: unknown,
    isStatus: boolean,
  ): StoredObject {
    const before = this.get(resource, namespace, name);
    const body = mergePatch(before, change) as StoredObject;
    return this.replace(resource, namespace, name, body, isStatus);
  }

  /** With finalizers it stays, marked. */
  remove(resource: Resource, namespace: string | undefined, name: string, uid?: string): StoredObject {
    const before = this.get(resource, namespace, name);
    if (uid !== undefined && uid !== before.metadata.uid)
      throw new ApiFailure(409, "Conflict", `the UID in the precondition (${uid}) does not match`);
    if ((before.metadata.finalizers ?? []).length === 0) return this.#commit("DELETED", before, before);
    if (before.metadata.deletionTimestamp !== undefined) return before;
    const metadata = { ...before.metadata, deletionTimestamp: now(), deletionGracePeriodSeconds: 0 };
    return this.#commit("MODIFIED", { ...before, metadata }, before);
  }

  #update(before: StoredObject, after: StoredObject): StoredObject {
    checkObject(after, before);
    const generation = (before.metadata.generation ?? 1) + (isEqual(before.spec, after.spec) ? 0 : 1);
    const { uid, creationTimestamp, deletionTimestamp, resourceVersion } = before.metadata;
    const metadata = {
      ...after.metadata,
      generation,
      ...(uid !== undefined && { uid }),
      ...(creationTimestamp !== undefined && { creationTimestamp }),
      ...(deletionTimestamp !== undefined && { deletionTimestamp }),
      ...(resourceVersion !== undefined && { resourceVersion }),
    };
    const next: StoredObject = { ...after, metadata };
    // A write that changes nothing makes no new version.
    if (isEqual(before, next)) return before;
    const isGone = deletionTimestamp !== undefined && (metadata.finalizers ?? []).length === 0;
    return this.#commit(isGone ? "DELETED" : "MODIFIED", next, before);
  }

  #commit(type: ChangeType, object: StoredObject, before: StoredObject | undefined): StoredObject {
    const version = ++this.#version;
    const stored = { ...object, metadata: { ...object.metadata, resourceVersion: String(version) } };
    if (type === "DELETED") this.#objects.delete(pathOf(stored));
    else this.#objects.set(pathOf(stored), stored);
    this.#history.push({ version, type, object: stored, before });
    this.#tell(type, stored, before);
    return stored;
  }
}

function merged(before: StoredObject, body: StoredObject, isStatus: boolean): StoredObject {
  const { kind, apiVersion } = before;
  if (isStatus) return { ...before, ...(body.status !== undefined && { status: body.status }) };
  if (!WITH_STATUS.includes(kind)) return { ...body, kind, apiVersion };
  const { status: _status, ...rest } = body;
  return { ...rest, kind, apiVersion, ...(before.status !== undefined && { status: before.status }) };
}

/** RFC 7386. */
function mergePatch(target: unknown, patch: unknown): unknown {
  if (typeof patch !== "object" || patch === null || Array.isArray(patch)) return patch;
  const result: Record<string, unknown> =
    typeof target === "object" && target !== null && !Array.isArray(target) ? { ...target } : {};
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete result[name];
    else result[name] = mergePatch(result[name], value);
  }
  return result;
}

/** The rules that the controller can break. */
function checkObject(object: StoredObject, before: StoredObject | undefined): void {
  if (object.kind === "Service")
    checkService(object as KubernetesService, before as KubernetesService | undefined);
  if (object.kind === "Lease") {
    for (const field of ["acquireTime", "renewTime"]) {
      const time = object.spec?.[field];
      if (time !== undefined && !/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/.test(String(time)))
        throw new ApiFailure(400, "BadRequest", `parsing time "${String(time)}" as MicroTime`);
    }
  }
}

function checkService(service: KubernetesService, before: KubernetesService | undefined): void {
  const { type, loadBalancerClass } = service.spec ?? {};
  const invalid = (text: string) =>
    new ApiFailure(422, "Invalid", `Service "${service.metadata.name}": ${text}`);
  if (loadBalancerClass !== undefined && type !== "LoadBalancer")
    throw invalid("spec.loadBalancerClass: may only be used when `type` is 'LoadBalancer'");
  const was = before?.spec;
  if (was?.type === "LoadBalancer" && type === "LoadBalancer" && was.loadBalancerClass !== loadBalancerClass)
    throw invalid("spec.loadBalancerClass: may not change once set");
  for (const ingress of service.status?.loadBalancer?.ingress ?? []) {
    if (ingress.ip !== undefined && ingress.ipMode === undefined) throw invalid("ipMode: Required value");
    if (ingress.ip === undefined && ingress.ipMode !== undefined) throw invalid("ipMode: Forbidden");
    if (ingress.ip !== undefined && canonical(ingress.ip) === undefined)
      throw invalid("ip: must be a valid IP address");
  }
}

function pathFor(
  { kind, group, version, isNamespaced }: Resource,
  namespace: string | undefined,
  name: string,
): string {
  const apiVersion = group === "" ? version : `${group}/${version}`;
  return `${apiVersion}|${kind}|${isNamespaced ? (namespace ?? "default") : ""}|${name}`;
}

function pathOf({ apiVersion, kind, metadata }: StoredObject): string {
  return `${apiVersion}|${kind}|${metadata.namespace ?? ""}|${metadata.name}`;
}

function isEqual(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

function now(): string {
  return `${new Date().toISOString().slice(0, 19)}Z`;
}
