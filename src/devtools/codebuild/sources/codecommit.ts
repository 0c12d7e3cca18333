/** A CodeCommit repository, by git inside the machine, with a password that is good for this repository and fifteen minutes. */
import { createHash, createHmac } from 'node:crypto';
import type { Credentials } from '../../../platform/aws.ts';
import { AwsError } from '../../../platform/errors.ts';
import { repositoryOf } from '../rules.ts';
import { BuildFailure } from '../runner/outcome.ts';
import { cloneRepository, wantedVersion } from './clone.ts';
import type { OneSource, SourceContext } from './fetch.ts';

export async function fetchCodeCommit(context: SourceContext, one: OneSource): Promise<string> {
  const { platform, row } = context;
  const name = repositoryOf(one.source.location ?? '');
  if (!name) throw new BuildFailure('CLIENT_ERROR', `invalid repository location for ${one.label}`);
  const credentials = await roleCredentials(context, one);
  const base = platform.config.serviceEndpoints.codecommit ?? platform.config.endpoints.http;
  const url = `${base}/v1/repos/${name}`;
  const { user, password } = gitPassword(credentials, { url, region: row.region, now: platform.now() });
  const version = one.version ?? '';
  if (version.startsWith('-') || /[\0\n]/.test(version))
    throw new BuildFailure('CLIENT_ERROR', `invalid source version ${version} for ${one.label}`);
  // For this repository only, so the user and password are of no use to a submodule.
  return cloneRepository(context, one, { url, credential: { user, password, base: url }, settings: {} }, wantedVersion(version));
}

async function roleCredentials({ platform, row }: SourceContext, one: OneSource): Promise<Credentials> {
  try {
    return await platform.aws.credentials({
      role: row.definition.serviceRole ?? '',
      service: 'codebuild',
      sessionName: `AWSCodeBuild-${row.id}`,
      region: row.region,
    });
  } catch (error) {
    if (error instanceof AwsError) throw new BuildFailure('CLIENT_ERROR', `authorization failed for ${one.label}: ${error.message}`);
    throw error;
  }
}

/** What `aws codecommit credential-helper` makes: user `AKID%TOKEN`, password a signature over path and host without its port. */
export function gitPassword(
  credentials: Credentials,
  request: { url: string; region: string; now: Date },
): { user: string; password: string } {
  const { hostname, pathname } = new URL(request.url);
  const time = request.now
    .toISOString()
    .replace(/[-:]|\.\d{3}/g, '')
    .replace('Z', '');
  const scope = `${time.slice(0, 8)}/${request.region}/codecommit/aws4_request`;
  const canonical = `GIT\n${pathname}\n\nhost:${hostname}\n\nhost\n`;
  const toSign = `AWS4-HMAC-SHA256\n${time}\n${scope}\n${createHash('sha256').update(canonical).digest('hex')}`;
  let key: Buffer | string = `AWS4${credentials.secretAccessKey}`;
  for (const part of scope.split('/')) key = createHmac('sha256', key).update(part).digest();
  const signature = createHmac('sha256', key).update(toSign).digest('hex');
  return { user: `${credentials.accessKeyId}%${credentials.sessionToken}`, password: `${time}Z${signature}` };
}
