/** A folder of the user's own as a tar stream. */
import { createReadStream } from 'node:fs';
import { lstat, readdir, readlink } from 'node:fs/promises';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Pack } from 'tar-stream';
import { tarPack } from '../runner/files.ts';

/** Links are packed as links; sockets, pipes and devices are left out. A file that changes its size meanwhile fails the stream. */
export function packFolder(folder: string): Readable {
  const archive = tarPack();
  addEntries(archive, folder, '')
    .then(() => archive.finalize())
    .catch((error) => archive.destroy(error));
  return archive as unknown as Readable;
}

async function addEntries(archive: Pack, folder: string, prefix: string): Promise<void> {
  for (const name of (await readdir(folder)).sort()) {
    const file = path.join(folder, name);
    const stat = await lstat(file);
    const header = { name: prefix + name, mode: stat.mode & 0o777, mtime: stat.mtime };
    if (stat.isSymbolicLink()) archive.entry({ ...header, type: 'symlink', linkname: await readlink(file) });
    else if (stat.isDirectory()) {
      archive.entry({ ...header, name: `${header.name}/`, type: 'directory' });
      await addEntries(archive, file, `${header.name}/`);
    } else if (stat.isFile()) await pipeline(createReadStream(file), archive.entry({ ...header, size: stat.size }));
  }
}
