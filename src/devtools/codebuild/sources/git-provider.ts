/** A repository of GitHub, GitLab or Bitbucket, by git over HTTPS with a token. */
import type { Platform } from '../../../platform/platform.ts';
import type { Credential } from '../providers/credential.ts';
import { BadLocation, type RemoteRepository, remoteRepository } from '../providers/provider.ts';
import { BuildFailure } from '../runner/outcome.ts';
import type { Work } from '../tables.ts';
import { cloneRepository, type WantedVersion, wantedVersion } from './clone.ts';
import type { OneSource, SourceContext } from './fetch.ts';
import { type Asker, CredentialError, findCredential } from './find-credential.ts';

/** What git itself forbids in names of references, and options. `^{…}` is ours and was taken off. */
const NO_REFERENCE = /^-|[\s\p{Cc}~^:?*[\\]|\.\.|@\{/u;

export async function fetchFromProvider(context: SourceContext, one: OneSource): Promise<string> {
  const { platform, row } = context;
  const wanted = providerVersion(one.version ?? '', one.source.type);
  if (wanted.names.some((name) => NO_REFERENCE.test(name)))
    throw new BuildFailure('CLIENT_ERROR', `invalid source version ${one.version} for ${one.label}`);
  try {
    const remote = remoteRepository(platform.config, one.source);
    const credential = await findCredential(platform, askerOf(row), one.source, remote);
    return await cloneRepository(
      context,
      one,
      {
        url: remote.cloneUrl,
        credential: credential && { ...credential, base: remote.base },
        settings: {
          // Only the host that was named sees the token, and only it is asked for objects.
          'http.followRedirects': 'false',
          ...(remote.insecureSsl ? { [`http.${remote.base}.sslVerify`]: 'false' } : {}),
        },
        protocols: remote.base.startsWith('https:') ? 'https' : 'http:https',
      },
      wanted,
    );
  } catch (error) {
    if (error instanceof BadLocation) throw new BuildFailure('CLIENT_ERROR', `invalid location for ${one.label}: ${error.message}`);
    if (error instanceof CredentialError) throw new BuildFailure('CLIENT_ERROR', `authorization failed for ${one.label}: ${error.message}`);
    throw error;
  }
}

/** The versions that every source has, and a pull request by its number: `pr/7` or `pr-7`. Bitbucket has no references of pull requests. */
export function providerVersion(version: string, type: string): WantedVersion {
  const number = /^pr[/-](\d+)$/.exec(version)?.[1];
  if (number === undefined || type === 'BITBUCKET') return wantedVersion(version);
  const reference = type.startsWith('GITLAB') ? `refs/merge-requests/${number}/head` : `refs/pull/${number}/head`;
  // A branch may be named so too; it comes second.
  return { names: [reference, `refs/heads/${version}`], commit: undefined };
}

export function askerOf(row: Work): Asker {
  const { serviceRole, source } = row.definition;
  return { account: row.account, region: row.region, serviceRole, primary: source, sessionName: `AWSCodeBuild-${row.id}` };
}

/**
 * For a buildspec with `git-credential-helper: yes`: settings by which git in the build's own commands shows the primary source's provider its
 * credential, and nobody else; with the secret, to be hidden in the log. Undefined when the source has no credential.
 */
export async function providerCredentialHelper(
  platform: Platform,
  row: Work,
): Promise<{ settings: Record<string, string>; secret: string } | undefined> {
  const { source } = row.definition;
  if (!source) return undefined;
  let remote: RemoteRepository;
  let credential: Credential | undefined;
  try {
    remote = remoteRepository(platform.config, source);
    credential = await findCredential(platform, askerOf(row), source, remote);
  } catch (error) {
    if (error instanceof BadLocation || error instanceof CredentialError) return undefined;
    throw error;
  }
  if (!credential) return undefined;
  const answer = `username=${credential.user}\npassword=${credential.password}`;
  const helper = `!f() { test "$1" = get && printf '%s\\n' ${shellQuoted(answer)}; }; f`;
  return { settings: { [`credential.${remote.base.replace(/\/$/, '')}.helper`]: helper }, secret: credential.password };
}

function shellQuoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
