/** Sharing a project or a report group with other accounts: PutResourcePolicy and its neighbours. */
import { AwsError } from '../../../platform/errors.ts';
import { PolicyError, type PolicySource, readPolicy, type StatementSource } from '../../../platform/policy/document.ts';
import { compilePattern } from '../../../platform/policy/pattern.ts';
import { validatePolicy } from '../../../platform/policy/validate.ts';
import { type Check, operation, type RequestContext } from '../../../platform/service.ts';
import { findProject } from '../projects.ts';
import { findGroup } from '../reports/report-rows.ts';
import { invalid } from '../rules.ts';
import { forgetResourcePolicy, listShared, resourcePolicyOf } from './shared.ts';
import type { SharedKind } from './tables.ts';

/** characters; IAM takes no longer document of any kind */
const MAX_POLICY = 20_480;
const ROOT_ARN = /^arn:aws[\w-]*:iam::(\d{12}):root$/;

/** What a consumer may be allowed (CodeBuild user guide, "Share build projects" and "Share test reports"): to look, never to change or run. */
const SHAREABLE: Record<SharedKind, string[]> = {
  project: ['codebuild:BatchGetProjects', 'codebuild:BatchGetBuilds', 'codebuild:ListBuildsForProject'],
  'report-group': [
    'codebuild:BatchGetReportGroups',
    'codebuild:BatchGetReports',
    'codebuild:ListReportsForReportGroup',
    'codebuild:DescribeTestCases',
    'codebuild:DescribeCodeCoverages',
  ],
};

export const putResourcePolicy = operation('codebuild', 'PutResourcePolicy', {
  authorize: ({ resourceArn }, ctx) => onResource(ctx, resourceArn),
  async handle(ctx, { resourceArn, policy }) {
    const resource = await requireResource(ctx, resourceArn);
    const principals = checkPolicy(policy, resource);
    await ctx.transaction((tx) =>
      tx.sql
        .insertInto('codebuild.resource_policies')
        .values({ account: ctx.account, region: ctx.region, ...resource, policy, principals, modified_at: ctx.now() })
        .onConflict((conflict) =>
          conflict.columns(['account', 'region', 'arn']).doUpdateSet({ policy, principals, modified_at: ctx.now() }),
        )
        .execute(),
    );
    return { resourceArn };
  },
});

export const getResourcePolicy = operation('codebuild', 'GetResourcePolicy', {
  authorize: ({ resourceArn }, ctx) => onResource(ctx, resourceArn),
  async handle(ctx, { resourceArn }) {
    const { arn } = await requireResource(ctx, resourceArn);
    const policy = await resourcePolicyOf(ctx, ctx, arn);
    if (policy === undefined) throw ctx.error('ResourceNotFoundException', `No resource policy found for resource: ${arn}`);
    return { policy };
  },
});

/** Taking away a policy that is not there succeeds. */
export const deleteResourcePolicy = operation('codebuild', 'DeleteResourcePolicy', {
  authorize: ({ resourceArn }, ctx) => onResource(ctx, resourceArn),
  async handle(ctx, { resourceArn }) {
    const { arn } = parseArn(ctx, resourceArn);
    await ctx.transaction((tx) => forgetResourcePolicy(tx, ctx, arn));
    return {};
  },
});

export const listSharedProjects = operation('codebuild', 'ListSharedProjects', {
  authorize: () => '*',
  async handle(ctx, input) {
    const { arns, nextToken } = await listShared(ctx, 'project', input);
    return { projects: arns, nextToken };
  },
});

interface Resource {
  arn: string;
  kind: SharedKind;
}

function parseArn(ctx: RequestContext, arn: string): Resource & { name: string } {
  const found = /^arn:aws:codebuild:([^:]*):([^:]*):(project|report-group)\/([\w-]+)$/.exec(arn);
  if (!found) throw invalid(`Invalid resource ARN: ${arn} is not the ARN of a project or a report group`);
  const [, region, account, kind, name] = found as unknown as [string, string, string, SharedKind, string];
  if (region !== ctx.region || account !== ctx.account) throw invalid(`Invalid resource ARN: ${arn} is not of this account and region`);
  return { arn, kind, name };
}

async function onResource(ctx: RequestContext, arn: string): Promise<Check> {
  const { kind, name } = parseArn(ctx, arn);
  return { resource: arn, resourceTags: (await findShareable(ctx, kind, name))?.tags };
}

function findShareable(ctx: RequestContext, kind: SharedKind, name: string): Promise<{ tags: Record<string, string> } | undefined> {
  return kind === 'project' ? findProject(ctx, ctx, name) : findGroup(ctx, { account: ctx.account, region: ctx.region, name });
}

async function requireResource(ctx: RequestContext, given: string): Promise<Resource> {
  const { arn, kind, name } = parseArn(ctx, given);
  if (!(await findShareable(ctx, kind, name))) throw new AwsError('ResourceNotFoundException', `Resource cannot be found: ${arn}`);
  return { arn, kind };
}

/** The principals that it lets in, as `principals` holds them. Throws InvalidInputException. */
function checkPolicy(text: string, { arn, kind }: Resource): string[] {
  if (text.length > MAX_POLICY) throw invalid(`Invalid resource policy: the policy is longer than ${MAX_POLICY} characters`);
  let source: PolicySource;
  try {
    validatePolicy(text, 'resource');
    source = readPolicy(text);
  } catch (error) {
    if (error instanceof PolicyError) throw invalid(`Invalid resource policy: ${error.message}`);
    throw error;
  }
  for (const statement of source.statements) checkStatement(statement, arn, SHAREABLE[kind]);
  return [...new Set(source.statements.filter(({ effect }) => effect === 'Allow').flatMap(namesIn))];
}

function checkStatement(
  { actions, notActions, resources, notResources, notPrincipal }: StatementSource,
  arn: string,
  shareable: string[],
): void {
  // "All but these" would share what nobody listed.
  if (notActions || notResources || notPrincipal) {
    throw invalid('Invalid resource policy: NotAction, NotResource and NotPrincipal are not supported');
  }
  for (const action of actions ?? []) {
    if (!shareable.some((each) => covers(action, each, true)))
      throw invalid(`Invalid resource policy: the action ${action} cannot be shared; those that can are ${shareable.join(', ')}`);
  }
  for (const resource of resources ?? []) {
    if (!covers(resource, arn, false)) throw invalid(`Invalid resource policy: the resource ${resource} is not ${arn}`);
  }
}

/** Actions and resources of a policy may have wildcards; case counts in resources only. */
function covers(pattern: string, text: string, ignoreCase: boolean): boolean {
  const compiled = compilePattern(pattern, { wildcards: true, variables: false, ignoreCase });
  return compiled.matches(ignoreCase ? text.toLowerCase() : text, () => undefined);
}

function namesIn({ principal }: StatementSource): string[] {
  if (principal === '*') return ['*'];
  return (principal?.AWS ?? []).map((name) => ROOT_ARN.exec(name)?.[1] ?? name);
}
