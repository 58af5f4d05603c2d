// Keeps trying to reach one member: its addresses one after the other, overlapping (RFC 8305), the one that
// worked last first; after a round that failed a pause that doubles, with jitter so that members do not dial
// in step.
import type { Socket } from "node:net";
import type { ConnectionOptions, PeerCertificate, TLSSocket } from "node:tls";
import type { Clock, Logger, MemberName, Random, Timer } from "@holdfast/model";
import { type ClientOptions, WebSocket } from "ws";
import { type CertifiedMember, certifiedMember, identityOfCertificate } from "../certificates/identity.ts";
import type { MemberTls } from "../certificates/verify.ts";
import { PEER_MESSAGE_BYTES_MAX } from "../ports/limits.ts";
import { CERTIFICATE_ENDED, LINK_PATH, REFUSAL_HEADER } from "./listener.ts";
import type { JoinAddress, LinkTiming } from "./settings.ts";

export interface DialerOptions {
  /** undefined: whichever member of the cluster answers. */
  readonly member: MemberName | undefined;
  /** A name is resolved at every try. */
  readonly addresses: readonly JoinAddress[];
  readonly clusterId: string;
  readonly tls: MemberTls | "plain";
  readonly clock: Clock;
  readonly random: Random;
  readonly timing: LinkTiming;
  readonly logger: Logger;
  opened(socket: WebSocket, certified: CertifiedMember | undefined, remote: string): void;
  /** The other side, or TLS, refused before a link began. */
  refused(reason: string, explanation: string, remote: string): void;
}

interface Attempt {
  readonly socket: WebSocket;
  readonly address: JoinAddress;
}

export class Dialer {
  readonly #options: DialerOptions;
  #tls: MemberTls | "plain";
  #addressIndex = 0;
  #failureCount = 0;
  #timer: Timer | undefined;
  #stagger: Timer | undefined;
  #attempts = new Set<Attempt>();
  #toTry: JoinAddress[] = [];
  #stopped = false;
  #refusedInRound = false;

  constructor(options: DialerOptions) {
    this.#options = options;
    this.#tls = options.tls;
  }

  /** For the dials that come. */
  setTls(tls: MemberTls): void {
    this.#tls = tls;
  }

  get member(): MemberName | undefined {
    return this.#options.member;
  }

  /** Dials after `delayMs`, unless it is dialling or about to. */
  schedule(delayMs: number): void {
    if (this.#stopped || this.#timer !== undefined || this.#attempts.size > 0) return;
    this.#timer = this.#options.clock.after(delayMs, () => {
      this.#timer = undefined;
      this.#round();
    });
  }

  /** Schedules after a failure: a pause that doubles. */
  retry(): void {
    const { timing } = this.#options;
    const pause = Math.min(timing.backoffMaxMs, timing.backoffMs * 2 ** Math.min(this.#failureCount, 16));
    this.#failureCount++;
    this.schedule(this.#jittered(pause));
  }

  /** Schedules after a refusal: nobody changes a certificate within milliseconds. */
  pause(): void {
    this.#addressIndex++;
    this.schedule(this.#jittered(this.#options.timing.refusalPauseMs));
  }

  /** The link is up: no dialling needed, and the next failure is the first again. */
  succeeded(): void {
    this.#failureCount = 0;
    this.cancel();
  }

  /** The path that was in use is dead: start with another one. */
  rotate(): void {
    this.#addressIndex++;
  }

  cancel(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#stagger?.cancel();
    this.#toTry = [];
    for (const attempt of [...this.#attempts]) {
      this.#attempts.delete(attempt);
      attempt.socket.terminate();
    }
  }

  stop(): void {
    this.#stopped = true;
    this.cancel();
  }

  #jittered(ms: number): number {
    return ms * (0.5 + this.#options.random.below(1_000) / 1_000);
  }

  #round(): void {
    const { addresses } = this.#options;
    if (this.#stopped || addresses.length === 0) return;
    const first = this.#addressIndex % addresses.length;
    this.#toTry = [...addresses.slice(first), ...addresses.slice(0, first)];
    this.#refusedInRound = false;
    this.#next();
  }

  #next(): void {
    this.#stagger?.cancel();
    const address = this.#toTry.shift();
    if (address === undefined) {
      if (this.#attempts.size > 0) return;
      if (this.#refusedInRound) this.pause();
      else this.retry();
      return;
    }
    this.#dial(address);
    if (this.#toTry.length > 0)
      this.#stagger = this.#options.clock.after(this.#options.timing.staggerMs, () => this.#next());
  }

  #dial(address: JoinAddress): void {
    const { timing } = this.#options;
    const tls = this.#tls;
    const host = address.host.includes(":") ? `[${address.host}]` : address.host;
    const socket = new WebSocket(`${tls === "plain" ? "ws" : "wss"}://${host}:${address.port}${LINK_PATH}`, {
      perMessageDeflate: false,
      maxPayload: PEER_MESSAGE_BYTES_MAX,
      handshakeTimeout: timing.dialMs,
      followRedirects: false,
      // A mask protects proxies from scripts in browsers; both ends are ours, and ws skips one of zeros.
      generateMask: zeroMask,
      ...(tls !== "plain" && this.#tlsOptions(tls)),
    });
    const attempt: Attempt = { socket, address };
    const remote = `${address.host}:${address.port}`;
    let certified: CertifiedMember | undefined;
    this.#attempts.add(attempt);
    const failed = (error: Error) => {
      if (!this.#attempts.delete(attempt)) return;
      const code = "code" in error ? String(error.code) : "";
      if (/CERT|SSL|TLS|HOLDFAST|SELF_SIGNED|ISSUER/.test(code)) {
        this.#refusedInRound = true;
        this.#options.refused(
          "certificate",
          code === "CERT_HAS_EXPIRED" ? CERTIFICATE_ENDED : error.message,
          remote,
        );
      } else
        this.#options.logger.debug({ member: this.member, remote, reason: error.message }, "dial failed");
      this.#next();
    };
    socket.on("error", failed);
    socket.on("upgrade", (response) => {
      const stream = response.socket as Socket & Partial<TLSSocket>;
      stream.setNoDelay(true);
      const raw = stream.getPeerX509Certificate?.()?.raw;
      if (raw !== undefined) certified = certifiedMember(new Uint8Array(raw));
    });
    socket.on("unexpected-response", (request, response) => {
      request.destroy();
      if (!this.#attempts.delete(attempt)) return;
      this.#refusedInRound = true;
      const reason = String(response.headers[REFUSAL_HEADER] ?? `http-${response.statusCode}`);
      this.#options.refused(
        reason.replace(/[^\w-]/g, "?").slice(0, 64),
        "the other member refused this one",
        remote,
      );
      this.#next();
    });
    socket.on("open", () => {
      if (!this.#attempts.delete(attempt)) {
        socket.terminate();
        return;
      }
      this.#addressIndex = Math.max(0, this.#options.addresses.indexOf(address));
      this.cancel();
      socket.off("error", failed);
      this.#options.opened(socket, certified, remote);
    });
  }

  #tlsOptions(tls: MemberTls): ClientOptions & Pick<ConnectionOptions, "servername"> {
    const { member, clusterId } = this.#options;
    // Identity is the name in the certificate, not the host name: addresses come and go. @types/ws has the
    // wrong result type, hence the assertion.
    const checkServerIdentity = (_host: string, certificate: PeerCertificate): Error | undefined => {
      const identity = identityOfCertificate(new Uint8Array(certificate.raw));
      const isExpected = member === undefined || identity?.memberName === member;
      if (identity?.clusterId === clusterId && isExpected) return undefined;
      const found =
        identity === undefined ? "no member" : `${identity.memberName} of cluster ${identity.clusterId}`;
      return Object.assign(
        new Error(`expected ${member ?? "a member"} of cluster ${clusterId}, the certificate names ${found}`),
        {
          code: "HOLDFAST_CERTIFICATE_NAME",
        },
      );
    };
    return {
      ca: tls.authorityPem,
      cert: tls.certificatePem,
      key: tls.keyPem,
      minVersion: "TLSv1.3",
      rejectUnauthorized: true,
      servername: member ?? "any-member",
      checkServerIdentity: checkServerIdentity as unknown as NonNullable<
        ClientOptions["checkServerIdentity"]
      >,
    };
  }
}

function zeroMask(mask: Buffer): void {
  mask.fill(0);
}
