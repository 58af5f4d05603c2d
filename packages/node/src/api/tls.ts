// The API's certificate and key: read at the start and again when their files change, for connections that
// come then.
import { readFileSync, statSync } from "node:fs";
import type { Server } from "node:net";
import { createSecureContext, Server as TlsServer } from "node:tls";
import type { Logger } from "@holdfast/model";

export interface ApiTlsFiles {
  readonly certificate: string;
  readonly key: string;
}

export class ApiTls {
  readonly #files: ApiTlsFiles;
  readonly #logger: Logger;
  readonly #servers: TlsServer[] = [];
  #seen: string;

  constructor(files: ApiTlsFiles, logger: Logger) {
    this.#files = files;
    this.#logger = logger;
    this.#seen = this.#stamp();
  }

  add(server: Server): void {
    if (server instanceof TlsServer) this.#servers.push(server);
  }

  /**
   * What cannot be used yet (the key of the other certificate) is tried again when it changes; the old pair
   * stays.
   */
  look(): void {
    const stamp = this.#stamp();
    if (stamp === this.#seen) return;
    this.#seen = stamp;
    try {
      const pair = { cert: readFileSync(this.#files.certificate), key: readFileSync(this.#files.key) };
      // Throws for a key that is not the certificate's.
      createSecureContext(pair);
      for (const server of this.#servers) server.setSecureContext({ ...pair, minVersion: "TLSv1.2" });
      this.#logger.info({ file: this.#files.certificate }, "the API's certificate was read anew");
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.#logger.warn(
        { reason, file: this.#files.certificate },
        "the API's new certificate is not taken; the old one stays in force",
      );
    }
  }

  #stamp(): string {
    return [this.#files.certificate, this.#files.key]
      .map((file) => {
        try {
          const { ino, size, mtimeMs, ctimeMs } = statSync(file);
          return `${ino} ${size} ${mtimeMs} ${ctimeMs}`;
        } catch {
          return "-";
        }
      })
      .join();
  }
}
