/** Large files that git LFS keeps beside a repository: one blob for each, known by the SHA-256 of its content. */
import { createHash } from 'node:crypto';
import { type Readable, Transform } from 'node:stream';
import { sql } from 'kysely';
import { gitStore } from '../../git/store.ts';
import { AwsError } from '../../platform/errors.ts';
import type { Platform, Transaction } from '../../platform/platform.ts';
import type { Reconciler } from '../../platform/service.ts';
import type { ByteRange } from '../../ports/blobs/port.ts';
import type { Repository } from './repository.ts';
import { repositoryMissing } from './repository.ts';
import { unlockById } from './repository-keys.ts';

declare module '../../platform/platform.ts' {
  interface Tables {
    'codecommit.lfs_objects': {
      repository_id: string;
      oid: string;
      size: number;
      state: 'pending' | 'live' | 'retired';
      state_since: Date;
    };
  }
}

export interface LfsObject {
  /** SHA-256, 64 lower-case hex digits. */
  oid: string;
  /** bytes */
  size: number;
}

/** After this an upload that never came to its end is nobody's. */
const PENDING_MS = 24 * 3_600_000;

/** What was sent is not what was announced; nothing was stored. */
export class LfsMismatchError extends Error {
  override readonly name = 'LfsMismatchError';
}

/** Those of the ids that the repository has, with their sizes. */
export async function findLfsObjects(platform: Pick<Platform, 'read'>, repositoryId: string, oids: string[]): Promise<Map<string, number>> {
  if (oids.length === 0) return new Map();
  const rows = await platform.read
    .selectFrom('codecommit.lfs_objects')
    .select(['oid', 'size'])
    .where('repository_id', '=', repositoryId)
    .where('oid', 'in', oids)
    .where('state', '=', 'live')
    .execute();
  return new Map(rows.map((row) => [row.oid, row.size]));
}

/**
 * Stores a content while it is checked: unless size and digest are the announced ones nothing is stored (LfsMismatchError). Uploads of one object
 * at the same time do not harm each other. The row comes before the blob, so that a blob whose upload never ended is known and deleted one day.
 */
export async function storeLfsObject(
  platform: Platform,
  repository: Pick<Repository, 'id' | 'name'>,
  object: LfsObject,
  body: Readable,
  signal: AbortSignal,
): Promise<void> {
  const row = { repository_id: repository.id, ...object, state_since: platform.now() };
  await platform.transaction(async (tx) => {
    await requireRepository(tx, repository);
    await tx.sql
      .insertInto('codecommit.lfs_objects')
      .values({ ...row, state: 'pending' })
      .onConflict((conflict) =>
        conflict
          .columns(['repository_id', 'oid'])
          .doUpdateSet({ state_since: row.state_since })
          .where('codecommit.lfs_objects.state', '=', 'pending'),
      )
      .execute();
  });
  await unlockById(platform, repository.id);
  const checked = new Checked(object);
  body.once('error', (error) => checked.destroy(error));
  body.once('close', () => body.readableEnded || checked.destroy(new Error('The upload broke off.')));
  await gitStore(platform).blobs.put(keyOf(repository.id, object.oid), body.pipe(checked), signal);
  const makeLive = async (tx: Transaction) => {
    await requireRepository(tx, repository);
    const { numUpdatedRows } = await tx.sql
      .updateTable('codecommit.lfs_objects')
      .set({ state: 'live', state_since: platform.now() })
      .where('repository_id', '=', repository.id)
      .where('oid', '=', object.oid)
      .where('state', '<>', 'retired')
      .executeTakeFirst();
    if (numUpdatedRows !== 1n) throw new Error(`The large file ${object.oid} was given up before its upload was done.`);
  };
  await platform.transaction(makeLive).catch(async (error) => {
    // Deleted meanwhile, with its rows: nobody else would find this blob.
    if (error instanceof AwsError) await platform.blobs.delete(keyOf(repository.id, object.oid));
    throw error;
  });
}

/** It cannot be deleted before the transaction ends, so its deletion sees what the transaction wrote. */
async function requireRepository(tx: Transaction, { id, name }: Pick<Repository, 'id' | 'name'>): Promise<void> {
  const { rows } = await sql`select 1 from codecommit.repositories where id = ${id} for key share`.execute(tx.sql);
  if (rows.length === 0) throw repositoryMissing(name);
}

export async function readLfsObject(platform: Platform, repositoryId: string, oid: string, range?: ByteRange): Promise<Readable> {
  await unlockById(platform, repositoryId);
  return gitStore(platform).blobs.get(keyOf(repositoryId, oid), range);
}

/** Part of the deletion of a repository. */
export async function retireLfsObjects(tx: Transaction, repositoryId: string, now: Date): Promise<void> {
  await tx.sql
    .updateTable('codecommit.lfs_objects')
    .set({ state: 'retired', state_since: now })
    .where('repository_id', '=', repositoryId)
    .execute();
  await tx.reconcile('codecommit.lfs', repositoryId);
}

/** Deletes the blobs of deleted repositories and of uploads that never ended; by repository. */
export const deleteLfsObjects: Reconciler = {
  async pending(platform) {
    const rows = await platform.read
      .selectFrom('codecommit.lfs_objects')
      .select('repository_id')
      .distinct()
      .where(isDue(platform))
      .execute();
    return rows.map((row) => row.repository_id);
  },
  async run(platform, repositoryId, signal) {
    const due = await platform.transaction((tx) =>
      // Once they are retired no upload brings them back.
      tx.sql
        .updateTable('codecommit.lfs_objects')
        .set({ state: 'retired' })
        .where('repository_id', '=', repositoryId)
        .where(isDue(platform))
        .returning('oid')
        .execute(),
    );
    for (const { oid } of due) {
      signal.throwIfAborted();
      await platform.blobs.delete(keyOf(repositoryId, oid));
      await platform.transaction((tx) =>
        tx.sql.deleteFrom('codecommit.lfs_objects').where('repository_id', '=', repositoryId).where('oid', '=', oid).execute(),
      );
    }
  },
};

function isDue(platform: Platform) {
  const abandoned = new Date(platform.now().getTime() - PENDING_MS);
  return sql<boolean>`((state = 'pending' and state_since < ${abandoned}) or state = 'retired')`;
}

function keyOf(repositoryId: string, oid: string): string {
  return `lfs/${repositoryId}/${oid}`;
}

/** Lets bytes pass and fails, before their end is told, unless they are what was announced. */
class Checked extends Transform {
  readonly #expected: LfsObject;
  readonly #hash = createHash('sha256');
  #size = 0;

  constructor(expected: LfsObject) {
    super();
    this.#expected = expected;
  }

  override _transform(chunk: Buffer, _encoding: string, done: (error: Error | null, chunk?: Buffer) => void): void {
    this.#size += chunk.length;
    this.#hash.update(chunk);
    if (this.#size > this.#expected.size) done(this.#mismatch());
    else done(null, chunk);
  }

  override _flush(done: (error?: Error) => void): void {
    const same = this.#size === this.#expected.size && this.#hash.digest('hex') === this.#expected.oid;
    done(same ? undefined : this.#mismatch());
  }

  #mismatch(): Error {
    return new LfsMismatchError(`The content is not the announced one: SHA-256 ${this.#expected.oid} of ${this.#expected.size} bytes.`);
  }
}
