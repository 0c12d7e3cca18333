/** The role that a project's builds act as: the caller may pass it, and CodeBuild may assume it. */
import { AwsError } from '../../platform/errors.ts';
import type { RequestContext } from '../../platform/service.ts';
import { invalid } from './rules.ts';

const NOT_ASSUMABLE =
  'CodeBuild is not authorized to perform: sts:AssumeRole on service role. Please verify that: 1) The provided service role exists, ' +
  '2) The role name is case-sensitive and matches exactly, and 3) The role has the necessary trust policy configured.';

export async function checkServiceRole(ctx: RequestContext, role: string): Promise<void> {
  const found = /^arn:[^:]+:iam::(\d{12}):role\/.+$/.exec(role);
  if (!found) throw invalid('Invalid service role: Service role must be the ARN of a role');
  if (found[1] !== ctx.account) throw invalid("Invalid service role: Service role account ID does not match caller's account");
  await ctx.authorize({ action: 'iam:PassRole', resource: role, conditions: { 'iam:PassedToService': 'codebuild.amazonaws.com' } });
  try {
    await ctx.aws.credentials({ role, service: 'codebuild', sessionName: 'AWSCodeBuild-validate', region: ctx.region });
  } catch (error) {
    if (error instanceof AwsError && error.code !== 'InternalFailure') throw invalid(NOT_ASSUMABLE);
    throw error;
  }
}
