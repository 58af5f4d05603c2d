// This member's certificate, key and authority: read at the start, read again when the files change or on
// SIGHUP, and looked at for their end. A certificate that has ended is no reason to end: links that are up
// stay, and alone a member serves as well as it can.
import { stat } from "node:fs/promises";
import { type Clock, HoldfastError, type Logger, type Timer } from "@holdfast/model";
import {
  loadMemberTls,
  type MemberTls,
  type VerifiedCertificate,
  verifyMemberCertificate,
} from "@holdfast/sync";
import type { OwnMember } from "../config/check.ts";
import type { Configuration } from "../config/schema.ts";

/** How often the files are looked at: a stat each. */
export const CERTIFICATE_LOOK_PERIOD_MS = 5_000;
/** How often an end that comes near, or has come, is told again. */
const REMIND_PERIOD_MS = 86_400_000;
const REMIND_ENDED_PERIOD_MS = 3_600_000;

export interface CertificateState {
  readonly notAfterMs: number;
  readonly authorityNotAfterMs: number;
  readonly daysLeft: number;
  readonly ok: boolean;
  /** One sentence for health and logs. */
  readonly detail: string;
}

export interface CertificateOptions {
  readonly configuration: Configuration;
  readonly own: OwnMember;
  readonly clock: Clock;
  readonly logger: Logger;
}

export class CertificateKeeper {
  readonly #options: CertificateOptions;
  readonly #files: { readonly authority: string; readonly certificate: string; readonly key: string };
  #tls: MemberTls | undefined;
  #seen = "";
  #refused = "";
  #remindedAtMs = Number.NEGATIVE_INFINITY;
  #remindedOf: "soon" | "ended" | undefined;
  #apply: (tls: MemberTls) => void = () => {};
  #timer: Timer | undefined;
  #looking: Promise<void> | undefined;
  #changed: (state: CertificateState) => void = () => {};

  constructor(options: CertificateOptions) {
    const { certificates } = options.configuration.cluster;
    if (certificates === undefined)
      throw new HoldfastError("CONFIG_CERTIFICATES_MISSING", { where: "cluster" });
    this.#options = options;
    this.#files = certificates;
  }

  /** Throws what is wrong with the files, but not that their time is over or has not come. */
  async load(): Promise<MemberTls> {
    this.#seen = await this.#stamp();
    const tls = await this.#read();
    this.#verify(tls);
    this.#tls = tls;
    return tls;
  }

  /**
   * `apply` gets what the files hold when it changes and is good; `changed` how the certificate is, now and
   * then.
   */
  watch(apply: (tls: MemberTls) => void, changed: (state: CertificateState) => void): void {
    this.#apply = apply;
    this.#changed = changed;
    this.#tell();
    this.#timer = this.#options.clock.every(CERTIFICATE_LOOK_PERIOD_MS, () => void this.look());
  }

  /**
   * Looks at the files now. Resolves when what they hold is in force, or was refused with a line in the log.
   */
  async look(again = false): Promise<void> {
    await this.#looking;
    // Somebody asks: what was refused is refused again, with its line in the log.
    if (again) this.#refused = "";
    this.#looking = this.#look().finally(() => {
      this.#looking = undefined;
    });
    await this.#looking;
  }

  state(): CertificateState | undefined {
    if (this.#tls === undefined) return undefined;
    const verified = this.#verify(this.#tls);
    const { notAfterMs, authorityNotAfterMs, daysLeft, trouble, renewSoon } = verified;
    const detail =
      trouble !== undefined
        ? `${trouble.message} Links that are up stay, none begins.`
        : `it ends in ${daysLeft} days${renewSoon ? ": issue a new one" : ""}`;
    return { notAfterMs, authorityNotAfterMs, daysLeft, ok: trouble === undefined && !renewSoon, detail };
  }

  close(): void {
    this.#timer?.cancel();
  }

  async #look(): Promise<void> {
    const stamp = await this.#stamp();
    if (stamp !== this.#seen && stamp !== this.#refused) await this.#replace(stamp);
    this.#tell();
  }

  async #replace(stamp: string): Promise<void> {
    const { logger } = this.#options;
    try {
      const tls = await this.#read();
      const { daysLeft, trouble } = this.#verify(tls);
      if (trouble !== undefined) throw trouble;
      this.#apply(tls);
      this.#tls = tls;
      this.#seen = stamp;
      this.#refused = "";
      this.#remindedOf = undefined;
      logger.info({ daysLeft, file: this.#files.certificate }, "certificates were read anew");
    } catch (error) {
      if (!(error instanceof HoldfastError)) throw error;
      // Key and certificate are replaced one after the other: the next look may find a pair.
      this.#refused = stamp;
      logger.warn(
        { code: error.code, remedy: error.remedy },
        `new certificates are not taken: ${error.message} The old ones stay in force.`,
      );
    }
  }

  #read(): Promise<MemberTls> {
    const { authority, certificate, key } = this.#files;
    return loadMemberTls({ authorityFile: authority, certificateFile: certificate, keyFile: key });
  }

  #verify(tls: MemberTls): VerifiedCertificate {
    const { configuration, own, clock } = this.#options;
    const verified = verifyMemberCertificate(tls, {
      clusterId: configuration.cluster.id,
      wallMs: clock.wallMs(),
      time: "tell",
    });
    if (verified.memberName !== own.name || verified.memberNumber !== own.number)
      throw new HoldfastError("CERTIFICATE_OF_ANOTHER_MEMBER", {
        file: this.#files.certificate,
        found: `${verified.memberName}, number ${verified.memberNumber}`,
        expected: `${own.name}, number ${own.number}`,
      });
    return verified;
  }

  /**
   * What says that a file is another one; a link that points elsewhere, too. A file that is not there is one,
   * too.
   */
  async #stamp(): Promise<string> {
    const stamps = Object.values(this.#files).map(async (file) => {
      try {
        const { ino, size, mtimeMs, ctimeMs } = await stat(file);
        return `${ino} ${size} ${mtimeMs} ${ctimeMs}`;
      } catch {
        return "-";
      }
    });
    return (await Promise.all(stamps)).join();
  }

  #tell(): void {
    const state = this.state();
    if (state === undefined || this.#tls === undefined) return;
    this.#changed(state);
    if (state.ok) return;
    const { clock, logger } = this.#options;
    const { trouble, daysLeft } = this.#verify(this.#tls);
    const periodMs = trouble === undefined ? REMIND_PERIOD_MS : REMIND_ENDED_PERIOD_MS;
    const of = trouble === undefined ? "soon" : "ended";
    // That it has come to its end is another matter than that it would.
    if (of === this.#remindedOf && clock.nowMs() - this.#remindedAtMs < periodMs) return;
    this.#remindedOf = of;
    this.#remindedAtMs = clock.nowMs();
    const file = this.#files.certificate;
    if (trouble === undefined)
      logger.warn({ daysLeft, file }, "the member's certificate ends soon: issue a new one");
    else logger.error({ code: trouble.code, file, remedy: trouble.remedy }, state.detail);
  }
}
