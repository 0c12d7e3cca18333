/** Versions of managed policies: up to five, one of them in force. */
import { AwsError } from '../../platform/errors.ts';
import type { Transaction } from '../../platform/platform.ts';
import { operation, type RequestContext, type ShapeOf } from '../../platform/service.ts';
import { AWS_POLICIES_SINCE, awsPolicies } from './aws-policies.ts';
import { encodeDocument } from './describe.ts';
import type { Entity } from './entities.ts';
import { checkDocument, onPolicy } from './managed-policies.ts';
import { pageOfAll } from './paging.ts';
import { changePolicy, requirePolicy } from './policy-rows.ts';

const MAX_VERSIONS = 5;

const createPolicyVersion = operation('iam', 'CreatePolicyVersion', {
  authorize: onPolicy,
  async handle(ctx, { PolicyArn, PolicyDocument, SetAsDefault = false }) {
    checkDocument(PolicyDocument);
    const made = await changePolicy(ctx, PolicyArn, async (tx, policy) => {
      const existing = await tx.sql.selectFrom('iam.policy_versions').select('version').where('policy_id', '=', policy.id).execute();
      if (existing.length >= MAX_VERSIONS) {
        throw new AwsError(
          'LimitExceeded',
          `A managed policy can have up to ${MAX_VERSIONS} versions. Before you create a new version, you must delete an existing version.`,
        );
      }
      const row = { policy_id: policy.id, version: policy.latest_version! + 1, document: PolicyDocument, created_at: ctx.now() };
      await tx.sql.insertInto('iam.policy_versions').values(row).execute();
      await updatePolicy(tx, policy, {
        latest_version: row.version,
        ...(SetAsDefault && { default_version: row.version, updated_at: row.created_at }),
      });
      return row;
    });
    return { PolicyVersion: { VersionId: `v${made.version}`, IsDefaultVersion: SetAsDefault, CreateDate: made.created_at } };
  },
});

const getPolicyVersion = operation('iam', 'GetPolicyVersion', {
  authorize: onPolicy,
  async handle(ctx, { PolicyArn, VersionId }) {
    const versions = await versionsOf(ctx, PolicyArn, true);
    const found = versions.find((version) => version.VersionId === VersionId);
    if (!found) throw noSuchVersion(PolicyArn, VersionId);
    return { PolicyVersion: found };
  },
});

const listPolicyVersions = operation('iam', 'ListPolicyVersions', {
  authorize: onPolicy,
  async handle(ctx, input) {
    const versions = await versionsOf(ctx, input.PolicyArn, false);
    // The newest first, as IAM lists them.
    const order = (version: ShapeOf<'iam', 'PolicyVersion'>): string => String(1e9 - Number(version.VersionId!.slice(1)));
    const { items, ...page } = pageOfAll(ctx, `versions:${input.PolicyArn}`, input, versions, order);
    return { Versions: items, ...page };
  },
});

const setDefaultPolicyVersion = operation('iam', 'SetDefaultPolicyVersion', {
  authorize: onPolicy,
  async handle(ctx, { PolicyArn, VersionId }) {
    await changePolicy(ctx, PolicyArn, async (tx, policy) => {
      const version = await requireVersion(tx, policy, VersionId);
      await updatePolicy(tx, policy, { default_version: version, updated_at: ctx.now() });
    });
    return {};
  },
});

const deletePolicyVersion = operation('iam', 'DeletePolicyVersion', {
  authorize: onPolicy,
  async handle(ctx, { PolicyArn, VersionId }) {
    await changePolicy(ctx, PolicyArn, async (tx, policy) => {
      const version = await requireVersion(tx, policy, VersionId);
      if (version === policy.default_version) throw new AwsError('DeleteConflict', 'Cannot delete the default version of a policy.');
      await tx.sql.deleteFrom('iam.policy_versions').where('policy_id', '=', policy.id).where('version', '=', version).execute();
    });
    return {};
  },
});

async function versionsOf(ctx: RequestContext, arn: string, withDocument: boolean): Promise<ShapeOf<'iam', 'PolicyVersion'>[]> {
  const aws = awsPolicies().get(arn);
  const document = (text: string): { Document?: string } => (withDocument ? { Document: encodeDocument(text) } : {});
  if (aws) return [{ ...document(aws.document), VersionId: 'v1', IsDefaultVersion: true, CreateDate: AWS_POLICIES_SINCE }];
  const policy = await requirePolicy(ctx, arn);
  const rows = await ctx.read.selectFrom('iam.policy_versions').selectAll().where('policy_id', '=', policy.id).execute();
  return rows.map((row) => ({
    ...document(row.document),
    VersionId: `v${row.version}`,
    IsDefaultVersion: row.version === policy.default_version,
    CreateDate: row.created_at,
  }));
}

async function requireVersion(tx: Transaction, policy: Entity, versionId: string): Promise<number> {
  const version = Number(/^v(\d{1,9})(?:\.|$)/.exec(versionId)?.[1] ?? 0);
  const row = await tx.sql
    .selectFrom('iam.policy_versions')
    .select('version')
    .where('policy_id', '=', policy.id)
    .where('version', '=', version)
    .executeTakeFirst();
  if (!row) throw noSuchVersion(policy.arn, versionId);
  return version;
}

function noSuchVersion(arn: string, versionId: string): AwsError {
  return new AwsError('NoSuchEntity', `Policy ${arn} version ${versionId} does not exist or is not attachable.`);
}

async function updatePolicy(
  tx: Transaction,
  policy: Entity,
  values: { default_version?: number; latest_version?: number; updated_at?: Date },
): Promise<void> {
  await tx.sql.updateTable('iam.entities').set(values).where('id', '=', policy.id).execute();
}

export const policyVersions = { createPolicyVersion, getPolicyVersion, listPolicyVersions, setDefaultPolicyVersion, deletePolicyVersion };
