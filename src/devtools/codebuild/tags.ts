/** Tags as the API has them, and as rows and policies do. */
export function tagMap(tags: { key?: string; value?: string }[] | undefined): Record<string, string> {
  return Object.fromEntries((tags ?? []).map(({ key = '', value = '' }) => [key, value]));
}
