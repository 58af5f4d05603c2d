// The part of GoBGP's API (4.8, package `api`, service `GoBgpService`) that is used here, over gRPC on a unix socket.
// Field numbers as in its proto/api/*.proto; fields that are not named here are passed over.
import { type Client, credentials, loadPackageDefinition, type ServiceError } from "@grpc/grpc-js";
import { fromJSON } from "@grpc/proto-loader";

type Fields = Record<string, readonly [type: string, id: number, rule?: "repeated"]>;

const message = (fields: Fields) => ({
  fields: Object.fromEntries(
    Object.entries(fields).map(([name, [type, id, rule]]) => [name, { type, id, ...(rule && { rule }) }]),
  ),
});
const method = (requestType: string, responseType: string, responseStream = false) => ({
  requestType,
  responseType,
  ...(responseStream && { responseStream }),
});

const API = {
  nested: {
    api: {
      nested: {
        GoBgpService: {
          methods: {
            ListPeer: method("ListPeerRequest", "ListPeerResponse", true),
            ResetPeer: method("ResetPeerRequest", "Empty"),
            AddPath: method("AddPathRequest", "Empty"),
            DeletePath: method("DeletePathRequest", "Empty"),
            SetPolicies: method("SetPoliciesRequest", "Empty"),
          },
        },
        Empty: message({}),
        ListPeerRequest: message({ address: ["string", 1] }),
        ListPeerResponse: message({ peer: ["Peer", 1] }),
        Peer: message({ conf: ["PeerConf", 2], state: ["PeerState", 5] }),
        PeerConf: message({ neighbor_address: ["string", 4], neighbor_interface: ["string", 11] }),
        PeerState: message({
          neighbor_address: ["string", 5],
          session_state: ["uint32", 13],
          disconnect_message: ["string", 22],
          bfd_state: ["BfdPeerState", 23],
        }),
        BfdPeerState: message({ session_state: ["uint32", 1] }),
        ResetPeerRequest: message({ address: ["string", 1], soft: ["bool", 3], direction: ["uint32", 4] }),
        AddPathRequest: message({ table_type: ["uint32", 1], path: ["Path", 3] }),
        DeletePathRequest: message({
          table_type: ["uint32", 1],
          family: ["Family", 3],
          path: ["Path", 4],
        }),
        Path: message({
          nlri: ["Nlri", 1],
          pattrs: ["Attribute", 2, "repeated"],
          family: ["Family", 9],
        }),
        Nlri: message({ prefix: ["IpAddressPrefix", 1] }),
        IpAddressPrefix: message({ prefix_len: ["uint32", 1], prefix: ["string", 2] }),
        Attribute: message({ origin: ["Origin", 2], next_hop: ["NextHop", 4] }),
        Origin: message({ origin: ["uint32", 1] }),
        NextHop: message({ next_hop: ["string", 1] }),
        Family: message({ afi: ["uint32", 1], safi: ["uint32", 2] }),
        SetPoliciesRequest: message({
          defined_sets: ["DefinedSet", 1, "repeated"],
          policies: ["Policy", 2, "repeated"],
        }),
        DefinedSet: message({
          defined_type: ["uint32", 1],
          name: ["string", 2],
          list: ["string", 3, "repeated"],
          prefixes: ["Prefix", 4, "repeated"],
        }),
        Prefix: message({
          ip_prefix: ["string", 1],
          mask_length_min: ["uint32", 2],
          mask_length_max: ["uint32", 3],
        }),
        Policy: message({ name: ["string", 1], statements: ["Statement", 2, "repeated"] }),
        Statement: message({
          name: ["string", 1],
          conditions: ["Conditions", 2],
          actions: ["Actions", 3],
        }),
        Conditions: message({ prefix_set: ["MatchSet", 1], neighbor_set: ["MatchSet", 2] }),
        MatchSet: message({ type: ["uint32", 1], name: ["string", 2] }),
        Actions: message({
          route_action: ["uint32", 1],
          community: ["CommunityAction", 2],
          med: ["MedAction", 3],
          as_prepend: ["AsPrependAction", 4],
          local_pref: ["LocalPrefAction", 7],
          large_community: ["CommunityAction", 8],
          origin_action: ["OriginAction", 9],
        }),
        CommunityAction: message({ type: ["uint32", 1], communities: ["string", 2, "repeated"] }),
        MedAction: message({ type: ["uint32", 1], value: ["int64", 2] }),
        AsPrependAction: message({ asn: ["uint32", 1], repeat: ["uint32", 2] }),
        LocalPrefAction: message({ value: ["uint32", 1] }),
        OriginAction: message({ origin: ["uint32", 1] }),
      },
    },
  },
};

export interface GobgpPeer {
  readonly conf?: { readonly neighbor_address?: string; readonly neighbor_interface?: string };
  readonly state?: {
    readonly session_state?: number;
    readonly disconnect_message?: string;
    readonly bfd_state?: { readonly session_state?: number } | null;
  };
}

type Unary = (
  request: object,
  options: { readonly deadline: number },
  done: (error: ServiceError | null) => void,
) => void;
type Stream = (request: object, options: { readonly deadline: number }) => NodeJS.ReadableStream;
type Methods = Record<"ResetPeer" | "AddPath" | "DeletePath" | "SetPolicies", Unary> & {
  readonly ListPeer: Stream;
};

const Service = loadPackageDefinition(
  // Its types want every member of every kind of description.
  fromJSON(API as unknown as Parameters<typeof fromJSON>[0], { keepCase: true, longs: Number }),
)["api"] as unknown as {
  readonly GoBgpService: new (address: string, secret: object) => Client & Methods;
};

export class GobgpApi {
  readonly #client: Client & Methods;
  readonly #timeoutMs: number;

  constructor(socket: string, timeoutMs: number) {
    this.#client = new Service.GoBgpService(`unix://${socket}`, credentials.createInsecure());
    this.#timeoutMs = timeoutMs;
  }

  /** Rejects when there is no answer in time, or it is a refusal. */
  call(name: "ResetPeer" | "AddPath" | "DeletePath" | "SetPolicies", request: object): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#client[name](request, this.#deadline(), (error) => (error === null ? resolve() : reject(error)));
    });
  }

  peers(): Promise<readonly GobgpPeer[]> {
    return new Promise((resolve, reject) => {
      const peers: GobgpPeer[] = [];
      const stream = this.#client.ListPeer({ address: "" }, this.#deadline());
      stream.on("data", ({ peer }: { readonly peer: GobgpPeer }) => peers.push(peer));
      stream.on("error", reject);
      stream.on("end", () => resolve(peers));
    });
  }

  close(): void {
    this.#client.close();
  }

  #deadline(): { readonly deadline: number } {
    return { deadline: Date.now() + this.#timeoutMs };
  }
}
