/** Keys derived from the installation's master key, and sealing with them. */
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';

export interface Keyring {
  /** 32 bytes, always the same for a purpose; purposes never share a key. */
  derive(purpose: string): Buffer;
  /** AES-256-GCM under the purpose's key, base64url. */
  seal(purpose: string, plain: Uint8Array): string;
  /** Undefined when the text was not sealed here for this purpose. */
  open(purpose: string, sealed: string): Buffer | undefined;
}

const NONCE_BYTES = 12;
const TAG_BYTES = 16;

export function createKeyring(masterKey: Buffer): Keyring {
  if (masterKey.length !== 32) throw new Error(`The master key must have 32 bytes, this one has ${masterKey.length}.`);
  const kept = new Map<string, Buffer>();
  const derive = (purpose: string): Buffer => {
    let key = kept.get(purpose);
    if (!key) {
      key = Buffer.from(hkdfSync('sha256', masterKey, '', `penstock:${purpose}`, 32));
      if (kept.size < 1000) kept.set(purpose, key);
    }
    return key;
  };
  // Purposes of tokens carry ids of resources; one key with the purpose as associated data keeps `kept` small.
  const sealing = derive('seal');
  return {
    derive,
    seal(purpose, plain) {
      const nonce = randomBytes(NONCE_BYTES);
      const cipher = createCipheriv('aes-256-gcm', sealing, nonce).setAAD(Buffer.from(purpose));
      return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]).toString('base64url');
    },
    open(purpose, sealed) {
      const bytes = Buffer.from(sealed, 'base64url');
      if (bytes.length < NONCE_BYTES + TAG_BYTES) return undefined;
      const decipher = createDecipheriv('aes-256-gcm', sealing, bytes.subarray(0, NONCE_BYTES)).setAAD(Buffer.from(purpose));
      decipher.setAuthTag(bytes.subarray(-TAG_BYTES));
      try {
        return Buffer.concat([decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()]);
      } catch {
        return undefined;
      }
    },
  };
}
