// An operator's mistake is a coded error with a cause and a way out (fastify's lib/errors.js).
// Hostile packets are never errors: they are a result and a counter.

/** One entry of the catalogue: what happened, and what the operator can do about it. */
export interface ErrorEntry {
  /** HTTP status with which the API answers. */
  readonly status: number;
  /** One sentence; `{name}` is replaced by the detail of that name. */
  readonly message: string;
  /** What to do, one or two sentences; details are replaced as in `message`. */
  readonly remedy: string;
}

/**
 * Codes are append-only: one that was published never changes its meaning. docs/errors.md lists them all.
 * Here they stand by subsystem; a new one goes behind the last of its own.
 */
export const ERROR_CATALOGUE = {
  // The configuration file and the start

  ADDRESS_INVALID: {
    status: 400,
    message: "'{text}' is not an IP address.",
    remedy: "Write IPv4 as 192.0.2.1 and IPv6 as 2001:db8::1, without a prefix length.",
  },
  CONFIG_UNREADABLE: {
    status: 500,
    message: "The configuration file {file} cannot be read: {reason}.",
    remedy: "Name an existing YAML file that this user may read with --config.",
  },
  CONFIG_SYNTAX: {
    status: 400,
    message: "{where}: this is not YAML: {reason}.",
    remedy:
      "Correct the line; indentation is made of spaces, and text with ': ' or a leading '*' needs quotes.",
  },
  CONFIG_INVALID: {
    status: 400,
    message: "{where}: {field} {reason}.",
    remedy: "{remedy}",
  },
  CONFIG_CERTIFICATES_MISSING: {
    status: 400,
    message: "{where}: there are other members, but cluster.certificates is missing.",
    remedy:
      "Make them with 'holdfast certificates init' and 'holdfast certificates issue', and name authority, certificate and key under cluster.certificates.",
  },
  CONFIG_CHANGE_NEEDS_RESTART: {
    status: 409,
    message:
      "{field} cannot change while the member runs: {reason}. Nothing of the new configuration was applied.",
    remedy: "Restart this member (its associations live on), or take the change back.",
  },
  INTERNAL_ERROR: {
    status: 500,
    message: "The node failed to answer.",
    remedy: "Its log has the request's id and the cause. Established associations are not affected.",
  },
  CONFIG_SECRET_MISSING: {
    status: 400,
    message: "{where}: there are other members, but cluster.secretFile is missing.",
    remedy:
      "'holdfast certificates init' makes cluster.secret beside the authority: copy it to every member and name it in cluster.secretFile.",
  },
  CLUSTER_INVALID: {
    status: 400,
    message: "The cluster's configuration contradicts itself: {reason}.",
    remedy:
      "Correct cluster.members (names, numbers, addresses) or cluster.timing; all members need the same.",
  },
  CLUSTER_SECRET_INVALID: {
    status: 500,
    message: "The cluster's secret {file} cannot be used: {reason}.",
    remedy:
      "Copy cluster.secret from where 'holdfast certificates init' made it; it is the same at every member.",
  },
  DAEMON_RUNNING: {
    status: 409,
    message: "Another holdfast runs here already, with the data plane at {pinDirectory}.",
    remedy:
      "Stop it first ('systemctl stop holdfast'), or give this one a dataPlane.pinDirectory of its own.",
  },

  // Services, endpoints and VIPs

  SERVICE_VIP_TAKEN: {
    status: 409,
    message: "VIP {vip} port {port} already belongs to service {service}.",
    remedy: "Use another VIP or port, or delete service {service} first.",
  },
  SERVICE_NEEDS_UPGRADE: {
    status: 409,
    message: "{service} needs {capability}, which {member} runs a release without.",
    remedy: "Upgrade it first: 'holdfast get members -o wide' shows what each member offers.",
  },
  SERVICE_NOT_FOUND: {
    status: 404,
    message: "There is no service {service}.",
    remedy: "List the services with 'holdfast get services'.",
  },
  SERVICE_REMOVAL_UNCONFIRMED: {
    status: 409,
    message:
      "The file no longer has {services}, with {count} living associations. Nothing of the new configuration was applied.",
    remedy:
      "Put what is missing back, or give your word: list it under removedServices with sessions: drain or end.",
  },
  SERVICE_INVALID: {
    status: 400,
    message: "The service is not valid: {reason}.",
    remedy: "Correct the field and send it again; 'holdfast config show' and docs/api.md list the schema.",
  },
  SERVICE_EXISTS: {
    status: 409,
    message: "Service {service} exists already and is different.",
    remedy: "Replace it with PUT /v1/services/ID or 'holdfast create service --replace', or delete it first.",
  },
  SERVICE_CHANGED: {
    status: 412,
    message: "Service {service} was changed by somebody else in the meantime.",
    remedy: "Get it again, make the change in what you got, and send it with the new ETag.",
  },
  SERVICE_FROM_FILE: {
    status: 409,
    message: "Service {service} comes from the configuration file of {member}.",
    remedy: "Change it in the file and reload ('systemctl reload holdfast', or SIGHUP).",
  },
  SERVICE_COUNT_EXCEEDED: {
    status: 409,
    message: "There are {limit} services already.",
    remedy: "Delete those that nobody uses.",
  },
  VIP_NOT_FOUND: {
    status: 404,
    message: "No service has the VIP {vip}.",
    remedy: "List the VIPs with 'holdfast get vips'.",
  },
  VIP_NOT_UNICAST: {
    status: 400,
    message: "{vip} cannot be a VIP: it is {kind}.",
    remedy: "Use a unicast address that no host has and that the network routes to the members.",
  },
  VIP_IS_MEMBER_ADDRESS: {
    status: 409,
    message: "{vip} cannot be a VIP: member {member} has it on {interface}.",
    remedy:
      "Use an address that no host has: whatever comes to a VIP and is not SCTP is dropped. Or take it off that interface first.",
  },
  VIP_IS_BROADCAST: {
    status: 409,
    message: "{vip} cannot be a VIP: it is a broadcast address of the network of {member}'s {interface}.",
    remedy: "Use a host address of the network, or one outside it.",
  },
  VIP_IS_GATEWAY: {
    status: 409,
    message: "{vip} cannot be a VIP: member {member}'s default route goes to it, by {interface}.",
    remedy: "Use an address that no host has.",
  },
  VIP_IS_ENDPOINT: {
    status: 409,
    message: "{vip} cannot be a VIP: it is an endpoint of {service}.",
    remedy: "Use an address that no host has, or take the endpoint out of that service first.",
  },
  ENDPOINT_IS_VIP: {
    status: 409,
    message: "{endpoint} cannot be an endpoint: it is a VIP of {service}.",
    remedy: "Name the server's own address.",
  },
  ENDPOINT_NOT_UNICAST: {
    status: 400,
    message: "{endpoint} cannot be an endpoint: it is {kind}.",
    remedy: "Name the server's own address, one that the members have a route to.",
  },
  SERVICE_SCOPES_MIXED: {
    status: 200,
    message: "The VIPs of {service} differ in scope: {private} private, {global} public.",
    remedy:
      "A warning. Linux takes no private address of a peer that calls from a public one: such paths never come up. Use VIPs of one scope, or set net.sctp.addr_scope_policy to 0 at clients and endpoints.",
  },
  SERVICE_VIP_UNUSED: {
    status: 200,
    message: "Linux takes no SCTP address of these for usable: {vips} of {service}.",
    remedy:
      "A warning. 198.18.0.0/24 and 192.88.99.0/24 are refused by its SCTP in every list: use other addresses.",
  },
  SERVICE_FIELDS_UNUSED: {
    status: 200,
    message: "{service} says what has no meaning for {protocol}: {fields}.",
    remedy:
      "A warning. Leave these out: the times of tcp and udp are idle, and replicateAfterMs goes with replicate long-lived.",
  },
  ENDPOINT_NOT_FOUND: {
    status: 404,
    message: "Service {service} has no endpoint {endpoint}.",
    remedy: "Name it as ADDRESS:PORT ([ADDRESS]:PORT for IPv6), as 'holdfast get services -o wide' shows it.",
  },

  // Sessions

  SESSION_NOT_FOUND: {
    status: 404,
    message: "There is no session {session}.",
    remedy: "It may have ended. List the sessions with 'holdfast get sessions'.",
  },
  SESSION_NOT_UNDERSTOOD: {
    status: 409,
    message:
      "Session {session} is of protocol {protocol}, which this member does not know: it carries it for others.",
    remedy: "Ask a member of the newer release that forwards it, or upgrade this one.",
  },
  CURSOR_INVALID: {
    status: 400,
    message: "The cursor is not one that this API gave.",
    remedy: "Start again without a cursor.",
  },

  // The API: requests, tokens, pages, streams

  API_NOT_PROTECTED: {
    status: 400,
    message: "The API would listen on {listen}, beyond the loopback, without {missing}.",
    remedy: "Set api.tokenFile and api.tls, or listen on 127.0.0.1, [::1] or unix:/PATH.",
  },
  LOXILB_NOT_PROTECTED: {
    status: 400,
    message:
      "LoxiLB's API would listen on {listen}, beyond the loopback, without {missing} and without a list of clients.",
    remedy:
      "List its clients' addresses in loxilb.allowRemote, or set loxilb.tokenFile and loxilb.tls, or listen on 127.0.0.1.",
  },
  REQUEST_INVALID: {
    status: 400,
    message: "The request is not valid: {reason}.",
    remedy: "{remedy}",
  },
  ROUTE_NOT_FOUND: {
    status: 404,
    message: "There is nothing at {method} {path}.",
    remedy: "GET /v1/openapi.json lists what there is; a service's id is percent-encoded in a path.",
  },
  UNAUTHORIZED: {
    status: 401,
    message: "The API needs a token, and the request has none or a wrong one.",
    remedy:
      "Send 'Authorization: Bearer TOKEN'; for the command line, set HOLDFAST_TOKEN or HOLDFAST_TOKEN_FILE.",
  },
  CONSOLE_NOT_BUILT: {
    status: 404,
    message: "This node has no page to show: it was not built.",
    remedy: "In a checkout run 'npm run setup'. The npm package and the image bring it along.",
  },
  ROLE_INSUFFICIENT: {
    status: 403,
    message: "The token's role is {role}: it may look, and neither change anything nor trace packets.",
    remedy: "Use a token of the role operate (api.token, or one of api.tokens).",
  },
  ORIGIN_REFUSED: {
    status: 403,
    message: "A page of {origin} may not use this API.",
    remedy: "Use the API's own address in the browser, or a program that is no browser.",
  },
  API_LISTEN_FAILED: {
    status: 500,
    message: "The API cannot listen on {listen}: {reason}.",
    remedy: "Choose another address with api.listen, or stop what uses it ('ss -ltnp' shows it).",
  },
  API_TLS_INVALID: {
    status: 500,
    message: "The API's TLS files cannot be used: {reason}.",
    remedy:
      "Check api.tls.certificate and api.tls.key: PEM files that belong together and that this user may read.",
  },
  API_TOKEN_INVALID: {
    status: 500,
    message: "The token file {file} cannot be used: {reason}.",
    remedy: "Write at least 16 characters on one line into it, readable by this user only.",
  },
  STREAM_COUNT_EXCEEDED: {
    status: 503,
    message: "{limit} streams of this kind are open already.",
    remedy: "Close one, or read at another member.",
  },

  // Certificates and their authority

  CERTIFICATE_NAME_INVALID: {
    status: 400,
    message: "'{name}' cannot be a cluster id or member name.",
    remedy: "Use 1 to 63 characters of a-z, 0-9 and inner hyphens.",
  },
  CERTIFICATE_NUMBER_INVALID: {
    status: 400,
    message: "{number} is not a member number.",
    remedy: "Use a whole number from 0 to {highest}.",
  },
  CERTIFICATE_NUMBER_TAKEN: {
    status: 409,
    message: "Member number {number} belongs to member {member}.",
    remedy: "Choose another number, or leave it out: the lowest free one is taken.",
  },
  CERTIFICATE_NUMBER_FIXED: {
    status: 409,
    message: "Member {member} has number {number} and keeps it.",
    remedy: "Leave the number out, or issue a certificate for another member name.",
  },
  CERTIFICATE_NUMBERS_EXHAUSTED: {
    status: 409,
    message: "All {count} member numbers are taken.",
    remedy: "A number is never given to another name; make a new cluster for more members.",
  },
  CERTIFICATE_AUTHORITY_EXISTS: {
    status: 409,
    message: "There is an authority in {directory} already.",
    remedy: "Issue member certificates with it, or choose another directory for another cluster.",
  },
  CERTIFICATE_AUTHORITY_MISSING: {
    status: 404,
    message: "There is no complete authority in {directory}.",
    remedy:
      "Make one with 'holdfast certificates init', or name the directory that holds authority.key and members.json.",
  },
  CERTIFICATE_AUTHORITY_UNUSABLE: {
    status: 400,
    message: "The authority cannot sign: {reason}.",
    remedy:
      "Restore authority.crt, authority.key and members.json from a copy, or make a new authority and new certificates for every member.",
  },
  CERTIFICATE_FILE_UNREADABLE: {
    status: 400,
    message: "{file} cannot be read: {reason}.",
    remedy: "Check the path in the configuration and that the user of the daemon may read the file.",
  },
  CERTIFICATE_UNREADABLE: {
    status: 400,
    message: "The {what} certificate is not a file of whole PEM certificates, at most 32 of them.",
    remedy:
      "Copy the file again, whole: a copy that was cut off ends within a certificate. A member's is issued anew with 'holdfast certificates issue'.",
  },
  CERTIFICATE_WRONG_AUTHORITY: {
    status: 400,
    message: "The certificate '{subject}' was not signed by '{authority}'.",
    remedy:
      "Use certificate and authority of the same cluster: authority.crt and NAME.crt from one directory.",
  },
  CERTIFICATE_NOT_YET_VALID: {
    status: 400,
    message: "The {what} certificate is valid from {from}, and the clock says {now}.",
    remedy:
      "Set this machine's clock (NTP); if the clock is right, issue the certificate again on a machine whose clock is.",
  },
  CERTIFICATE_EXPIRED: {
    status: 400,
    message: "The {what} certificate ended at {to}, and the clock says {now}.",
    remedy:
      "Renew it with 'holdfast certificates issue NAME' and put certificate and key in their places: a running daemon takes them by itself. If it should still be valid, set this machine's clock.",
  },
  CERTIFICATE_WITHOUT_IDENTITY: {
    status: 400,
    message: "The certificate '{subject}' names no cluster member.",
    remedy:
      "Issue it with 'holdfast certificates issue': the name holdfast://CLUSTER/members/NAME?number=N must be in it.",
  },
  CERTIFICATE_KEY_MISMATCH: {
    status: 400,
    message: "The key is not the key of member {member}'s certificate.",
    remedy: "Use NAME.crt and NAME.key from the same issue; a key has no passphrase.",
  },
  CERTIFICATE_WRONG_CLUSTER: {
    status: 400,
    message: "The certificate is for cluster {found}, the configuration says {expected}.",
    remedy: "Correct the cluster id in the configuration, or issue a certificate for this cluster.",
  },
  REVOCATION_COUNT_EXCEEDED: {
    status: 409,
    message: "There are {limit} revocations already.",
    remedy:
      "Take back those whose certificates have ended ('holdfast certificates revocations'), or make a new authority.",
  },
  REVOCATION_NOT_FOUND: {
    status: 404,
    message: "There is no revocation {id}.",
    remedy: "List them with 'holdfast certificates revocations'.",
  },
  CERTIFICATE_REQUEST_INVALID: {
    status: 400,
    message: "The request for a member's certificate is not valid: {reason}.",
    remedy: "Remove member.key and request.pem from the member's identity directory, and start its pod anew.",
  },
  CERTIFICATE_NOT_USABLE: {
    status: 400,
    message: "TLS does not take the certificate of {member} or its key: {reason}.",
    remedy:
      "Issue it again with 'holdfast certificates issue'; one of an authority of your own needs a key of 2048 bits (RSA) or 256 (EC), without a passphrase.",
  },
  CERTIFICATE_OF_ANOTHER_MEMBER: {
    status: 400,
    message: "{file} is the certificate of {found}; this member is {expected}.",
    remedy: "Copy this member's own certificate, or correct member.name and member.number.",
  },

  // Members and their list

  MEMBER_NOT_FOUND: {
    status: 404,
    message: "There is no member {member}.",
    remedy: "List the members with 'holdfast get members'.",
  },
  MEMBER_EXISTS: {
    status: 409,
    message: "There is a member {member} already.",
    remedy: "Give the new one another name; 'holdfast get members' lists them.",
  },
  MEMBER_NUMBER_TAKEN: {
    status: 409,
    message: "Number {number} is {member}'s.",
    remedy:
      "Issue a certificate with a number that nobody has; it decides which NAT ports the member allocates.",
  },
  MEMBER_NUMBER_RESTS: {
    status: 409,
    message: "Number {number} cannot be given yet, for {seconds} s at least: {reason}.",
    remedy: "Wait, or issue the certificate with a number that nobody had.",
  },
  MEMBER_NAME_RESTS: {
    status: 409,
    message: "{member} was removed, and its number rests.",
    remedy: "Add the member under another name, or again when the number has been given to another one.",
  },
  MEMBER_ADDRESS_TAKEN: {
    status: 409,
    message: "The address {address} is {member}'s.",
    remedy: "Name the new member's own addresses, or remove {member} first.",
  },
  MEMBER_ADDRESS_UNUSABLE: {
    status: 400,
    message: "{address} cannot be a member's address: {reason}.",
    remedy: "Name the addresses that the member's interfaces have, one on each network.",
  },
  MEMBER_NUMBER_DIFFERS: {
    status: 409,
    message: "{member} is there, with a certificate of number {certified}, not {number}.",
    remedy: "Say --number {certified}, or issue its certificate with another number first.",
  },
  MEMBER_ADDRESS_DIFFERS: {
    status: 409,
    message: "{member} is there at {addresses}, which is none of the addresses that are named.",
    remedy:
      "Name the address that it comes from or that its certificate has, beside those on other networks. Behind a translator of addresses, stop it, and add it after a minute.",
  },
  MEMBER_UNHEARD: {
    status: 409,
    message:
      "{member} has not been heard, and {only} is alone: of two members both must agree to every change.",
    remedy:
      "Start {member} first, with its certificate, the cluster's secret and cluster.join; it waits until it is added.",
  },
  MEMBERS_TOO_MANY: {
    status: 409,
    message: "A cluster has {limit} members at most.",
    remedy: "Remove one first.",
  },
  MEMBER_LAST: {
    status: 409,
    message: "{member} is the only member.",
    remedy: "Stop it with 'systemctl stop holdfast', if that is what is wanted.",
  },
  MEMBER_IS_SELF: {
    status: 409,
    message: "{member} cannot remove itself.",
    remedy: "Ask another member: --api names it.",
  },
  MEMBER_NOT_THERE: {
    status: 409,
    message: "{member} is not connected with this member, and cannot hand over what it has.",
    remedy:
      "Bring it back, or say --gone when its machine does not run and never will: one that runs on gives NAT ports out that are others' then.",
  },
  MEMBER_TOO_OLD: {
    status: 409,
    message: "{member} runs a release that takes the list of members from its file alone.",
    remedy: "Upgrade it first: 'holdfast get members -o wide' shows what each member offers.",
  },
  MEMBER_NOT_LISTED: {
    status: 409,
    message: "{member} is not on the list of members itself.",
    remedy: "Ask another member: --api names it.",
  },
  MEMBERS_SETTLING: {
    status: 409,
    message: "The list of members has changed a moment ago; the next change is possible in {seconds} s.",
    remedy: "Wait and try again.",
  },
  MEMBERS_CHANGE_UNDER_WAY: {
    status: 409,
    message: "Another change came first: {other}; the list has version {version} now.",
    remedy: "Look at the list with 'holdfast get members', wait a moment, and try again.",
  },
  MEMBERS_NO_MAJORITY: {
    status: 503,
    message: "{granted} of {count} members agree, {needed} must: {refusals}.",
    remedy:
      "Bring members back and try again. Until then the change may still come about; a cluster that has lost its majority for good is begun anew from files (docs/operating.md).",
  },

  // Replication and its store

  SYNC_LISTEN_FAILED: {
    status: 500,
    message: "Cannot listen for the other members on {host} port {port}: {reason}.",
    remedy: "Correct the sync listen address in the configuration, or stop whatever uses that port.",
  },
  STORE_DIRECTORY_UNUSABLE: {
    status: 500,
    message: "The store's directory {directory} cannot be used: {reason}.",
    remedy: "Let the user of the daemon write there, or set another directory in the configuration.",
  },
  STORE_FILE_DAMAGED: {
    status: 500,
    message: "A file of the store in {directory} is damaged: {reason}.",
    remedy:
      "What is missing comes from the other members; a member alone has lost it, unless the disk reads again: then stop the daemon, take '.broken-TIME' off the file's name and start it. Remove what is put aside when you need it no longer.",
  },
  STORE_WRITE_FAILED: {
    status: 507,
    message: "The store in {directory} cannot be written: {reason}.",
    remedy:
      "Make room on the disk, or replace it. Forwarding and replication go on; until then a restart of the whole cluster would lose the newest sessions.",
  },
  CONFIGURATION_NOT_KEPT: {
    status: 507,
    message: "The change is in force, but not on this member's disk: {reason}.",
    remedy:
      "Make room on the store's disk, or replace it: the change is tried again every few seconds, and GET /v1/health/ready says when it is written. Until then a restart of this member takes it from the others, and of all members may lose it.",
  },
  STORE_IN_USE: {
    status: 409,
    message: "Another holdfast runs with the store in {directory}.",
    remedy: "Stop it first ('systemctl stop holdfast'), or give this one a store.directory of its own.",
  },
  SYNC_WORKER_FAILED: {
    status: 500,
    message: "Replication crashed {count} times within a minute: {reason}.",
    remedy:
      "The daemon ends, so that the service manager starts it anew; established associations are still forwarded. Keep the log, and report it.",
  },
  SYNC_WORKER_HANGS: {
    status: 500,
    message: "Replication's thread has not answered for {seconds} seconds.",
    remedy:
      "The daemon ends, so that the service manager starts it anew; established associations are still forwarded. Does the machine have CPU to spare, and a disk that answers? Keep the log, and report it.",
  },
  SYNC_NUMBER_MISMATCH: {
    status: 400,
    message:
      "The configuration says member {member} number {number}, the certificate {certifiedMember} number {certifiedNumber}.",
    remedy: "Use this member's own certificate, or correct member.name and member.number.",
  },
  SYNC_NUMBER_OUT_OF_RANGE: {
    status: 400,
    message: "Member number {number} needs a cluster.memberNumberCount above it, it is {count}.",
    remedy: "Issue a certificate with a lower number, or make the cluster with a larger memberNumberCount.",
  },

  // Announcer and routers

  ANNOUNCER_NOT_PERMITTED: {
    status: 500,
    message: "The l2 announcer may not open a packet socket (errno {errno}).",
    remedy: "Give the daemon CAP_NET_RAW, or set the announcer to 'none' where routes are somebody else's.",
  },
  CONFIG_ROUTER_PASSWORD_INVALID: {
    status: 500,
    message: "The password file {file} of a router cannot be used: {reason}.",
    remedy: "Write the password, at most 80 characters, into its first line, readable for the daemon.",
  },
  CONFIG_CHANGE_NEEDS_DRAIN: {
    status: 409,
    message: "The new configuration would end the sessions with {routers}, and this member serves VIPs.",
    remedy: "Drain it first ('holdfast drain member NAME'), reload, and undrain it. Nothing was changed.",
  },
  ROUTER_LOCAL_PREF_UNSENT: {
    status: 409,
    message: "localPref is set toward router {router} of another AS ({as}): it is not sent.",
    remedy: "Use med and prepend toward other AS.",
  },
  ROUTER_MED_INCOMPARABLE: {
    status: 409,
    message:
      "This member has several AS toward its routers ({list}): router {router} compares MED between routes of one neighbour AS only.",
    remedy:
      "Use the same localAs at all members, or always-compare-med at the router; the prepended path still ranks them.",
  },
  ROUTER_MED_MISSING: {
    status: 409,
    message: "Router {router} is told a VIP without a MED, which BIRD, FRR and GoBGP take for the best.",
    remedy: "Give each rank a med, or ranks by prepend alone.",
  },
  ROUTER_BFD_ABSENT: {
    status: 409,
    message: "Router {router} has no BFD: a dead node is seen after the hold time, {holdS} s.",
    remedy: "Set bfd: {}, at the router too, or holdS: 9.",
  },
  ROUTER_HOLD_BEFORE_BFD: {
    status: 409,
    message:
      "The hold time of router {router}, {holdS} s, is over before BFD sees anything ({detectionMs} ms).",
    remedy: "Lengthen holdS, or shorten bfd.intervalMs.",
  },
  ROUTER_HOLD_LONG: {
    status: 409,
    message:
      "The hold time of router {router} is {holdS} s: so long a death lasts when its session is up and BFD is not.",
    remedy: "Set holdS to 9 to 30.",
  },
  ROUTER_BFD_WITHOUT_PRIORITY: {
    status: 409,
    message:
      "BFD with router {router} runs every {intervalMs} ms, and the speaker without real-time priority.",
    remedy: "Give the daemon CAP_SYS_NICE, or set bfd.intervalMs to 100 or more.",
  },
  ROUTER_BFD_SOURCE_PORT: {
    status: 409,
    message:
      "BFD with router {router} may send from ports down to {port}; RFC 5881 wants 49152 and more, and some routers insist.",
    remedy: "sysctl net.ipv4.ip_local_port_range='49152 65535', if the router drops it.",
  },
  ANNOUNCER_SPEAKER_MISSING: {
    status: 500,
    message:
      "The bgp announcer needs BIRD 2.0.12, or GoBGP 4.8, or newer, and there is no program {program}.",
    remedy:
      "Install it (Debian: 'apt install bird2'), or name its program in announcer.bird or announcer.gobgp.",
  },

  // The data plane, the kernel and the host

  HOST_LOOP_NAME_TAKEN: {
    status: 409,
    message: "The loop cannot be made: {interfaces} are there already, and this member did not make them.",
    remedy:
      "Choose another host.loopName; or, when an earlier member of another name left them, 'ip link delete' the first.",
  },
  HOST_IP_FAILED: {
    status: 500,
    message: "The host cannot be prepared with ip: {reason}.",
    remedy: "Install iproute2, and give the daemon CAP_NET_ADMIN; it is tried again every second.",
  },
  HOST_NFT_FAILED: {
    status: 500,
    message: "The identity NAT for VIPs cannot be made with nft: {reason}.",
    remedy:
      "Install nftables, give the daemon CAP_NET_ADMIN, and use a kernel with nf_tables and nat chains; it is tried again every second.",
  },
  HOST_RP_FILTER_STRICT: {
    status: 409,
    message:
      "Reverse path filtering is strict on {interfaces}: packets of VIPs for this host's own pods are dropped there.",
    remedy:
      "Set host.rpFilter: set, or net.ipv4.conf.INTERFACE.rp_filter=2 on each; Calico and kubelet do not mind 2.",
  },
  HOST_NOT_FORWARDING: {
    status: 409,
    message: "This host does not forward IPv4 packets: its pods reach no VIP.",
    remedy: "Let it: sysctl -w net.ipv4.ip_forward=1.",
  },
  HOST_LOOP_NEEDS_BPF: {
    status: 409,
    message: "The loop is there, and the fast path is {mode}: packets that pods send to VIPs are lost.",
    remedy:
      "See why BPF is not in use ('holdfast diagnose'), or set host.loop: false and keep endpoints off this host.",
  },
  USERSPACE_GUARD_FAILED: {
    status: 500,
    message: "The host's own network stack cannot be kept from the VIPs' packets: {reason}.",
    remedy:
      "Install nftables (Debian: 'apt-get install nftables') and run with CAP_NET_ADMIN, or use a BPF fast path; 'holdfast diagnose' shows which are possible.",
  },
  USERSPACE_SOCKET_FAILED: {
    status: 500,
    message: "The userspace fast path cannot open its sockets on {interface}: {reason}.",
    remedy: "Check that the interface exists and that the daemon has CAP_NET_RAW and CAP_NET_ADMIN.",
  },
  BPF_LIBRARY_MISSING: {
    status: 500,
    message: "libbpf cannot be loaded: {reason}.",
    remedy: "Install Debian's libbpf1 (libbpf.so.1), or set dataPlane.mode: userspace.",
  },
  BPF_OBJECT_MISSING: {
    status: 500,
    message: "The BPF programs are not compiled: {file} does not exist.",
    remedy: "Run packages/forwarder/build.sh; it needs Debian's clang, llvm and libbpf-dev.",
  },
  BPF_FS_UNAVAILABLE: {
    status: 500,
    message: "{directory} cannot hold the pinned data plane: {reason}.",
    remedy:
      "Set dataPlane.pinDirectory below /sys/fs/bpf, and mount it there with 'mount -t bpf bpf /sys/fs/bpf'; in a container, mount the host's.",
  },
  BPF_NOT_PERMITTED: {
    status: 500,
    message: "The kernel does not let this process load BPF programs: {reason}.",
    remedy:
      "Give it CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON (or CAP_SYS_ADMIN), or set dataPlane.mode: userspace.",
  },
  BPF_LOAD_FAILED: {
    status: 500,
    message: "The kernel refuses the BPF programs: {reason}.",
    remedy:
      "Linux 5.11 or newer with BTF (/sys/kernel/btf/vmlinux) is needed, 5.18 for XDP; or set dataPlane.mode: userspace.",
  },
  BPF_FLOWS_NOT_CARRIED: {
    status: 500,
    message: "The flows pinned in {directory} cannot be carried over to this version: {reason}.",
    remedy:
      "Start the version that pinned them, or give them up with 'holdfast run --discard-flows': the other members' records bring them back, associations of a member alone end.",
  },
  BPF_ATTACH_FAILED: {
    status: 500,
    message: "{what} on interface {interface} failed: {reason}.",
    remedy: "Look for another program there with 'bpftool net', or choose another dataPlane.mode.",
  },
  BPF_XDP_UNAVAILABLE: {
    status: 500,
    message: "No interface of {interfaces} takes the XDP program in native mode.",
    remedy: "Set dataPlane.mode: auto, which falls back to TC; the log has the driver's reason.",
  },
  INTERFACE_MISSING: {
    status: 400,
    message: "There is no interface {interface} in this network namespace.",
    remedy: "Correct interfaces[].name; 'ip link' lists them.",
  },
  INTERFACE_NONE: {
    status: 400,
    message: "There is no Ethernet interface that is up.",
    remedy: "Bring one up, or name those to work on under interfaces[].",
  },
  INTERFACE_NOT_ETHERNET: {
    status: 400,
    message: "Interface {interface} is not an Ethernet device.",
    remedy: "Leave it out of interfaces[]: tunnels without a link-layer header cannot carry VIPs.",
  },
  INTERFACE_INDEX_CLASH: {
    status: 500,
    message: "Interfaces {interface} and {other} have indexes that the fast path cannot tell apart.",
    remedy: "Create one of them anew, so that it gets another index.",
  },
  NETLINK_REFUSED: {
    status: 500,
    message: "The kernel's routes and neighbours cannot be read: {reason}.",
    remedy: "Check that the process may open netlink sockets (systemd: RestrictAddressFamilies=AF_NETLINK).",
  },
  RAW_SOCKET_REFUSED: {
    status: 500,
    message: "A raw socket cannot be opened: {reason}.",
    remedy: "Give the process CAP_NET_RAW.",
  },
} as const satisfies Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof ERROR_CATALOGUE;

type Placeholders<Text extends string> = Text extends `${string}{${infer Name}}${infer Rest}`
  ? Exclude<Name, ""> | Placeholders<Rest>
  : never;

/** What the texts of a code name between braces. */
type DetailName<Code extends ErrorCode> = {
  [C in Code]: Placeholders<(typeof ERROR_CATALOGUE)[C]["message"] | (typeof ERROR_CATALOGUE)[C]["remedy"]>;
}[Code];

/** Every detail that the texts of a code name; more may stand beside them. */
export type ErrorDetails<Code extends ErrorCode> = Readonly<Record<string, string | number>> & {
  readonly [Name in DetailName<Code>]: string | number;
};

type ErrorArguments<Code extends ErrorCode> = [DetailName<Code>] extends [never]
  ? [details?: ErrorDetails<Code>, options?: ErrorOptions]
  : [details: ErrorDetails<Code>, options?: ErrorOptions];

/** A coded error. `details` fill the placeholders of the catalogue's texts. */
export class HoldfastError<Code extends ErrorCode = ErrorCode> extends Error {
  readonly code: ErrorCode;
  readonly details: Readonly<Record<string, string | number>>;
  readonly remedy: string;
  readonly status: number;

  /** A code that nobody knew when this was compiled: of a message, of a caller that has several. */
  static of(code: ErrorCode, details: ErrorDetails<never>, options?: ErrorOptions): HoldfastError {
    return new HoldfastError(code, details as ErrorDetails<ErrorCode>, options);
  }

  constructor(code: Code, ...[details = {} as ErrorDetails<Code>, options]: ErrorArguments<Code>) {
    const entry: ErrorEntry = ERROR_CATALOGUE[code];
    super(fill(entry.message, details), options);
    this.name = "HoldfastError";
    this.code = code;
    this.details = details;
    this.remedy = fill(entry.remedy, details);
    this.status = entry.status;
  }
}

function fill(text: string, details: Readonly<Record<string, string | number>>): string {
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => String(details[name] ?? whole));
}
