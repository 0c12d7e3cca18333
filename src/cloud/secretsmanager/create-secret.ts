/** CreateSecret and UpdateSecret. */
import { randomInt, randomUUID } from 'node:crypto';
import { AwsError } from '../../platform/errors.ts';
import type { Transaction } from '../../platform/platform.ts';
import { operation, type RequestContext } from '../../platform/service.ts';
import { invalidParameter, invalidRequest } from './errors.ts';
import { changeSecret, checkTags, findSecret, requireSecret, secretArn, secretCheck, tagsOf } from './secret.ts';
import type { Secret, Version } from './tables.ts';
import { givenValue, openValue, sealValue } from './values.ts';
import { addVersion, CURRENT, isRepeated, newVersionId, versionsOf } from './versions.ts';

const MAX_SECRETS = 500_000;

export const createSecret = operation('secretsmanager', 'CreateSecret', {
  async authorize({ Name, Tags, KmsKeyId }, ctx) {
    const conditions = { 'secretsmanager:Name': Name, ...(KmsKeyId && { 'secretsmanager:KmsKeyId': KmsKeyId }) };
    const check = await secretCheck(ctx, Name, { requestTags: Tags && tagsOf(Tags), conditions });
    return Tags?.length ? [check, { ...check, action: 'secretsmanager:TagResource' }] : check;
  },
  partial: 'AddReplicaRegions and Type are refused',
  async handle(ctx, input) {
    const { Name, Description, KmsKeyId, Tags, AddReplicaRegions, Type } = input;
    if (AddReplicaRegions?.length || Type) throw invalidParameter('Penstock has no replicas of secrets and no managed external secrets.');
    requireName(Name);
    const tags = checkTags(tagsOf(Tags));
    const given = givenValue(input);
    const versionId = newVersionId(input.ClientRequestToken);
    const before = await findSecret(ctx.read, ctx, Name);
    if (before?.name === Name) return answerExisting(ctx, before, given?.plain, versionId);
    const created_at = ctx.now();
    const { account, region } = ctx;
    const secret = {
      id: randomUUID(),
      account,
      region,
      name: Name,
      suffix: newSuffix(),
      description: Description ?? null,
      kms_key_id: KmsKeyId || null,
      created_at,
      changed_at: created_at,
    };
    const sealed = given && (await sealValue(ctx, secret, versionId, given));
    const made = await ctx.transaction(async (tx) => {
      await requireRoom(tx, ctx);
      const row = await tx.sql
        .insertInto('secretsmanager.secrets')
        .values({ ...secret, tags: JSON.stringify(tags) })
        .onConflict((conflict) => conflict.columns(['account', 'region', 'name']).doNothing())
        .returning('id')
        .executeTakeFirst();
      if (row && sealed) await addVersion(tx, secret, { ...sealed, version_id: versionId, created_at }, [CURRENT]);
      return row !== undefined;
    });
    // Another request made it at the same moment: perhaps the same one, sent twice.
    if (!made) return answerExisting(ctx, await requireSecret(ctx, Name), given?.plain, versionId);
    return { ARN: secretArn(secret), Name, VersionId: sealed && versionId };
  },
});

function requireName(name: string): void {
  if (!/^[A-Za-z0-9/_+=.@-]+$/.test(name)) {
    throw invalidParameter('Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!');
  }
}

async function requireRoom(tx: Transaction, { account, region }: RequestContext): Promise<void> {
  const { count } = await tx.sql
    .selectFrom('secretsmanager.secrets')
    .select((query) => query.fn.countAll<number>().as('count'))
    .where('account', '=', account)
    .where('region', '=', region)
    .executeTakeFirstOrThrow();
  if (count >= MAX_SECRETS) throw invalidRequest(`You have reached the limit of ${MAX_SECRETS} secrets in this Region.`);
}

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

export function newSuffix(): string {
  return Array.from({ length: 6 }, () => LETTERS[randomInt(LETTERS.length)]).join('');
}

/** The same request again gets the same answer; another one is told that the name is taken. */
async function answerExisting(ctx: RequestContext, secret: Secret, plain: Buffer | undefined, versionId: string) {
  if (secret.deleted_at) {
    throw invalidRequest("You can't create this secret because a secret with this name is already scheduled for deletion.");
  }
  if (plain && (await isRepeated(ctx, secret, versionId, plain))) {
    return { ARN: secretArn(secret), Name: secret.name, VersionId: versionId };
  }
  throw alreadyExists(secret.name);
}

function alreadyExists(name: string): AwsError {
  return new AwsError('ResourceExistsException', `The operation failed because the secret ${name} already exists.`);
}

export const updateSecret = operation('secretsmanager', 'UpdateSecret', {
  authorize: ({ SecretId, KmsKeyId }, ctx) =>
    secretCheck(ctx, SecretId, KmsKeyId ? { conditions: { 'secretsmanager:KmsKeyId': KmsKeyId } } : {}),
  partial: 'Type is refused',
  async handle(ctx, input) {
    const { SecretId, Description, KmsKeyId, Type } = input;
    if (Type) throw invalidParameter('Penstock has no managed external secrets.');
    const known = await requireSecret(ctx, SecretId);
    const given = givenValue(input);
    const versionId = newVersionId(input.ClientRequestToken);
    if (given && !known.deleted_at && (await isRepeated(ctx, known, versionId, given.plain))) {
      return { ARN: secretArn(known), Name: known.name, VersionId: versionId };
    }
    const owner = { ...known, kms_key_id: KmsKeyId === undefined ? known.kms_key_id : KmsKeyId || null };
    const sealed = given && (await sealValue(ctx, owner, versionId, given));
    const moved = owner.kms_key_id === known.kms_key_id ? [] : await resealed(ctx, known, owner);
    await changeSecret(ctx, SecretId, async (tx, secret) => {
      const changed_at = ctx.now();
      for (const { version_id, ...columns } of moved) {
        await tx.sql
          .updateTable('secretsmanager.versions')
          .set(columns)
          .where('secret_id', '=', secret.id)
          .where('version_id', '=', version_id)
          .execute();
      }
      await tx.sql
        .updateTable('secretsmanager.secrets')
        .set({ changed_at, kms_key_id: owner.kms_key_id, ...(Description !== undefined && { description: Description }) })
        .where('id', '=', secret.id)
        .execute();
      if (sealed) await addVersion(tx, secret, { ...sealed, version_id: versionId, created_at: changed_at }, [CURRENT]);
    });
    return { ARN: secretArn(known), Name: known.name, VersionId: sealed && versionId };
  },
});

/** Under another key: the values that still have a stage, so that the old key is needed no more for them. */
async function resealed(ctx: RequestContext, before: Secret, owner: Secret) {
  const versions = await ctx.transaction((tx) => versionsOf(tx, before.id));
  const staged = versions.filter(({ stages }: Version) => stages.length > 0);
  return Promise.all(
    staged.map(async (version) => {
      const plain = await openValue(ctx, before, version);
      return {
        version_id: version.version_id,
        ...(await sealValue(ctx, owner, version.version_id, { plain, isBinary: version.is_binary })),
      };
    }),
  );
}
