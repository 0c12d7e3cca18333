/** The certificate of the HTTPS port, kept between starts. */
import { X509Certificate } from 'node:crypto';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { CertificateAuthority, Identity } from './authority.ts';
import type { Keyring } from './keyring.ts';

const FILE = 'tls.sealed';
const PURPOSE = 'tls';
const DAYS = 825;
const DAY_MS = 86_400_000;
/** One that ends sooner is replaced at the next start. */
const LEAST_DAYS = 60;

/** The one that the data directory has, if it still serves these names for long enough and is of this authority; else a new one. */
export async function serverCertificate(
  dataDir: string,
  keyring: Keyring,
  authority: CertificateAuthority,
  names: string[],
): Promise<Identity> {
  const file = path.join(dataDir, FILE);
  const kept = readKept(file, keyring);
  if (kept && serves(kept, authority, names)) return kept.identity;
  const identity = await authority.issueServer(names, DAYS);
  const aside = `${file}.${process.pid}`;
  writeFileSync(aside, keyring.seal(PURPOSE, Buffer.from(JSON.stringify({ names, identity } satisfies Kept))), { mode: 0o600 });
  renameSync(aside, file);
  return identity;
}

interface Kept {
  names: string[];
  identity: Identity;
}

/** Undefined when there is none, or none that can be read: then a new one is as good. */
function readKept(file: string, keyring: Keyring): Kept | undefined {
  try {
    const plain = keyring.open(PURPOSE, readFileSync(file, 'utf8'));
    return plain && (JSON.parse(plain.toString()) as Kept);
  } catch {
    return undefined;
  }
}

function serves({ names, identity }: Kept, authority: CertificateAuthority, wanted: string[]): boolean {
  const certificate = new X509Certificate(identity.certificate);
  return (
    names.join() === wanted.join() &&
    Date.parse(certificate.validTo) - Date.now() > LEAST_DAYS * DAY_MS &&
    certificate.verify(new X509Certificate(authority.certificate).publicKey)
  );
}
