/**
 * Takes a push: git-receive-pack without its own writes. The pack is proven in quarantine; what happens to the references is the
 * caller's one transaction; only then does the pack join the cache. Killed anywhere before that transaction, nothing has happened;
 * after it, everything has.
 */
import { once } from 'node:events';
import type { Readable, Writable } from 'node:stream';
import type { GitCache, View } from './cache.ts';
import { PacketReader, ProtocolError } from './pkt-line.ts';
import type { IndexedPack, Tip } from './quarantine.ts';
import { BadPackError, Quarantine } from './quarantine.ts';
import type { PushResult } from './receive-report.ts';
import { Reporter } from './receive-report.ts';
import type { ReceiveRequest, RefCommand } from './receive-request.ts';
import { MAX_REFS_PER_PUSH, readReceiveRequest } from './receive-request.ts';
import { isPushable } from './ref-names.ts';

/** A reference's change whose new value is proven: it exists, with all that it needs. */
export interface ProvenChange extends RefCommand {
  /** For an annotated tag: what it finally points at. */
  peeledId: string | undefined;
}

export interface PushRules {
  /** May this client change these references? The reason for each one that it may not. */
  authorize(names: string[]): Promise<Map<string, string>>;
  /**
   * Stores the pack and changes the references in one transaction; tells the fate of each change, in order. With `atomic`, all or none.
   * When it fails, nothing may have happened.
   */
  commit(
    changes: ProvenChange[],
    options: { atomic: boolean; quarantine: Quarantine; pack: IndexedPack | undefined },
  ): Promise<PushResult[]>;
}

export interface PushRequest {
  repository: string;
  /** The repository as it is now. */
  view: View;
  input: Readable;
  output: Writable;
  /** The client has gone. */
  signal: AbortSignal;
}

/** Answers one git-receive-pack request. Rejects only for faults of ours and for a client that went away. */
export async function receivePush(cache: GitCache, push: PushRequest, rules: PushRules): Promise<void> {
  const reader = new PacketReader(push.input);
  const request = await readReceiveRequest(reader).catch((error) => endWith(push.output, error));
  if (!request) {
    await discard(reader.release());
    if (!push.output.writableEnded) push.output.end();
    return;
  }
  const reporter = new Reporter(push.output, request.capabilities);
  try {
    const { unpack, results } = await takePush(cache, push, reader, request, reporter, rules);
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

async function takePush(
  cache: GitCache,
  push: PushRequest,
  reader: PacketReader,
  request: ReceiveRequest,
  reporter: Reporter,
  rules: PushRules,
): Promise<{ unpack: string; results: PushResult[] }> {
  const atomic = request.capabilities.has('atomic');
  const refused = refusedByRules(request.commands);
  const asked = request.commands.filter(({ name }) => !refused.has(name));
  if (asked.length > 0) for (const [name, reason] of await rules.authorize(asked.map(({ name }) => name))) refused.set(name, reason);

  const wanted = atomic && refused.size > 0 ? [] : request.commands.filter(({ name }) => !refused.has(name));
  const finish = (unpack: string, results: PushResult[]) => {
    const made = new Map(results.map(({ name, error }) => [name, error]));
    const fate = (name: string) => refused.get(name) ?? (made.has(name) ? made.get(name) : 'atomic push failure');
    return { unpack, results: request.commands.map(({ name }) => ({ name, error: fate(name) })) };
  };
  const hasPack = request.commands.some(({ newId }) => newId !== undefined);
  if (!wanted.some(({ newId }) => newId !== undefined)) {
    if (hasPack) await discard(reader.release());
    const deletions = wanted.map((command) => ({ ...command, peeledId: undefined }));
    if (deletions.length === 0) return finish('ok', []);
    await using quarantine = await Quarantine.open(cache, push.repository);
    return finish('ok', await rules.commit(deletions, { atomic, quarantine, pack: undefined }));
  }

  await using quarantine = await Quarantine.open(cache, push.repository);
  let pack: IndexedPack | undefined;
  try {
    pack = await takePack(reader, quarantine, push.signal, reporter.progress);
  } catch (error) {
    if (!(error instanceof BadPackError)) throw error;
    await discard(push.input);
    const reason = request.shallow && error.incomplete ? 'shallow update not allowed' : 'unpacker error';
    reporter.say(`error: ${error.message}`);
    return finish(
      reason === 'unpacker error' ? error.message : 'ok',
      wanted.map(({ name }) => ({ name, error: reason })),
    );
  }
  const { changes, broken } = await prove(wanted, quarantine, push, request.shallow);
  for (const [name, reason] of broken) refused.set(name, reason);
  if (changes.length === 0 || (atomic && broken.size > 0)) return finish('ok', []);
  return finish('ok', await rules.commit(changes, { atomic, quarantine, pack }));
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
async function takePack(
  reader: PacketReader,
  quarantine: Quarantine,
  signal: AbortSignal,
  onProgress: ((text: Buffer) => void) | undefined,
): Promise<IndexedPack | undefined> {
  const header = await reader.peek(12);
  if (header.length < 12) throw new BadPackError('eof before pack header was fully read');
  if (header.toString('latin1', 0, 4) !== 'PACK') throw new BadPackError('protocol error (pack signature mismatch detected)');
  const version = header.readUInt32BE(4);
  if (version !== 2 && version !== 3) throw new BadPackError('protocol error (pack version unsupported)');
  const body = reader.release();
  if (header.readUInt32BE(8) === 0) {
    await discard(body);
    return undefined;
  }
  return quarantine.index(body, { signal, onProgress });
}

/** Sorts the changes into those whose objects are all there and those that cannot be, with git's reasons. */
async function prove(
  commands: RefCommand[],
  quarantine: Quarantine,
  push: PushRequest,
  shallow: boolean,
): Promise<{ changes: ProvenChange[]; broken: Map<string, string> }> {
  const ids = commands.flatMap(({ newId }) => newId ?? []);
  const [tips, connected] = await Promise.all([quarantine.tips(ids, push.view), quarantine.isConnected(ids, push.view, push.signal)]);
  const changes: ProvenChange[] = [];
  const broken = new Map<string, string>();
  for (const command of commands) {
    const tip = command.newId === undefined ? undefined : tips.get(command.newId);
    const whole =
      command.newId === undefined || (tip && (connected || (await quarantine.isConnected([command.newId], push.view, push.signal))));
    if (!whole) broken.set(command.name, shallow ? 'shallow update not allowed' : 'missing necessary objects');
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
