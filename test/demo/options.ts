// The demo's command line.
import { readCommandLine, refuse, wholeNumberOf } from "../run/command-line.ts";

export interface DemoOptions {
  readonly protocol: "sctp" | "tcp" | "udp";
  readonly members: number;
  readonly json: boolean;
  readonly endpoints: number;
  readonly killEndpoint: boolean;
  /** The service is a Service of Kubernetes. */
  readonly kubernetes: boolean;
  readonly announcer: "l2" | "bgp";
  readonly fastPath: "auto" | "tc" | "xdp" | "xdp-generic" | "userspace";
  /** Associations of each client host. */
  readonly associations: number;
  /** The cluster stays up until it is interrupted. */
  readonly stay: boolean;
}

const HELP = `npm run demo -- [options]

  --protocol NAME     sctp (default), tcp or udp: the same deaths under connections or datagrams
  --members N         1: one node, a path cut and healed; 3 (default): nodes are killed as well
  --endpoints N       servers behind the service (default 1)
  --kill-endpoint     the story of a server that dies: its clients are told, and return to another
  --kubernetes        the service as a Service: apply, associate, scale, kill, delete, each with its clock
  --announcer KIND    l2 (default), or bgp: routers between everybody, and the routes as they see them
  --fast-path MODE    auto, tc, xdp, xdp-generic or userspace
  --associations N    of each client host, or flows of TCP and UDP (default 1; with --kill-endpoint 50)
  --stay              keep the cluster up when the story is over, for the page that it prints, until Ctrl-C
  --json              last line: the figures as one JSON object
`;

export function readOptions(): DemoOptions {
  const values = readCommandLine(HELP, {
    protocol: { type: "string", default: "sctp" },
    members: { type: "string", default: "3" },
    endpoints: { type: "string" },
    "kill-endpoint": { type: "boolean", default: false },
    kubernetes: { type: "boolean", default: false },
    "fast-path": { type: "string", default: "auto" },
    announcer: { type: "string", default: "l2" },
    associations: { type: "string" },
    json: { type: "boolean", default: false },
    stay: { type: "boolean", default: false },
  });
  const killEndpoint = values["kill-endpoint"];
  const { kubernetes } = values;
  if (kubernetes && (killEndpoint || values.announcer !== "l2" || values.members !== "3")) {
    refuse("--kubernetes is a story of its own, of three members", HELP);
  }
  const { protocol } = values;
  if (protocol !== "sctp" && protocol !== "tcp" && protocol !== "udp") {
    refuse(`--protocol takes sctp, tcp or udp, not '${protocol}'`, HELP);
  }
  if (protocol !== "sctp" && (kubernetes || killEndpoint)) {
    refuse("--kubernetes and --kill-endpoint are stories of SCTP", HELP);
  }
  const number = (text: string, name: string, most: number) => wholeNumberOf(text, name, HELP, 1, most);
  const fastPath = values["fast-path"];
  if (!["auto", "tc", "xdp", "xdp-generic", "userspace"].includes(fastPath)) {
    refuse(`--fast-path does not know '${fastPath}'`, HELP);
  }
  const { announcer } = values;
  if (announcer !== "l2" && announcer !== "bgp") {
    refuse(`--announcer does not know '${announcer}'`, HELP);
  }
  return {
    protocol,
    announcer,
    kubernetes,
    members: number(values.members, "members", 7),
    endpoints: number(values.endpoints ?? (killEndpoint ? "3" : kubernetes ? "2" : "1"), "endpoints", 8),
    associations: number(values.associations ?? (killEndpoint ? "50" : "1"), "associations", 500),
    killEndpoint,
    fastPath: fastPath as DemoOptions["fastPath"],
    json: values.json,
    stay: values.stay,
  };
}
