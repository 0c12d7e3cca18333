/** Which names a reference may have: the rules of `git check-ref-format`, and those of a store with other people in it. */

/** Bytes; longer names do not fit file names and index pages of clients and of the database. */
const MAX_NAME = 1000;
/** Characters of a branch's short name, as in CodeCommit's model. */
const MAX_BRANCH_NAME = 256;
/** Control characters, space, and the characters that revisions and refspecs use. */
const forbidden = /[\x00-\x20\x7f~^:?*[\\]/;

/** Every rule of check-ref-format(1) on a full name such as `refs/heads/main`. */
export function isWellFormed(name: string): boolean {
  if (Buffer.byteLength(name) > MAX_NAME || name.includes('\ufffd')) return false;
  if (forbidden.test(name) || name.includes('..') || name.includes('@{') || name.endsWith('.')) return false;
  const parts = name.split('/');
  return parts.length >= 2 && parts.every((part) => part !== '' && !part.startsWith('.') && !part.endsWith('.lock'));
}

/** May a client make or change this reference? Only under `refs/`, so never HEAD or other files of a git directory. */
export function isPushable(name: string): boolean {
  const { type, shortName } = describeRef(name);
  if (type === 'branch' && [...shortName].length > MAX_BRANCH_NAME) return false;
  return name.startsWith('refs/') && name.split('/').length >= 3 && isWellFormed(name);
}

export function branchRef(branch: string): string {
  return `refs/heads/${branch}`;
}

/** `branch` and its short name for refs/heads/…, `tag` for refs/tags/…; anything else has neither. */
export function describeRef(name: string): { type: 'branch' | 'tag' | 'other'; shortName: string } {
  if (name.startsWith('refs/heads/')) return { type: 'branch', shortName: name.slice('refs/heads/'.length) };
  if (name.startsWith('refs/tags/')) return { type: 'tag', shortName: name.slice('refs/tags/'.length) };
  return { type: 'other', shortName: name.slice('refs/'.length) };
}

/** All proper prefixes at slashes: a reference cannot be beside one of them, as a file cannot be a directory. */
export function parentNames(name: string): string[] {
  const parts = name.split('/');
  return parts.slice(3).map((_, index) => parts.slice(0, index + 3).join('/'));
}
