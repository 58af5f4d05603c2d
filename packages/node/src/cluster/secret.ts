// The secrets that seal the probes' hellos: a file with one, or with two while members change over. The first
// is used, each is taken; a file that changes is read again.
import { readFileSync } from "node:fs";
import { HoldfastError, type Logger } from "@holdfast/model";
import type { Configuration } from "../config/schema.ts";

const SECRET_LENGTH_MIN = 16;
/** Lines of the file: the one in use, and the one before or after it. */
export const SECRET_COUNT_MAX = 2;

/** The cluster's secrets, the one in use first; empty when there is none. Throws CLUSTER_SECRET_INVALID. */
export function readSecrets({ cluster }: Configuration): readonly string[] {
  const { secret, secretFile: file } = cluster;
  if (file === undefined) return secret === undefined ? [] : [secret];
  const invalid = (reason: string) => new HoldfastError("CLUSTER_SECRET_INVALID", { file, reason });
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (cause) {
    throw invalid(cause instanceof Error ? cause.message : String(cause));
  }
  const secrets = text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
  if (secrets.length > SECRET_COUNT_MAX) throw invalid(`it has more than ${SECRET_COUNT_MAX} lines`);
  if (secrets.length === 0 || secrets.some(({ length }) => length < SECRET_LENGTH_MIN))
    throw invalid(`it is shorter than ${SECRET_LENGTH_MIN} characters`);
  return secrets;
}

export interface SecretPorts {
  readonly configuration: () => Configuration;
  readonly apply: (secrets: readonly string[]) => void;
  readonly logger: Logger;
}

export class SecretWatch {
  readonly #ports: SecretPorts;
  #text: string;
  #refused = "";

  constructor(ports: SecretPorts, inUse: readonly string[]) {
    this.#ports = ports;
    this.#text = inUse.join("\n");
  }

  /** Reads the file again; what is wrong with it leaves the old ones in force, with a line in the log. */
  look(): void {
    const { configuration, apply, logger } = this.#ports;
    try {
      const secrets = readSecrets(configuration());
      const text = secrets.join("\n");
      this.#refused = "";
      if (text === this.#text || secrets.length === 0) return;
      this.#text = text;
      apply(secrets);
      logger.info({ count: secrets.length }, "the cluster's secrets were read anew");
    } catch (error) {
      if (!(error instanceof HoldfastError)) throw error;
      if (error.message === this.#refused) return;
      this.#refused = error.message;
      logger.warn(
        { code: error.code, remedy: error.remedy },
        `a new secret is not taken: ${error.message} The old one stays in force.`,
      );
    }
  }
}
