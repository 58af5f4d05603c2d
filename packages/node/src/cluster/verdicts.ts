// Endpoint verdicts are shared: that an endpoint is dead, so that its clients are told, takes more than one
// member's word.
import type { VerdictChange } from "@holdfast/forwarder";
import type { Address, MemberName } from "@holdfast/model";
import type { ClusterLink } from "./link.ts";
import type { MemberDirectory } from "./members.ts";
import { decodeWords, tell } from "./words.ts";

const TOPIC = "verdicts";
/** Verdicts of one message: all endpoints of all services at most. */
const VERDICT_COUNT_MAX = 4096;

export interface SharedVerdict {
  readonly address: Address;
  readonly port: number;
  /** none: it is not asked any more. */
  readonly verdict: "up" | "down" | "none";
  /** Down, but not for its SCTP. */
  readonly speaks?: boolean;
}

export interface VerdictSink {
  setOtherVerdict(
    member: MemberName,
    endpoint: { readonly address: Address; readonly port: number },
    verdict: "up" | "down" | undefined,
    speaks: boolean,
  ): void;
}

export class VerdictExchange {
  readonly #link: ClusterLink;
  readonly #own = new Map<string, SharedVerdict>();
  readonly #others = new Map<number, SharedVerdict[]>();

  constructor(link: ClusterLink, directory: MemberDirectory, sink: VerdictSink) {
    this.#link = link;
    link.onRequest(TOPIC, (from, body) => {
      const verdicts = decode(body);
      const name = directory.nameOf(from);
      const known = new Map((this.#others.get(from) ?? []).map((verdict) => [keyOf(verdict), verdict]));
      for (const verdict of verdicts) {
        known.set(keyOf(verdict), verdict);
        const said = verdict.verdict === "none" ? undefined : verdict.verdict;
        sink.setOtherVerdict(name, verdict, said, verdict.speaks === true);
      }
      this.#others.set(from, [...known.values()].slice(-VERDICT_COUNT_MAX));
      return new Uint8Array(0);
    });
    link.onConnect((member) => void this.#send([...this.#own.values()], [member]));
    link.onDisconnect((member) => {
      // Who is not here has no say.
      for (const verdict of this.#others.get(member) ?? [])
        sink.setOtherVerdict(directory.nameOf(member), verdict, undefined, false);
      this.#others.delete(member);
    });
  }

  /** This member's verdict changed. */
  tell({ address, port, verdict: own, speaks }: Omit<VerdictChange, "reason">): void {
    const verdict: SharedVerdict = { address, port, verdict: own ?? "none", ...(speaks && { speaks }) };
    this.#own.set(keyOf(verdict), verdict);
    void this.#send([verdict], this.#link.connected());
  }

  /** Endpoints that no service has any longer. */
  retain(endpoints: readonly { readonly address: Address; readonly port: number }[]): void {
    const kept = new Set(endpoints.map(keyOf));
    for (const key of [...this.#own.keys()]) if (!kept.has(key)) this.#own.delete(key);
  }

  async #send(verdicts: readonly SharedVerdict[], members: readonly number[]): Promise<void> {
    const keys = verdicts.slice(0, VERDICT_COUNT_MAX).map(keyOf);
    await Promise.all(members.map((member) => this.#sendTo(member, keys)));
  }

  #sendTo(member: number, keys: readonly string[]): Promise<void> {
    return tell(this.#link, member, TOPIC, () => {
      const verdicts = keys.flatMap((key) => this.#own.get(key) ?? []);
      return verdicts.length === 0 ? undefined : verdicts;
    });
  }
}

const keyOf = ({ address, port }: { readonly address: Address; readonly port: number }) =>
  `${address} ${port}`;

/** Another member's message; what is not understood is left out. */
function decode(bytes: Uint8Array): SharedVerdict[] {
  const list = decodeWords(bytes);
  if (!Array.isArray(list)) return [];
  return (list as (Partial<SharedVerdict> | null)[])
    .slice(0, VERDICT_COUNT_MAX)
    .filter(
      (v): v is SharedVerdict =>
        typeof v?.address === "string" &&
        typeof v.port === "number" &&
        (v.verdict === "up" || v.verdict === "down" || v.verdict === "none") &&
        (v.speaks === undefined || typeof v.speaks === "boolean"),
    );
}
