// Numbers and times as people read them.

const SI = ["", "k", "M", "G"];

/** 1234 → 1,234; 12345 → 12.3k. */
export function short(value: number): string {
  if (Math.abs(value) < 10_000)
    return Number.isInteger(value) ? value.toLocaleString("en") : value.toFixed(1);
  let scaled = value;
  let unit = 0;
  while (Math.abs(scaled) >= 1000 && unit < SI.length - 1) {
    scaled /= 1000;
    unit++;
  }
  return `${scaled.toFixed(scaled < 100 ? 1 : 0)}${SI[unit]}`;
}

/** 95_000 → 1 min 35 s. */
export function duration(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${seconds % 60} s`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

export function milliseconds(ms: number): string {
  return ms < 10 ? `${ms.toFixed(1)} ms` : `${Math.round(ms).toLocaleString("en")} ms`;
}

export function bytes(count: number): string {
  return count === 0 ? "0" : count < 1024 ? `${count} B` : `${short(Math.round(count / 102.4) / 10)} KiB`;
}

export function percent(share: number): string {
  return share === 0 ? "0 %" : share < 0.001 ? "< 0.1 %" : `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %`;
}

/** `undefined`: of a member whose version knew one protocol only. */
export function protocolWords(protocol: string | undefined): string {
  return (protocol ?? "sctp").toUpperCase();
}

/** Of an RFC 3339 time in UTC, in the reader's own zone. */
export function clock(at: string, withMs = false): string {
  const date = new Date(at);
  const two = (n: number) => String(n).padStart(2, "0");
  const text = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  return withMs ? `${text}.${String(date.getMilliseconds()).padStart(3, "0")}` : text;
}

export function day(at: string): string {
  const date = new Date(at);
  const two = (n: number) => String(n).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${clock(at)}`;
}
