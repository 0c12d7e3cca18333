/** git inside a machine: one repository at one version, with a credential that is neither in the command line nor in .git/config. */
import { ExecStartError } from '../../../ports/machines/port.ts';
import { basic } from '../providers/credential.ts';
import { runScript } from '../runner/machine-tools.ts';
import { BuildFailure } from '../runner/outcome.ts';
import type { OneSource, SourceContext } from './fetch.ts';

/**
 * `$1` directory, `$2` URL, `$3` depth (0: all), `$4` the only commit that will do, or nothing; then what to look for, the likeliest first:
 * references, commits. With none of them, the default branch. Prints the commit id. Leaves with 4 when there is no such version, with git's
 * own status when git fails.
 */
const CLONE = `set -e
git init -q "$1"
cd "$1"
git remote add origin "$2"
url=$2 wanted=$4 depth= commit= complete=
[ "$3" = 0 ] || depth=--depth=$3
shift 4
all() { [ "$complete" ] || git fetch -q --tags origin '+refs/heads/*:refs/remotes/origin/*'; complete=1; }
take() { git fetch -q $depth origin "$1" 2>/dev/null && commit=$(git rev-parse --verify -q FETCH_HEAD^0); }
if [ $# = 0 ]; then
  git fetch -q $depth origin HEAD || { git ls-remote "$url" >/dev/null; exit 4; }
  commit=$(git rev-parse --verify -q FETCH_HEAD^0)
elif [ "$depth" ]; then
  for name; do
    if take "$name"; then break; fi
  done
fi
if [ -z "$commit" ]; then
  all
  for name; do
    known=$name
    case $name in refs/heads/*) known=refs/remotes/origin/\${name#refs/heads/} ;; esac
    commit=$(git rev-parse --verify -q "$known^0") && break
    case $name in
      refs/heads/* | refs/tags/*) ;;
      *) if take "$name"; then break; fi ;;
    esac
  done
fi
if [ "$wanted" ] && [ "$commit" != "$wanted" ]; then commit=$(git rev-parse --verify -q "$wanted^0") || exit 4; fi
[ "$commit" ] || exit 4
[ "$depth" ] || all
git -c advice.detachedHead=false checkout -q --detach "$commit"
echo "$commit"`;

const SUBMODULES = 'cd "$1" && git submodule update -q --init --recursive';
const NO_SUCH_VERSION = 4;

export interface GitRemote {
  url: string;
  /** What is sent along to URLs that begin with `base`. */
  credential: { user: string; password: string; base: string } | undefined;
  /** Further settings of git, by name. */
  settings: Record<string, string>;
  /** The only ways by which git may get anything, such as `https`; undefined: git's own rules. */
  protocols?: string;
}

export interface WantedVersion {
  /** Names to look for, the likeliest first; none: the default branch. */
  names: string[];
  commit: string | undefined;
}

/** A version as CodeBuild takes it: nothing, a branch, a tag, a commit, a full reference, and `reference^{commit}`. */
export function wantedVersion(version: string): WantedVersion {
  if (version === '') return { names: [], commit: undefined };
  const [, reference, commit] = /^(.*)\^\{([0-9a-fA-F]{7,64})\}$/.exec(version) ?? [];
  if (reference !== undefined && commit !== undefined) {
    const whole = commit.length >= 40 ? commit.toLowerCase() : undefined;
    return { names: [commit, reference], commit: whole };
  }
  if (version.startsWith('refs/')) return { names: [version], commit: undefined };
  return { names: [`refs/heads/${version}`, `refs/tags/${version}`, version], commit: undefined };
}

/** The commit that was checked out. Throws BuildFailure. */
export async function cloneRepository(context: SourceContext, one: OneSource, remote: GitRemote, wanted: WantedVersion): Promise<string> {
  const { machine, signal } = context;
  if (remote.credential) context.log.masker.add(remote.credential.password);
  const env = gitEnvironment(remote);
  try {
    const args = [one.target, remote.url, String(one.source.gitCloneDepth ?? 0), wanted.commit ?? '', ...wanted.names];
    const output = await runScript(machine, CLONE, args, { env, signal });
    if (output.exitCode !== 0) throw explain(output.exitCode, withoutSecrets(output.stderr, remote), one);
    if (one.source.gitSubmodulesConfig?.fetchSubmodules) {
      const submodules = await runScript(machine, SUBMODULES, [one.target], { env, signal });
      const { exitCode, stderr } = submodules;
      if (exitCode !== 0)
        throw new BuildFailure('CLIENT_ERROR', `cannot fetch the submodules of ${one.label}: ${withoutSecrets(stderr, remote)}`);
    }
    return output.stdout.toString().trim();
  } catch (error) {
    if (error instanceof ExecStartError)
      throw new BuildFailure('CLIENT_ERROR', `git is not available in the build environment: ${error.message}`);
    throw error;
  }
}

function gitEnvironment({ credential, settings, protocols }: GitRemote): Record<string, string> {
  const all = { ...settings };
  // For this base only: what a submodule or a redirect names elsewhere is not shown it.
  if (credential) all[`http.${credential.base}.extraHeader`] = `Authorization: ${basic(credential)}`;
  return {
    GIT_TERMINAL_PROMPT: '0',
    GIT_CONFIG_NOSYSTEM: '1',
    ...(protocols ? { GIT_ALLOW_PROTOCOL: protocols } : {}),
    ...gitSettings(all),
  };
}

/** Settings of git as its environment has them, so that neither a command line nor .git/config shows them. */
export function gitSettings(settings: Record<string, string>): Record<string, string> {
  const pairs = Object.entries(settings).map(([key, value], index) => ({
    [`GIT_CONFIG_KEY_${index}`]: key,
    [`GIT_CONFIG_VALUE_${index}`]: value,
  }));
  return Object.assign({ GIT_CONFIG_COUNT: String(pairs.length) }, ...pairs);
}

/** A server may send back whatever it was sent. */
function withoutSecrets(text: string, { credential }: GitRemote): string {
  if (!credential) return text;
  return text.replaceAll(credential.password, '***').replaceAll(basic(credential).slice('Basic '.length), '***');
}

function explain(exitCode: number | null, stderr: string, one: OneSource): BuildFailure {
  const version = one.version ?? '';
  if (exitCode === NO_SUCH_VERSION || /couldn't find remote ref|not our ref/i.test(stderr)) {
    return new BuildFailure('CLIENT_ERROR', `reference not found for ${one.label} and source version ${version}`);
  }
  if (/Authentication failed|HTTP 40[13]|error: 40[13]|could not read Username/i.test(stderr)) {
    return new BuildFailure('CLIENT_ERROR', `authorization failed for ${one.label} and source version ${version}`);
  }
  if (/not found|error: 404/i.test(stderr))
    return new BuildFailure('CLIENT_ERROR', `repository not found for ${one.label} and source version ${version}`);
  if (/error: 30[1278]/.test(stderr))
    return new BuildFailure(
      'CLIENT_ERROR',
      `the repository of ${one.label} has moved, and redirects are not followed; set its new location`,
    );
  if (exitCode === 127) return new BuildFailure('CLIENT_ERROR', 'git is not available in the build environment');
  return new BuildFailure('CLIENT_ERROR', `git clone failed for ${one.label} and source version ${version}: ${stderr}`);
}
