/** Paths of files and folders as callers write them, and as trees hold them. */
import { fromEntryName, toEntryName } from '../../git/objects.ts';
import { AwsError } from '../../platform/errors.ts';

const MAX_PATH = 4096;
const MAX_DEPTH = 20;

/**
 * The path as trees hold it: without a leading slash or `./`, bytes as latin1; empty for the root. `InvalidPathException` for what git
 * would never check out: empty, `.`, `..` or `.git` components, NUL, too long.
 */
export function toTreePath(path: string): string {
  const relative = path.replace(/^(?:\.?\/)+/, '').replace(/\/$/, '');
  const trimmed = relative === '.' ? '' : relative;
  if (Buffer.byteLength(trimmed) > MAX_PATH || /[\0\n]/.test(trimmed)) throw invalidPath(path);
  if (trimmed !== '' && !trimmed.split('/').every(isComponent)) throw invalidPath(path);
  return toEntryName(trimmed);
}

/** As `toTreePath`, but never the root. */
export function toFilePath(path: string): string {
  const inTree = toTreePath(path);
  if (inTree === '' || path.endsWith('/')) throw invalidPath(path);
  return inTree;
}

/** As `toFilePath`, for a file that the API shall make: it may lie in at most 20 folders, one in another. Git may push deeper ones. */
export function toNewFilePath(path: string): string {
  const inTree = toFilePath(path);
  if (inTree.split('/').length - 1 > MAX_DEPTH) throw invalidPath(path);
  return inTree;
}

export function fromTreePath(path: string): string {
  return fromEntryName(path);
}

function invalidPath(path: string): AwsError {
  return new AwsError('InvalidPathException', `The specified path is not valid: ${JSON.stringify(path.slice(0, 200))}.`);
}

/** Also names that file systems of clients take for `.git` (case, trailing dots, NTFS short names): git refuses to check them out. */
function isComponent(name: string): boolean {
  return (
    name !== '' &&
    name !== '.' &&
    name !== '..' &&
    !/^(?:\.git|git~1)[ .]*$/i.test(name.replace(/[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]/g, ''))
  );
}
