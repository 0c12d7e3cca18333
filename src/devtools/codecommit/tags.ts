/** Tags of repositories, which policies may ask for as `aws:ResourceTag/…`. */
import { sql } from 'kysely';
import { asRecords, batchedChange } from '../../platform/database/batch.ts';
import { AwsError } from '../../platform/errors.ts';
import type { Transaction } from '../../platform/platform.ts';
import type { RequestContext } from '../../platform/service.ts';
import { operation } from '../../platform/service.ts';
import type { Repository } from './repository.ts';
import { findRepository, onRepository, repositoryMissing } from './repository.ts';

const MAX_TAGS = 50;
/** Letters, digits and spaces of any language, and what AWS allows beside them. */
const allowed = /^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$/u;

export const tagResource = operation('codecommit', 'TagResource', {
  authorize: async ({ resourceArn, tags }, ctx) => ({ ...(await onArn(ctx, resourceArn)), requestTags: tags }),
  async handle(ctx, { resourceArn, tags }) {
    checkTags(tags);
    const repository = await findRepository(ctx, repositoryName(ctx, resourceArn));
    if (await tagging(ctx, { id: repository.id, tags })) return {};
    await ctx.transaction(async (tx) => {
      const merged = { ...(await lockTags(tx, repository)), ...tags };
      if (Object.keys(merged).length > MAX_TAGS) throw tooManyTags();
      await writeTags(tx, repository, merged);
    });
    return {};
  },
});

/** False when the repository is not there, has too many tags then, or is being changed by somebody else just now. */
const tagging = batchedChange<{ id: string; tags: Record<string, string> }, { id: string }>({
  key: ({ id }) => id,
  statement: (items) => sql`
    with tagged as (
      select found.id, found.tags || wanted.tags as tags
      from json_to_recordset(${asRecords(items)}) as wanted (id uuid, tags jsonb)
      cross join lateral (select id, tags from codecommit.repositories where id = wanted.id for update skip locked) found)
    update codecommit.repositories repository set tags = tagged.tags from tagged
    where repository.id = any(array(select id from tagged)) and repository.id = tagged.id and (select count(*) from jsonb_object_keys(tagged.tags)) <= ${MAX_TAGS}
    returning repository.id`,
});

export const untagResource = operation('codecommit', 'UntagResource', {
  authorize: ({ resourceArn }, ctx) => onArn(ctx, resourceArn),
  async handle(ctx, { resourceArn, tagKeys }) {
    if (tagKeys.length > MAX_TAGS) throw tooManyTags();
    refuseSystemTags(tagKeys);
    const repository = await findRepository(ctx, repositoryName(ctx, resourceArn));
    await ctx.transaction(async (tx) => {
      const gone = new Set(tagKeys);
      const kept = Object.entries(await lockTags(tx, repository)).filter(([key]) => !gone.has(key));
      await writeTags(tx, repository, Object.fromEntries(kept));
    });
    return {};
  },
});

export const listTagsForResource = operation('codecommit', 'ListTagsForResource', {
  authorize: ({ resourceArn }, ctx) => onArn(ctx, resourceArn),
  async handle(ctx, { resourceArn }) {
    const repository = await findRepository(ctx, repositoryName(ctx, resourceArn));
    // At most MAX_TAGS: always one page.
    return { tags: repository.tags };
  },
});

/** What CreateRepository and TagResource accept. */
export function checkTags(tags: Record<string, string>): void {
  const entries = Object.entries(tags);
  if (entries.length > MAX_TAGS) throw tooManyTags();
  refuseSystemTags(Object.keys(tags));
  for (const [key, value] of entries) {
    if (!allowed.test(key) || !allowed.test(value)) {
      throw new AwsError(
        'InvalidTagsMapException',
        `The map of tags is not valid: the tag ${JSON.stringify(key)} has characters that are not allowed.`,
      );
    }
  }
}

function refuseSystemTags(keys: string[]): void {
  const system = keys.find((key) => /^aws:/i.test(key));
  if (system === undefined) return;
  throw new AwsError('InvalidSystemTagUsageException', `The tag key ${system} is not valid: keys that begin with aws: are reserved.`);
}

function tooManyTags(): AwsError {
  return new AwsError('TooManyTagsException', `The maximum number of tags for an AWS CodeCommit resource has been exceeded: ${MAX_TAGS}.`);
}

function onArn(ctx: RequestContext, arn: string) {
  return onRepository(ctx, repositoryName(ctx, arn));
}

/** The name in the ARN of a repository of this account and region. */
function repositoryName(ctx: RequestContext, arn: string): string {
  const match = /^arn:aws[\w-]*:codecommit:([^:]*):(\d{12}):([^:]+)$/.exec(arn);
  if (!match) throw new AwsError('InvalidResourceArnException', `The resource ARN is not valid: ${arn.slice(0, 300)}`);
  const [, region, account, name] = match;
  if (!/^[\w.-]{1,100}$/.test(name!)) {
    throw new AwsError('InvalidRepositoryNameException', `The resource ARN names no valid repository: ${arn.slice(0, 300)}`);
  }
  if (region !== ctx.region || account !== ctx.account) throw repositoryMissing(name!);
  return name!;
}

async function lockTags(tx: Transaction, repository: Repository): Promise<Record<string, string>> {
  const row = await tx.sql
    .selectFrom('codecommit.repositories')
    .select('tags')
    .where('id', '=', repository.id)
    .forUpdate()
    .executeTakeFirst();
  if (!row) throw repositoryMissing(repository.name);
  return row.tags;
}

async function writeTags(tx: Transaction, repository: Repository, tags: Record<string, string>): Promise<void> {
  await tx.sql
    .updateTable('codecommit.repositories')
    .set({ tags: JSON.stringify(tags) })
    .where('id', '=', repository.id)
    .execute();
}
