/** The service role's credentials for the commands of a running build, asked for by its token at the credentials door. */
import type { Credentials } from '../../platform/aws.ts';
import type { Platform } from '../../platform/platform.ts';
import { hashToken } from './engine/claim.ts';
import { findByToken } from './sandboxes/claim.ts';
import type { BuildRow } from './tables.ts';

/** The user name under which git in a build shows the build's token as its password. */
export const BUILD_GIT_USER = 'codebuild';

/** Undefined once the build or sandbox is over, whatever the token. */
export async function buildCredentials(
  platform: Platform,
  token: string,
): Promise<{ credentials: Credentials; roleArn: string; region: string } | undefined> {
  const row = (await findByToken(platform, token)) ?? (await findBuild(platform, token));
  const role = row?.definition.serviceRole;
  if (!row || !role) return undefined;
  const credentials = await platform.aws.credentials({
    role,
    service: 'codebuild',
    sessionName: `AWSCodeBuild-${row.id}`,
    region: row.region,
  });
  return { credentials, roleArn: role, region: row.region };
}

function findBuild({ read }: Platform, token: string): Promise<Pick<BuildRow, 'id' | 'region' | 'definition'> | undefined> {
  return read
    .selectFrom('codebuild.builds')
    .select(['id', 'region', 'definition'])
    .where('credential_hash', '=', hashToken(token))
    .where('status', '=', 'IN_PROGRESS')
    .executeTakeFirst();
}
