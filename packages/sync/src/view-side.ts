// The view's side of replication: what the engine says goes to the table, to the shared configuration, to those
// who asked other members, and to listeners; what these want goes to the engine.
import { type ServiceId, type SessionEnvelope, systemRandom } from "@holdfast/model";
import { ConfigurationLink } from "./configuration/shared-configuration.ts";
import { SessionReplica } from "./engine/replica.ts";
import { REPLICATION_DEFAULTS, type ReplicationSettings } from "./engine/settings.ts";
import { Listeners } from "./listeners.ts";
import { NodeRequests } from "./node-requests.ts";
import type { EngineState } from "./ports/engine.ts";
import type { ToView } from "./ports/link.ts";
import type { StoreState } from "./ports/store.ts";
import { RelayLink } from "./runners.ts";
import type { SyncOptions } from "./sync.ts";
import type { Listing } from "./transport/settings.ts";

export class ViewSide {
  readonly settings: Pick<ReplicationSettings, "memoryMs" | "releaseLimitMs" | "askLimitMs">;
  readonly listeners = new Listeners();
  readonly link = new RelayLink();
  readonly requests: NodeRequests;
  readonly configuration: ConfigurationLink;
  readonly replica: SessionReplica;
  readonly owners = new Map<ServiceId, readonly number[]>();
  readonly #options: SyncOptions;
  #listing: Listing;
  #state: EngineState | undefined;
  #answers = true;
  #store: StoreState = { failure: undefined, brokenCount: 0 };

  constructor(options: SyncOptions) {
    const { view, furtherViews = [], clock, logger, members, join = [] } = options;
    const { yieldTurn = (action: () => void) => void setImmediate(action) } = options;
    this.#options = options;
    this.#listing = { members, join };
    this.settings = { ...REPLICATION_DEFAULTS, ...options.settings };
    const post: RelayLink["post"] = (message) => this.link.post(message);
    this.requests = new NodeRequests(post, clock, logger);
    this.configuration = new ConfigurationLink(post, clock, options.random ?? systemRandom(), logger);
    this.replica = new SessionReplica({
      view,
      furtherViews,
      link: this.link,
      clock,
      yieldTurn,
      memoryMs: this.settings.memoryMs,
      release: options.release ?? "peer",
      ownersOf: (record: SessionEnvelope) =>
        (this.owners.get(record.serviceId) ?? []).filter((owner) => owner !== options.memberNumber),
      onState: (next) => this.#change(next),
      onOther: (message) => this.#heard(message),
    });
  }

  get state(): EngineState | undefined {
    return this.#state;
  }

  /** The engine's thread gives signs of life. */
  get answers(): boolean {
    return this.#answers;
  }

  set answers(does: boolean) {
    this.#answers = does;
    this.listeners.tell("state");
  }

  get store(): StoreState {
    return this.#store;
  }

  others(): Listing["members"] {
    return this.#listing.members.filter((member) => member.name !== this.#options.memberName);
  }

  setListing(listing: Listing): void {
    this.#listing = listing;
    this.tellMembers();
  }

  tellMembers(): void {
    const { memberName: name, memberNumber: number } = this.#options;
    const own = this.#listing.members.find((member) => member.name === name);
    const self = own ?? { name, number, addresses: [] };
    this.link.post({ kind: "members", listing: { ...this.#listing, members: [self, ...this.others()] } });
  }

  /** The engine's thread is gone: what it was asked is not answered any more. */
  unlinked(): void {
    this.abandon();
    this.#answers = true;
    this.#change(undefined);
  }

  /** A new engine knows nothing of what the view has. */
  restarted(): void {
    this.tellMembers();
    this.replica.restate();
    this.configuration.restate();
  }

  abandon(): void {
    this.replica.abandon();
    this.requests.abandon();
  }

  #heard(message: ToView): void {
    const { listeners } = this;
    if (message.kind === "store") {
      this.#store = message.state;
      listeners.tell("state");
    } else if (message.kind === "excluded" || message.kind === "revoked")
      listeners.tell(message.kind, message.by);
    else if (message.kind === "applied") listeners.tell("applied", message.applicant);
    else if (!this.configuration.handle(message)) this.requests.handle(message);
  }

  #change(next: EngineState | undefined): void {
    const before = new Set(this.#state?.connected ?? []);
    const after = new Set(next?.connected ?? []);
    this.#state = next;
    for (const member of after)
      if (!before.has(member)) {
        this.configuration.connected(member);
        this.listeners.tell("connected", member);
      }
    for (const member of before) if (!after.has(member)) this.listeners.tell("disconnected", member);
    this.listeners.tell("state");
  }
}
