/** A clone or fetch as one conversation, as over SSH: git's own upload-pack on a view that never changes while it runs. */
import type { Readable, Writable } from 'node:stream';
import type { View } from './cache.ts';
import { exitOf, feed, spawnGit } from './program.ts';

/**
 * Resolves with git's exit status (null when a signal ended it) once all that it said is written to `output`, which stays open. `errors` gets
 * what it tells people. Aborting `signal` ends git and whatever it started.
 */
export async function uploadSession(
  view: View,
  version: 0 | 1 | 2,
  streams: { input: Readable; output: Writable; errors: Writable; signal: AbortSignal },
): Promise<number | null> {
  const env: Record<string, string> = version > 0 ? { GIT_PROTOCOL: `version=${version}` } : {};
  const child = spawnGit(['upload-pack', '--strict', view.gitDir], { place: view, env, signal: streams.signal, group: true });
  const exit = exitOf(child);
  feed(child, streams.input);
  child.stdout!.pipe(streams.output, { end: false });
  child.stderr!.pipe(streams.errors, { end: false });
  // Nobody takes the rest then, and a process has not ended before its last words are read.
  const drop = () => [child.stdout!, child.stderr!].map((stream) => stream.unpipe().resume());
  streams.signal.addEventListener('abort', drop, { once: true });
  const { code } = await exit;
  streams.signal.removeEventListener('abort', drop);
  return code;
}
