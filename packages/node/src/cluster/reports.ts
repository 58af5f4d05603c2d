// What members tell of themselves when one of them is asked for the whole cluster.
import { type MemberReport, MemberReportSchema } from "@holdfast/api";
import type { Clock } from "@holdfast/model";
import { checkOf } from "../checks.ts";
import type { ClusterLink } from "./link.ts";
import type { MemberDirectory } from "./members.ts";
import { decodeWords, encodeWords } from "./words.ts";

const TOPIC = "report";
/** A member that does not answer within this is shown as it was, with its age. */
const ANSWER_LIMIT_MS = 300;
/** The same report is given to everybody who asks within this time. */
const OWN_FRESH_MS = 200;
/** Until a member that has not told where its API is gets asked again. */
const LEARN_AGAIN_MS = 1_000;
/** Bytes of a report that is read. */
const REPORT_SIZE_MAX = 512 * 1024;

const isReport = checkOf(MemberReportSchema);

export interface HeardReport {
  readonly report: MemberReport;
  readonly ageMs: number;
}

export class ReportExchange {
  readonly #link: ClusterLink;
  readonly #directory: MemberDirectory;
  readonly #clock: Clock;
  readonly #make: () => Promise<MemberReport>;
  readonly #heard = new Map<string, { readonly report: MemberReport; readonly atMs: number }>();
  #own: { readonly report: Promise<MemberReport>; readonly atMs: number } | undefined;

  constructor(
    link: ClusterLink,
    directory: MemberDirectory,
    clock: Clock,
    make: () => Promise<MemberReport>,
  ) {
    this.#link = link;
    this.#directory = directory;
    this.#clock = clock;
    this.#make = make;
    link.onRequest(TOPIC, async () => encodeWords(await this.own()));
    link.onConnect((number) => void this.#learn(number));
    for (const number of link.connected()) void this.#learn(number);
  }

  /**
   * Where a member's API is must be known before it dies, not after. One that starts does not answer yet, so
   * that it is asked until it did.
   */
  async #learn(number: number): Promise<void> {
    await this.#ask(number);
    if (this.#heard.has(this.#directory.nameOf(number))) return;
    this.#clock.after(LEARN_AGAIN_MS, () => {
      if (this.#link.connected().includes(number)) void this.#learn(number);
    });
  }

  /** This member's. */
  own(): Promise<MemberReport> {
    const nowMs = this.#clock.nowMs();
    if (this.#own === undefined || nowMs - this.#own.atMs > OWN_FRESH_MS)
      this.#own = { report: this.#make(), atMs: nowMs };
    return this.#own.report;
  }

  /** Of all members that have ever been heard, this one included, by name. */
  async collect(): Promise<ReadonlyMap<string, HeardReport>> {
    const [own] = await Promise.all([this.own(), ...this.#link.connected().map((each) => this.#ask(each))]);
    const nowMs = this.#clock.nowMs();
    const reports = new Map<string, HeardReport>();
    for (const [name, { report, atMs }] of this.#heard)
      reports.set(name, { report, ageMs: Math.round(nowMs - atMs) });
    reports.set(this.#directory.self, { report: own, ageMs: 0 });
    return reports;
  }

  /** Origins of the other members' APIs, those of members that are dead included. */
  origins(): readonly string[] {
    return [...this.#heard.values()].flatMap(({ report }) => report.api);
  }

  async #ask(number: number): Promise<void> {
    const name = this.#directory.nameOf(number);
    const asking = this.#link.request(number, TOPIC, new Uint8Array(0)).then((answer) => {
      const report = answer === undefined ? undefined : decode(answer, name);
      if (report !== undefined) this.#heard.set(name, { report, atMs: this.#clock.nowMs() });
    });
    // A late answer is taken all the same.
    await Promise.race([asking, new Promise<void>((done) => this.#clock.after(ANSWER_LIMIT_MS, done))]);
  }
}

/** undefined when it is none, or somebody else's. */
function decode(bytes: Uint8Array, member: string): MemberReport | undefined {
  if (bytes.length > REPORT_SIZE_MAX) return undefined;
  const report = decodeWords(bytes);
  return isReport(report) && report.member === member ? report : undefined;
}
