// Go's JSON decoder ignores the case of keys, and the clients rely on it (`BGP`, `Monitor`,
// `SetNextHopSelf`).
import { SchemaViolation } from "./reply.ts";

export type Folded = { readonly [key: string]: unknown };

const DEPTH_MAX = 16;

/** The same value with every key in lower case; of two that differ by case the last wins, as in Go. */
export function foldKeys(value: unknown, depth = 0): unknown {
  if (depth > DEPTH_MAX) throw new SchemaViolation(601, "body is nested too deeply");
  if (Array.isArray(value)) return value.map((item) => foldKeys(item, depth + 1));
  if (typeof value !== "object" || value === null) return value;
  const folded: Record<string, unknown> = Object.create(null);
  for (const [key, inner] of Object.entries(value)) folded[key.toLowerCase()] = foldKeys(inner, depth + 1);
  return folded;
}

export function objectOf(value: unknown, name: string): Folded {
  if (value === undefined || value === null) throw new SchemaViolation(602, `${name} in body is required`);
  if (typeof value !== "object" || Array.isArray(value))
    throw new SchemaViolation(601, `${name} in body must be of type object`);
  return value as Folded;
}

/** A list; null and absence are the empty one. */
export function listOf(value: unknown, name: string): readonly unknown[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw new SchemaViolation(601, `${name} in body must be of type array`);
  return value;
}

export function textOf(source: Folded, key: string): string {
  const value = source[key.toLowerCase()];
  if (value === undefined || value === null) return "";
  if (typeof value !== "string") throw new SchemaViolation(601, `${key} in body must be of type string`);
  return value;
}

export function numberOf(source: Folded, key: string): number {
  const value = source[key.toLowerCase()];
  if (value === undefined || value === null) return 0;
  if (typeof value !== "number" || !Number.isInteger(value))
    throw new SchemaViolation(601, `${key} in body must be of type integer`);
  return value;
}

export function flagOf(source: Folded, key: string): boolean {
  const value = source[key.toLowerCase()];
  if (value === undefined || value === null) return false;
  if (typeof value !== "boolean") throw new SchemaViolation(601, `${key} in body must be of type boolean`);
  return value;
}

/** The client said something, be it zero. */
export function hasKey(source: Folded, key: string): boolean {
  const value = source[key.toLowerCase()];
  return value !== undefined && value !== null;
}
