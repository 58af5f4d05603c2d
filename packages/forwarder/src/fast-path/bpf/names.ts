// Stable names of totals, from the names in abi.h.

/** "INIT_ACK" → "initAck". */
export function puntName(constant: string): string {
  return constant.toLowerCase().replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
}

/** "WRONG_TAG" → "wrong-tag". */
export function dropName(constant: string): string {
  return constant.toLowerCase().replaceAll("_", "-");
}

/** "ANSWER_ECHO" → "answer.echo". */
export function eventName(constant: string): string {
  return constant.toLowerCase().replace("_", ".").replaceAll("_", "-");
}
