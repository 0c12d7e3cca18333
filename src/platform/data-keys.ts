/**
 * Data keys of services that encrypt what they keep under KMS keys that users name. Every use is a call of KMS for the principal who asks, so the
 * key's policy decides; what KMS answered holds for a few seconds, or until a key or a permission changes.
 */
import type { Clients } from './aws.ts';
import type { Signals } from './platform.ts';
import type { RequestContext } from './service.ts';

/** Signalled by KMS whenever a key, its policy, its grants or an alias changes. */
export const KMS_CHANGED = 'kms.changed';
/** Signalled by IAM whenever anything changes by which access is decided. */
const IAM_CHANGED = 'iam.changed';

const MAX_AGE_MS = 5_000;
const MAX_ENTRIES = 10_000;

export interface DataKey {
  /** As KMS sealed it: to be kept beside what it encrypts. */
  wrapped: Buffer;
  /** 32 bytes */
  key: Buffer;
  /** ARN of the KMS key. */
  keyArn: string;
}

export interface KeyUse {
  /** The service that encrypts, e.g. `s3`: `kms:ViaService`. */
  service: string;
  region: string;
  /** The encryption context. */
  context: Record<string, string>;
}

type Caller = Pick<RequestContext, 'aws' | 'principal' | 'signals'>;

/** A new data key under the KMS key that `keyId` names. Errors are those of KMS. */
export async function newDataKey(caller: Caller, use: KeyUse & { keyId: string }): Promise<DataKey> {
  const { kms } = clientsOf(caller, use);
  const made = await kms.generateDataKey({ KeyId: use.keyId, KeySpec: 'AES_256', EncryptionContext: use.context });
  return { wrapped: Buffer.from(made.CiphertextBlob!), key: Buffer.from(made.Plaintext!), keyArn: made.KeyId! };
}

/** A data key that is used again for a few seconds: for many small things under one key, such as the objects of a bucket. */
export function sharedDataKey(caller: Caller, use: KeyUse & { keyId: string }): Promise<DataKey> {
  return answers(caller).get([...nameOf(caller, use), use.keyId], () => newDataKey(caller, use));
}

/** The data key again; `keyId` where it is known which KMS key it is under. Errors are those of KMS: of a key that is disabled, pending deletion, or not the principal's to use. */
export function openDataKey(caller: Caller, use: KeyUse & { wrapped: Uint8Array; keyId?: string }): Promise<Buffer> {
  return answers(caller).get([...nameOf(caller, use), Buffer.from(use.wrapped).toString('base64')], async () => {
    const { kms } = clientsOf(caller, use);
    const opened = await kms.decrypt({ KeyId: use.keyId, CiphertextBlob: use.wrapped, EncryptionContext: use.context });
    return Buffer.from(opened.Plaintext!);
  });
}

/** What a service does by itself it does as itself; else it goes on for the principal. */
function clientsOf({ aws, principal }: Caller, { service, region }: KeyUse): Pick<Clients, 'kms'> {
  const itself = principal.type === 'Service' && principal.service === `${service}.amazonaws.com`;
  return itself ? aws.asService(service, { account: principal.account, region }) : aws.asPrincipal(principal, region, service);
}

/** To be called where a change was committed; other processes get the signal. */
export function forgetDataKeys({ signals }: { signals: Signals }): void {
  caches.get(signals)?.forget();
}

/** A session is told from others of its role by its access key. */
function nameOf({ principal }: Caller, { service, region, context }: KeyUse): string[] {
  const accessKey = 'accessKeyId' in principal ? (principal.accessKeyId ?? '') : '';
  return [principal.id, accessKey, service, region, JSON.stringify(context)];
}

const caches = new WeakMap<Signals, Answers>();

/** One for each process. */
function answers({ signals }: { signals: Signals }): Answers {
  let known = caches.get(signals);
  if (!known) {
    known = new Answers(signals);
    caches.set(signals, known);
  }
  return known;
}

class Answers {
  readonly #kept = new Map<string, { value: Promise<unknown>; until: number }>();

  constructor(signals: Signals) {
    for (const topic of [KMS_CHANGED, IAM_CHANGED]) signals.on(topic, () => this.forget());
  }

  forget(): void {
    this.#kept.clear();
  }

  /** An answer that a change overtakes is given to those who wait, and not kept; nor is a refusal. */
  get<T>(name: string[], ask: () => Promise<T>): Promise<T> {
    const key = name.join('\n');
    const now = performance.now();
    const kept = this.#kept.get(key);
    if (kept && kept.until > now) return kept.value as Promise<T>;
    if (this.#kept.size >= MAX_ENTRIES) this.#kept.clear();
    const value = ask();
    this.#kept.set(key, { value, until: now + MAX_AGE_MS });
    value.catch(() => {
      if (this.#kept.get(key)?.value === value) this.#kept.delete(key);
    });
    return value;
  }
}
