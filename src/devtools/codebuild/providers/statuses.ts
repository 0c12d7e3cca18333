/** Statuses of commits, as the providers show them beside their commits and pull requests. */
import { createHash } from 'node:crypto';
import { callProvider, ProviderError } from './api.ts';
import type { Credential } from './credential.ts';
import { repositoryPath } from './hooks.ts';
import type { RemoteRepository } from './provider.ts';

type Status = 'IN_PROGRESS' | 'SUCCEEDED' | 'FAILED' | 'FAULT' | 'TIMED_OUT' | 'STOPPED';

export interface CommitStatus {
  status: Status;
  /** Later statuses of the same key take the place of this one. */
  key: string;
  /** What the provider calls it. */
  context: string;
  targetUrl: string | undefined;
  description: string;
}

const GITHUB: Record<Status, string> = {
  IN_PROGRESS: 'pending',
  SUCCEEDED: 'success',
  FAILED: 'failure',
  FAULT: 'error',
  TIMED_OUT: 'error',
  STOPPED: 'error',
};
const GITLAB: Record<Status, string> = {
  IN_PROGRESS: 'running',
  SUCCEEDED: 'success',
  FAILED: 'failed',
  FAULT: 'failed',
  TIMED_OUT: 'failed',
  STOPPED: 'canceled',
};
const BITBUCKET: Record<Status, string> = {
  IN_PROGRESS: 'INPROGRESS',
  SUCCEEDED: 'SUCCESSFUL',
  FAILED: 'FAILED',
  FAULT: 'FAILED',
  TIMED_OUT: 'FAILED',
  STOPPED: 'STOPPED',
};
/** Characters, of Bitbucket's keys. */
const MAX_KEY = 40;

/** Throws ProviderError. Telling the same again does no harm. */
export async function postStatus(remote: RemoteRepository, credential: Credential, commit: string, told: CommitStatus): Promise<void> {
  const { status, context, targetUrl, description } = told;
  const base = repositoryPath(remote);
  const post = (path: string, body: object) => callProvider(remote, credential, { method: 'POST', path: `${base}${path}`, body });
  switch (remote.serverType) {
    case 'GITHUB':
    case 'GITHUB_ENTERPRISE':
      await post(`/statuses/${commit}`, { state: GITHUB[status], context, description, target_url: targetUrl });
      return;
    case 'GITLAB':
    case 'GITLAB_SELF_MANAGED':
      await post(`/statuses/${commit}`, { state: GITLAB[status], name: context, description, target_url: targetUrl }).catch((error) => {
        // GitLab's words for a status that it has already.
        if (!(error instanceof ProviderError && error.status === 400 && /cannot transition/i.test(error.message))) throw error;
      });
      return;
    case 'BITBUCKET': {
      const key = createHash('sha256').update(`${told.key}:${context}`).digest('hex').slice(0, MAX_KEY);
      // Bitbucket wants a link; where there is none to the build, it is to the commit.
      const url = targetUrl ?? `${remote.cloneUrl.replace(/\.git$/, '')}/commits/${commit}`;
      await post(`/commit/${commit}/statuses/build`, { key, state: BITBUCKET[status], name: context, url, description });
    }
  }
}
