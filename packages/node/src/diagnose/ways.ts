// Endpoints that are up, and that some VIP may not reach.
import type { ServiceView } from "@holdfast/api";
import { endpointKey } from "../services/specification.ts";
import type { DiagnoseFinding } from "./findings.ts";

export function wayFindings({ id, endpoints }: Pick<ServiceView, "id" | "endpoints">): DiagnoseFinding[] {
  return endpoints.flatMap(({ address, port, unproven = [] }) =>
    unproven.map(
      ({ vip, reason }): DiagnoseFinding => ({
        subject: id,
        level: "warn",
        detail: `The way of ${vip} to endpoint ${endpointKey(address, port)} is unproven: ${reason}.`,
        remedy:
          "It is used all the same. Does its host route the VIP back to the owner (ip route get), filter strictly (rp_filter), or have the VIP itself? Does a policy admit the VIP? On nodes of Kubernetes: docs/kubernetes.md, Symptoms.",
      }),
    ),
  );
}
