// Where everything stands in the drawing of the cluster: networks of the clients, members, networks of the endpoints,
// endpoints. Pure; units are those of the SVG.
import type { ClusterPicture } from "@holdfast/api";

export interface Box {
  readonly id: string;
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export interface Link {
  readonly key: string;
  readonly from: readonly [x: number, y: number];
  readonly to: readonly [x: number, y: number];
  readonly up: boolean;
}

export interface Drawing {
  readonly width: number;
  readonly height: number;
  readonly networks: readonly (Box & { readonly side: "clients" | "endpoints" })[];
  readonly members: readonly Box[];
  readonly endpoints: readonly (Box & { readonly service: string })[];
  readonly links: readonly Link[];
  /** Endpoints that are not drawn. */
  readonly leftOut: number;
}

const WIDTH = 960;
const MEMBER = { x: 340, width: 240, head: 46, vip: 22, gap: 18 };
const NETWORK = { width: 120, height: 34, gap: 14 };
const ENDPOINT = { x: 770, width: 186, height: 36, gap: 10 };
const CORE_X = 640;
/** More would be a wall; the table has them all. Those in trouble come first. */
export const ENDPOINT_DRAWN_MAX = 12;

type Picture = Pick<ClusterPicture, "members" | "vips" | "services">;

export function draw(picture: Picture): Drawing {
  let y = 10;
  const members = picture.members.map((member): Box => {
    const count = picture.vips.filter(({ owner }) => owner === member.name).length;
    const height = MEMBER.head + Math.max(1, Math.min(count, 8)) * MEMBER.vip + 8;
    const box = { id: member.name, x: MEMBER.x, y, width: MEMBER.width, height };
    y += height + MEMBER.gap;
    return box;
  });
  const drawn = drawnEndpoints(picture);
  const height = Math.max(
    y,
    drawn.length * (ENDPOINT.height + ENDPOINT.gap) + 20,
    networksOf(picture, "path").length * (NETWORK.height + NETWORK.gap) + 20,
  );
  const endpoints = spread(drawn.length, ENDPOINT.height, ENDPOINT.gap, height).map((top, index) => ({
    id: drawn[index]?.endpoint ?? "",
    service: drawn[index]?.service ?? "",
    x: ENDPOINT.x,
    y: top,
    width: ENDPOINT.width,
    height: ENDPOINT.height,
  }));
  const networks = [
    ...column(networksOf(picture, "path"), "clients", 10, height),
    ...column(
      networksOf(picture, "core").filter((name) => !networksOf(picture, "path").includes(name)),
      "endpoints",
      CORE_X,
      height,
    ),
  ];
  return {
    width: WIDTH,
    height,
    networks,
    members,
    endpoints,
    links: linksOf(picture, { networks, members, endpoints }),
    leftOut: picture.services.reduce((sum, each) => sum + each.endpoints.length, 0) - drawn.length,
  };
}

/** In the order of the services. */
function drawnEndpoints({ services }: Picture): { endpoint: string; service: string }[] {
  const all = services.flatMap(({ id, endpoints }) =>
    endpoints.map(({ endpoint, health, state }) => ({
      ...{ endpoint, service: id },
      rank: health === "down" ? 0 : state === "active" ? 2 : 1,
    })),
  );
  if (all.length <= ENDPOINT_DRAWN_MAX) return all;
  const first = new Set([...all].sort((a, b) => a.rank - b.rank).slice(0, ENDPOINT_DRAWN_MAX));
  return all.filter((each) => first.has(each));
}

function networksOf({ members }: Picture, wanted: string): string[] {
  const names = members.flatMap(({ report }) =>
    (report?.interfaces ?? []).filter(({ roles }) => roles.includes(wanted)).map(({ network }) => network),
  );
  return [...new Set(names)].sort();
}

function spread(count: number, size: number, gap: number, height: number): number[] {
  const top = (height - (count * (size + gap) - gap)) / 2;
  return Array.from({ length: count }, (_, index) => top + index * (size + gap));
}

function column(names: readonly string[], side: "clients" | "endpoints", x: number, height: number) {
  return spread(names.length, NETWORK.height, NETWORK.gap, height).map((y, index) => ({
    id: names[index] ?? "",
    side,
    x,
    y,
    width: side === "clients" ? NETWORK.width : 90,
    height: NETWORK.height,
  }));
}

const left = ({ x, y, height }: Box): [number, number] => [x, y + height / 2];
const right = ({ x, y, width, height }: Box): [number, number] => [x + width, y + height / 2];

function linksOf(
  { members, services }: Picture,
  boxes: Pick<Drawing, "networks" | "members" | "endpoints">,
): Link[] {
  const links: Link[] = [];
  for (const member of members) {
    const box = boxes.members.find(({ id }) => id === member.name);
    const present = member.phase === "alive" || member.phase === "suspect";
    for (const { name, network, up } of member.report?.interfaces ?? [])
      for (const at of boxes.networks) {
        if (at.id !== network || box === undefined) continue;
        const key = `${member.name} ${name} ${at.side}`;
        const ends =
          at.side === "clients" ? { from: right(at), to: left(box) } : { from: right(box), to: left(at) };
        links.push({ key, ...ends, up: up && present });
      }
  }
  const [core] = boxes.networks.filter(({ side }) => side === "endpoints");
  for (const box of boxes.endpoints) {
    const endpoint = services
      .find(({ id }) => id === box.service)
      ?.endpoints.find((each) => each.endpoint === box.id);
    const from: [number, number] = core === undefined ? [CORE_X, box.y + box.height / 2] : right(core);
    links.push({ key: `${box.service} ${box.id}`, from, to: left(box), up: endpoint?.health !== "down" });
  }
  return links;
}
