/** Serves clones and fetches by git's own upload-pack, on a view that never changes while it runs. */
import { once } from 'node:events';
import type { Readable, Writable } from 'node:stream';
import type { View } from './cache.ts';
import type { CloneCache } from './clone-cache.ts';
import { listRefs } from './list-refs.ts';
import { FLUSH, packet } from './pkt-line.ts';
import type { GitPlace } from './program.ts';
import { exitOf, feed, runGit, spawnGit } from './program.ts';
import { parseClone, textLines } from './upload-request.ts';

/** Bytes, unpacked, of one fetch request: wants and haves; a clone of a repository with 100,000 references needs 5 MB. */
const MAX_REQUEST = 64 * 1024 * 1024;
/** Bytes of a request that may be a clone's: its wants. */
const MAX_CLONE_REQUEST = 1024 * 1024;
/** The one protocol header value that git understands, and nothing else reaches its environment. */
const protocolPattern = /^version=[012]$/;

export class RequestTooLargeError extends Error {
  override readonly name = 'RequestTooLargeError';
}

/** What `Git-Protocol` may say to git. */
export function protocolVersion(header: string | undefined): 0 | 1 | 2 {
  const known = header?.split(':').filter((part) => protocolPattern.test(part)) ?? [];
  return Math.max(0, ...known.map((part) => Number(part.slice(-1)))) as 0 | 1 | 2;
}

function environment(version: 0 | 1 | 2): Record<string, string> {
  return version > 0 ? { GIT_PROTOCOL: `version=${version}` } : {};
}

/** Protocol 2 starts with what this git can, the same for every repository: asked once. */
let capabilities: Promise<Buffer> | undefined;

/** The answer to `info/refs?service=git-upload-pack`. */
export async function uploadAdvertisement(view: View, version: 0 | 1 | 2): Promise<Buffer> {
  const head = Buffer.concat([packet('# service=git-upload-pack\n'), FLUSH]);
  if (version !== 2) return Buffer.concat([head, await advertise(view, version)]);
  capabilities ??= advertise(view, 2).catch((error) => {
    capabilities = undefined;
    throw error;
  });
  return Buffer.concat([head, await capabilities]);
}

async function advertise(place: GitPlace, version: 0 | 1 | 2): Promise<Buffer> {
  const result = await runGit(['upload-pack', '--strict', '--stateless-rpc', '--http-backend-info-refs', place.gitDir], {
    place,
    env: environment(version),
  });
  if (result.code !== 0) throw new Error(`git upload-pack failed: ${result.stderr.trim()}`);
  return result.stdout;
}

/**
 * One request of a fetch, streamed both ways. Ends `output` when git has said all; rejects when the client goes away (and kills git), when
 * the request is larger than any real one, or when git could say nothing at all. Clones are answered from `clones`, if given.
 */
export async function uploadPack(
  view: View,
  version: 0 | 1 | 2,
  input: Readable,
  output: Writable,
  signal: AbortSignal,
  clones?: CloneCache,
): Promise<void> {
  const head = clones && version === 2 ? await readHead(input) : Buffer.alloc(0);
  if (!(await answerOurselves(view, input.readableEnded ? head : Buffer.alloc(0), output, signal, clones))) {
    await letGitAnswer(view, version, head, input, output, signal);
  }
  output.end();
  if (!output.writableFinished) await once(output, 'finish').catch(() => {});
}

/** What can be answered without starting git is: false when it cannot, and nothing was sent. */
async function answerOurselves(
  view: View,
  request: Buffer,
  output: Writable,
  signal: AbortSignal,
  clones: CloneCache | undefined,
): Promise<boolean> {
  const lines = request.length > 0 ? textLines(request) : undefined;
  if (!clones || !lines) return false;
  const references = await listRefs(view, lines);
  if (references) output.write(references);
  const clone = references ? undefined : parseClone(request, lines);
  return references !== undefined || (clone !== undefined && (await clones.serve(view, clone, output, signal)));
}

/** The request, or as much of it as tells that it is more than a clone's. */
async function readHead(input: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of input.iterator({ destroyOnReturn: false })) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > MAX_CLONE_REQUEST) break;
  }
  return Buffer.concat(chunks);
}

async function letGitAnswer(
  view: View,
  version: 0 | 1 | 2,
  head: Buffer,
  input: Readable,
  output: Writable,
  signal: AbortSignal,
): Promise<void> {
  const child = spawnGit(['upload-pack', '--strict', '--stateless-rpc', view.gitDir], { place: view, env: environment(version), signal });
  const exit = exitOf(child);
  let stderr = '';
  child.stderr!.on('data', (chunk: Buffer) => {
    stderr = (stderr + chunk.toString()).slice(-2000);
  });
  let received = head.length;
  input.on('data', (chunk: Buffer) => {
    received += chunk.length;
    if (received > MAX_REQUEST) child.kill('SIGKILL');
  });
  child.stdin!.write(head);
  if (input.readableEnded) child.stdin!.end();
  else feed(child, input);
  let answered = false;
  child.stdout!.once('data', () => {
    answered = true;
  });
  child.stdout!.pipe(output, { end: false });
  const { code } = await exit;
  if (received > MAX_REQUEST) throw new RequestTooLargeError(`The request is larger than ${MAX_REQUEST} bytes.`);
  signal.throwIfAborted();
  // After the first byte git tells errors to the client itself, in the protocol.
  if (code !== 0 && !answered && stderr !== '') throw new Error(`git upload-pack failed: ${stderr.trim()}`);
}
