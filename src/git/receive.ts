/**
 * Takes a push: git-receive-pack without its own writes. The pack is proven in quarantine; what happens to the references is the
 * caller's one transaction; only then does the pack join the cache. Killed anywhere before that transaction, nothing has happened;
 * after it, everything has.
 */
import { once } from 'node:events';
import type { Readable, Writable } from 'node:stream';
import { PacketReader, ProtocolError } from './pkt-line.ts';
import type { IndexedPack, Tip } from './quarantine.ts';
import { BadPackError, Quarantine } from './quarantine.ts';
import type { PushResult } from './receive-report.ts';
import { Reporter } from './receive-report.ts';
import type { ReceiveRequest, RefCommand } from './receive-request.ts';
import { MAX_REFS_PER_PUSH, readReceiveRequest } from './receive-request.ts';
import { isPushable } from './ref-names.ts';
import type { GitStore } from './store.ts';

/** A reference's change whose new value is proven: it exists, with all that it needs. */
export interface ProvenChange extends RefCommand {
  /** For an annotated tag: what it finally points at. */
  peeledId: string | undefined;
}

export interface PushRules {
  /** May this client change these references? The reason for each one that it may not. */
  authorize(names: string[]): Promise<Map<string, string>>;
  /** The key of the blob that the pack will be, noted down so that it is found again if the push never ends. Runs beside the receiving. */
  announce(): Promise<string>;
  /**
   * Changes the references, and makes the pack part of the repository, in one transaction; tells the fate of each change, in order. With
   * `atomic`, all or none. When it fails, nothing may have happened.
   */
  commit(changes: ProvenChange[], options: { atomic: boolean; pack: ProvenPack | undefined }): Promise<PushResult[]>;
}

/** A pack whose blob is stored. */
export interface ProvenPack extends IndexedPack {
  blobKey: string;
  /** Gives the pack to the cache. Only after the transaction. */
  install(): Promise<void>;
}

export interface PushRequest {
  repository: string;
  /** The repository has nothing yet, so that no pack can be thin. */
  empty: boolean;
  input: Readable;
  output: Writable;
  /** The client has gone. */
  signal: AbortSignal;
}

/**
 * Answers one git-receive-pack request; the repository must be ready in the cache. Rejects only for faults of ours and for a client that
 * went away.
 */
export async function receivePush(store: GitStore, push: PushRequest, rules: PushRules): Promise<void> {
  const reader = new PacketReader(push.input);
  const request = await readReceiveRequest(reader).catch((error) => endWith(push.output, error));
  if (!request) {
    await discard(reader.release());
    if (!push.output.writableEnded) push.output.end();
    return;
  }
  const reporter = new Reporter(push.output, request.capabilities);
  await using quarantine = await Quarantine.open(store, push.repository);
  try {
    const { unpack, results } = await takePush({ store, push, reader, request, reporter, rules, quarantine });
    reporter.finish(unpack, results);
  } catch (error) {
    // Whether the change was made may be unknown to us too; the client asks again before it does anything.
    if (!push.signal.aborted) reporter.fail('internal error: the push may not have been accepted, please try again');
    throw error;
  } finally {
    reporter.stop();
  }
}

/** Broken requests get their reason in the protocol's own form. */
function endWith(output: Writable, error: unknown): undefined {
  if (!(error instanceof ProtocolError)) throw error;
  new Reporter(output, new Set()).fail(error.message);
}

interface Push {
  store: GitStore;
  push: PushRequest;
  reader: PacketReader;
  request: ReceiveRequest;
  reporter: Reporter;
  rules: PushRules;
  quarantine: Quarantine;
}

async function takePush(all: Push): Promise<{ unpack: string; results: PushResult[] }> {
  const { request, reader, rules, quarantine, push, reporter } = all;
  const { commands } = request;
  const atomic = request.capabilities.has('atomic');
  const refused = refusedByRules(commands);
  const asked = commands.filter(({ name }) => !refused.has(name));
  if (asked.length > 0) for (const [name, reason] of await rules.authorize(asked.map(({ name }) => name))) refused.set(name, reason);
  const finish = (unpack: string, results: PushResult[]) => {
    const made = new Map(results.map(({ name, error }) => [name, error]));
    const fate = (name: string) => refused.get(name) ?? (made.has(name) ? made.get(name) : 'atomic push failure');
    return { unpack, results: commands.map(({ name }) => ({ name, error: fate(name) })) };
  };

  const wanted = atomic && refused.size > 0 ? [] : commands.filter(({ name }) => !refused.has(name));
  let pack: ProvenPack | undefined;
  if (wanted.some(({ newId }) => newId !== undefined)) {
    try {
      pack = await takePack(all);
    } catch (error) {
      if (!(error instanceof BadPackError)) throw error;
      await discard(push.input);
      reporter.say(`error: ${error.message}`);
      const shallow = request.shallow && error.incomplete;
      const reason = shallow ? 'shallow update not allowed' : 'unpacker error';
      return finish(
        shallow ? 'ok' : error.message,
        wanted.map(({ name }) => ({ name, error: reason })),
      );
    }
  } else if (commands.some(({ newId }) => newId !== undefined)) {
    await discard(reader.release());
  }
  const { changes, broken } = await prove(wanted, quarantine);
  for (const [name, reason] of broken) refused.set(name, reason);
  if (changes.length === 0 || (atomic && broken.size > 0)) return finish('ok', []);
  return finish('ok', await rules.commit(changes, { atomic, pack }));
}

/** What no policy can allow. */
function refusedByRules(commands: RefCommand[]): Map<string, string> {
  const refused = new Map<string, string>();
  const seen = new Set<string>();
  for (const { name, oldId, newId } of commands) {
    if (commands.length > MAX_REFS_PER_PUSH) refused.set(name, `more than ${MAX_REFS_PER_PUSH} references in one push`);
    else if (!isPushable(name)) refused.set(name, 'funny refname');
    else if (seen.has(name)) refused.set(name, 'multiple updates for one reference not allowed');
    else if (oldId === undefined && newId === undefined) refused.set(name, 'nothing to delete');
    seen.add(name);
  }
  return refused;
}

/** Undefined for a pack without objects, which a client sends when the repository already has all that its references need. */
async function takePack({ store, push, reader, reporter, rules, quarantine }: Push): Promise<ProvenPack | undefined> {
  const header = await reader.peek(12);
  if (header.length < 12) throw new BadPackError('eof before pack header was fully read');
  if (header.toString('latin1', 0, 4) !== 'PACK') throw new BadPackError('protocol error (pack signature mismatch detected)');
  const version = header.readUInt32BE(4);
  if (version !== 2 && version !== 3) throw new BadPackError('protocol error (pack version unsupported)');
  const body = reader.release();
  const announced = header.readUInt32BE(8);
  if (announced === 0) {
    await discard(body);
    return undefined;
  }
  const key = rules.announce();
  // It is awaited where it is needed; until then a failure is not unhandled.
  key.catch(() => {});
  const keeping = { blobs: store.blobs, key, asItArrives: push.empty };
  const pack = await quarantine
    .index(body, { keeping, announced, signal: push.signal, onProgress: reporter.progress })
    .catch(explainFullDisk);
  await quarantine.keep(keeping, push.signal).catch(explainFullDisk);
  return { ...pack, blobKey: await key, install: () => quarantine.install() };
}

/** Nothing is wrong with the server or with the push; somebody must make room, and had better be told. */
function explainFullDisk(error: NodeJS.ErrnoException): never {
  if (error.code === 'ENOSPC' || error.code === 'EDQUOT') throw new BadPackError('no space left on the server');
  throw error;
}

/** Sorts the changes into those whose objects are there and those that cannot be, with git's reasons. */
async function prove(commands: RefCommand[], quarantine: Quarantine): Promise<{ changes: ProvenChange[]; broken: Map<string, string> }> {
  const tips = await quarantine.tips(commands.flatMap(({ newId }) => newId ?? []));
  const changes: ProvenChange[] = [];
  const broken = new Map<string, string>();
  for (const command of commands) {
    const tip = command.newId === undefined ? undefined : tips.get(command.newId);
    if (command.newId !== undefined && !tip) broken.set(command.name, 'missing necessary objects');
    else if (tip && !fits(command.name, tip)) broken.set(command.name, 'failed to update ref');
    else changes.push({ ...command, peeledId: tip?.peeled?.id });
  }
  return { changes, broken };
}

/** Branches point at commits, and at nothing else. */
function fits(name: string, tip: Tip): boolean {
  return !name.startsWith('refs/heads/') || tip.type === 'commit';
}

/** Reads the rest of a request so that the client, who is still sending, gets to read the answer. */
async function discard(input: Readable): Promise<void> {
  if (input.readableEnded || input.destroyed) return;
  input.resume();
  await Promise.race([once(input, 'end'), once(input, 'close')]);
}
