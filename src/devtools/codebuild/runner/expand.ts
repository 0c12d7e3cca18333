import { BuildFailure } from './outcome.ts';
import type { BuildShell } from './shell.ts';

/**
 * Texts of a buildspec that the shell expands (artifact names, base directories, cache keys): variables and `$( )`, with the quotes outside
 * of those taken as they are, which is what an unquoted here-document does.
 */
export async function expand(shell: BuildShell, text: string): Promise<string> {
  if (!/[$`]/.test(text)) return text;
  const end = 'CODEBUILD_END_OF_TEXT';
  const value = await shell.capture(`cat <<${end}\n${text.replaceAll('\\', '\\\\')}\n${end}`);
  if (value === undefined) throw new BuildFailure('CLIENT_ERROR', `cannot expand '${text}'`);
  return value.replace(/\n$/, '');
}
