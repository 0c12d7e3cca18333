/** What somebody may do in a repository, in the words of pullRequestBuildPolicy's approverRoles. */
import type { ShapeOf } from '../../../platform/service.ts';
import { callProvider } from './api.ts';
import type { Credential } from './credential.ts';
import { repositoryPath } from './hooks.ts';
import type { RemoteRepository } from './provider.ts';

export type Role = NonNullable<ShapeOf<'codebuild', 'PullRequestBuildPolicy'>['approverRoles']>[number];

const GITHUB: Record<string, Role> = {
  read: 'GITHUB_READ',
  triage: 'GITHUB_TRIAGE',
  write: 'GITHUB_WRITE',
  maintain: 'GITHUB_MAINTAIN',
  admin: 'GITHUB_ADMIN',
};
const GITLAB: Record<number, Role> = {
  10: 'GITLAB_GUEST',
  15: 'GITLAB_PLANNER',
  20: 'GITLAB_REPORTER',
  30: 'GITLAB_DEVELOPER',
  40: 'GITLAB_MAINTAINER',
  50: 'GITLAB_OWNER',
};
const BITBUCKET: Record<string, Role> = { read: 'BITBUCKET_READ', write: 'BITBUCKET_WRITE', admin: 'BITBUCKET_ADMIN' };

/** Undefined for strangers. Throws ProviderError. */
export async function roleOf(remote: RemoteRepository, credential: Credential | undefined, user: string): Promise<Role | undefined> {
  const who = encodeURIComponent(user);
  const ask = async (path: string) => {
    const { status, body } = await callProvider(remote, credential, {
      method: 'GET',
      path: `${repositoryPath(remote)}${path}`,
      accept: [404],
    });
    return status === 404 ? undefined : body;
  };
  switch (remote.serverType) {
    case 'GITHUB':
    case 'GITHUB_ENTERPRISE': {
      const found = await ask(`/collaborators/${who}/permission`);
      // A role of the organization's own is one of these underneath, which `permission` tells.
      return GITHUB[found?.role_name] ?? GITHUB[found?.permission];
    }
    case 'GITLAB':
    case 'GITLAB_SELF_MANAGED':
      return GITLAB[(await ask(`/members/all/${who}`))?.access_level];
    case 'BITBUCKET':
      return BITBUCKET[(await ask(`/permissions-config/users/${who}`))?.permission];
  }
}
