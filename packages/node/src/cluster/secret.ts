import { readFileSync } from "node:fs";
import { HoldfastError } from "@holdfast/model";
import type { Configuration } from "../config/schema.ts";

const SECRET_LENGTH_MIN = 16;

/** The cluster's shared secret; undefined when there is none. Throws CLUSTER_SECRET_INVALID. */
export function readSecret({ cluster }: Configuration): string | undefined {
  if (cluster.secretFile === undefined) return cluster.secret;
  let secret: string;
  try {
    secret = readFileSync(cluster.secretFile, "utf8").trim();
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new HoldfastError("CLUSTER_SECRET_INVALID", { file: cluster.secretFile, reason });
  }
  if (secret.length < SECRET_LENGTH_MIN) {
    const reason = `it is shorter than ${SECRET_LENGTH_MIN} characters`;
    throw new HoldfastError("CLUSTER_SECRET_INVALID", { file: cluster.secretFile, reason });
  }
  return secret;
}
