/**
 * Repositories are under KMS keys: each has a data key, which wraps the keys of its blobs and is itself wrapped by the KMS key that the user named.
 * So another KMS key changes one row. Whoever works with a repository must be allowed to use its key, also where this host has it in its cache.
 */
import type { Readable } from 'node:stream';
import type { Selectable } from 'kysely';
import { repositoryOfBlob } from '../../git/repository-keys.ts';
import { gitStore } from '../../git/store.ts';
import { type KeyUse, newDataKey, openDataKey } from '../../platform/data-keys.ts';
import { AwsError } from '../../platform/errors.ts';
import type { Platform } from '../../platform/platform.ts';
import { servicePrincipal } from '../../platform/principal.ts';
import type { RequestContext } from '../../platform/service.ts';
import type { RepositoriesTable } from './tables.ts';

type Repository = Selectable<RepositoriesTable>;

export const SERVICE = 'codecommit';
const USUAL_KEY = 'alias/aws/codecommit';

type Encrypted = Pick<Repository, 'id' | 'account' | 'region' | 'kms_key_id' | 'wrapped_key' | 'key_managed'>;

export function useOf({ id, region }: Pick<Repository, 'id' | 'region'>): KeyUse {
  return { service: SERVICE, region, context: { 'aws:codecommit:id': id } };
}

/** What a row tells of the key of its repository. */
export type RepositoryKey = Pick<Repository, 'kms_key_id' | 'wrapped_key' | 'key_managed'>;

/**
 * A data key for a new repository. Under CodeCommit's own key, which nobody can disable, it is made when the repository is first opened: that
 * would be half the work of making an empty one.
 */
export async function newRepositoryKey(
  ctx: RequestContext,
  repository: Pick<Repository, 'id' | 'region'>,
  kmsKeyId: string = USUAL_KEY,
): Promise<RepositoryKey> {
  if (isManaged(kmsKeyId)) return { kms_key_id: await usualKeyArn(ctx), wrapped_key: null, key_managed: true };
  const made = await asCodeCommit(newDataKey(ctx, { ...useOf(repository), keyId: kmsKeyId }));
  return { kms_key_id: made.keyArn, wrapped_key: made.wrapped.toString('base64'), key_managed: false };
}

/** By installation, account and region. An AWS-managed key is never replaced or deleted. */
const usualKeys = new WeakMap<Platform['signals'], Map<string, Promise<string>>>();

function usualKeyArn(ctx: RequestContext): Promise<string> {
  const { account, region } = ctx;
  const known = usualKeys.get(ctx.signals) ?? new Map<string, Promise<string>>();
  usualKeys.set(ctx.signals, known);
  const place = `${account} ${region}`;
  let arn = known.get(place);
  if (!arn) {
    const { kms } = ctx.aws.asService(SERVICE, { account, region });
    arn = asCodeCommit(kms.describeKey({ KeyId: USUAL_KEY })).then(({ KeyMetadata }) => KeyMetadata!.Arn!);
    known.set(place, arn);
    arn.catch(() => known.delete(place));
  }
  return arn;
}

/** The repository with its data key, made by whoever opens it first: of two at once, both get the one that is kept. */
async function withDataKey(platform: Platform, repository: Encrypted): Promise<Encrypted> {
  const { id, account, kms_key_id: keyId } = repository;
  const caller = { aws: platform.aws, signals: platform.signals, principal: servicePrincipal(SERVICE, account) };
  const { wrapped } = await asCodeCommit(newDataKey(caller, { ...useOf(repository), keyId: keyId! }));
  const kept = await platform.transaction((tx) =>
    tx.sql
      .updateTable('codecommit.repositories')
      .set(({ fn, val }) => ({ wrapped_key: fn.coalesce('wrapped_key', val(wrapped.toString('base64'))) }))
      .where('id', '=', id)
      .returning(['kms_key_id', 'wrapped_key', 'key_managed'])
      .executeTakeFirst(),
  );
  // One that was deleted meanwhile has nothing to be opened.
  return { ...repository, ...(kept ?? { kms_key_id: null }) };
}

/** CodeCommit uses its own key for everybody who may use the repository, also where a session's policy speaks of CodeCommit alone. */
export function isManaged(kmsKeyId: string): boolean {
  return kmsKeyId === USUAL_KEY;
}

/**
 * Lets this process read and write the blobs of a repository. For a request its principal must be allowed to use a key that the user named;
 * CodeCommit's own work (maintenance, merges by push) asks as the service. Throws `EncryptionKey…Exception`.
 */
export async function unlock(platform: Platform | RequestContext, repository: Encrypted): Promise<void> {
  const { keys } = gitStore(platform);
  if (repository.wrapped_key === null) {
    if (repository.kms_key_id === null) return keys.set(repository.id, undefined);
    return unlock(platform, await withDataKey(platform, repository));
  }
  const asked = 'principal' in platform && !repository.key_managed;
  const principal = asked ? platform.principal : servicePrincipal(SERVICE, repository.account);
  const wrapped = Buffer.from(repository.wrapped_key, 'base64');
  const opened = openDataKey(
    { aws: platform.aws, signals: platform.signals, principal },
    { ...useOf(repository), wrapped, keyId: repository.kms_key_id! },
  );
  keys.set(repository.id, await asCodeCommit(opened));
}

/** Whether CodeCommit's own work must wait, since the key is disabled, pending deletion or gone: a later sweep finds it again. */
export async function isClosed(platform: Platform, repository: Encrypted): Promise<boolean> {
  try {
    await unlock(platform, repository);
    return false;
  } catch (error) {
    if (!(error instanceof AwsError)) throw error;
    platform.log.debug({ repository: repository.id, error: error.message }, 'work on a repository waits for its key');
    return true;
  }
}

/** The same for CodeCommit's own work with a repository of which only the id is known. False when there is none. */
export async function unlockById(platform: Platform, id: string): Promise<boolean> {
  const repository = await platform.read
    .selectFrom('codecommit.repositories')
    .select(['id', 'account', 'region', 'kms_key_id', 'wrapped_key', 'key_managed'])
    .where('id', '=', id)
    .executeTakeFirst();
  if (repository) await unlock(platform, repository);
  return repository !== undefined;
}

/** A blob of a repository, opened by CodeCommit itself; undefined when it is none of a repository that there is. */
export async function readRepositoryBlob(platform: Platform, blobKey: string): Promise<Readable | undefined> {
  const id = repositoryOfBlob(blobKey);
  return id !== undefined && (await unlockById(platform, id)) ? gitStore(platform).blobs.get(blobKey) : undefined;
}

/** KMS's errors, as CodeCommit calls them. */
const CODES: Record<string, string> = {
  AccessDeniedException: 'EncryptionKeyAccessDeniedException',
  DisabledException: 'EncryptionKeyDisabledException',
  InvalidArnException: 'EncryptionKeyInvalidIdException',
  InvalidCiphertextException: 'EncryptionIntegrityChecksFailedException',
  InvalidKeyUsageException: 'EncryptionKeyInvalidUsageException',
  KMSInvalidStateException: 'EncryptionKeyUnavailableException',
  KeyUnavailableException: 'EncryptionKeyUnavailableException',
  NotFoundException: 'EncryptionKeyNotFoundException',
};

export async function asCodeCommit<T>(call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (error) {
    const code = error instanceof AwsError ? CODES[error.code] : undefined;
    if (code === undefined) throw error;
    throw new AwsError(code, `The encryption key of the repository cannot be used: ${(error as Error).message || code}`);
  }
}
