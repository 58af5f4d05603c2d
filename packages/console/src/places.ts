// Addresses within the page.

/** Of the sessions that match: names are those of the API's query. */
export function sessionsAt(query: Readonly<Record<string, string>>): string {
  const text = new URLSearchParams(query).toString();
  return text === "" ? "#/sessions" : `#/sessions?${text}`;
}

export function isSearch(at: string): boolean {
  return /^#\/sessions(\?|$)/.test(at);
}
