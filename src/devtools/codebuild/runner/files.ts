/** Small files in and out of a machine as tar streams. */
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { extract, type Pack, pack } from 'tar-stream';

/** A tar to be filled. Whoever reads it learns of an error; when nobody reads (any more) it must not end the process. */
export function tarPack(): Pack {
  const tar = pack();
  tar.on('error', () => {});
  return tar;
}

/** Files by relative name; directories are made open to every user of the machine, since commands may run as several. */
export function packFiles(files: Record<string, string | Buffer>, directories: string[] = []): Readable {
  const tar = tarPack();
  for (const name of directories) tar.entry({ name, type: 'directory', mode: 0o777 });
  for (const [name, content] of Object.entries(files)) tar.entry({ name, mode: 0o755 }, content);
  tar.finalize();
  // A streamx stream: not Node's class, but piped and iterated the same way.
  return tar as unknown as Readable;
}

/** One file's text out of a tar stream; undefined when it is not there. */
export async function readTarFile(tar: Readable, name: string): Promise<string | undefined> {
  const reader = extract();
  let text: string | undefined;
  reader.on('entry', (header, stream, next) => {
    const wanted = header.type === 'file' && header.name.replace(/^\.\//, '').split('/').pop() === name;
    const chunks: Buffer[] = [];
    stream.on('data', (chunk) => wanted && chunks.push(chunk as Buffer));
    stream.on('end', () => {
      if (wanted) text = Buffer.concat(chunks).toString('utf8');
      next();
    });
    stream.on('error', next);
    stream.resume();
  });
  await pipeline(tar, reader);
  return text;
}
