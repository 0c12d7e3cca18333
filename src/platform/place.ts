/** Which data directory this is, among those of all hosts: host names repeat and change, and one host may have several. */
import { randomUUID } from 'node:crypto';
import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const places = new Map<string, string>();

/** An id that the directory has from its first use on. */
export function placeOf(dataDir: string): string {
  const known = places.get(dataDir) ?? readOrMake(path.join(dataDir, 'place.id'));
  places.set(dataDir, known);
  return known;
}

function readOrMake(file: string): string {
  mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
  // Two first starts at once must agree: link never replaces.
  const mine = `${file}.${process.pid}`;
  writeFileSync(mine, randomUUID(), { flush: true });
  try {
    linkSync(mine, file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    rmSync(mine);
  }
  return readFileSync(file, 'utf8');
}
