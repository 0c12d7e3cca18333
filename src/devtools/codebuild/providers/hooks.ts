/** Webhooks at the providers, by their REST APIs: made, found again by the URL that they call, changed and removed. */
import { callProvider, pagesOf } from './api.ts';
import type { Credential } from './credential.ts';
import type { RemoteRepository } from './provider.ts';

/** Whose events: one repository's, or those of all repositories of an organization or group. */
export type HookScope = { kind: 'repository' } | { kind: 'organization' | 'group'; name: string };

/** As it is at the provider. */
export interface Hook {
  id: string;
  url: string;
}

export interface WantedHook {
  remote: RemoteRepository;
  credential: Credential | undefined;
  scope: HookScope;
  /** What the provider calls. */
  payloadUrl: string;
  /** What it signs with, or sends along. */
  secret: string;
}

const MAX_HOOKS = 1000;
const GITHUB_EVENTS = ['push', 'pull_request', 'release', 'issue_comment'];
const BITBUCKET_EVENTS = [
  'repo:push',
  'pullrequest:created',
  'pullrequest:updated',
  'pullrequest:fulfilled',
  'pullrequest:rejected',
  'pullrequest:comment_created',
];

/** Throws ProviderError. */
export async function createHook(wanted: WantedHook): Promise<Hook> {
  const path = hooksPath(wanted);
  const { body } = await call(wanted, 'POST', path, settingsOf(wanted));
  return hookOf(wanted, path, body ?? {});
}

/** The one that calls this URL already, if there is one. Throws ProviderError. */
export async function findHook(wanted: WantedHook): Promise<Hook | undefined> {
  const { remote, credential } = wanted;
  const path = hooksPath(wanted);
  const hooks = await pagesOf<any>(remote, credential, path, (body) => itemsOf(body), MAX_HOOKS);
  const found = hooks.find((hook) => (hook?.config?.url ?? hook?.url) === wanted.payloadUrl);
  return found && hookOf(wanted, path, found);
}

/** Gives it the secret anew. Throws ProviderError. */
export async function updateHook(wanted: WantedHook, id: string): Promise<void> {
  const path = `${hooksPath(wanted)}/${encodeURIComponent(id)}`;
  if (isGitHub(wanted.remote)) await call(wanted, 'PATCH', path, settingsOf(wanted));
  else await call(wanted, 'PUT', path, settingsOf(wanted));
}

/** Also when it is gone already. Throws ProviderError. */
export async function removeHook(wanted: Omit<WantedHook, 'payloadUrl' | 'secret'>, id: string): Promise<void> {
  const { remote, credential } = wanted;
  await callProvider(remote, credential, {
    method: 'DELETE',
    path: `${hooksPath(wanted)}/${encodeURIComponent(id)}`,
    accept: [404, 410],
  });
}

function call({ remote, credential }: WantedHook, method: 'POST' | 'PUT' | 'PATCH', path: string, body: unknown) {
  return callProvider(remote, credential, { method, path, body });
}

function isGitHub({ serverType }: RemoteRepository): boolean {
  return serverType === 'GITHUB' || serverType === 'GITHUB_ENTERPRISE';
}

function hooksPath({ remote, scope }: Pick<WantedHook, 'remote' | 'scope'>): string {
  if (scope.kind === 'organization') return `/orgs/${encodeURIComponent(scope.name)}/hooks`;
  if (scope.kind === 'group') return `/groups/${encodeURIComponent(scope.name)}/hooks`;
  return `${repositoryPath(remote)}/hooks`;
}

/** Where the API has a repository: `/repos/owner/name`, `/projects/group%2Fname`, `/repositories/workspace/name`. */
export function repositoryPath({ serverType, path }: RemoteRepository): string {
  const parts = path.split('/').map(encodeURIComponent);
  switch (serverType) {
    case 'GITHUB':
    case 'GITHUB_ENTERPRISE':
      return `/repos/${parts.join('/')}`;
    case 'GITLAB':
    case 'GITLAB_SELF_MANAGED':
      return `/projects/${encodeURIComponent(path)}`;
    case 'BITBUCKET':
      return `/repositories/${parts.join('/')}`;
  }
}

function settingsOf({ remote, payloadUrl: url, secret }: WantedHook): object {
  switch (remote.serverType) {
    case 'GITHUB':
    case 'GITHUB_ENTERPRISE':
      return { name: 'web', active: true, events: GITHUB_EVENTS, config: { url, content_type: 'json', secret, insecure_ssl: '0' } };
    case 'GITLAB':
    case 'GITLAB_SELF_MANAGED':
      return {
        url,
        token: secret,
        push_events: true,
        tag_push_events: true,
        merge_requests_events: true,
        releases_events: true,
        note_events: true,
        enable_ssl_verification: true,
      };
    case 'BITBUCKET':
      return { description: 'AWS CodeBuild', url, active: true, secret, events: BITBUCKET_EVENTS };
  }
}

function itemsOf(body: any): any[] {
  if (Array.isArray(body)) return body;
  return Array.isArray(body?.values) ? body.values : [];
}

function hookOf({ remote }: Pick<WantedHook, 'remote'>, path: string, body: any): Hook {
  const id = String((remote.serverType === 'BITBUCKET' ? body.uuid : body.id) ?? '');
  const own = isGitHub(remote) && typeof body.url === 'string' ? body.url : undefined;
  return { id, url: own ?? `${remote.api}${path}/${encodeURIComponent(id)}` };
}
