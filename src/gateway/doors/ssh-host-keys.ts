/** The keys by which clients know the SSH server: made once for an installation, the same in all of its processes. */
import { createHash } from 'node:crypto';

export interface HostKey {
  /** OpenSSH's format. */
  privateKey: string;
  /** As in `known_hosts` behind the host: type and key. */
  publicKey: string;
}

/** New keys as JSON, to be kept secret: one that every new client prefers, and one for those that know no Ed25519. */
export async function createHostKeys(): Promise<Buffer> {
  const { utils } = (await import('ssh2')).default;
  const made = [utils.generateKeyPairSync('ed25519'), utils.generateKeyPairSync('ecdsa', { bits: 256 })];
  return Buffer.from(JSON.stringify(made.map((key): HostKey => ({ privateKey: key.private, publicKey: key.public.trim() }))));
}

/** `SHA256:…`, as `ssh` shows it to its users. */
export function hostKeyFingerprint(publicKey: string): string {
  const blob = Buffer.from(publicKey.split(' ')[1]!, 'base64');
  return `SHA256:${createHash('sha256').update(blob).digest('base64').replace(/=+$/, '')}`;
}
