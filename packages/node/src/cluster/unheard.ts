// Members that replication connects and whose probes do not arrive: a network has another name there, or
// UDP 7082 is closed. Each takes the other for dead, and would announce every VIP beside it. One that has
// heard nobody since its start stands by for one that serves, and both say why.
import { type Coordinator, isPresent, type MemberConfiguration } from "@holdfast/coordinator";
import type { Clock, Logger, MemberName } from "@holdfast/model";
import { Type } from "typebox";
import { checkOf } from "../checks.ts";
import type { EventBus } from "../events/bus.ts";
import type { Readiness } from "../readiness.ts";
import type { ClusterLink } from "./link.ts";
import { decodeWords, encodeWords } from "./words.ts";

const TOPIC = "probes";
/** Required: this member stands by. */
const CHECK = "probes";
/** Advice: it serves, and a member is not heard. */
const UNHEARD_CHECK = "unheard-members";
const LOOK_PERIOD_MS = 1_000;
/** Many times what the first probe takes behind the first answer; who serves does not stop before. */
const GRACE_MS = 3_000;
/** An answer is believed for so long: a busy member misses a question. */
const ANSWER_FRESH_MS = 5_000;
const ANSWER_BYTES_MAX = 4_096;

const isAnswer = checkOf(
  Type.Object({
    startedAtMs: Type.Number(),
    heardAnybody: Type.Boolean(),
    serves: Type.Boolean(),
    addresses: Type.Array(
      Type.Object({ network: Type.String({ maxLength: 64 }), address: Type.String({ maxLength: 64 }) }),
      { maxItems: 16 },
    ),
  }),
);

type Place = Pick<MemberConfiguration["addresses"][number], "network" | "address">;

interface Answer {
  /** Wall clock of its start: only the order counts, the same for everybody who asks. */
  readonly startedAtMs: number;
  readonly heardAnybody: boolean;
  /** It is ready, or would be if it did not stand by. */
  readonly serves: boolean;
  /** Its own, by the names that its networks have there. */
  readonly addresses: readonly Place[];
}

interface Asked {
  answer: Answer;
  /** When it answered first, and last; on our clock. */
  readonly sinceMs: number;
  atMs: number;
}

interface Unheard {
  readonly name: MemberName;
  readonly number: number;
  readonly answer: Answer;
  readonly forMs: number;
}

export interface UnheardParts {
  readonly own: { readonly name: MemberName; readonly number: number };
  readonly placed: () => readonly MemberConfiguration[];
  readonly link: Pick<ClusterLink, "connected" | "request" | "onRequest" | "onConnect" | "onState">;
  readonly coordinator: Pick<Coordinator, "view" | "onEvent">;
  readonly readiness: Pick<Readiness, "ready" | "readyBut" | "set" | "advise">;
  readonly events: Pick<EventBus, "emit">;
  readonly clock: Clock;
  readonly logger: Pick<Logger, "warn">;
}

export class UnheardMembers {
  readonly #parts: UnheardParts;
  readonly #startedAtMs: number;
  readonly #asked = new Map<number, Asked>();
  /** Of whom it was said, and how. */
  readonly #told = new Map<MemberName, string>();
  readonly #timer: { cancel(): void };
  #heardAnybody = false;
  #standsBy = false;

  constructor(parts: UnheardParts) {
    this.#parts = parts;
    const { link, coordinator, clock } = parts;
    this.#startedAtMs = clock.wallMs();
    // Registered when this member probes, not before: one that still starts is not missed.
    link.onRequest(TOPIC, () => encodeWords(this.#answer()));
    link.onConnect((number) => void this.#ask(number));
    link.onState(() => this.judge());
    coordinator.onEvent(({ kind }) => {
      if (kind === "memberPhase") this.judge();
    });
    this.#timer = clock.every(LOOK_PERIOD_MS, () => this.look());
    this.look();
  }

  close(): void {
    this.#timer.cancel();
  }

  look(): void {
    this.judge();
    for (const { number } of this.#silent()) void this.#ask(number);
  }

  #answer(): Answer {
    return {
      startedAtMs: this.#startedAtMs,
      heardAnybody: this.#heardAnybody,
      serves: this.#parts.readiness.readyBut(CHECK),
      addresses: this.#ownPlaces(),
    };
  }

  #ownPlaces(): readonly Place[] {
    const own = this.#parts.placed().find(({ name }) => name === this.#parts.own.name);
    return (own?.addresses ?? []).map(({ network, address }) => ({ network, address }));
  }

  /** Others on the list that are connected and whose probes do not arrive, or do not any more. */
  #silent(): readonly MemberConfiguration[] {
    const { own, placed, link, coordinator } = this.#parts;
    const connected = new Set(link.connected());
    const members = coordinator.view().members;
    if (members.some(({ isSelf, incarnation }) => !isSelf && incarnation > 0)) this.#heardAnybody = true;
    const heard = new Set(members.filter(isPresent).map(({ name }) => name));
    return placed().filter(
      ({ name, number }) => name !== own.name && connected.has(number) && !heard.has(name),
    );
  }

  async #ask(number: number): Promise<void> {
    const { link, clock } = this.#parts;
    if (!this.#silent().some((member) => member.number === number)) return;
    const bytes = await link.request(number, TOPIC, new Uint8Array(0));
    // A member of an older release does not answer: of it nothing is concluded.
    if (bytes === undefined || bytes.length > ANSWER_BYTES_MAX) return;
    const answer = decodeWords(bytes);
    if (!isAnswer(answer)) return;
    const nowMs = clock.nowMs();
    const before = this.#asked.get(number);
    if (before === undefined)
      this.#asked.set(number, { answer: answer as Answer, sinceMs: nowMs, atMs: nowMs });
    else Object.assign(before, { answer, atMs: nowMs });
    this.judge();
  }

  #unheard(): readonly Unheard[] {
    const nowMs = this.#parts.clock.nowMs();
    const silent = this.#silent();
    for (const [number, { atMs }] of this.#asked)
      if (nowMs - atMs > ANSWER_FRESH_MS || !silent.some((member) => member.number === number))
        this.#asked.delete(number);
    return silent.flatMap(({ name, number }) => {
      const asked = this.#asked.get(number);
      return asked === undefined
        ? []
        : [{ name, number, answer: asked.answer, forMs: nowMs - asked.sinceMs }];
    });
  }

  judge(): void {
    const { readiness } = this.#parts;
    const unheard = this.#unheard();
    const first = this.#heardAnybody ? undefined : unheard.find((member) => this.#isBefore(member));
    const wasStandingBy = this.#standsBy;
    // Who serves goes on until it is certain; who does not serve yet has nothing to lose by waiting.
    this.#standsBy = first !== undefined && (wasStandingBy || !readiness.ready || first.forMs >= GRACE_MS);
    if (first !== undefined && this.#standsBy)
      readiness.set(CHECK, false, `it owns no VIP beside ${first.name}: ${this.#words(first)}`);
    else if (wasStandingBy) readiness.set(CHECK, true, "nobody serves whose probes do not arrive here");
    this.#tell(unheard.filter(({ forMs }) => forMs >= GRACE_MS));
  }

  /** One order for everybody, so that of two that do not hear each other one serves, and one only. */
  #isBefore({ number, answer }: Unheard): boolean {
    if (!answer.serves) return false;
    if (answer.heardAnybody) return true;
    if (answer.startedAtMs !== this.#startedAtMs) return answer.startedAtMs < this.#startedAtMs;
    return number < this.#parts.own.number;
  }

  #tell(lasting: readonly Unheard[]): void {
    const { readiness, events, logger } = this.#parts;
    const isAdvised = lasting.length > 0 && !this.#standsBy;
    if (isAdvised || this.#told.size > 0)
      readiness.advise(
        UNHEARD_CHECK,
        !isAdvised,
        isAdvised ? lasting.map((each) => this.#words(each)).join("; ") : "nobody's probes are missed here",
      );
    for (const name of this.#told.keys())
      if (!lasting.some((each) => each.name === name)) this.#told.delete(name);
    for (const each of lasting) {
      const words = this.#words(each);
      if (this.#told.get(each.name) === words) continue;
      this.#told.set(each.name, words);
      const message = `${words}; ${this.#standsBy ? "this member owns no VIP meanwhile" : "each takes the other for dead"}`;
      logger.warn({ member: each.name, standsBy: this.#standsBy }, message);
      events.emit({ type: "membership", message });
    }
  }

  #words({ name, answer }: Unheard): string {
    const own = this.#ownPlaces();
    const there = new Set(answer.addresses.map(({ network }) => network));
    const common = own.flatMap(({ network }) => (there.has(network) ? [network] : []));
    const remedy =
      common.length === 0
        ? "a network has one name at all members, its interface's where interfaces[].network names none: give it one"
        : `open UDP port 7082 (coordinator.probePort) between them on ${common.join(", ")} (probes cross no router), and compare cluster.secretFile`;
    return `no probe of ${name} arrives, though replication connects both: it probes over ${placesText(answer.addresses)}, this member over ${placesText(own)}: ${remedy}`;
  }
}

function placesText(places: readonly Place[]): string {
  if (places.length === 0) return "no network";
  return places.map(({ network, address }) => `${network} (${address})`).join(", ");
}
