// Bodies of POST /config/loadbalancer, byte for byte as each client puts them on the wire.

/** kube-loxilb v0.8.8 for the article's own Service, whose lbmode stands under a misspelled key. */
export const ARTICLE_V088 =
  '{"serviceArguments":{"externalIP":"123.123.123.1","port":55002,"protocol":"sctp","sel":0,"mode":0,"BGP":true,"Monitor":true,"inactiveTimeOut":1800,"block":0},"secondaryIPs":[{"secondaryIP":"124.124.124.1"},{"secondaryIP":"125.125.125.1"}],"endpoints":[{"endpointIP":"192.168.80.10","targetPort":30412,"weight":1,"state":"","counter":""}]}';

/**
 * kube-loxilb 3d62e04 for the same Service with pools; `oper` of --appendEPs goes where Go's field order has
 * it.
 */
export function kubeHead(
  options: {
    readonly mode?: number;
    readonly oper?: number;
    readonly endpoints?: readonly string[] | null;
    readonly probe?: { readonly type: string; readonly port: number; readonly request: string };
  } = {},
): string {
  const { mode = 2, oper, endpoints = ["192.168.80.10"], probe } = options;
  const list = endpoints?.map(
    (ip) => `{"endpointIP":"${ip}","targetPort":30412,"weight":1,"state":"","counter":""}`,
  );
  return `{"serviceArguments":{"externalIP":"123.123.123.1","privateIP":"","port":55002,"protocol":"sctp","sel":0,"mode":${mode},"BGP":true,"Monitor":true,"inactiveTimeOut":1800,"block":0,"managed":true,"probetype":"${probe?.type ?? ""}","probeport":${probe?.port ?? 0},"probereq":"${probe?.request ?? ""}","proberesp":"","name":"default_sctp-lb:llb-inst0"${oper === undefined ? "" : `,"oper":${oper}`}},"secondaryIPs":[{"secondaryIP":"124.124.124.1"},{"secondaryIP":"125.125.125.1"}],"allowedSources":[],"endpoints":${list === undefined ? "null" : `[${list.join(",")}]`}}`;
}

/**
 * loxicmd f05d13e: create lb 123.123.123.1 --sctp=55002:9999 --secips=… --endpoints=31.31.31.1:1
 * --mode=fullnat …
 */
export const LOXICMD_CREATE =
  '{"serviceArguments":{"externalIP":"123.123.123.1","port":55002,"protocol":"sctp","sel":0,"mode":2,"BGP":true,"Monitor":true,"inactiveTimeOut":600,"block":7,"name":"sctpmh1","proxyprotocolv2":false,"egress":false},"secondaryIPs":[{"secondaryIP":"124.124.124.1"},{"secondaryIP":"125.125.125.1"}],"allowedSources":null,"endpoints":[{"endpointIP":"31.31.31.1","targetPort":9999,"weight":1,"state":"","counter":""}]}';

interface Saved {
  readonly serviceArguments: Readonly<Record<string, unknown>>;
  readonly endpoints: readonly Readonly<Record<string, unknown>>[];
}

/** loxicmd apply -l: of what `save --lb` wrote, this much is posted; everything else is zero. */
export function loxicmdApply({ serviceArguments: saved, endpoints }: Saved): string {
  return JSON.stringify({
    serviceArguments: {
      externalIP: saved["externalIP"],
      port: saved["port"],
      protocol: saved["protocol"],
      sel: saved["sel"] ?? 0,
      mode: saved["mode"] ?? 0,
      BGP: saved["bgp"] ?? false,
      Monitor: false,
      inactiveTimeOut: 0,
      block: 0,
      proxyprotocolv2: false,
      egress: false,
    },
    secondaryIPs: null,
    allowedSources: null,
    endpoints: endpoints.map(({ endpointIP, targetPort, weight }) => ({
      endpointIP,
      targetPort,
      weight,
      state: "",
      counter: "",
    })),
  });
}

/** The same of loxicmd versions that posted addresses, port and endpoints alone. */
export function loxicmdApplyOld(saved: Saved): string {
  const { externalIP, port, protocol } = saved.serviceArguments;
  return loxicmdApply({ serviceArguments: { externalIP, port, protocol }, endpoints: saved.endpoints });
}
