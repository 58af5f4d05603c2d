// GatewayClasses of ours: what they say, and that none goes while a Gateway uses it.
import type { KubernetesClient } from "../client/client.ts";
import { KubernetesError } from "../client/error.ts";
import type { Condition, KubernetesObject } from "../objects.ts";
import { conditionsOf } from "../services/status.ts";
import { ACCEPTED, no, type Verdict } from "./attachment.ts";
import { DEFINITIONS, GATEWAY_CLASSES, type Gateway, type GatewayClass } from "./objects.ts";
import type { GatewayWriter } from "./writer.ts";

/** Of the API, by name: whoever deletes a class waits for it. */
export const CLASS_FINALIZER = "gateway-exists-finalizer.gateway.networking.k8s.io";
/** Names of the Gateway API's own list, sorted as it wants them. SCTPRoute is ours: in no such list. */
export const SUPPORTED_FEATURES = [
  "Gateway",
  "GatewayAddressEmpty",
  "GatewayStaticAddresses",
  "ReferenceGrant",
  "TCPRoute",
  "UDPRoute",
].map((name) => ({ name }));

const DEFINITION = "gatewayclasses.gateway.networking.k8s.io";
const VERSION_ANNOTATION = "gateway.networking.k8s.io/bundle-version";
/** TCPRoute and UDPRoute have been in v1 since then. */
const SUPPORTED_VERSION = /^v1\.6\./;
const SUPPORTED_VERSION_TEXT = "v1.6";
const CONDITIONS = ["Accepted", "SupportedVersion"];
/** Who installs another version does so seldom. */
const LOOK_AGAIN_MS = 30_000;

export class GatewayClasses {
  readonly #client: KubernetesClient;
  readonly #writer: GatewayWriter;
  #version: string | undefined;
  #lookedAtMs = Number.NEGATIVE_INFINITY;

  constructor(client: KubernetesClient, writer: GatewayWriter) {
    this.#client = client;
    this.#writer = writer;
  }

  /** One class of ours; `gateways`: all that there are. */
  async keep(found: GatewayClass, gateways: Iterable<Gateway>, nowMs: number): Promise<void> {
    const isUsed = [...gateways].some(({ spec }) => spec?.gatewayClassName === found.metadata.name);
    const kept = await this.#writer.finalize(GATEWAY_CLASSES, found, CLASS_FINALIZER, isUsed);
    if (kept === undefined) return;
    const version = await this.#installed();
    await this.#writer.status(GATEWAY_CLASSES, kept, classStatusOf(kept, version, nowMs));
  }

  /** The version of the Gateway API's definitions; undefined: nobody says. */
  async #installed(): Promise<string | undefined> {
    if (performance.now() - this.#lookedAtMs < LOOK_AGAIN_MS) return this.#version;
    try {
      const { metadata } = await this.#client.get<KubernetesObject>(DEFINITIONS, { name: DEFINITION });
      this.#version = metadata.annotations?.[VERSION_ANNOTATION] ?? "";
    } catch (error) {
      // Without the right to read it nothing is said.
      if (!(error instanceof KubernetesError) || ![403, 404].includes(error.status)) throw error;
      this.#version = undefined;
    }
    this.#lookedAtMs = performance.now();
    return this.#version;
  }
}

/** `version`: of the API's definitions as they are installed; undefined: not known. */
export function classStatusOf(
  { metadata, spec, status }: GatewayClass,
  version: string | undefined,
  nowMs: number,
) {
  const isTaken = spec?.parametersRef === undefined;
  const accepted = isTaken
    ? ACCEPTED
    : no("InvalidParameters", "There are no parameters: leave parametersRef out.");
  const wanted: Omit<Condition, "lastTransitionTime">[] = [{ type: "Accepted", ...accepted }];
  if (version !== undefined) wanted.push({ type: "SupportedVersion", ...versionVerdict(version) });
  return {
    conditions: conditionsOf(status?.conditions ?? [], wanted, CONDITIONS, metadata.generation, nowMs),
    supportedFeatures: isTaken ? SUPPORTED_FEATURES : [],
  };
}

function versionVerdict(version: string): Verdict {
  if (SUPPORTED_VERSION.test(version))
    return { status: "True", reason: "SupportedVersion", message: `${version} is installed.` };
  const found = version === "" ? "Definitions that name no version are" : `${version} is`;
  return no(
    "UnsupportedVersion",
    `${found} installed, and ${SUPPORTED_VERSION_TEXT} is supported: it is served as far as it goes.`,
  );
}
