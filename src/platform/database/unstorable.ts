/** PostgreSQL holds neither a NUL nor half of a surrogate pair. Nothing of ours makes such texts, so it is always a caller who sent one. */

/** In a text, and in JSON: character_not_in_repertoire, untranslatable_character. */
const CODES = new Set(['22021', '22P05']);
/** invalid_text_representation: only for its detail is it known what was wrong. */
const INVALID_TEXT = '22P02';

export function isUnstorable(error: unknown): boolean {
  const { code, detail } = (error ?? {}) as { code?: string; detail?: string };
  return CODES.has(code ?? '') || (code === INVALID_TEXT && /surrogate/.test(detail ?? ''));
}

/** The text as PostgreSQL can hold it, for what users' programs and files say. */
export function storable(text: string): string {
  return text.toWellFormed().replaceAll('\0', '\ufffd');
}
