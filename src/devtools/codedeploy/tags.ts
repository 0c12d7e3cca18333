/** Tags of applications and deployment groups, and tokens of GitHub accounts, of which there are none. */
import { sql } from 'kysely';
import { AwsError } from '../../platform/errors.ts';
import type { Transaction } from '../../platform/platform.ts';
import { operation, type RequestContext } from '../../platform/service.ts';
import { type Application, findApplication, onApplication } from './applications.ts';
import { findGroup, type Group, onGroup } from './groups.ts';
import { onePage } from './pages.ts';
import type { TagMap } from './tables.ts';
import { limitTags, resourceTags, tagList } from './tag-lists.ts';

interface Named {
  application: string;
  group?: string;
}

function parse(ctx: RequestContext, arn: string): Named {
  const [head, partition, service, region, account, kind, name = '', ...rest] = arn.split(':');
  if (head !== 'arn' || !partition?.startsWith('aws') || service !== 'codedeploy' || rest.length > 0) {
    throw new AwsError('InvalidArnException', `The specified ARN is not in a valid format: ${arn}`);
  }
  if (account !== ctx.account || region !== ctx.region) {
    throw new AwsError('InvalidArnException', `The specified ARN is not of this account and region: ${arn}`);
  }
  const [application = '', group] = name.split('/');
  if (kind === 'application' && application && group === undefined) return { application };
  if (kind === 'deploymentgroup' && application && group) return { application, group };
  throw new AwsError(
    'ArnNotSupportedException',
    `The specified ARN is not supported: it must be of an application or a deployment group: ${arn}`,
  );
}

function onNamed(ctx: RequestContext, arn: string) {
  const { application, group } = parse(ctx, arn);
  return group === undefined ? onApplication(ctx, application) : onGroup(ctx, application, group);
}

type Tagged = { table: 'codedeploy.applications'; row: Application } | { table: 'codedeploy.groups'; row: Group };

async function find(ctx: RequestContext, arn: string): Promise<Tagged> {
  const { application: name, group } = parse(ctx, arn);
  const application = await findApplication(ctx, name);
  if (group === undefined) return { table: 'codedeploy.applications', row: application };
  return { table: 'codedeploy.groups', row: await findGroup(ctx, application, group) };
}

async function change(tx: Transaction, { table, row }: Tagged, to: (before: TagMap) => TagMap): Promise<void> {
  const { rows } = await sql<{ tags: TagMap }>`select tags from ${sql.table(table)} where id = ${row.id} for update`.execute(tx.sql);
  if (!rows[0]) return;
  await sql`update ${sql.table(table)} set tags = ${JSON.stringify(to(rows[0].tags))}::jsonb where id = ${row.id}`.execute(tx.sql);
}

export const tagResource = operation('codedeploy', 'TagResource', {
  authorize: async ({ ResourceArn, Tags }, ctx) => ({ ...(await onNamed(ctx, ResourceArn)), requestTags: resourceTags(Tags) }),
  async handle(ctx, { ResourceArn, Tags }) {
    if (Tags.length === 0) throw ctx.error('TagRequiredException', 'A tag was not specified.');
    const tagged = await find(ctx, ResourceArn);
    const added = resourceTags(Tags);
    await ctx.transaction((tx) => change(tx, tagged, (before) => limitTags({ ...before, ...added })));
    return {};
  },
});

export const untagResource = operation('codedeploy', 'UntagResource', {
  authorize: ({ ResourceArn }, ctx) => onNamed(ctx, ResourceArn),
  async handle(ctx, { ResourceArn, TagKeys }) {
    if (TagKeys.length === 0) throw ctx.error('TagRequiredException', 'A tag key was not specified.');
    const tagged = await find(ctx, ResourceArn);
    const gone = new Set(TagKeys);
    await ctx.transaction((tx) =>
      change(tx, tagged, (before) => Object.fromEntries(Object.entries(before).filter(([key]) => !gone.has(key)))),
    );
    return {};
  },
});

export const listTagsForResource = operation('codedeploy', 'ListTagsForResource', {
  authorize: ({ ResourceArn }, ctx) => onNamed(ctx, ResourceArn),
  async handle(ctx, { ResourceArn }) {
    const { row } = await find(ctx, ResourceArn);
    // At most 50: always one page.
    return { Tags: tagList(row.tags) };
  },
});

/** Tokens are made in AWS's console only, by OAuth with GitHub. */
export const listGitHubAccountTokenNames = operation('codedeploy', 'ListGitHubAccountTokenNames', {
  authorize: () => '*',
  async handle(ctx, { nextToken: token }) {
    const { rows, nextToken } = await onePage(ctx, 'github-tokens', token, async (): Promise<string[]> => [], String);
    return { tokenNameList: rows, nextToken };
  },
});

export const deleteGitHubAccountToken = operation('codedeploy', 'DeleteGitHubAccountToken', {
  authorize: () => '*',
  async handle(ctx, { tokenName }) {
    if (!tokenName)
      throw ctx.error('GitHubAccountTokenNameRequiredException', 'The call is missing a required GitHub account connection name.');
    throw ctx.error(
      'GitHubAccountTokenDoesNotExistException',
      `No GitHub account connection exists with the named specified in the call: ${tokenName}`,
    );
  },
});

/** External ids are given by CloudFormation's blue/green hook only: nothing here has one, so nothing remains to be deleted. */
export const deleteResourcesByExternalId = operation('codedeploy', 'DeleteResourcesByExternalId', {
  authorize: () => '*',
  async handle() {
    return {};
  },
});
