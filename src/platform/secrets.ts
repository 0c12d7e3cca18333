/** Secrets that every process of an installation shares: made once by whoever comes first, kept in the database sealed under the master key. */
import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type pg from 'pg';
import type { Keyring } from './keyring.ts';

const MASTER_KEY_BYTES = 32;

export class MasterKeyError extends Error {
  override readonly name = 'MasterKeyError';
}

/** `PENSTOCK_MASTER_KEY` (64 hex digits), else the key file in the data directory, made on first start with mode 0600. */
export function loadMasterKey(dataDir: string, given: string | undefined): Buffer {
  if (given) return parseKey(given, 'PENSTOCK_MASTER_KEY');
  const file = path.join(dataDir, 'master.key');
  if (!existsSync(file)) {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    // Two first starts at once must agree on one key: link never replaces.
    const mine = `${file}.${process.pid}`;
    writeFileSync(mine, `${randomBytes(MASTER_KEY_BYTES).toString('hex')}\n`, { mode: 0o600, flush: true });
    try {
      linkSync(mine, file);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    } finally {
      rmSync(mine);
    }
  }
  chmodSync(file, 0o600);
  return parseKey(readFileSync(file, 'utf8').trim(), file);
}

function parseKey(text: string, where: string): Buffer {
  if (!/^[0-9a-f]{64}$/i.test(text)) throw new MasterKeyError(`${where} must hold ${MASTER_KEY_BYTES * 2} hexadecimal digits.`);
  return Buffer.from(text, 'hex');
}

/** The secret of that name; `make` is asked only when there is none, and its answer counts only if nobody else was faster. */
export async function sharedSecret(pool: pg.Pool, keyring: Keyring, name: string, make: () => Promise<Buffer>): Promise<Buffer> {
  const known = await readSecret(pool, keyring, name);
  if (known) return known;
  await pool.query('insert into platform.secrets (name, sealed) values ($1, $2) on conflict do nothing', [
    name,
    sealSecret(keyring, name, await make()),
  ]);
  return (await readSecret(pool, keyring, name))!;
}

/** For rows of `platform.secrets`. */
export function sealSecret(keyring: Keyring, name: string, secret: Buffer): string {
  return keyring.seal(purposeOf(name), secret);
}

export async function readSecret(pool: pg.Pool, keyring: Keyring, name: string): Promise<Buffer | undefined> {
  const { rows } = await pool.query<{ sealed: string }>('select sealed from platform.secrets where name = $1', [name]);
  if (!rows[0]) return undefined;
  const plain = keyring.open(purposeOf(name), rows[0].sealed);
  if (plain) return plain;
  throw new MasterKeyError(
    'This database was made with another master key. Put the right master.key into the data directory, or set PENSTOCK_MASTER_KEY to it.',
  );
}

function purposeOf(name: string): string {
  return `secret:${name}`;
}
