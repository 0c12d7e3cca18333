/** The policies that a simulation looks at, each with where it comes from. */
import { compilePattern } from '../../../platform/policy/pattern.ts';
import type { Input, RequestContext } from '../../../platform/service.ts';
import { awsPolicies } from '../aws-policies.ts';
import type { Entity } from '../entities.ts';
import { managedDocuments } from '../identities.ts';

export interface PolicySource {
  /** As the answer names it. */
  id: string;
  kind: 'user' | 'group' | 'role' | 'aws-managed' | 'user-managed' | 'none' | 'resource';
  text: string;
  /** Of a managed policy. */
  arn?: string;
  /** Of an inline policy. */
  inline?: { name: string; holder: string };
}

/** Policies that are handed in, called `PolicyInputList.1` and so on. */
export function givenSources(list: string[] | undefined, name = 'PolicyInputList'): PolicySource[] {
  return (list ?? []).map((text, index) => ({ id: `${name}.${index + 1}`, kind: 'none', text }));
}

/** Inline and attached policies of a user, with those of his groups, or of a role or group. */
export async function policiesOf(ctx: RequestContext, entity: Entity): Promise<PolicySource[]> {
  const groups = await ctx.read
    .selectFrom('iam.group_members as member')
    .innerJoin('iam.entities as group', 'group.id', 'member.group_id')
    .select(['group.id', 'group.name'])
    .where('member.user_id', '=', entity.id)
    .execute();
  const holders = [
    { id: entity.id, name: entity.name, kind: entity.kind as 'user' | 'group' | 'role' },
    ...groups.map((group) => ({ ...group, kind: 'group' as const })),
  ];
  const ids = holders.map((holder) => holder.id);
  const [inline, attached] = await Promise.all([
    ctx.read.selectFrom('iam.inline_policies').selectAll().where('entity_id', 'in', ids).orderBy('name').execute(),
    ctx.read.selectFrom('iam.attachments').select('policy_arn').distinct().where('entity_id', 'in', ids).execute(),
  ]);
  const arns = attached.map((row) => row.policy_arn);
  const documents = await managedDocuments(ctx.read, arns);
  return [
    ...inline.map((row): PolicySource => {
      const holder = holders.find(({ id }) => id === row.entity_id)!;
      const id = `${holder.kind}_${holder.name}_${row.name}`;
      return { id, kind: holder.kind, text: row.document, inline: { name: row.name, holder: `${holder.kind}/${holder.name}` } };
    }),
    ...arns.map((arn): PolicySource => {
      const kind = awsPolicies().has(arn) ? 'aws-managed' : 'user-managed';
      return { id: arn.slice(arn.lastIndexOf('/') + 1), kind, text: documents.get(arn)!, arn };
    }),
  ];
}

type Exclusions = NonNullable<Input<'iam', 'SimulatePrincipalPolicy'>['PolicyExclusionList']>;

/** Whether the caller asked to leave a policy out: by its type, by an ARN, or by its name and holder. `*` and `?` are wildcards. */
export function isExcluded(source: PolicySource, exclusions: Exclusions): boolean {
  return exclusions.some(({ PolicyType: type, PolicyArn: arn, InlinePolicyIdentifier: inline }) => {
    if (inline) {
      const holder = `${inline.AttachmentType}/${inline.AttachmentName}`;
      return source.inline?.name === inline.PolicyName && matches(holder, source.inline.holder);
    }
    if (arn !== undefined) return source.arn !== undefined && matches(arn, source.arn);
    return type === (source.inline ? 'inline' : source.kind);
  });
}

function matches(pattern: string, text: string): boolean {
  return compilePattern(pattern, { wildcards: true, variables: false }).matches(text, () => undefined);
}
