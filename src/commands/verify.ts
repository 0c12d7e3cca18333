/** `penstock verify`: is everything that was stored still there, and whole? */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { Command } from 'commander';
import { readSealedContent } from '../cloud/s3/encryption.ts';
import { readRepositoryBlob } from '../devtools/codecommit/repository-keys.ts';
import { repositoriesToVerify, verifyRepository } from '../devtools/codecommit/verify.ts';
import { ConfigError, readConfig } from '../platform/config.ts';
import type { Platform } from '../platform/platform.ts';
import { BlobKeyError, BlobNotFoundError } from '../ports/blobs/port.ts';

/** What was looked at, and how much of it was not as it should be. */
interface Tally {
  repositories: number;
  /** Keys of their blobs. */
  packs: Set<string>;
  references: number;
  blobs: number;
  faults: number;
}

export function verifyCommand(): Command {
  return new Command('verify')
    .description('prove that every reference is connected and every blob decrypts; name what is broken')
    .argument('[repository...]', 'names of repositories; without any, all of them and every other blob')
    .option('--data <dir>', 'the data directory of the server (PENSTOCK_DATA)')
    .addHelpText(
      'after',
      '\nWorks beside a running server and without one. Exit status 1 when anything is broken.\n\nExamples:\n  penstock verify\n  penstock verify my-repository',
    )
    .action((names: string[], { data }: { data?: string }) => verify(names, data));
}

async function verify(names: string[], data: string | undefined): Promise<void> {
  // A process of its own beside the server, if one runs: they share the database, and neither disturbs the other.
  const { config, ports } = readConfig({ data, port: '0', tlsPort: '0', sshPort: '0', role: 'api' }, process.env);
  if (config.databaseUrl === undefined && !existsSync(path.join(config.dataDir, 'postgres')))
    throw new ConfigError(`There is nothing to verify in ${config.dataDir}. Name the server's directory with --data or PENSTOCK_DATA.`);
  const { startPenstock } = await import('../start.ts');
  const penstock = await startPenstock(config, ports, process.env);
  const stopping = new AbortController();
  const stop = () => stopping.abort(new Error('stopped before everything was verified'));
  process.once('SIGINT', stop).once('SIGTERM', stop);
  try {
    const tally = await verifyAll(penstock.platform, names, stopping.signal);
    process.stdout.write(`${summary(tally)}\n`);
    if (tally.faults > 0) process.exitCode = 1;
  } finally {
    await penstock.stop();
  }
}

async function verifyAll(platform: Platform, names: string[], signal: AbortSignal): Promise<Tally> {
  const tally: Tally = { repositories: 0, packs: new Set(), references: 0, blobs: 0, faults: 0 };
  const progress = new Progress();
  const tell = (line: string) => {
    tally.faults++;
    progress.clear();
    process.stdout.write(`${line}\n`);
  };
  await verifyRepositories(platform, names, signal, tally, progress, tell);
  if (names.length === 0) await verifyBlobs(platform, signal, tally, progress, tell);
  progress.clear();
  return tally;
}

async function verifyRepositories(
  platform: Platform,
  names: string[],
  signal: AbortSignal,
  tally: Tally,
  progress: Progress,
  tell: (line: string) => void,
): Promise<void> {
  const repositories = await repositoriesToVerify(platform, names);
  for (const name of names) if (!repositories.some((each) => each.name === name)) throw new ConfigError(`There is no repository ${name}.`);
  const parent = path.join(platform.config.dataDir, 'cache');
  await mkdir(parent, { recursive: true, mode: 0o700 });
  const scratch = await mkdtemp(path.join(parent, 'verify-'));
  try {
    for (const [index, repository] of repositories.entries()) {
      progress.show(`repository ${index + 1} of ${repositories.length}: ${repository.name}`);
      const verified = await verifyRepository(platform, repository, scratch, signal);
      if (!verified) continue;
      tally.repositories++;
      for (const key of verified.packs) tally.packs.add(key);
      tally.references += verified.references;
      for (const { kind, name, reason } of verified.faults)
        tell(`repository ${repository.name} (${repository.account}, ${repository.region}): ${kind} ${name}: ${reason}`);
    }
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** All but the packs, which were read with their repositories. */
async function verifyBlobs(
  platform: Platform,
  signal: AbortSignal,
  tally: Tally,
  progress: Progress,
  tell: (line: string) => void,
): Promise<void> {
  for await (const { key } of platform.blobs.list('')) {
    signal.throwIfAborted();
    if (tally.packs.has(key)) continue;
    progress.show(`blob ${tally.blobs + 1}: ${key}`);
    const fault = await verifyBlob(platform, key);
    tally.blobs++;
    if (fault !== undefined) tell(`blob ${key}: ${fault}`);
  }
}

async function verifyBlob(platform: Platform, key: string): Promise<string | undefined> {
  try {
    const info = await platform.blobs.head(key);
    if (!info) return undefined;
    const digest = createHash('sha256');
    const body = await readBlob(platform, key);
    // It waits for its deletion; that its ends decrypt is known by now.
    if (!body) return undefined;
    body.on('data', (chunk: Buffer) => digest.update(chunk));
    await finished(body);
    return digest.digest('hex') === info.sha256 ? undefined : 'its bytes are not those that were stored';
  } catch (error) {
    // Deleted since it was listed.
    if (error instanceof BlobNotFoundError) return undefined;
    return (error as Error).message;
  }
}

/** Also what is under a KMS key, which its service opens as itself; undefined when its key went with whom it belonged to. */
async function readBlob(platform: Platform, key: string): Promise<Readable | undefined> {
  try {
    return await platform.blobs.get(key);
  } catch (error) {
    if (!(error instanceof BlobKeyError)) throw error;
    return (await readRepositoryBlob(platform, key)) ?? (await readSealedContent(platform, key));
  }
}

function summary({ repositories, packs, references, blobs, faults }: Tally): string {
  const parts = [count(repositories, 'repository', 'repositories'), count(packs.size, 'pack'), count(references, 'reference')];
  const looked = `${parts.join(', ')}, ${count(blobs, 'other blob')}`;
  return `Verified ${looked}: ${faults === 0 ? 'all is well' : count(faults, 'fault')}.`;
}

function count(number: number, one: string, many = `${one}s`): string {
  return `${number} ${number === 1 ? one : many}`;
}

/** One line on a terminal that is written over; nothing elsewhere. */
class Progress {
  readonly #output = process.stderr;
  #shown = false;

  show(text: string): void {
    if (!this.#output.isTTY) return;
    this.#output.write(`\r\x1b[K${text.slice(0, (this.#output.columns ?? 80) - 1)}`);
    this.#shown = true;
  }

  clear(): void {
    if (this.#shown) this.#output.write('\r\x1b[K');
    this.#shown = false;
  }
}
