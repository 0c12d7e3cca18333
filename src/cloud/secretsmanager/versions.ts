/** Versions of a secret and their stages. AWSCURRENT is on exactly one; the one that had it before has AWSPREVIOUS. */
import { randomUUID } from 'node:crypto';
import { AwsError } from '../../platform/errors.ts';
import type { Transaction } from '../../platform/platform.ts';
import type { RequestContext } from '../../platform/service.ts';
import { invalidParameter } from './errors.ts';
import type { Secret, Version } from './tables.ts';
import { openValue } from './values.ts';

export const CURRENT = 'AWSCURRENT';
export const PREVIOUS = 'AWSPREVIOUS';
const MAX_VERSIONS = 100;
const MAX_STAGES = 20;
const DAY_MS = 86_400_000;

export function newVersionId(token: string | undefined): string {
  return token ?? randomUUID();
}

/**
 * Whether the request was answered before: the version is there with the same value. Throws ResourceExistsException when its token was used
 * for another value.
 */
export async function isRepeated(ctx: RequestContext, secret: Secret, versionId: string, plain: Buffer): Promise<boolean> {
  const existing = await ctx.read
    .selectFrom('secretsmanager.versions')
    .selectAll()
    .where('secret_id', '=', secret.id)
    .where('version_id', '=', versionId)
    .executeTakeFirst();
  if (!existing) return false;
  if (plain.equals(await openValue(ctx, secret, existing))) return true;
  throw new AwsError(
    'ResourceExistsException',
    `You can't use ClientRequestToken ${versionId} because that value is already in use for a version of secret ${secret.name}.`,
  );
}

/** A new version with its stages, which leave the versions that had them. The first one is current whatever was asked. */
export async function addVersion(
  tx: Transaction,
  secret: Pick<Secret, 'id'>,
  version: Omit<Version, 'secret_id' | 'accessed_on' | 'stages'>,
  stages: string[],
): Promise<string[]> {
  const others = await versionsOf(tx, secret.id);
  const isFirst = !others.some((other) => other.stages.includes(CURRENT));
  const wanted = [...new Set(isFirst ? [...stages, CURRENT] : stages)];
  if (wanted.length > MAX_STAGES) throw new AwsError('LimitExceededException', `A version can have at most ${MAX_STAGES} staging labels.`);
  await moveStages(tx, secret.id, others, wanted, undefined);
  await prune(tx, secret.id, others, version.created_at);
  await tx.sql
    .insertInto('secretsmanager.versions')
    .values({ ...version, secret_id: secret.id, stages: wanted })
    .execute();
  return wanted;
}

export function versionsOf(tx: Transaction, secretId: string): Promise<Version[]> {
  return tx.sql.selectFrom('secretsmanager.versions').selectAll().where('secret_id', '=', secretId).orderBy('created_at').execute();
}

/** Takes stages from the versions that have them and gives them to `to`, if there is one; AWSPREVIOUS follows AWSCURRENT. */
export async function moveStages(
  tx: Transaction,
  secretId: string,
  versions: Version[],
  stages: string[],
  to: string | undefined,
): Promise<void> {
  const current = stages.includes(CURRENT) ? versions.find((version) => version.stages.includes(CURRENT)) : undefined;
  const moved = current ? [...stages, PREVIOUS] : stages;
  for (const version of versions) {
    const left = version.stages.filter((stage) => !moved.includes(stage));
    const won = version.version_id === to ? stages : version === current && to !== current.version_id ? [PREVIOUS] : [];
    const next = [...new Set([...left, ...won])];
    if (next.length === version.stages.length && next.every((stage) => version.stages.includes(stage))) continue;
    version.stages = next;
    await tx.sql
      .updateTable('secretsmanager.versions')
      .set({ stages: next })
      .where('secret_id', '=', secretId)
      .where('version_id', '=', version.version_id)
      .execute();
  }
}

/** Versions without stages go when there would be too many; young ones are kept for a day. */
async function prune(tx: Transaction, secretId: string, versions: Version[], now: Date): Promise<void> {
  const excess = versions.length + 1 - MAX_VERSIONS;
  if (excess <= 0) return;
  const old = versions.filter(({ stages, created_at }) => stages.length === 0 && now.getTime() - created_at.getTime() > DAY_MS);
  if (old.length < excess) throw new AwsError('LimitExceededException', `A secret can have at most ${MAX_VERSIONS} versions.`);
  const ids = old.slice(0, excess).map(({ version_id }) => version_id);
  await tx.sql.deleteFrom('secretsmanager.versions').where('secret_id', '=', secretId).where('version_id', 'in', ids).execute();
}

/** UpdateSecretVersionStage. */
export async function moveStage(
  tx: Transaction,
  secret: Secret,
  { VersionStage, RemoveFromVersionId, MoveToVersionId }: { VersionStage: string; RemoveFromVersionId?: string; MoveToVersionId?: string },
): Promise<void> {
  const versions = await versionsOf(tx, secret.id);
  const holder = versions.find((version) => version.stages.includes(VersionStage));
  if (MoveToVersionId === undefined && RemoveFromVersionId === undefined) {
    throw invalidParameter('Either MoveToVersionId or RemoveFromVersionId is required.');
  }
  if (RemoveFromVersionId !== holder?.version_id && (holder !== undefined || RemoveFromVersionId !== undefined)) {
    if (MoveToVersionId !== undefined && holder?.version_id === MoveToVersionId) return;
    throw invalidParameter(
      holder && RemoveFromVersionId === undefined
        ? `The parameter RemoveFromVersionId can't be empty. Staging label ${VersionStage} is currently attached to version ${holder.version_id}, so you must explicitly reference that version in RemoveFromVersionId.`
        : `Invalid RemoveFromVersionId: the staging label ${VersionStage} is not attached to version ${RemoveFromVersionId}.`,
    );
  }
  if (MoveToVersionId === undefined && VersionStage === CURRENT) {
    throw invalidParameter(`You can't remove the staging label ${CURRENT} from a version: move it to another one.`);
  }
  if (MoveToVersionId !== undefined && !versions.some(({ version_id }) => version_id === MoveToVersionId)) {
    throw new AwsError('ResourceNotFoundException', `Secrets Manager can't find the version ${MoveToVersionId} of the secret.`);
  }
  await moveStages(tx, secret.id, versions, [VersionStage], MoveToVersionId);
}
