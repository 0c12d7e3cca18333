/** The signature by which receivers know that a message is ours (developer guide, "Verifying the signatures of Amazon SNS messages"). */
import { createHash, createPrivateKey, type KeyObject, sign as signBytes } from 'node:crypto';
import { promisify } from 'node:util';
import type { Identity } from '../../platform/authority.ts';
import type { Platform } from '../../platform/platform.ts';

const signAsync = promisify<string, Buffer, KeyObject, Buffer>(signBytes as never);
const CERTIFICATE_DAYS = 365;
/** Receivers keep messages for a while: a certificate is no longer used well before it ends. */
const USED_DAYS = 270;
const DAY_MS = 86_400_000;
const PURPOSE = 'sns:signer';
/** What is signed of each kind of message, in this order. */
const SIGNED: Record<string, string[]> = {
  Notification: ['Message', 'MessageId', 'Subject', 'Timestamp', 'TopicArn', 'Type'],
  SubscriptionConfirmation: ['Message', 'MessageId', 'SubscribeURL', 'Timestamp', 'Token', 'TopicArn', 'Type'],
};

interface Signer {
  id: string;
  key: KeyObject;
  until: number;
}
const open = new WeakMap<Platform['keyring'], Promise<Signer>>();

/** The message with `SignatureVersion`, `Signature` and `SigningCertURL`. Version 1 is by SHA-1, 2 by SHA-256. */
export async function signed(platform: Platform, message: Record<string, unknown>, version: string): Promise<Record<string, unknown>> {
  const { id, key } = await currentSigner(platform);
  const text = SIGNED[message.Type as string]!.filter((name) => message[name] !== undefined)
    .map((name) => `${name}\n${message[name]}\n`)
    .join('');
  const signature = await signAsync(version === '2' ? 'RSA-SHA256' : 'RSA-SHA1', Buffer.from(text), key);
  const { publicUrl, endpoints } = platform.config;
  const base = publicUrl ?? endpoints.https ?? endpoints.http;
  return {
    ...message,
    SignatureVersion: version,
    Signature: signature.toString('base64'),
    SigningCertURL: `${base}/SimpleNotificationService-${id}.pem`,
  };
}

async function currentSigner(platform: Platform): Promise<Signer> {
  const kept = await open.get(platform.keyring)?.catch(() => undefined);
  if (kept && kept.until > platform.now().getTime()) return kept;
  const found = findSigner(platform);
  open.set(platform.keyring, found);
  return found;
}

/** The newest that is young enough; else one is made, and the first that was made counts. */
async function findSigner(platform: Platform): Promise<Signer> {
  const oldest = new Date(platform.now().getTime() - USED_DAYS * DAY_MS);
  const read = () =>
    platform.read.selectFrom('sns.signers').selectAll().where('made_at', '>', oldest).orderBy('made_at').limit(1).executeTakeFirst();
  let row = await read();
  if (!row) {
    await makeSigner(platform);
    row = (await read())!;
  }
  const plain = platform.keyring.open(PURPOSE, row.sealed);
  if (!plain) throw new Error('The key that signs notifications was sealed under another master key.');
  return { id: row.id, key: createPrivateKey(plain.toString()), until: row.made_at.getTime() + USED_DAYS * DAY_MS };
}

async function makeSigner(platform: Platform): Promise<void> {
  const { certificate, privateKey }: Identity = await platform.authority.issueSigner('sns.amazonaws.com', CERTIFICATE_DAYS);
  const id = createHash('sha256').update(certificate).digest('hex').slice(0, 32);
  const sealed = platform.keyring.seal(PURPOSE, Buffer.from(privateKey));
  await platform.transaction((tx) =>
    tx.sql.insertInto('sns.signers').values({ id, sealed, certificate, made_at: platform.now() }).execute(),
  );
}

/** PEM, for whoever verifies a message. */
export async function signingCertificate(platform: Platform, id: string): Promise<string | undefined> {
  const row = await platform.read.selectFrom('sns.signers').select('certificate').where('id', '=', id).executeTakeFirst();
  return row?.certificate;
}
