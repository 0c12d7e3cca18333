/** Git's objects as bytes: trees, commits and tags read and written, and the id that any of them has. */
import { createHash } from 'node:crypto';

export type ObjectType = 'blob' | 'tree' | 'commit' | 'tag';
export const ZERO_ID = '0'.repeat(40);
/** The tree without entries, which every git knows without storing it. */
export const EMPTY_TREE = '4b825dc642cb6eb9a060e54bf8d69288fbee4904';

export const modes = { file: '100644', executable: '100755', symlink: '120000', tree: '40000', submodule: '160000' } as const;

export interface TreeEntry {
  /** As in the tree: `100644`, `40000`, … */
  mode: string;
  /** Bytes as latin1, so that names that are not UTF-8 survive; see `entryName`. */
  name: string;
  id: string;
}

export interface Person {
  name: string;
  email: string;
  /** Git's raw form: seconds since 1970 and zone, `1484167798 -0800`. */
  date: string;
}

export interface Commit {
  tree: string;
  parents: string[];
  author: Person;
  committer: Person;
  message: string;
  /** Headers that are neither of these, e.g. gpgsig, as they stand. */
  additionalData: string;
}

export function isObjectId(text: string): boolean {
  return /^[0-9a-f]{40}$/.test(text);
}

export function objectId(type: ObjectType, data: Uint8Array): string {
  return createHash('sha1').update(`${type} ${data.length}\0`).update(data).digest('hex');
}

export function isTree(entry: TreeEntry): boolean {
  return entry.mode === modes.tree || entry.mode === '040000';
}

export function isSubmodule(entry: TreeEntry): boolean {
  return entry.mode === modes.submodule;
}

/** A path as trees hold it, from a path as people write it. */
export function toEntryName(text: string): string {
  return Buffer.from(text).toString('latin1');
}

/** A name for people: UTF-8, with the replacement character where bytes are not. */
export function fromEntryName(name: string): string {
  return Buffer.from(name, 'latin1').toString();
}

export function parseTree(data: Buffer): TreeEntry[] {
  const entries: TreeEntry[] = [];
  for (let at = 0; at < data.length; ) {
    const space = data.indexOf(0x20, at);
    const nul = data.indexOf(0, space);
    if (space < 0 || nul < 0 || nul + 21 > data.length) throw new Error('A tree object is damaged.');
    entries.push({
      mode: data.toString('latin1', at, space),
      name: data.toString('latin1', space + 1, nul),
      id: data.toString('hex', nul + 1, nul + 21),
    });
    at = nul + 21;
  }
  return entries;
}

/** Git's order: by bytes, a tree as if its name ended in a slash. latin1 strings compare by their bytes. */
export function compareEntries(a: TreeEntry, b: TreeEntry): number {
  const left = isTree(a) ? `${a.name}/` : a.name;
  const right = isTree(b) ? `${b.name}/` : b.name;
  return left < right ? -1 : left > right ? 1 : 0;
}

export function formatTree(entries: TreeEntry[]): Buffer {
  const parts = [...entries]
    .sort(compareEntries)
    .flatMap(({ mode, name, id }) => [Buffer.from(`${mode} ${name}\0`, 'latin1'), Buffer.from(id, 'hex')]);
  return Buffer.concat(parts);
}

export function parseCommit(data: Buffer): Commit {
  const { headers, message } = parseHeaders(data);
  const one = (key: string) => headers.find(([name]) => name === key)?.[1] ?? '';
  const known = new Set(['tree', 'parent', 'author', 'committer']);
  return {
    tree: one('tree'),
    parents: headers.filter(([name]) => name === 'parent').map(([, value]) => value),
    author: parsePerson(one('author')),
    committer: parsePerson(one('committer')),
    message,
    additionalData: headers
      .filter(([name]) => !known.has(name))
      .map(([name, value]) => `${name} ${value}`)
      .join('\n'),
  };
}

export function formatCommit(commit: Omit<Commit, 'additionalData'>): Buffer {
  const lines = [
    `tree ${commit.tree}`,
    ...commit.parents.map((parent) => `parent ${parent}`),
    `author ${formatPerson(commit.author)}`,
    `committer ${formatPerson(commit.committer)}`,
  ];
  return Buffer.from(`${lines.join('\n')}\n\n${commit.message}`);
}

/** What an annotated tag points at. */
export function parseTag(data: Buffer): { object: string; type: ObjectType } {
  const { headers } = parseHeaders(data);
  const one = (key: string) => headers.find(([name]) => name === key)?.[1] ?? '';
  return { object: one('object'), type: one('type') as ObjectType };
}

/** Names and addresses with the characters that would end their field taken out, as git itself does. */
export function formatPerson(person: Person): string {
  const clean = (text: string) => text.replace(/[\0\n<>]/g, '').trim();
  return `${clean(person.name)} <${clean(person.email)}> ${person.date}`;
}

/** Git's raw date of a moment, always in UTC. */
export function rawDate(time: Date): string {
  return `${Math.floor(time.getTime() / 1000)} +0000`;
}

function parsePerson(text: string): Person {
  const match = /^(.*?) ?<([^>]*)>(?: (.*))?$/s.exec(text);
  return match ? { name: match[1] ?? '', email: match[2] ?? '', date: match[3] ?? '' } : { name: text, email: '', date: '' };
}

/** Header lines until the first empty one; a line that starts with a space goes on with the one before. */
function parseHeaders(data: Buffer): { headers: [name: string, value: string][]; message: string } {
  const end = data.indexOf('\n\n');
  const head = (end < 0 ? data : data.subarray(0, end)).toString();
  const headers: [string, string][] = [];
  for (const line of head.split('\n')) {
    const last = headers.at(-1);
    if (line.startsWith(' ') && last) last[1] += `\n${line}`;
    else if (line !== '') {
      const space = line.indexOf(' ');
      headers.push(space < 0 ? [line, ''] : [line.slice(0, space), line.slice(space + 1)]);
    }
  }
  return { headers, message: end < 0 ? '' : data.subarray(end + 2).toString() };
}
