/** A pack as git keeps it: files of one name, of which the index makes it visible. */
import { link } from 'node:fs/promises';
import path from 'node:path';

/** Gives the pack a second name in another directory of the same disk, if it is in the first and not in the second. */
export async function linkPack(from: string, to: string, name: string): Promise<void> {
  for (const ending of ['pack', 'rev', 'idx']) {
    const file = `pack-${name}.${ending}`;
    await link(path.join(from, file), path.join(to, file)).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT' && error.code !== 'EEXIST') throw error;
    });
  }
}
