/** A CodeCommit repository, by git inside the machine, with a password that is good for this repository and fifteen minutes. */
import { createHash, createHmac } from 'node:crypto';
import type { Credentials } from '../../../platform/aws.ts';
import { AwsError } from '../../../platform/errors.ts';
import { ExecStartError } from '../../../ports/machines/port.ts';
import { repositoryOf } from '../rules.ts';
import { runScript } from '../runner/machine-tools.ts';
import { BuildFailure } from '../runner/outcome.ts';
import type { OneSource, SourceContext } from './fetch.ts';

/**
 * `$1` directory, `$2` URL, `$3` version or nothing, `$4` depth (0: all). Prints the commit id. Leaves with 4 when there is no such
 * version, with git's own status when git fails.
 */
const CLONE = `set -e
git init -q "$1"
cd "$1"
git remote add origin "$2"
version=$3
depth=
[ "$4" = 0 ] || depth=--depth=$4
case $version in
  *'^{'*) version=\${version##*'^{'}; version=\${version%'}'} ;;
esac
full() { git fetch -q --tags origin '+refs/heads/*:refs/remotes/origin/*'; }
case $version in
  '')
    git fetch -q $depth origin HEAD || { git ls-remote "$2" >/dev/null; exit 4; }
    commit=$(git rev-parse --verify -q FETCH_HEAD^0) ;;
  *)
    if [ "$depth" ]; then
      commit=
      for ref in "refs/heads/$version" "refs/tags/$version" "$version"; do
        git fetch -q $depth origin "$ref" 2>/dev/null || continue
        commit=$(git rev-parse --verify -q FETCH_HEAD^0)
        break
      done
    fi
    if [ -z "$commit" ]; then
      full
      for ref in "refs/remotes/origin/\${version#refs/heads/}" "refs/tags/$version" "$version"; do
        commit=$(git rev-parse --verify -q "$ref^0") && break
      done
    fi ;;
esac
[ "$commit" ] || exit 4
[ "$depth" ] || full
git -c advice.detachedHead=false checkout -q --detach "$commit"
echo "$commit"`;

const NO_SUCH_VERSION = 4;

export async function fetchCodeCommit(context: SourceContext, one: OneSource): Promise<string> {
  const { platform, row, machine, signal } = context;
  const name = repositoryOf(one.source.location ?? '');
  if (!name) throw new BuildFailure('CLIENT_ERROR', `invalid repository location for ${one.label}`);
  const credentials = await roleCredentials(context, one);
  const base = platform.config.serviceEndpoints.codecommit ?? platform.config.endpoints.http;
  const url = `${base}/v1/repos/${name}`;
  const { user, password } = gitPassword(credentials, { url, region: row.region, now: platform.now() });
  context.log.masker.add(password);
  const version = one.version ?? '';
  if (version.startsWith('-') || /[\0\n]/.test(version))
    throw new BuildFailure('CLIENT_ERROR', `invalid source version ${version} for ${one.label}`);
  const env = {
    GIT_TERMINAL_PROMPT: '0',
    GIT_CONFIG_NOSYSTEM: '1',
    // By environment, so that neither the command line nor .git/config shows it, and for this repository only.
    GIT_CONFIG_COUNT: '1',
    GIT_CONFIG_KEY_0: `http.${url}.extraHeader`,
    GIT_CONFIG_VALUE_0: `Authorization: Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`,
  };
  try {
    const args = [one.target, url, version, String(one.source.gitCloneDepth ?? 0)];
    const output = await runScript(machine, CLONE, args, { env, signal });
    if (output.exitCode !== 0) throw explain(output.exitCode, output.stderr, one, version);
    if (one.source.gitSubmodulesConfig?.fetchSubmodules) await fetchSubmodules(context, one, env);
    return output.stdout.toString().trim();
  } catch (error) {
    if (error instanceof ExecStartError)
      throw new BuildFailure('CLIENT_ERROR', `git is not available in the build environment: ${error.message}`);
    throw error;
  }
}

async function fetchSubmodules({ machine, signal }: SourceContext, one: OneSource, env: Record<string, string>): Promise<void> {
  const script = 'cd "$1" && git submodule update -q --init --recursive';
  const output = await runScript(machine, script, [one.target], { env, signal });
  if (output.exitCode !== 0) throw new BuildFailure('CLIENT_ERROR', `cannot fetch the submodules of ${one.label}: ${output.stderr}`);
}

function explain(exitCode: number | null, stderr: string, one: OneSource, version: string): BuildFailure {
  if (exitCode === NO_SUCH_VERSION || /couldn't find remote ref|not our ref/i.test(stderr)) {
    return new BuildFailure('CLIENT_ERROR', `reference not found for ${one.label} and source version ${version}`);
  }
  if (/Authentication failed|HTTP 40[13]|error: 40[13]|could not read Username/i.test(stderr)) {
    return new BuildFailure('CLIENT_ERROR', `authorization failed for ${one.label} and source version ${version}`);
  }
  if (/not found|error: 404/i.test(stderr))
    return new BuildFailure('CLIENT_ERROR', `repository not found for ${one.label} and source version ${version}`);
  if (exitCode === 127) return new BuildFailure('CLIENT_ERROR', 'git is not available in the build environment');
  return new BuildFailure('CLIENT_ERROR', `git clone failed for ${one.label} and source version ${version}: ${stderr}`);
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
