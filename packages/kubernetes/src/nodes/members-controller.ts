// Members of the Holdfast cluster come and go with nodes: a node with the label gets a `Member`, which gets a
// number and, for the key that was made on its node, a certificate; one whose node is gone is taken off the
// members' list. What it is to be is written down before anything is done, so that the next leader goes on.

import { X509Certificate } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import { type ApiClient, ApiError, type MemberListView, type Members } from "@holdfast/api";
import type { KubernetesClient } from "../client/client.ts";
import { isConflict, isNotFound } from "../client/error.ts";
import { Reflector, type ReflectorTimes } from "../client/reflector.ts";
import { WorkQueue } from "../client/work-queue.ts";
import type { EventRecorder } from "../events.ts";
import { type Condition, MEMBERS, NODES } from "../objects.ts";
import { conditionsOf } from "../services/status.ts";
import type { Authority } from "./authority.ts";
import {
  digestOf,
  isWanted,
  MEMBER_FINALIZER,
  type MemberObject,
  type MemberStatus,
  type NodeObject,
  ZONE_LABEL,
} from "./member-object.ts";
import { joinOf, numberFor, type Refused } from "./numbers.ts";

export interface MembersControllerOptions {
  readonly client: KubernetesClient;
  readonly members: Members;
  readonly authority: Pick<Authority, "ready" | "certify">;
  readonly events: EventRecorder;
  /** For how many numbers the cluster has room: cluster.memberNumberCount. */
  readonly numberCount: number;
  readonly replicationPort: number;
  /** Names by which the members' API is found in this Kubernetes. */
  readonly dnsNames: readonly string[];
  /** The API of the member at an address. */
  readonly clientAt: (address: string) => ApiClient;
  readonly log: (message: string) => void;
  /** Between two looks at the members' list, ms. */
  readonly pollMs: number;
  readonly times?: Partial<ReflectorTimes>;
  readonly wallMs?: () => number;
}

/** A certificate is made anew when so much of its time is over: 215 to 425 days before its end. */
const RENEW_AFTER_MS = 400 * 86_400_000;

export class MembersController {
  readonly #options: MembersControllerOptions;
  readonly #nodes: Reflector<NodeObject>;
  readonly #objects: Reflector<MemberObject>;
  readonly #queue: WorkQueue;
  /** As the API server answered when it was written last. */
  readonly #written = new Map<string, MemberObject>();
  #list: MemberListView | undefined;
  #poll: NodeJS.Timeout | undefined;
  #isStopped = false;

  constructor(options: MembersControllerOptions) {
    this.#options = options;
    const { client, log, times } = options;
    const onFailure = (what: string) => (error: unknown, retryMs: number) =>
      log(`${what}: ${textOf(error)}; again in ${Math.round(retryMs)} ms`);
    const common = { client, ...(times !== undefined && { times }) };
    this.#nodes = new Reflector<NodeObject>({
      ...common,
      resource: NODES,
      onChange: (key) => this.#queue.add(key),
      onFailure: onFailure("nodes"),
    });
    this.#objects = new Reflector<MemberObject>({
      ...common,
      resource: MEMBERS,
      // What one is told may depend on the others.
      onChange: (key, object) => {
        if (object === undefined) this.#written.delete(key);
        this.#lookAtAll();
      },
      onFailure: onFailure("members"),
    });
    this.#queue = new WorkQueue({
      work: (key) => this.#reconcile(key),
      // One at a time: a number that is being given is not another one's.
      width: 1,
      backoff: { firstMs: Math.min(200, options.pollMs), mostMs: Math.max(options.pollMs, 1_000) },
      onFailure: (key, error) => {
        if (!isConflict(error)) log(`member ${key}: ${textOf(error)}`);
      },
    });
  }

  async start(): Promise<void> {
    this.#nodes.start();
    this.#objects.start();
    await Promise.all([this.#nodes.synced(), this.#objects.synced()]);
    if (this.#isStopped) return;
    await this.#ask();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#poll);
    await Promise.all([this.#nodes.stop(), this.#objects.stop(), this.#queue.stop()]);
  }

  /** What the members say, and whether that changes anything. */
  async #ask(): Promise<void> {
    const list = await this.#options.members.ask((client) => client.memberList()).catch(() => undefined);
    if (this.#isStopped) return;
    this.#list = list;
    this.#lookAtAll();
    this.#poll = setTimeout(() => void this.#ask(), this.#options.pollMs);
  }

  #lookAtAll(): void {
    for (const key of new Set([...this.#nodes.objects.keys(), ...this.#objects.objects.keys()]))
      this.#queue.add(key);
  }

  async #reconcile(name: string): Promise<void> {
    // A copy that is not whole would say that nodes are gone.
    if (!this.#nodes.isSynced || !this.#objects.isSynced) return;
    const node = this.#nodes.objects.get(name);
    const object = this.#objects.objects.get(name);
    if (object === undefined) {
      if (isWanted(node)) await this.#create(name);
      return;
    }
    if (!isWanted(node) || object.metadata.deletionTimestamp !== undefined) {
      await this.#leave(object);
      return;
    }
    if (object.status?.number === undefined) await this.#number(object, node);
    else await this.#serve(object);
  }

  async #create(name: string): Promise<void> {
    await this.#options.authority.ready();
    await this.#options.client
      .create<MemberObject>(MEMBERS, { metadata: { name, finalizers: [MEMBER_FINALIZER] }, spec: {} })
      .catch((error: unknown) => {
        if (!isConflict(error)) throw error;
      });
  }

  async #number(object: MemberObject, node: NodeObject | undefined): Promise<void> {
    const given = numberFor(object, this.#others(object), this.#list, this.#options.numberCount);
    if (typeof given === "string") {
      const [reason, message] = this.#refusalOf(given);
      if (given === "numbers-exhausted") this.#options.events.warning(object, reason, message);
      await this.#write(object, { phase: "Pending" }, ready("False", reason, message));
      return;
    }
    const zone = node?.metadata.labels?.[ZONE_LABEL];
    const status = { ...given, phase: "Pending" as const, ...(zone !== undefined && { zone }) };
    await this.#write(
      object,
      status,
      ready("False", "Pending", "Its node has not asked for a certificate yet."),
    );
    this.#options.events.normal(
      object,
      "NumberAssigned",
      `It is member ${given.memberName}, number ${given.number}.`,
    );
  }

  #refusalOf(refused: Refused): readonly [reason: string, message: string] {
    if (refused === "members-away")
      return ["MembersAway", "No member answers: which numbers rest is not known."];
    if (refused === "numbers-exhausted") return ["NumbersExhausted", exhausted(this.#options.numberCount)];
    const names = (this.#list?.items ?? []).map(({ name }) => name).join(", ");
    return ["Strangers", `Members answer that no node here has (${names}): it waits until they are gone.`];
  }

  async #serve(object: MemberObject): Promise<void> {
    const { spec = {}, status = {} } = object;
    const { memberName = "", number: memberNumber = 0 } = status;
    const join = joinOf(object, this.#others(object), this.#options.replicationPort);
    const next: MemberStatus = { join, ...(await this.#certificate(object)) };
    const listed = this.#list?.items.find(({ name }) => name === memberName);
    // While no member answers it stays what it was.
    const isJoined = this.#list === undefined ? status.phase === "Joined" : listed !== undefined;
    const hasCertificate = (next.certificate ?? status.certificate) !== undefined;
    const phase = isJoined ? "Joined" : hasCertificate ? "Certified" : "Pending";
    const condition = isJoined
      ? ready(
          listed?.ready === false ? "False" : "True",
          "Joined",
          listed?.reason ?? `It is member ${memberName}, number ${memberNumber}.`,
        )
      : spec.request === undefined
        ? ready("False", "Pending", "Its node has not asked for a certificate yet.")
        : ready("False", "Certified", "It is not on the members' list yet.");
    // What was overtaken throws, and is looked at again.
    await this.#write(object, { ...next, phase }, condition);
    if (next.certificate !== undefined) this.#tellCertificate(object, next);
    if (phase === "Joined" && status.phase !== "Joined")
      this.#options.events.normal(object, "Joined", `Member ${memberName} is on the members' list.`);
  }

  #tellCertificate(object: MemberObject, { requestDigest }: Pick<MemberStatus, "requestDigest">): void {
    const isRenewed =
      object.status?.certificate !== undefined && object.status.requestDigest === requestDigest;
    const what = isRenewed ? "another certificate: the old one has had half of its time" : "a certificate";
    const reason = isRenewed ? "Renewed" : "Certified";
    this.#options.events.normal(object, reason, `The key of its node has ${what}.`);
  }

  /** For a key that has none, or one that is old. */
  async #certificate(object: MemberObject): Promise<Pick<MemberStatus, "certificate" | "requestDigest">> {
    const { spec = {}, status = {} } = object;
    const { request, addresses = [] } = spec;
    if (request === undefined) return {};
    const requestDigest = digestOf(`${request}${addresses.join()}`);
    const isOld = status.certificate !== undefined && isDue(status.certificate, this.#nowMs());
    if (status.requestDigest === requestDigest && !isOld) return {};
    let certificate: string;
    try {
      certificate = await this.#options.authority.certify(request, {
        memberName: status.memberName ?? "",
        memberNumber: status.number ?? 0,
        addresses,
        dnsNames: this.#options.dnsNames,
        wallMs: this.#nowMs(),
      });
    } catch (error) {
      this.#options.events.warning(object, "RequestRefused", textOf(error));
      throw error;
    }
    return { certificate, requestDigest };
  }

  /** Off the members' list first: it hands over when it is there. Then its object may go. */
  async #leave(object: MemberObject): Promise<void> {
    const { memberName } = object.status ?? {};
    if (memberName !== undefined && !(await this.#isOff(object, memberName))) return;
    await this.#forget(object);
  }

  async #isOff(object: MemberObject, memberName: string): Promise<boolean> {
    if (object.status?.phase !== "Leaving")
      await this.#write(
        object,
        { phase: "Leaving" },
        ready("False", "Leaving", "Its node is to have no member."),
      );
    // The last of all takes the cluster with it: nobody is left who could change the list.
    const stay = this.#others(object).filter(({ status }) => status?.phase === "Joined");
    if (stay.length === 0) return true;
    const list = await this.#options.members.ask((client) => client.memberList());
    const listed = list.items.find(({ name }) => name === memberName);
    if (listed === undefined) return true;
    // Whoever takes a node away says by it that what is dead there stays dead.
    const gone = listed.phase !== "alive" && listed.phase !== "suspect";
    try {
      this.#list = await this.#remove(memberName, gone, stay);
      return this.#list.items.every(({ name }) => name !== memberName);
    } catch (error) {
      if (error instanceof ApiError)
        this.#options.events.warning(object, "RemovalWaits", `${error.message} ${error.remedy}`);
      throw error;
    }
  }

  /** No member removes itself: when it is the one that is asked, one of those that stay is. */
  async #remove(name: string, gone: boolean, stay: readonly MemberObject[]): Promise<MemberListView> {
    try {
      return await this.#options.members.ask((client) => client.removeMember(name, gone));
    } catch (error) {
      const [other] = stay.flatMap(({ spec }) => spec?.addresses ?? []);
      if (!(error instanceof ApiError && error.code === "MEMBER_IS_SELF") || other === undefined) throw error;
      // By whose certificate that one is believed.
      await this.#options.authority.ready();
      return this.#options.clientAt(other).removeMember(name, gone);
    }
  }

  async #forget(object: MemberObject): Promise<void> {
    const { client, events } = this.#options;
    const { name, uid = "", resourceVersion, finalizers = [] } = object.metadata;
    events.normal(object, "Removed", "It is no member any more.");
    const left = finalizers.filter((each) => each !== MEMBER_FINALIZER);
    try {
      await client.patch(MEMBERS, { name }, { metadata: { resourceVersion, finalizers: left } });
      if (object.metadata.deletionTimestamp === undefined) await client.remove(MEMBERS, { name }, { uid });
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }

  async #write(
    object: MemberObject,
    change: MemberStatus,
    condition: Omit<Condition, "lastTransitionTime">,
  ): Promise<void> {
    const { name, resourceVersion, generation } = object.metadata;
    const before = object.status ?? {};
    const wanted = [
      condition,
      ...((change.certificate ?? before.certificate) === undefined
        ? []
        : [
            {
              type: "Certified",
              status: "True" as const,
              reason: "Certified",
              message: "Its key has a certificate.",
            },
          ]),
    ];
    const nowMs = this.#nowMs();
    // A certificate that is made anew begins its time anew.
    const known = (before.conditions ?? []).filter(
      ({ type }) => change.certificate === undefined || type !== "Certified",
    );
    const conditions = conditionsOf(known, wanted, ["Ready", "Certified"], generation, nowMs);
    const status = { ...before, ...change, conditions };
    if (isDeepStrictEqual(JSON.parse(JSON.stringify(status)), JSON.parse(JSON.stringify(before)))) return;
    const written = await this.#options.client.patch<MemberObject>(
      MEMBERS,
      { name },
      { metadata: { resourceVersion }, status },
      "status",
    );
    this.#written.set(name, written);
  }

  /**
   * Those of which the copy does not yet show what was written have what was written: a number is given
   * once.
   */
  #others(object: MemberObject): MemberObject[] {
    return [...this.#objects.objects.values()]
      .filter(({ metadata }) => metadata.name !== object.metadata.name)
      .map((each) => {
        const written = this.#written.get(each.metadata.name);
        const isOlder = each.status?.number === undefined && written?.metadata.uid === each.metadata.uid;
        return isOlder && written !== undefined ? written : each;
      });
  }

  #nowMs(): number {
    return (this.#options.wallMs ?? Date.now)();
  }
}

/** The certificate says itself how old it is; one that cannot be read is of no use. */
function isDue(certificatePem: string, nowMs: number): boolean {
  try {
    return nowMs - new X509Certificate(certificatePem).validFromDate.getTime() > RENEW_AFTER_MS;
  } catch {
    return true;
  }
}

function ready(
  status: Condition["status"],
  reason: string,
  message: string,
): Omit<Condition, "lastTransitionTime"> {
  return { type: "Ready", status, reason, message };
}

function exhausted(count: number): string {
  return `All ${count} numbers of the cluster are in use or rest: remove a member, or wait (/v1/members has the seconds).`;
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
