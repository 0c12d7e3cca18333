/** The RSA keys that sign digests. Verifiers find the public one by its fingerprint, with ListPublicKeys. */
import { createHash, createPrivateKey, generateKeyPair, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import { sql } from 'kysely';
import type { Platform } from '../../platform/platform.ts';
import { operation } from '../../platform/service.ts';
import './tables.ts';

const generate = promisify(generateKeyPair);
const BITS = 2048;
const YEAR_MS = 365 * 86_400_000;
const HOUR_MS = 3_600_000;
const PURPOSE = 'cloudtrail:digest-key';
/** Any fixed number, known only to us: one process at a time makes a key. */
const KEY_LOCK = 7_461_004;

export interface SigningKey {
  fingerprint: string;
  privateKey: KeyObject;
}

/** The key of now; the first who needs one makes it. */
export async function signingKey(platform: Platform): Promise<SigningKey> {
  return (await currentKey(platform)) ?? (await makeKey(platform));
}

async function currentKey(platform: Platform): Promise<SigningKey | undefined> {
  const now = platform.now();
  const row = await platform.read
    .selectFrom('cloudtrail.keys')
    .select(['fingerprint', 'sealed'])
    .where('valid_from', '<=', now)
    .where('valid_to', '>', now)
    .orderBy('valid_from', 'desc')
    .executeTakeFirst();
  if (!row) return undefined;
  const plain = platform.keyring.open(PURPOSE, row.sealed);
  if (!plain) throw new Error('The key that signs digests cannot be opened with this master key.');
  return { fingerprint: row.fingerprint, privateKey: createPrivateKey({ key: plain, format: 'der', type: 'pkcs8' }) };
}

async function makeKey(platform: Platform): Promise<SigningKey> {
  const { publicKey, privateKey } = await generate('rsa', { modulusLength: BITS });
  const der = publicKey.export({ format: 'der', type: 'pkcs1' });
  const fingerprint = createHash('md5').update(der).digest('hex');
  const from = platform.now().getTime();
  await platform.transaction(async (tx) => {
    await sql`select pg_advisory_xact_lock(${KEY_LOCK})`.execute(tx.sql);
    const other = await tx.sql
      .selectFrom('cloudtrail.keys')
      .select('fingerprint')
      .where('valid_to', '>', new Date(from))
      .executeTakeFirst();
    if (other) return;
    await tx.sql
      .insertInto('cloudtrail.keys')
      .values({
        fingerprint,
        public_key: der,
        sealed: platform.keyring.seal(PURPOSE, privateKey.export({ format: 'der', type: 'pkcs8' })),
        // Verifiers ask for the keys of the time of the logs, which is a little before that of their digest.
        valid_from: new Date(from - HOUR_MS),
        valid_to: new Date(from + YEAR_MS),
      })
      .execute();
  });
  return (await currentKey(platform))!;
}

export const listPublicKeys = operation('cloudtrail', 'ListPublicKeys', {
  authorize: () => '*',
  async handle(ctx, { StartTime, EndTime, NextToken }) {
    if (NextToken !== undefined) throw ctx.error('InvalidTokenException', 'The token is not valid.');
    const end = EndTime ?? ctx.now();
    const start = StartTime ?? new Date(end.getTime() - HOUR_MS);
    if (start > end) throw ctx.error('InvalidTimeRangeException', 'The start time must be before the end time.');
    const keys = await ctx.read
      .selectFrom('cloudtrail.keys')
      .selectAll()
      .where('valid_from', '<=', end)
      .where('valid_to', '>=', start)
      .orderBy('valid_from')
      .execute();
    return {
      PublicKeyList: keys.map((key) => ({
        Value: key.public_key,
        ValidityStartTime: key.valid_from,
        ValidityEndTime: key.valid_to,
        Fingerprint: key.fingerprint,
      })),
    };
  },
});
