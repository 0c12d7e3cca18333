/** The git providers of CodeBuild, and which repository at which of them a project's source names. */
import type { Config } from '../../../platform/config.ts';
import type { Input, ShapeOf } from '../../../platform/service.ts';

export type ServerType = Input<'codebuild', 'ImportSourceCredentials'>['serverType'];

type Source = ShapeOf<'codebuild', 'ProjectSource'>;

/** A repository of a provider, or all that a provider has where webhooks of organizations and groups are concerned. */
export interface RemoteRepository {
  serverType: ServerType;
  /** `owner/name`, for GitLab with all groups; as the provider writes it, so of either case. */
  path: string;
  /** What git is given: without user and password. */
  cloneUrl: string;
  /** Tokens are sent to URLs that begin so, and to the API: `https://github.com/`. */
  base: string;
  /** The provider's REST API, without a slash at the end. */
  api: string;
  /** Certificates are not looked at. */
  insecureSsl: boolean;
}

/** The source is not one that CodeBuild can reach; the message is for the user. */
export class BadLocation extends Error {
  override readonly name = 'BadLocation';
}

/** In place of a location where a webhook of an organization or a group says which repository is built. */
export const ANY_REPOSITORY = 'CODEBUILD_DEFAULT_WEBHOOK_SOURCE_LOCATION';

const SERVER_TYPES: ReadonlySet<string> = new Set<ServerType>([
  'GITHUB',
  'GITHUB_ENTERPRISE',
  'GITLAB',
  'GITLAB_SELF_MANAGED',
  'BITBUCKET',
]);
const SEGMENT = /^[\p{L}\p{N}_~][\p{L}\p{N}_.~+-]*$/u;
const MAX_SEGMENTS = 21;

export function isServerType(type: string | undefined): type is ServerType {
  return type !== undefined && SERVER_TYPES.has(type);
}

/** As far as it can be told without knowing where the providers are; undefined for what is no clone URL by HTTP. */
export function parseCloneUrl(location: string): { url: URL; path: string } | undefined {
  const url = URL.parse(location);
  if (!url || !/^https?:$/.test(url.protocol) || url.search !== '' || url.hash !== '') return undefined;
  // Bitbucket's own pages show URLs with the user's name; a password has no place in a project.
  if (url.password !== '' || location.length > 1024 || /[\s\\]/.test(location)) return undefined;
  url.username = '';
  let segments: string[];
  try {
    segments = url.pathname.replace(/\/$/, '').slice(1).split('/').map(decodeURIComponent);
  } catch {
    return undefined;
  }
  if (segments.length < 2 || segments.length > MAX_SEGMENTS || !segments.every((segment) => SEGMENT.test(segment))) return undefined;
  return { url, path: segments.join('/').replace(/\.git$/, '') };
}

/** Throws BadLocation. */
export function remoteRepository(config: Config, source: Source): RemoteRepository {
  const { type, location = '' } = source;
  if (!isServerType(type)) throw new BadLocation(`sources of type ${type} are no repositories of a git provider`);
  const parsed = parseCloneUrl(location);
  if (!parsed) throw new BadLocation(`${location} is not the HTTPS clone URL of a repository`);
  const { base, api } = placeOf(config, type, parsed.url);
  if (!parsed.url.href.startsWith(base)) throw new BadLocation(`${location} is not a repository of ${base}`);
  return {
    serverType: type,
    path: parsed.path.slice(decodeURIComponent(new URL(base).pathname).length - 1),
    cloneUrl: cloneUrlOf(type, parsed.url),
    base,
    api,
    insecureSsl: source.insecureSsl ?? false,
  };
}

/** All of a provider; `domain` for the providers that run on hosts of their own. Throws BadLocation. */
export function remoteServer(config: Config, source: Source, domain: string | undefined): RemoteRepository {
  const { type } = source;
  if (!isServerType(type)) throw new BadLocation(`sources of type ${type} are no repositories of a git provider`);
  const url = URL.parse(`https://${(domain ?? 'none.invalid').replace(/^https:\/\//, '')}/`);
  if (!url) throw new BadLocation(`${domain} is not a domain`);
  return { serverType: type, path: '', cloneUrl: '', ...placeOf(config, type, url), insecureSsl: source.insecureSsl ?? false };
}

function placeOf(config: Config, type: ServerType, url: URL): { base: string; api: string } {
  const { github, gitlab, bitbucket } = config.gitProviders;
  switch (type) {
    case 'GITHUB':
      return { base: new URL(`${github.url}/`).href, api: github.api };
    case 'GITLAB':
      return { base: new URL(`${gitlab.url}/`).href, api: gitlab.api };
    case 'BITBUCKET':
      return { base: new URL(`${bitbucket.url}/`).href, api: bitbucket.api };
    case 'GITHUB_ENTERPRISE':
      return { base: `${ownHost(url)}/`, api: `${ownHost(url)}/api/v3` };
    case 'GITLAB_SELF_MANAGED':
      return { base: `${ownHost(url)}/`, api: `${ownHost(url)}/api/v4` };
  }
}

/** A token is sent there, so it must be a host that shows a certificate. */
function ownHost(url: URL): string {
  if (url.protocol !== 'https:') throw new BadLocation(`${url.href} is not an HTTPS URL`);
  return url.origin;
}

/** GitLab sends git from other spellings to the one with `.git`, and git follows nobody while it carries a token. */
function cloneUrlOf(type: ServerType, url: URL): string {
  const plain = url.href.replace(/\/$/, '');
  return type.startsWith('GITLAB') && !plain.endsWith('.git') ? `${plain}.git` : plain;
}
