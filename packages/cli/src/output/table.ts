// Tables for people: columns as wide as their widest cell, two spaces between, no lines drawn.

export interface Column<T> {
  readonly title: string;
  readonly cell: (row: T) => string | number | undefined;
  /** Only with -o wide. */
  readonly wide?: boolean;
  readonly right?: boolean;
}

export type OutputFormat = "table" | "wide" | "json";
export const OUTPUT_FORMATS: readonly OutputFormat[] = ["table", "wide", "json"];

// Control characters of a name could rewrite the operator's screen.
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is removed
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/g;

export function renderTable<T>(
  rows: readonly T[],
  columns: readonly Column<T>[],
  format: OutputFormat,
): string {
  const shown = columns.filter((column) => column.wide !== true || format === "wide");
  const cells = rows.map((row) =>
    shown.map((column) => String(column.cell(row) ?? "-").replace(CONTROL, "?") || "-"),
  );
  const widths = shown.map((column, index) =>
    Math.max(column.title.length, ...cells.map((row) => row[index]?.length ?? 0)),
  );
  const line = (texts: readonly string[]) =>
    texts
      .map((text, index) => {
        const width = widths[index] ?? 0;
        return shown[index]?.right === true ? text.padStart(width) : text.padEnd(width);
      })
      .join("  ")
      .trimEnd();
  return [line(shown.map((column) => column.title)), ...cells.map(line)].join("\n");
}

/** `3s`, `12m`, `5h`, `7d` between two times. */
export function ageText(from: string, nowMs: number): string {
  const seconds = Math.max(0, Math.floor((nowMs - Date.parse(from)) / 1000));
  if (seconds < 120) return `${seconds}s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3600)}h`;
  return `${Math.floor(seconds / 86_400)}d`;
}

/** `1.2 KiB`, `34 MiB`. */
export function bytesText(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}
