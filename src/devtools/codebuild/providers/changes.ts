/** What a payload leaves out: the files of a change, and the message of a commit. */
import { callProvider, pagesOf } from './api.ts';
import type { Credential } from './credential.ts';
import { repositoryPath } from './hooks.ts';
import type { RemoteRepository } from './provider.ts';

/** GitHub itself tells no more files of a pull request. */
const MAX_FILES = 3000;

export interface Change {
  commit: string | undefined;
  previous: string | undefined;
  pullRequest: number | undefined;
}

/** Paths before and after, each once. Throws ProviderError. */
export async function changedFiles(remote: RemoteRepository, credential: Credential | undefined, change: Change): Promise<string[]> {
  const list = (path: string, itemsOf: (body: any) => any[]) => pagesOf(remote, credential, path, itemsOf, MAX_FILES);
  const base = repositoryPath(remote);
  const { pullRequest, commit = '', previous } = change;
  switch (remote.serverType) {
    case 'GITHUB':
    case 'GITHUB_ENTERPRISE': {
      if (pullRequest === undefined) return [];
      const files = await list(`${base}/pulls/${pullRequest}/files`, arrayOf);
      return paths(files.flatMap((file) => [file?.filename, file?.previous_filename]));
    }
    case 'GITLAB':
    case 'GITLAB_SELF_MANAGED': {
      if (pullRequest !== undefined) return gitlabPaths(await list(`${base}/merge_requests/${pullRequest}/diffs`, arrayOf));
      if (!previous) return [];
      const { body } = await callProvider(remote, credential, {
        method: 'GET',
        path: `${base}/repository/compare?from=${previous}&to=${commit}`,
      });
      return gitlabPaths(arrayOf(body?.diffs));
    }
    case 'BITBUCKET': {
      const range = previous ? `${commit}..${previous}` : commit;
      const query = pullRequest === undefined ? '' : '&topic=true';
      const files = await list(`${base}/diffstat/${range}?pagelen=100${query}`, (body) => arrayOf(body?.values));
      return paths(files.flatMap((file) => [file?.new?.path, file?.old?.path]));
    }
  }
}

/** Throws ProviderError. */
export async function commitMessage(remote: RemoteRepository, credential: Credential | undefined, commit: string): Promise<string> {
  const base = repositoryPath(remote);
  const paths = { GITHUB: '/commits', GITHUB_ENTERPRISE: '/commits', GITLAB: '/repository/commits', GITLAB_SELF_MANAGED: '/repository/commits', BITBUCKET: '/commit' }; // biome-ignore format: one line
  const { body } = await callProvider(remote, credential, { method: 'GET', path: `${base}${paths[remote.serverType]}/${commit}` });
  const message = body?.commit?.message ?? body?.message;
  return typeof message === 'string' ? message : '';
}

function gitlabPaths(diffs: any[]): string[] {
  return paths(diffs.flatMap((diff) => [diff?.new_path, diff?.old_path]));
}

function paths(found: unknown[]): string[] {
  return [...new Set(found.filter((path): path is string => typeof path === 'string'))];
}

function arrayOf(value: unknown): any[] {
  return Array.isArray(value) ? value : [];
}
