/** Tags as the API has them, and as rows and policies do. */
import { invalid } from './rules.ts';

/** Throws InvalidInputException for what the model lets through: a key that is missing, AWS's own, or given twice. */
export function tagMap(tags: { key?: string; value?: string }[] | undefined): Record<string, string> {
  const map = new Map<string, string>();
  for (const { key, value = '' } of tags ?? []) {
    if (!key) throw invalid('Invalid tags: key is a required field');
    if (/^aws:/i.test(key)) throw invalid(`Invalid tags: the key ${key} begins with aws:, which is reserved`);
    if (map.has(key)) throw invalid(`Invalid tags: duplicate key ${key}`);
    map.set(key, value);
  }
  return Object.fromEntries(map);
}
