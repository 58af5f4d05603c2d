import type { ApiClient } from "@holdfast/api";
import { loadConfiguration } from "../config/load.ts";
import { diagnoseCluster } from "./cluster.ts";
import type { DiagnoseFinding } from "./findings.ts";

export { type DiagnoseFinding, findingsText } from "./findings.ts";

import { diagnoseMachine } from "./machine.ts";

/** Checks the machine for a configuration and, with a client, the node and its cluster. */
export async function diagnose(options: {
  readonly file: string | undefined;
  readonly client?: ApiClient;
}): Promise<readonly DiagnoseFinding[]> {
  const { configuration, unknownVariables } = loadConfiguration(options.file);
  return [
    ...unknownVariables.map(
      (variable): DiagnoseFinding => ({
        subject: "environment",
        level: "warn",
        detail: `${variable} names no field of the configuration and is ignored.`,
      }),
    ),
    ...diagnoseMachine(configuration),
    ...(options.client === undefined ? [] : await diagnoseCluster(options.client)),
  ];
}
