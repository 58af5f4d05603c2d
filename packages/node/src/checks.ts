// Whether what another member sent is what a schema says. Compiled when it is first asked: looking at a report
// schema by schema takes milliseconds, and each answer about the cluster looks at one of every member.
import type { Static, TSchema } from "typebox";
import { Compile, type Validator } from "typebox/compile";

export function checkOf<Schema extends TSchema>(schema: Schema): (value: unknown) => value is Static<Schema> {
  let compiled: Validator | undefined;
  return (value): value is Static<Schema> => {
    compiled ??= Compile(schema) as unknown as Validator;
    return compiled.Check(value);
  };
}
