/** Whether those whom pull requests and comments name are still there: asked of IAM, as the service itself. */
import { AwsError } from '../../platform/errors.ts';
import type { RequestContext } from '../../platform/service.ts';

const IAM_PAGE = 1000;

/** Could be the ARN of somebody. */
export function isArn(text: string): boolean {
  return /^arn:aws[\w-]*:(?:iam|sts)::\d*:[\x21-\x7e]+$/.test(text);
}

/** `AuthorDoesNotExistException` or the like when the account has no such user or role. */
export async function requireIdentity(ctx: RequestContext, arn: string, code: string): Promise<void> {
  if ((await deletedOf(ctx, [arn])).size === 0) return;
  throw new AwsError(code, `The specified Amazon Resource Name (ARN) does not exist in the AWS account: ${arn}`);
}

/** Those of the ARNs that stand for nobody of this account any more. What IAM does not keep (root, federated users) is never deleted. */
export async function deletedOf(ctx: RequestContext, arns: string[]): Promise<Set<string>> {
  const { account: own, region } = ctx;
  const { iam } = ctx.aws.asService('codecommit', { account: own, region });
  const users = new Map<string, string[]>();
  const roles = new Map<string, string[]>();
  const missing = new Set<string>();
  for (const arn of arns) {
    const [, , , , account, resource = ''] = arn.split(':');
    const role = /^assumed-role\/([^/]+)\//.exec(resource)?.[1];
    if (account !== own) missing.add(arn);
    else if (role !== undefined) roles.set(role, [...(roles.get(role) ?? []), arn]);
    else if (resource.startsWith('user/')) users.set(arn, [arn]);
  }
  // Lists rather than one question for each: a comment may have a thousand reactions.
  await strike(users, async (Marker) => {
    const { Users, ...page } = await iam.listUsers({ Marker, MaxItems: IAM_PAGE });
    return { ...page, names: Users.map(({ Arn }) => Arn) };
  });
  await strike(roles, async (Marker) => {
    const { Roles, ...page } = await iam.listRoles({ Marker, MaxItems: IAM_PAGE });
    return { ...page, names: Roles.map(({ RoleName }) => RoleName) };
  });
  return new Set([...missing, ...[...users.values(), ...roles.values()].flat()]);
}

/** Takes away what IAM lists, until nothing is left or the list has ended. */
async function strike(
  wanted: Map<string, string[]>,
  list: (marker: string | undefined) => Promise<{ names: string[]; IsTruncated?: boolean; Marker?: string }>,
): Promise<void> {
  let marker: string | undefined;
  while (wanted.size > 0) {
    const { names, IsTruncated, Marker } = await list(marker);
    for (const name of names) wanted.delete(name);
    if (!IsTruncated) return;
    marker = Marker;
  }
}
