/** Where providers deliver: a URL whose token names the webhook, and that nobody can make up. */
import { createHmac, timingSafeEqual } from 'node:crypto';
import type { Platform } from '../../../platform/platform.ts';

export const PAYLOAD_PATH = '/webhooks';

const ID_BYTES = 16;
const MAC_BYTES = 16;

export function payloadUrl({ config, keyring }: Pick<Platform, 'config' | 'keyring'>, id: string): string {
  const bytes = Buffer.from(id.replaceAll('-', ''), 'hex');
  const token = Buffer.concat([bytes, mac(keyring, bytes)]).toString('base64url');
  return `${config.publicUrl ?? config.endpoints.http}${PAYLOAD_PATH}?t=${token}`;
}

/** Of the webhook; undefined when the token is none of ours. */
export function webhookIdOf({ keyring }: Pick<Platform, 'keyring'>, token: string): string | undefined {
  const bytes = Buffer.from(token, 'base64url');
  if (bytes.length !== ID_BYTES + MAC_BYTES) return undefined;
  const id = bytes.subarray(0, ID_BYTES);
  if (!timingSafeEqual(bytes.subarray(ID_BYTES), mac(keyring, id))) return undefined;
  return id.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

function mac(keyring: Platform['keyring'], id: Uint8Array): Buffer {
  return createHmac('sha256', keyring.derive('codebuild:webhook-url')).update(id).digest().subarray(0, MAC_BYTES);
}
