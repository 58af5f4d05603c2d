import { Type } from "typebox";

/** Strings of an enumeration as one schema with `enum`, which reads better in OpenAPI and in messages. */
export function oneOf<const T extends readonly string[]>(
  values: T,
  options: { description?: string; default?: T[number] } = {},
) {
  return Type.Unsafe<T[number]>({ type: "string", enum: [...values], ...options });
}

/** A number out of a fixed list. */
export function oneOfNumbers(
  values: readonly number[],
  options: { description?: string; default?: number } = {},
) {
  return Type.Unsafe<number>({ type: "integer", enum: [...values], ...options });
}
