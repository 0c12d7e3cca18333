import { RE2JS } from 're2js';
import type { OnFailure } from './buildspec.ts';
import { BuildspecError } from './yaml-tree.ts';

const DEFAULT_RETRIES = 3;
const MAX_RETRIES = 100;

/** `ABORT`, `CONTINUE`, `RETRY`, `RETRY-<count>`, `RETRY-<regex>`, `RETRY-<count>-<regex>` (CodeBuild user guide, buildspec reference). */
export function parseOnFailure(text: string, line: number): OnFailure {
  const upper = text.toUpperCase();
  if (upper === 'ABORT') return { action: 'ABORT' };
  if (upper === 'CONTINUE') return { action: 'CONTINUE' };
  const match = /^RETRY(?:-(?<rest>.*))?$/is.exec(text);
  if (!match) {
    throw new BuildspecError(
      `invalid on-failure value '${text}' at line ${line}. Expecting: ABORT,CONTINUE,RETRY,RETRY-count,RETRY-regex,RETRY-count-regex`,
    );
  }
  const { count, pattern } = splitRetry(match.groups?.rest ?? '');
  if (count > MAX_RETRIES)
    throw new BuildspecError(`invalid on-failure value '${text}' at line ${line}. The retry count must be between 0 and ${MAX_RETRIES}`);
  checkPattern(text, pattern, line);
  return { action: 'RETRY', count, pattern };
}

function splitRetry(rest: string): { count: number; pattern: string } {
  const numbered = /^(\d+)(?:-(.*))?$/s.exec(rest);
  if (numbered) return { count: Number(numbered[1]), pattern: numbered[2] || '.*' };
  return { count: DEFAULT_RETRIES, pattern: rest || '.*' };
}

/** The pattern is the user's, and later meets the message of a failure: only what can be searched in linear time will do. */
function checkPattern(text: string, pattern: string, line: number): void {
  try {
    RE2JS.compile(pattern);
  } catch (error) {
    throw new BuildspecError(`invalid on-failure value '${text}' at line ${line}: ${(error as Error).message}`);
  }
}
