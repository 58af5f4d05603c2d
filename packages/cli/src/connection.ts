// From options and environment to a client: --api or HOLDFAST_API, --token-file, HOLDFAST_TOKEN_FILE or
// HOLDFAST_TOKEN, --ca or HOLDFAST_CA.
import { readFileSync } from "node:fs";
import { type ApiClient, ApiError, createClient } from "@holdfast/api";
import { nodeFetch, renewedText } from "@holdfast/api/node";

export const DEFAULT_API = "http://127.0.0.1:7080";

export interface ConnectionOptions {
  readonly api?: string;
  readonly tokenFile?: string;
  readonly ca?: string;
  /** The authority itself, PEM, in the place of a file's. */
  readonly authority?: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

function readOption(file: string, what: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    throw new ApiError(
      {
        code: "CLI_FILE_UNREADABLE",
        status: 400,
        title: `The ${what} ${file} cannot be read: ${(cause as Error).message}.`,
        detail: "Name a file that this user may read.",
      },
      cause,
    );
  }
}

export function connect(
  options: ConnectionOptions,
  environment: Environment = process.env,
  timeoutMs?: number,
): ApiClient {
  const where = options.api ?? environment["HOLDFAST_API"] ?? DEFAULT_API;
  const tokenFile = options.tokenFile ?? environment["HOLDFAST_TOKEN_FILE"];
  const token =
    tokenFile === undefined
      ? () => environment["HOLDFAST_TOKEN"]
      : renewedText(() => readOption(tokenFile, "token file"));
  const ca = options.ca ?? environment["HOLDFAST_CA"];
  const common = {
    token: () => token()?.trim() || undefined,
    ...(timeoutMs !== undefined && { timeoutMs }),
  };
  if (where.startsWith("unix:"))
    return createClient({
      url: "http://localhost",
      name: where,
      ...common,
      fetch: nodeFetch({ socketPath: where.slice(5) }),
    });
  const url = /^https?:\/\//.test(where) ? where : `http://${where}`;
  if (!URL.canParse(url))
    throw new ApiError({
      code: "CLI_API_INVALID",
      status: 400,
      title: `'${where}' is not an address of an API.`,
      detail: "Write http://HOST:PORT, https://HOST:PORT or unix:/PATH.",
    });
  const authority =
    options.authority ?? (ca === undefined ? undefined : renewedText(() => readOption(ca, "authority file")));
  if (authority === undefined) return createClient({ url, ...common });
  return createClient({ url, ...common, fetch: nodeFetch({ authority }) });
}
