/** Users and roles as access is decided by them: their policies, boundary and tags, loaded together. */

import type { Reader } from '../../platform/platform.ts';
import { cachedPolicy, type Policy } from '../../platform/policy/document.ts';
import { awsPolicies } from './aws-policies.ts';
import type { Tags } from './tables.ts';

export interface Identity {
  account: string;
  id: string;
  name: string;
  arn: string;
  tags: Tags;
  /** Inline and attached, those of the user's groups among them. */
  policies: Policy[];
  boundary: Policy | undefined;
}

/** Undefined when there is no such user or role (any more). */
export async function loadIdentity(read: Reader, id: string): Promise<Identity | undefined> {
  const entity = await read
    .selectFrom('iam.entities')
    .select(['account', 'id', 'name', 'arn', 'tags', 'boundary', 'kind'])
    .where('id', '=', id)
    .executeTakeFirst();
  if (!entity || (entity.kind !== 'user' && entity.kind !== 'role')) return undefined;
  const groups = await read.selectFrom('iam.group_members').select('group_id').where('user_id', '=', id).execute();
  const holders = [id, ...groups.map((group) => group.group_id)];
  const [inline, attached] = await Promise.all([
    read.selectFrom('iam.inline_policies').select('document').where('entity_id', 'in', holders).execute(),
    read.selectFrom('iam.attachments').select('policy_arn').where('entity_id', 'in', holders).execute(),
  ]);
  const arns = attached.map((row) => row.policy_arn);
  const managed = await managedDocuments(read, entity.boundary ? [...arns, entity.boundary] : arns);
  const documents = [...inline.map((row) => row.document), ...arns.flatMap((arn) => managed.get(arn) ?? [])];
  const { account, name, arn, tags, boundary } = entity;
  return {
    account,
    id,
    name,
    arn,
    tags,
    policies: documents.map(cachedPolicy),
    // A boundary whose policy is gone allows nothing.
    boundary: boundary ? boundaryPolicy(managed.get(boundary)) : undefined,
  };
}

function boundaryPolicy(document: string | undefined): Policy {
  return document === undefined ? { statements: [] } : cachedPolicy(document);
}

/** The documents in force of managed policies, AWS's and the account's own, by ARN. */
export async function managedDocuments(read: Reader, arns: string[]): Promise<Map<string, string>> {
  const known = awsPolicies();
  const documents = new Map(arns.flatMap((arn) => (known.has(arn) ? [[arn, known.get(arn)!.document]] : [])));
  const own = arns.filter((arn) => !known.has(arn));
  if (own.length === 0) return documents;
  const rows = await read
    .selectFrom('iam.entities as policy')
    .innerJoin('iam.policy_versions as version', (join) =>
      join.onRef('version.policy_id', '=', 'policy.id').onRef('version.version', '=', 'policy.default_version'),
    )
    .select(['policy.arn', 'version.document'])
    .where('policy.arn', 'in', own)
    .where('policy.kind', '=', 'policy')
    .execute();
  for (const row of rows) documents.set(row.arn, row.document);
  return documents;
}
