/**
 * Answers to clones, kept as files: builds clone the same commits again and again. Git writes the answer to a clone into a file, which is sent while
 * it grows; whoever asks the same meanwhile or later is sent the same file, and nothing is counted, compressed or even looked at again.
 */
import { createHash, randomBytes } from 'node:crypto';
import { type FSWatcher, watch } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, readFile, rename, rm, stat, statfs, unlink } from 'node:fs/promises';
import { hostname } from 'node:os';
import path from 'node:path';
import type { Writable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import type { View } from './cache.ts';
import { exitOf, isAlive, spawnGit } from './program.ts';
import { mergePackets } from './side-band.ts';
import type { CloneRequest } from './upload-request.ts';

export interface CloneCacheLimits {
  /** bytes of all answers; the one not asked for for longest goes first */
  total: number;
  answers: number;
  /** An answer that nobody asked for for so long is dropped. */
  idleMs: number;
}

const usual: CloneCacheLimits = { total: 4 * 1024 ** 3, answers: 1_000, idleMs: 3_600_000 };
/** Bytes read and sent at once. */
const PIECE = 512 * 1024;
/** Buffers that are kept between answers: fewer than clients at once, more than are needed while one waits for the disk. */
const KEPT_BUFFERS = 16;

/** How long a clone's own work goes on after it has all, mostly. */
const QUIET_MS = 200;

/** Git could not even begin to answer. */
export class UploadFailedError extends Error {
  override readonly name = 'UploadFailedError';
}

export class CloneCache {
  readonly #root: string;
  readonly #directory: string;
  readonly #limits: CloneCacheLimits;
  /** In the order in which they were last asked for. */
  readonly #answers = new Map<string, Answer>();
  #ready: Promise<void> | undefined;
  #sweeping: NodeJS.Timeout | undefined;

  /** `root` is a directory of the clone caches of all processes of this host. */
  constructor(root: string, limits: Partial<CloneCacheLimits> = {}) {
    this.#root = root;
    this.#directory = path.join(root, `${hostname()}.${process.pid}.${randomBytes(6).toString('hex')}`);
    this.#limits = { ...usual, ...limits };
  }

  /**
   * Sends the answer to a clone into `output`, without ending it. False, and nothing sent, when this answer had better not be kept: it could
   * be too large. Rejects when the client goes away (`signal`), or when git could not answer.
   */
  async serve(view: View, request: CloneRequest, output: Writable, signal: AbortSignal): Promise<boolean> {
    const key = createHash('sha256').update(view.objects).update('\0').update(request.essence).digest('hex');
    const answer = await this.#find(key, view, request);
    if (!answer) return false;
    await answer.send(output, signal);
    return true;
  }

  async #find(key: string, view: View, request: CloneRequest): Promise<Answer | undefined> {
    let tags: string | undefined;
    for (;;) {
      const answer = this.#answers.get(key);
      const valid = answer !== undefined && !answer.abandoned && (await isValid(answer, view, request));
      // It may have been dropped, or another begun, while we looked.
      if (this.#answers.get(key) !== answer) continue;
      if (answer && valid) {
        this.#answers.delete(key);
        this.#answers.set(key, answer);
        return answer;
      }
      if (answer) this.#drop(key, answer);
      if (tags !== undefined) return this.#begin(key, view, request, tags);
      if (!(await this.#hasRoomFor(view))) return undefined;
      tags = request.dependsOn === 'tags' ? tagsOf(await readReferences(view)) : '';
    }
  }

  /** Drops the answers of a repository, whose objects are below this directory. */
  forget(directory: string): void {
    for (const [key, answer] of this.#answers) if (answer.objects.startsWith(`${directory}${path.sep}`)) this.#drop(key, answer);
  }

  /** How many answers are kept, and their bytes so far. */
  get size(): { answers: number; bytes: number } {
    return { answers: this.#answers.size, bytes: [...this.#answers.values()].reduce((sum, { bytes }) => sum + bytes, 0) };
  }

  /** Drops everything. */
  async close(): Promise<void> {
    clearInterval(this.#sweeping);
    for (const [key, answer] of this.#answers) this.#drop(key, answer);
    await rm(this.#directory, { recursive: true, force: true });
  }

  #begin(key: string, view: View, request: CloneRequest, tags: string): Answer {
    const file = path.join(this.#directory, `${key}.${randomBytes(6).toString('hex')}`);
    this.#ready ??= this.#prepare();
    const answer = new Answer(file, view, tags);
    this.#answers.set(key, answer);
    this.#ready
      .then(() => answer.produce(view, request.body))
      .then(
        () => this.#sweep(),
        () => this.#drop(key, answer),
      );
    return answer;
  }

  async #prepare(): Promise<void> {
    this.#sweeping = setInterval(() => this.#sweep(), this.#limits.idleMs / 4).unref();
    for (const name of await readdir(this.#root).catch(() => [])) {
      const [host, pid] = name.split(/\.(?=\d+\.[0-9a-f]+$)/);
      const dead = host === hostname() && !isAlive(Number.parseInt(pid ?? '', 10));
      if (dead) await rm(path.join(this.#root, name), { recursive: true, force: true });
    }
  }

  /** An answer is hardly larger than the repository. */
  async #hasRoomFor(view: View): Promise<boolean> {
    const folder = path.join(view.objects, 'pack');
    const packs = (await readdir(folder)).filter((file) => file.endsWith('.pack'));
    const sizes = await Promise.all(packs.map((file) => stat(path.join(folder, file)).then(({ size }) => size)));
    const size = sizes.reduce((sum, each) => sum + each, 0);
    if (size > this.#limits.total / 2) return false;
    const { bavail, bsize } = await statfs(folder);
    return bavail * bsize > 2 * size;
  }

  #sweep(): void {
    const idleSince = Date.now() - this.#limits.idleMs;
    let { answers, bytes } = this.size;
    for (const [key, answer] of this.#answers) {
      const tooMuch = bytes > this.#limits.total || answers > this.#limits.answers;
      if (!tooMuch && answer.lastAsked > idleSince) continue;
      answers--;
      bytes -= answer.bytes;
      this.#drop(key, answer);
    }
  }

  #drop(key: string, answer: Answer): void {
    if (this.#answers.get(key) === answer) this.#answers.delete(key);
    answer.forget();
  }
}

/** In protocol 2 git gives whatever object it has, so the same request has the same answer while what else it depends on is the same. */
async function isValid(answer: Answer, view: View, request: CloneRequest): Promise<boolean> {
  if (answer.generation === view.generation || request.dependsOn === 'nothing') return true;
  return request.dependsOn === 'tags' && tagsOf(await readReferences(view)) === answer.tags;
}

function readReferences(view: View): Promise<string> {
  return readFile(path.join(view.gitDir, 'packed-refs'), 'latin1');
}

/** A digest of all tags and what they point at. */
function tagsOf(references: string): string {
  const digest = createHash('sha256');
  for (const [tag] of references.matchAll(/^[0-9a-f]{40} refs\/tags\/.*\n(?:\^.*\n)?/gm)) digest.update(tag);
  return digest.digest('hex');
}

/** One answer: a file that git writes, and those who are sent it. */
class Answer {
  readonly generation: number;
  readonly objects: string;
  /** As they were, if they matter. */
  readonly tags: string;
  lastAsked = Date.now();
  bytes = 0;
  readonly #file: string;
  #change = Promise.withResolvers<void>();
  readonly #stop = new AbortController();
  #readers = 0;
  #forgotten = false;
  #ended = false;
  #failure: Error | undefined;
  /** What is sent to whoever begins now. */
  #handle: FileHandle | undefined;
  /** What it was before; some may still be sent that. */
  #earlier: FileHandle | undefined;

  constructor(file: string, { generation, objects }: View, tags: string) {
    this.#file = file;
    this.generation = generation;
    this.objects = objects;
    this.tags = tags;
  }

  /** Everybody left before it was whole. */
  get abandoned(): boolean {
    return this.#stop.signal.aborted;
  }

  /** Lets git write the answer. Rejects when it did not end well; who is being sent it is told by `send`. */
  async produce(view: View, body: Buffer): Promise<void> {
    let watcher: FSWatcher | undefined;
    try {
      // Whoever clears the cache while we run takes this folder too.
      await mkdir(path.dirname(this.#file), { recursive: true, mode: 0o700 });
      const handle = await open(this.#file, 'wx+', 0o600);
      this.#handle = handle;
      watcher = watch(this.#file, { persistent: false }, () => this.#changed());
      this.#changed();
      await this.#runGit(view, body, handle.fd);
      this.bytes = (await handle.stat()).size;
      this.#ended = true;
      this.#changed();
      await this.#quiet();
      if (!this.#forgotten) await this.#merge(handle);
    } catch (error) {
      this.#failure = error as Error;
      throw error;
    } finally {
      watcher?.close();
      this.#ended = true;
      this.#changed();
      await this.#closeUnused();
    }
  }

  /** Until those who were first have it, and had the time to unpack it: on a small host they need the processor more than those who come later. */
  async #quiet(): Promise<void> {
    while (this.#readers > 0) await delay(QUIET_MS, undefined, { ref: false });
    await delay(QUIET_MS, undefined, { ref: false });
  }

  /** For those who come later. What was sent before is as good, should it fail. */
  async #merge(handle: FileHandle): Promise<void> {
    const file = `${this.#file}.merged`;
    const merged = await open(file, 'wx+', 0o600);
    try {
      if (!(await mergePackets(handle, merged)) || this.#forgotten) throw new Error('It is of no use.');
      const { size } = await merged.stat();
      await rename(file, this.#file);
      this.#earlier = handle;
      this.#handle = merged;
      this.bytes = size;
      if (this.#forgotten) await unlink(this.#file);
    } catch {
      if (this.#handle !== merged) await merged.close();
      await unlink(file).catch(() => {});
    }
  }

  async #runGit(view: View, body: Buffer, fd: number): Promise<void> {
    const child = spawnGit(['upload-pack', '--strict', '--stateless-rpc', view.gitDir], {
      place: view,
      env: { GIT_PROTOCOL: 'version=2' },
      signal: this.#stop.signal,
      stdout: fd,
    });
    let stderr = '';
    child.stderr!.on('data', (chunk: Buffer) => {
      stderr = (stderr + chunk.toString()).slice(-2000);
    });
    const exit = exitOf(child);
    child.stdin!.end(body);
    const { code } = await exit;
    if (code !== 0) throw new UploadFailedError(`git upload-pack failed: ${stderr.trim()}`);
  }

  async send(output: Writable, signal: AbortSignal): Promise<void> {
    this.#readers++;
    this.lastAsked = Date.now();
    const left = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
    try {
      const sent = await this.#sendAll(output, signal, left);
      signal.throwIfAborted();
      // Once it has begun git tells errors to the client itself, in the protocol.
      if (sent === 0 && this.#failure) throw this.#failure;
    } finally {
      this.#readers--;
      // Nobody waits for it any more; whoever asks next begins anew.
      if (this.#readers === 0 && !this.#ended) this.#stop.abort();
      await this.#closeUnused();
    }
  }

  async #sendAll(output: Writable, signal: AbortSignal, left: Promise<void>): Promise<number> {
    let position = 0;
    let sending: Promise<void> | undefined;
    let handle: FileHandle | undefined;
    for (;;) {
      if (signal.aborted) return position;
      // Looked at before the file is: what comes after the look makes another round.
      const ended = this.#ended;
      const change = this.#change.promise;
      const buffer = buffers.pop() ?? Buffer.allocUnsafeSlow(PIECE);
      handle ??= this.#handle;
      const bytesRead = handle ? (await handle.read(buffer, 0, PIECE, position)).bytesRead : 0;
      await sending;
      sending = undefined;
      if (bytesRead > 0) {
        position += bytesRead;
        sending = write(output, buffer, bytesRead, left);
        continue;
      }
      release(buffer);
      if (ended) return position;
      await Promise.race([change, left]);
    }
  }

  #changed(): void {
    this.#change.resolve();
    this.#change = Promise.withResolvers();
  }

  /** It is not offered any more; who is being sent it is sent it to its end. */
  forget(): void {
    this.#forgotten = true;
    unlink(this.#file).catch(() => {});
    this.#closeUnused().catch(() => {});
  }

  async #closeUnused(): Promise<void> {
    if (!this.#forgotten || !this.#ended || this.#readers > 0) return;
    const handles = [this.#handle, this.#earlier];
    this.#handle = undefined;
    this.#earlier = undefined;
    for (const handle of handles) await handle?.close();
  }
}

const buffers: Buffer[] = [];

function release(buffer: Buffer): void {
  if (buffers.length < KEPT_BUFFERS) buffers.push(buffer);
}

/** Resolves when the bytes are on their way and the buffer can be used again, or when the client has left. */
function write(output: Writable, buffer: Buffer, length: number, left: Promise<void>): Promise<void> {
  const written = new Promise<void>((resolve) => {
    output.write(buffer.subarray(0, length), (error) => {
      if (!error) release(buffer);
      resolve();
    });
  });
  return Promise.race([written, left]);
}
