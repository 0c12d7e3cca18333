/** Managed policies: the account's own, with their versions, and AWS's. */
import { AwsError } from '../../platform/errors.ts';
import { policySize } from '../../platform/policy/validate.ts';
import { type Check, operation, type RequestContext, type ShapeOf } from '../../platform/service.ts';
import { requireArn } from './attachments.ts';
import { AWS_POLICIES_SINCE, type AwsPolicy, awsPolicies } from './aws-policies.ts';
import { createEntity, deleteEntity, type Entity, newTags, onNew, tagList } from './entities.ts';
import { checkPolicy, noSuchEntity, quotaExceeded } from './errors.ts';
import { pageOfAll } from './paging.ts';
import { changePolicy, requirePolicy } from './policy-rows.ts';

const MAX_DOCUMENT = 6144;

/** Attachments and uses as a boundary, by policy ARN. */
type Usage = Map<string, { attached: number; boundary: number }>;

export const onPolicy = async ({ PolicyArn }: { PolicyArn: string }, ctx: RequestContext): Promise<Check> => {
  requireArn(PolicyArn);
  const own = await ctx.read
    .selectFrom('iam.entities')
    .select('tags')
    .where('arn', '=', PolicyArn)
    .where('account', '=', ctx.account)
    .executeTakeFirst();
  return { resource: PolicyArn, resourceTags: own?.tags };
};

const createPolicy = operation('iam', 'CreatePolicy', {
  authorize: (input, ctx) => onNew('policy', input.PolicyName, ctx, input),
  async handle(ctx, { PolicyName, Path, PolicyDocument, Description, Tags }) {
    checkDocument(PolicyDocument);
    const tags = JSON.stringify(newTags(Tags));
    const policy = await ctx.transaction(async (tx) => {
      const values = {
        name: PolicyName,
        path: Path,
        description: Description,
        tags,
        default_version: 1,
        latest_version: 1,
        updated_at: ctx.now(),
      };
      const made = await createEntity(tx, ctx, 'policy', values);
      const version = { policy_id: made.id, version: 1, document: PolicyDocument, created_at: made.created_at };
      await tx.sql.insertInto('iam.policy_versions').values(version).execute();
      return made;
    });
    return { Policy: { ...describePolicy(policy, new Map()), Tags: tagList(policy.tags) } };
  },
});

export function checkDocument(document: string): void {
  checkPolicy(document, 'identity');
  if (policySize(document) > MAX_DOCUMENT) throw quotaExceeded('PolicySize', MAX_DOCUMENT);
}

const getPolicy = operation('iam', 'GetPolicy', {
  authorize: onPolicy,
  async handle(ctx, { PolicyArn }) {
    const usage = await usageOf(ctx);
    const aws = awsPolicies().get(PolicyArn);
    if (aws) return { Policy: { ...describeAwsPolicy(aws, usage), Description: aws.description, Tags: [] } };
    const policy = await requirePolicy(ctx, PolicyArn);
    return { Policy: { ...describePolicy(policy, usage), Description: policy.description ?? undefined, Tags: tagList(policy.tags) } };
  },
});

const listPolicies = operation('iam', 'ListPolicies', {
  authorize: (_, ctx) => `arn:aws:iam::${ctx.account}:policy/`,
  async handle(ctx, input) {
    const { Scope = 'All', OnlyAttached = false, PathPrefix = '/', PolicyUsageFilter } = input;
    const usage = await usageOf(ctx);
    const aws = Scope === 'Local' ? [] : [...awsPolicies().values()].map((policy) => describeAwsPolicy(policy, usage));
    const own = Scope === 'AWS' ? [] : (await ownPolicies(ctx)).map((policy) => describePolicy(policy, usage));
    const wanted = [...own, ...aws].filter((policy) => {
      const attached = policy.AttachmentCount! > 0;
      const bounds = policy.PermissionsBoundaryUsageCount! > 0;
      const used =
        PolicyUsageFilter === 'PermissionsBoundary' ? bounds : PolicyUsageFilter === 'PermissionsPolicy' ? attached : attached || bounds;
      return policy.Path!.startsWith(PathPrefix) && (used || (!OnlyAttached && !PolicyUsageFilter));
    });
    const scope = `policies:${Scope}:${OnlyAttached}:${PathPrefix}:${PolicyUsageFilter ?? ''}`;
    const { items, ...page } = pageOfAll(ctx, scope, input, wanted, (policy) => `${policy.PolicyName!.toLowerCase()} ${policy.Arn}`);
    return { Policies: items, ...page };
  },
});

const deletePolicy = operation('iam', 'DeletePolicy', {
  authorize: onPolicy,
  async handle(ctx, { PolicyArn }) {
    await changePolicy(ctx, PolicyArn, async (tx, policy) => {
      const used = await tx.sql.selectFrom('iam.attachments').select('entity_id').where('policy_arn', '=', PolicyArn).executeTakeFirst();
      const bounds = await tx.sql
        .selectFrom('iam.entities')
        .select('id')
        .where('account', '=', ctx.account)
        .where('boundary', '=', PolicyArn)
        .executeTakeFirst();
      if (used || bounds) throw new AwsError('DeleteConflict', 'Cannot delete a policy attached to entities.');
      const versions = await tx.sql.selectFrom('iam.policy_versions').select('version').where('policy_id', '=', policy.id).execute();
      if (versions.length > 1) {
        throw new AwsError(
          'DeleteConflict',
          "This policy has more than one version. Before you delete a policy, you must delete the policy's versions. The default version is deleted with the policy.",
        );
      }
      await deleteEntity(tx, policy);
    });
    return {};
  },
});

const listEntitiesForPolicy = operation('iam', 'ListEntitiesForPolicy', {
  authorize: onPolicy,
  async handle(ctx, input) {
    const { PolicyArn, EntityFilter, PathPrefix = '/', PolicyUsageFilter } = input;
    requireArn(PolicyArn);
    if (!awsPolicies().has(PolicyArn)) await requirePolicy(ctx, PolicyArn);
    const attached = ctx.read
      .selectFrom('iam.attachments')
      .select('entity_id')
      .where('account', '=', ctx.account)
      .where('policy_arn', '=', PolicyArn);
    const rows = await ctx.read
      .selectFrom('iam.entities')
      .selectAll()
      .where('account', '=', ctx.account)
      .where((by) => {
        const asPolicy = by('id', 'in', attached);
        const asBoundary = by('boundary', '=', PolicyArn);
        if (PolicyUsageFilter === 'PermissionsPolicy') return asPolicy;
        return PolicyUsageFilter === 'PermissionsBoundary' ? asBoundary : by.or([asPolicy, asBoundary]);
      })
      .execute();
    const kinds: Record<string, string> = { User: 'user', Role: 'role', Group: 'group' };
    const wanted = rows.filter((row) => row.path.startsWith(PathPrefix) && (!EntityFilter || row.kind === kinds[EntityFilter]));
    const scope = `entities:${PolicyArn}:${EntityFilter ?? ''}:${PathPrefix}:${PolicyUsageFilter ?? ''}`;
    const { items, ...page } = pageOfAll(ctx, scope, input, wanted, (row) => `${row.kind} ${row.key}`);
    const of = (kind: string): Entity[] => items.filter((row) => row.kind === kind);
    return {
      PolicyUsers: of('user').map(({ name, id }) => ({ UserName: name, UserId: id })),
      PolicyGroups: of('group').map(({ name, id }) => ({ GroupName: name, GroupId: id })),
      PolicyRoles: of('role').map(({ name, id }) => ({ RoleName: name, RoleId: id })),
      ...page,
    };
  },
});

function ownPolicies(ctx: RequestContext): Promise<Entity[]> {
  return ctx.read.selectFrom('iam.entities').selectAll().where('account', '=', ctx.account).where('kind', '=', 'policy').execute();
}

async function usageOf(ctx: RequestContext): Promise<Usage> {
  const usage: Usage = new Map();
  const count = (arn: string, what: 'attached' | 'boundary', amount: string): void => {
    const known = usage.get(arn) ?? { attached: 0, boundary: 0 };
    known[what] = Number(amount);
    usage.set(arn, known);
  };
  const attached = await ctx.read
    .selectFrom('iam.attachments')
    .select(['policy_arn', (query) => query.fn.countAll<string>().as('count')])
    .where('account', '=', ctx.account)
    .groupBy('policy_arn')
    .execute();
  for (const row of attached) count(row.policy_arn, 'attached', row.count);
  const bounds = await ctx.read
    .selectFrom('iam.entities')
    .select(['boundary', (query) => query.fn.countAll<string>().as('count')])
    .where('account', '=', ctx.account)
    .where('boundary', 'is not', null)
    .groupBy('boundary')
    .execute();
  for (const row of bounds) count(row.boundary!, 'boundary', row.count);
  return usage;
}

function describePolicy(policy: Entity, usage: Usage): ShapeOf<'iam', 'Policy'> {
  return {
    PolicyName: policy.name,
    PolicyId: policy.id,
    Arn: policy.arn,
    Path: policy.path,
    DefaultVersionId: `v${policy.default_version}`,
    ...counts(policy.arn, usage),
    IsAttachable: true,
    CreateDate: policy.created_at,
    UpdateDate: policy.updated_at ?? policy.created_at,
  };
}

function describeAwsPolicy(policy: AwsPolicy, usage: Usage): ShapeOf<'iam', 'Policy'> {
  return {
    PolicyName: policy.name,
    PolicyId: policy.id,
    Arn: policy.arn,
    Path: policy.path,
    DefaultVersionId: 'v1',
    ...counts(policy.arn, usage),
    IsAttachable: true,
    CreateDate: AWS_POLICIES_SINCE,
    UpdateDate: AWS_POLICIES_SINCE,
  };
}

function counts(arn: string, usage: Usage): { AttachmentCount: number; PermissionsBoundaryUsageCount: number } {
  const used = usage.get(arn);
  return { AttachmentCount: used?.attached ?? 0, PermissionsBoundaryUsageCount: used?.boundary ?? 0 };
}

const tagPolicy = operation('iam', 'TagPolicy', {
  authorize: async (input, ctx) => ({
    ...(await onPolicy(input, ctx)),
    requestTags: Object.fromEntries(input.Tags.map(({ Key, Value }) => [Key, Value])),
  }),
  async handle(ctx, { PolicyArn, Tags }) {
    await changePolicy(ctx, PolicyArn, async (tx, policy) => {
      const tags = JSON.stringify(newTags(Tags, policy.tags));
      await tx.sql.updateTable('iam.entities').set({ tags }).where('id', '=', policy.id).execute();
    });
    return {};
  },
});

const untagPolicy = operation('iam', 'UntagPolicy', {
  authorize: onPolicy,
  async handle(ctx, { PolicyArn, TagKeys }) {
    await changePolicy(ctx, PolicyArn, async (tx, policy) => {
      const tags = Object.fromEntries(Object.entries(policy.tags).filter(([key]) => !TagKeys.includes(key)));
      await tx.sql
        .updateTable('iam.entities')
        .set({ tags: JSON.stringify(tags) })
        .where('id', '=', policy.id)
        .execute();
    });
    return {};
  },
});

const listPolicyTags = operation('iam', 'ListPolicyTags', {
  authorize: onPolicy,
  async handle(ctx, input) {
    if (awsPolicies().has(input.PolicyArn)) throw noSuchEntity('policy', input.PolicyArn);
    const policy = await requirePolicy(ctx, input.PolicyArn);
    const { items, ...page } = pageOfAll(ctx, `tags:${policy.id}`, input, tagList(policy.tags), (tag) => tag.Key);
    return { Tags: items, ...page };
  },
});

export const managedPolicies = {
  createPolicy,
  getPolicy,
  listPolicies,
  deletePolicy,
  listEntitiesForPolicy,
  tagPolicy,
  untagPolicy,
  listPolicyTags,
};
