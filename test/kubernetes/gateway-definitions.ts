// The Gateway API's definitions for the long stage, from its Go module: the standard channel as people
// install it.
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { KubernetesObject } from "@holdfast/kubernetes/testing";
import { parseAllDocuments } from "yaml";

export const GATEWAY_API_VERSION = "1.6.0";
const DEFINITIONS = ["gatewayclasses", "gateways", "referencegrants", "tcproutes", "udproutes"];

export async function gatewayDefinitions(): Promise<readonly KubernetesObject[]> {
  const work = mkdtempSync(join(tmpdir(), "holdfast-gateway-api-"));
  try {
    writeFileSync(join(work, "go.mod"), "module holdfast.io/definitions-for-tests\n\ngo 1.26\n");
    const module = `sigs.k8s.io/gateway-api@v${GATEWAY_API_VERSION}`;
    const { stdout } = await promisify(execFile)("go", ["mod", "download", "-json", module], { cwd: work });
    const { Dir } = JSON.parse(stdout) as { Dir: string };
    return DEFINITIONS.flatMap((plural) => {
      const file = join(Dir, `config/crd/standard/gateway.networking.k8s.io_${plural}.yaml`);
      return parseAllDocuments(readFileSync(file, "utf8")).map(
        (document) => document.toJS() as KubernetesObject,
      );
    }).filter((object) => object !== null);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
