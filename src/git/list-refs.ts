/** Answers `ls-refs` (gitprotocol-v2) for views of ordinary size: every clone, fetch and ls-remote asks it first, and starting git takes longer. */
import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import type { View } from './cache.ts';
import { FLUSH, packet } from './pkt-line.ts';

/** Beyond this git reads the references: it does so beside the event loop. */
const MAX_REFERENCES_BYTES = 256 * 1024;
const known = /^(command=ls-refs|agent=.*|session-id=.*|object-format=sha1|peel|symrefs|unborn|ref-prefix .*)$/;

interface Reference {
  name: string;
  id: string;
  peeled: string | undefined;
}

/** Undefined when git must answer. `lines`: the request's. */
export async function listRefs(view: View, lines: string[]): Promise<Buffer | undefined> {
  if (lines[0] !== 'command=ls-refs' || !lines.every((line) => known.test(line))) return undefined;
  const file = path.join(view.gitDir, 'packed-refs');
  if ((await stat(file)).size > MAX_REFERENCES_BYTES) return undefined;
  const [packed, head] = await Promise.all([readFile(file, 'utf8'), readFile(path.join(view.gitDir, 'HEAD'), 'utf8')]);
  const prefixes = lines.filter((line) => line.startsWith('ref-prefix ')).map((line) => line.slice('ref-prefix '.length));
  const wanted = (name: string) => prefixes.length === 0 || prefixes.some((prefix) => name.startsWith(prefix));
  const references = parse(packed);
  const answer: string[] = [];
  if (wanted('HEAD')) answer.push(...headLine(references, head.trim().replace(/^ref: /, ''), lines));
  for (const { name, id, peeled } of references) {
    if (wanted(name)) answer.push(`${id} ${name}${peeled !== undefined && lines.includes('peel') ? ` peeled:${peeled}` : ''}\n`);
  }
  return Buffer.concat([...answer.map((line) => packet(line)), FLUSH]);
}

function headLine(references: Reference[], target: string, lines: string[]): string[] {
  const symref = lines.includes('symrefs') ? ` symref-target:${target}` : '';
  const id = references.find(({ name }) => name === target)?.id;
  if (id !== undefined) return [`${id} HEAD${symref}\n`];
  return symref !== '' && lines.includes('unborn') ? [`unborn HEAD${symref}\n`] : [];
}

function parse(packed: string): Reference[] {
  const references: Reference[] = [];
  for (const line of packed.split('\n')) {
    if (line.startsWith('^')) references.at(-1)!.peeled = line.slice(1);
    else if (line !== '' && !line.startsWith('#')) references.push({ id: line.slice(0, 40), name: line.slice(41), peeled: undefined });
  }
  return references;
}
