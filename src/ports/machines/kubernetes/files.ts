import { PassThrough, Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { sift } from '../sift.ts';
import { Channel, runInside } from './channel.ts';
import type { Cluster } from './cluster.ts';

/** Kept of what tar complains about. */
const MOST_SAID = 4096;

const unpackScript = 'mkdir -p -- "$1" && cd -- "$1" && exec tar -xpf -';
const packScript = `if [ -d "$1" ]; then cd -- "$1" && exec tar -cf - .; fi
[ -e "$1" ] || { echo "there is no $1 in the machine" >&2; exit 1; }
case $1 in */*) cd -- "\${1%/*}/" || exit 1 ;; esac
exec tar -chf - -- "\${1##*/}"`;
const linksScript = '[ -d "$1" ] || exit 0; cd -- "$1" && exec find . -type l -print0';

/**
 * See {@link import('../port.ts').Machine.put}. There is no way into a pod's files but its own programs, so the image must have tar. Symbolic links that
 * are there already are looked for first: nothing is written through them.
 */
export async function putArchive(cluster: Cluster, pod: string, path: string, archive: Readable): Promise<void> {
  const found = await runInside(cluster, pod, ['/bin/sh', '-c', linksScript, 'sh', path]);
  const links = new Set(
    found
      ?.toString()
      .split('\0')
      .map((name) => name.replace(/^\.\//, '')),
  );
  const onDirectory = async (names: string[]): Promise<void> => {
    const name = names.join('/');
    if (links.has(name)) throw new Error(`the archive's ${JSON.stringify(name)} is not a directory that can be written to`);
  };
  const channel = await Channel.open(cluster, pod, ['/bin/sh', '-c', unpackScript, 'sh', path], true);
  try {
    if (!channel.canEndInput)
      throw new Error('this cluster cannot tell a command that its input has ended: Kubernetes 1.30 or newer is needed');
    const reading = saidBy(channel);
    await feed(channel, sift(archive, { onDirectory }));
    const said = await reading;
    if (channel.exitStatus !== 0) throw new Error(`the files could not be unpacked in ${path}: ${said}`);
  } finally {
    channel.destroy();
  }
}

/** All of `input`, then its end. */
export async function feed(channel: Channel, input: Readable | Uint8Array): Promise<void> {
  if (input instanceof Uint8Array) await channel.send(input);
  else for await (const chunk of input) await channel.send(typeof chunk === 'string' ? Buffer.from(chunk) : (chunk as Buffer));
  channel.endInput();
}

async function saidBy(channel: Channel): Promise<string> {
  let said = '';
  for await (const { content } of channel) if (said.length < MOST_SAID) said += content.toString();
  return said.trim();
}

/** See {@link import('../port.ts').Machine.get}. */
export async function getArchive(cluster: Cluster, pod: string, path: string): Promise<Readable> {
  const channel = await Channel.open(cluster, pod, ['/bin/sh', '-c', packScript, 'sh', path], false);
  const { promise: begun, resolve, reject } = Promise.withResolvers<void>();
  const output = new PassThrough();
  pipeline(Readable.from(contentOf(channel, resolve)), output).then(
    () => resolve(),
    (error) => {
      reject(error);
      output.destroy(error);
    },
  );
  output.on('close', () => channel.destroy());
  output.on('error', () => undefined);
  await begun;
  return sift(output, { lenient: true });
}

/** What tar writes; `begin` is called when there is some of it. What is said on standard error is the reason of a failure. */
async function* contentOf(channel: Channel, begin: () => void): AsyncGenerator<Buffer> {
  let said = '';
  for await (const { stream, content } of channel) {
    if (stream === 'stderr') {
      if (said.length < MOST_SAID) said += content.toString();
      continue;
    }
    begin();
    yield content;
  }
  if (channel.exitStatus !== 0) throw new Error(said.trim() || 'the files could not be read');
}
