// Lines over a logarithmic axis, as SVG: what docs/performance.md shows of cost over size.
import { scaleLinear, scaleLog } from "d3-scale";
import { line } from "d3-shape";

export interface Series {
  readonly name: string;
  readonly points: readonly (readonly [size: number, cost: number])[];
}

export interface Graph {
  readonly title: string;
  readonly sizeName: string;
  readonly costName: string;
  readonly series: readonly Series[];
}

const WIDTH = 720;
const HEIGHT = 360;
const LEFT = 64;
const RIGHT = 190;
const TOP = 40;
const BOTTOM = 48;
const TICK_COUNT = 5;
const LEGEND_LINE = 18;
/** Legible on light and dark pages. */
const COLOURS = ["#3b82f6", "#f59e0b", "#10b981", "#ef4444", "#8b5cf6", "#64748b"] as const;
const TEXT = 'font-family="sans-serif" font-size="12" fill="#6b7280"';

/** The same text for the same figures. */
export function graphText({ title, sizeName, costName, series }: Graph): string {
  const points = series.flatMap((each) => each.points);
  const sizes = points.map(([size]) => size);
  const x = scaleLog([Math.min(...sizes), Math.max(...sizes)], [LEFT, WIDTH - RIGHT]);
  const most = Math.max(...points.map(([, cost]) => cost));
  const y = scaleLinear([0, most], [HEIGHT - BOTTOM, TOP]).nice(TICK_COUNT);
  const path = line<readonly [number, number]>(
    ([size]) => x(size),
    ([, cost]) => y(cost),
  );
  const out = [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${HEIGHT}" viewBox="0 0 ${WIDTH} ${HEIGHT}">`,
    `<title>${escaped(title)}</title>`,
    `<text x="${LEFT}" y="20" ${TEXT} font-weight="bold">${escaped(costName)}</text>`,
    `<text x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - 8}" ${TEXT} text-anchor="middle">${escaped(sizeName)}</text>`,
  ];
  for (const cost of y.ticks(TICK_COUNT)) {
    const at = fixed(y(cost));
    out.push(
      `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${at}" y2="${at}" stroke="#9ca3af" stroke-opacity="0.35"/>`,
      `<text x="${LEFT - 8}" y="${fixed(y(cost) + 4)}" ${TEXT} text-anchor="end">${cost.toLocaleString("en")}</text>`,
    );
  }
  for (const size of [...new Set(sizes)].sort((a, b) => a - b))
    out.push(
      `<text x="${fixed(x(size))}" y="${HEIGHT - BOTTOM + 18}" ${TEXT} text-anchor="middle">${size.toLocaleString("en")}</text>`,
    );
  for (const [n, each] of series.entries()) {
    const colour = COLOURS[n % COLOURS.length];
    out.push(`<path d="${path(each.points)}" fill="none" stroke="${colour}" stroke-width="2"/>`);
    for (const [size, cost] of each.points)
      out.push(`<circle cx="${fixed(x(size))}" cy="${fixed(y(cost))}" r="3" fill="${colour}"/>`);
    const at = TOP + n * LEGEND_LINE;
    out.push(
      `<rect x="${WIDTH - RIGHT + 16}" y="${at}" width="12" height="3" fill="${colour}"/>`,
      `<text x="${WIDTH - RIGHT + 34}" y="${at + 6}" ${TEXT}>${escaped(each.name)}</text>`,
    );
  }
  return `${out.join("\n")}\n</svg>\n`;
}

const fixed = (value: number) => value.toFixed(1);

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
