/** Reading and writing the values of secrets. */
import { AwsError } from '../../platform/errors.ts';
import { operation, type RequestContext } from '../../platform/service.ts';
import { invalidParameter, markedForDeletion, valueNotFound } from './errors.ts';
import { pageOfSecrets } from './list-secrets.ts';
import { changeSecret, onSecret, requireSecret, secretArn, secretCheck } from './secret.ts';
import type { Secret, Version } from './tables.ts';
import { describeValue, givenValue, sealValue } from './values.ts';
import { addVersion, CURRENT, isRepeated, moveStage, newVersionId } from './versions.ts';

const BATCH_PAGE = 20;
const VERSIONS_PAGE = 100;

export const getSecretValue = operation('secretsmanager', 'GetSecretValue', {
  authorize: ({ SecretId, VersionId, VersionStage = CURRENT }, ctx) =>
    secretCheck(ctx, SecretId, {
      conditions: { 'secretsmanager:VersionStage': VersionStage, ...(VersionId && { 'secretsmanager:VersionId': VersionId }) },
    }),
  async handle(ctx, { SecretId, VersionId, VersionStage }) {
    const secret = await requireSecret(ctx, SecretId);
    return readValue(ctx, secret, VersionId, VersionStage);
  },
});

export const putSecretValue = operation('secretsmanager', 'PutSecretValue', {
  authorize: onSecret,
  async handle(ctx, input) {
    const { SecretId, VersionStages = [CURRENT] } = input;
    const given = givenValue(input);
    if (!given) throw invalidParameter('You must provide either SecretString or SecretBinary.');
    const known = await requireSecret(ctx, SecretId);
    if (known.deleted_at) throw markedForDeletion();
    const versionId = newVersionId(input.ClientRequestToken);
    const answer = { ARN: secretArn(known), Name: known.name, VersionId: versionId };
    if (await isRepeated(ctx, known, versionId, given.plain)) return { ...answer, VersionStages };
    const sealed = await sealValue(ctx, known, versionId, given);
    const stages = await changeSecret(ctx, SecretId, async (tx, secret) => {
      const created_at = ctx.now();
      await tx.sql.updateTable('secretsmanager.secrets').set({ changed_at: created_at }).where('id', '=', secret.id).execute();
      return addVersion(tx, secret, { ...sealed, version_id: versionId, created_at }, VersionStages);
    });
    return { ...answer, VersionStages: stages };
  },
});

export const batchGetSecretValue = operation('secretsmanager', 'BatchGetSecretValue', {
  authorize: () => '*',
  async handle(ctx, { SecretIdList, Filters, MaxResults = BATCH_PAGE, NextToken }) {
    if ((SecretIdList === undefined) === (Filters === undefined)) {
      throw invalidParameter('Either SecretIdList or Filters must be provided, but not both.');
    }
    const page = Filters && (await pageOfSecrets(ctx, { Filters, MaxResults, NextToken }));
    const SecretValues: Awaited<ReturnType<typeof readValue>>[] = [];
    const Errors: { SecretId: string; ErrorCode: string; Message: string }[] = [];
    for (const SecretId of page?.secrets.map(secretArn) ?? SecretIdList!) {
      try {
        await ctx.authorize(await secretCheck(ctx, SecretId, { action: 'secretsmanager:GetSecretValue' }));
        SecretValues.push(await readValue(ctx, await requireSecret(ctx, SecretId), undefined, undefined));
      } catch (error) {
        if (!(error instanceof AwsError)) throw error;
        Errors.push({ SecretId, ErrorCode: error.code, Message: error.message });
      }
    }
    return { SecretValues, Errors, NextToken: page?.NextToken };
  },
});

async function readValue(ctx: RequestContext, secret: Secret, versionId: string | undefined, stage: string | undefined) {
  if (secret.deleted_at) throw markedForDeletion();
  const version = await findVersion(ctx, secret, versionId, stage);
  const value = await describeValue(ctx, secret, version);
  await noteAccess(ctx, secret, version);
  return {
    ARN: secretArn(secret),
    Name: secret.name,
    VersionId: version.version_id,
    ...value,
    VersionStages: version.stages.length > 0 ? version.stages : undefined,
    CreatedDate: version.created_at,
  };
}

async function findVersion(
  ctx: RequestContext,
  secret: Secret,
  versionId: string | undefined,
  stage: string | undefined,
): Promise<Version> {
  const versions = await ctx.read.selectFrom('secretsmanager.versions').selectAll().where('secret_id', '=', secret.id).execute();
  if (versionId !== undefined) {
    const version = versions.find((one) => one.version_id === versionId);
    if (!version) throw valueNotFound(`VersionId: ${versionId}`);
    if (stage !== undefined && !version.stages.includes(stage)) {
      throw new AwsError('InvalidRequestException', 'You provided a VersionStage that is not associated to the provided VersionId.');
    }
    return version;
  }
  const wanted = stage ?? CURRENT;
  const version = versions.find((one) => one.stages.includes(wanted));
  if (!version) throw valueNotFound(`staging label: ${wanted}`);
  return version;
}

/** Kept by the day, so that most reads write nothing. */
async function noteAccess(ctx: RequestContext, secret: Secret, version: Version): Promise<void> {
  const today = new Date(ctx.now().toISOString().slice(0, 10));
  if (version.accessed_on && version.accessed_on >= today) return;
  await ctx.transaction(async (tx) => {
    await tx.sql.updateTable('secretsmanager.secrets').set({ accessed_on: today }).where('id', '=', secret.id).execute();
    await tx.sql
      .updateTable('secretsmanager.versions')
      .set({ accessed_on: today })
      .where('secret_id', '=', secret.id)
      .where('version_id', '=', version.version_id)
      .execute();
  });
}

export const updateSecretVersionStage = operation('secretsmanager', 'UpdateSecretVersionStage', {
  authorize: ({ SecretId, VersionStage }, ctx) =>
    secretCheck(ctx, SecretId, { conditions: { 'secretsmanager:VersionStage': VersionStage } }),
  async handle(ctx, input) {
    const secret = await changeSecret(ctx, input.SecretId, async (tx, locked) => {
      await moveStage(tx, locked, input);
      return locked;
    });
    return { ARN: secretArn(secret), Name: secret.name };
  },
});

export const listSecretVersionIds = operation('secretsmanager', 'ListSecretVersionIds', {
  authorize: onSecret,
  async handle(ctx, { SecretId, MaxResults = VERSIONS_PAGE, NextToken, IncludeDeprecated = false }) {
    const secret = await requireSecret(ctx, SecretId);
    const scope = `secretsmanager:versions:${secret.id}:${IncludeDeprecated}`;
    const after = NextToken === undefined ? '' : ctx.paging.open<string>(scope, NextToken);
    if (after === undefined) throw ctx.error('InvalidNextTokenException', 'The NextToken value is invalid.');
    const rows = await ctx.read
      .selectFrom('secretsmanager.versions')
      .selectAll()
      .where('secret_id', '=', secret.id)
      .where('version_id', '>', after)
      .orderBy('version_id')
      .execute();
    const shown = rows.filter(({ stages }) => IncludeDeprecated || stages.length > 0);
    const page = shown.slice(0, MaxResults);
    return {
      ARN: secretArn(secret),
      Name: secret.name,
      Versions: page.map((version) => ({
        VersionId: version.version_id,
        VersionStages: version.stages.length > 0 ? version.stages : undefined,
        CreatedDate: version.created_at,
        LastAccessedDate: version.accessed_on ?? undefined,
        KmsKeyIds: [version.kms_key_id],
      })),
      NextToken: shown.length > MaxResults ? ctx.paging.seal(scope, page.at(-1)!.version_id) : undefined,
    };
  },
});
