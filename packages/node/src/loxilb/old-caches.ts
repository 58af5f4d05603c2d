// kube-loxilb keeps a cache of rules for each node and posts all of it to one that comes back, deleted
// services included: a rule that was deleted while it did not reach a member must not come back through that
// member.
//
// What can be known: of every deletion all members keep what the rule was and through whom it was deleted. A
// post of just that rule, at a member that was not told of the deletion while others were, comes from a
// cache. Who makes the rule anew tells the others, too, and there it is made.
import { createHash } from "node:crypto";
import type { MemberName, Service, ServiceId } from "@holdfast/model";
import type { ConfigurationStore } from "../services/store.ts";

const PREFIX = "loxilb/deleted|";
/** Deletions remembered; beyond, the oldest goes. */
const DELETION_COUNT_MAX = 512;

export interface Presence {
  readonly name: MemberName;
  readonly isPresent: boolean;
}

interface Deletion {
  /** Of the rule as it was. */
  readonly digest: string;
  readonly atMs: number;
  /** Members that were told. */
  readonly told: ReadonlySet<MemberName>;
}

export class OldCaches {
  readonly #store: ConfigurationStore;
  readonly #self: MemberName;
  readonly #wallMs: () => number;

  constructor(store: ConfigurationStore, self: MemberName, wallMs: () => number) {
    this.#store = store;
    this.#self = self;
    this.#wallMs = wallMs;
  }

  /** This member is told to delete: a rule that is there, or one that others have deleted. */
  deleted(id: ServiceId, service: Service | undefined, members: readonly Presence[]): void {
    const known = this.#of(id);
    if (service === undefined && known === undefined) return;
    const told = new Set([...(known?.told ?? []), this.#self]);
    // Nobody is left that could have an old cache posted to it.
    if (members.every(({ name }) => told.has(name))) {
      this.forget(id);
      return;
    }
    if (service !== undefined && known === undefined) {
      this.#makeRoom();
      this.#store.setNote(PREFIX + id, { digest: digestOf(service), atMs: this.#wallMs() });
    }
    this.#store.setNote(toldName(id, this.#self), { told: true });
  }

  /** All that others have deleted is deleted here. */
  deletedAll(members: readonly Presence[]): void {
    for (const name of this.#names()) this.deleted(name, undefined, members);
  }

  /**
   * A post of this rule, which is not there, comes from a cache. `members`: the others, and whether they are
   * here.
   */
  isOld(rule: Service, members: readonly Presence[]): boolean {
    const deletion = this.#of(rule.id);
    if (deletion === undefined || deletion.told.has(this.#self)) return false;
    if (deletion.digest !== digestOf(rule)) return false;
    // While nobody who was told is here, nobody else can make it: then it is made here.
    return members.some(({ name, isPresent }) => isPresent && deletion.told.has(name));
  }

  /** The rule is there again. */
  forget(id: ServiceId): void {
    for (const name of [...this.#store.notes().keys()])
      if (name === PREFIX + id || name.startsWith(`${PREFIX}${id}|`)) this.#store.setNote(name, undefined);
  }

  #of(id: ServiceId): Deletion | undefined {
    const { digest, atMs } = this.#store.notes().get(PREFIX + id) ?? {};
    if (typeof digest !== "string" || typeof atMs !== "number") return undefined;
    const told = [...this.#store.notes().keys()]
      .filter((name) => name.startsWith(`${PREFIX}${id}|`))
      .map((name) => name.slice(PREFIX.length + id.length + 1));
    return { digest, atMs, told: new Set(told) };
  }

  #names(): ServiceId[] {
    return [...this.#store.notes().keys()]
      .filter((name) => name.startsWith(PREFIX) && !name.slice(PREFIX.length).includes("|"))
      .map((name) => name.slice(PREFIX.length));
  }

  #makeRoom(): void {
    const names = this.#names();
    if (names.length < DELETION_COUNT_MAX) return;
    const oldest = names.sort((a, b) => (this.#of(a)?.atMs ?? 0) - (this.#of(b)?.atMs ?? 0));
    for (const name of oldest.slice(0, names.length - DELETION_COUNT_MAX + 1)) this.forget(name);
  }
}

const toldName = (id: ServiceId, member: MemberName) => `${PREFIX}${id}|${member}`;

/** Of what a cache holds of a rule: its addresses, port and endpoints. */
function digestOf({ vips, port, endpoints }: Service): string {
  const places = endpoints.map((endpoint) => `${endpoint.address}|${endpoint.port}`).sort();
  const [primary, ...secondaries] = vips;
  const text = JSON.stringify([primary, [...secondaries].sort(), port, places]);
  return createHash("sha256").update(text).digest("base64url").slice(0, 16);
}
