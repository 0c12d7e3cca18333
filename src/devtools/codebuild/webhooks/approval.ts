/** Pull requests of strangers are built only after somebody who may do so has approved their commit by a comment (pullRequestBuildPolicy). */
import type { Platform, Transaction } from '../../../platform/platform.ts';
import type { JobHandler } from '../../../platform/service.ts';
import { callProvider, ProviderError } from '../providers/api.ts';
import type { Credential } from '../providers/credential.ts';
import { repositoryPath } from '../providers/hooks.ts';
import { BadLocation, type RemoteRepository, remoteRepository, type ServerType } from '../providers/provider.ts';
import { type Role, roleOf } from '../providers/roles.ts';
import { postStatus } from '../providers/statuses.ts';
import { invalid } from '../rules.ts';
import { CredentialError, findCredential } from '../sources/find-credential.ts';
import type { Approval, WebhookEvent } from './event.ts';
import { githubDelivery } from './events/github.ts';
import { askerOf } from './rows.ts';
import type { WebhookDefinition, WebhookRow } from './tables.ts';

type Policy = NonNullable<WebhookDefinition['pullRequestBuildPolicy']>;

export const ASK_FOR_APPROVAL = 'codebuild.ask-for-approval';
export const APPROVAL_REQUIRED = 'Pull request approval required for starting a build';

/** Whoever may push to the repository could have the commit built anyway. */
const USUAL_ROLES: Record<string, Role[]> = {
  GITHUB: ['GITHUB_WRITE', 'GITHUB_MAINTAIN', 'GITHUB_ADMIN'],
  GITLAB: ['GITLAB_DEVELOPER', 'GITLAB_MAINTAINER', 'GITLAB_OWNER'],
  BITBUCKET: ['BITBUCKET_WRITE', 'BITBUCKET_ADMIN'],
};

/** With what CodeBuild fills in: a webhook whose maker says nothing of it wants approval of all pull requests. Throws InvalidInputException. */
export function withPolicy(type: ServerType, definition: WebhookDefinition): WebhookDefinition {
  const family = type.split('_')[0] ?? '';
  const given = definition.pullRequestBuildPolicy ?? { requiresCommentApproval: 'ALL_PULL_REQUESTS' };
  const foreign = given.approverRoles?.find((role) => !role.startsWith(`${family}_`));
  if (foreign) throw invalid(`Invalid pullRequestBuildPolicy: ${foreign} is not a role of ${family}`);
  if (given.requiresCommentApproval === 'DISABLED') {
    if (given.approverRoles?.length)
      throw invalid('Invalid pullRequestBuildPolicy: approverRoles must not be given when approval is DISABLED');
    return { ...definition, pullRequestBuildPolicy: given };
  }
  const approverRoles = given.approverRoles?.length ? given.approverRoles : USUAL_ROLES[family];
  return { ...definition, pullRequestBuildPolicy: { ...given, approverRoles } };
}

/** Throws ProviderError, CredentialError, BadLocation. */
export async function needsApproval(platform: Platform, row: WebhookRow, event: WebhookEvent): Promise<boolean> {
  const policy = policyOf(row);
  // What was merged is in the repository: whoever merged it has looked at it.
  if (event.pullRequest === undefined || event.type === 'PULL_REQUEST_MERGED') return false;
  if (policy.requiresCommentApproval === 'DISABLED') return false;
  if (policy.requiresCommentApproval === 'FORK_PULL_REQUESTS' && !event.fork) return false;
  return !(await isTrusted(platform, row, event.cloneUrl, event.author));
}

/**
 * The event that the comment lets through, at the very commit that was looked at; or why none. Throws ProviderError, CredentialError,
 * BadLocation.
 */
export async function approvedEvent(platform: Platform, row: WebhookRow, approval: Approval): Promise<WebhookEvent | string> {
  if (policyOf(row).requiresCommentApproval === 'DISABLED') return 'The webhook asks for no approvals.';
  const cloneUrl = approval.event?.cloneUrl ?? approval.payload.repository?.clone_url;
  if (!(await isTrusted(platform, row, cloneUrl, approval.by))) return 'Whoever wrote the comment may not approve.';
  const event = approval.event ?? (await askForPullRequest(platform, row, approval, cloneUrl));
  if (!event?.commit || !approval.commit.startsWith(event.commit))
    return 'The comment does not name the latest commit of the pull request.';
  const { commit } = approval;
  const reference = event.sourceVersion.startsWith('pr/') ? `refs/pull/${approval.pullRequest}/head^{${commit}}` : undefined;
  return { ...event, commit, sourceVersion: reference ?? event.sourceVersion };
}

/** Beside the commit it shows that somebody has to approve it. In the transaction that takes the delivery. */
export function askForApproval(tx: Transaction, row: WebhookRow, { commit, cloneUrl }: WebhookEvent): Promise<void> {
  return tx.enqueue(ASK_FOR_APPROVAL, { webhook: row.id, commit, cloneUrl });
}

export const askForApprovalJob: JobHandler = async (platform, told: { webhook: string; commit?: string; cloneUrl?: string }) => {
  const row = await platform.read.selectFrom('codebuild.webhooks').selectAll().where('id', '=', told.webhook).executeTakeFirst();
  if (!row || !told.commit) return;
  try {
    const { remote, credential } = await providerOf(platform, row, told.cloneUrl);
    if (!credential) return;
    await postStatus(remote, credential, told.commit, {
      status: 'FAILED',
      key: `${row.account}:${row.region}:${row.project}`,
      context: `AWS CodeBuild ${row.region} (${row.project})`,
      targetUrl: undefined,
      description: APPROVAL_REQUIRED,
    });
  } catch (error) {
    if (error instanceof ProviderError && error.transient) throw error;
    if (!(error instanceof ProviderError || error instanceof BadLocation || error instanceof CredentialError)) throw error;
    platform.log.warn({ webhook: row.id, reason: error.message }, 'a git provider could not be told that a pull request needs approval');
  }
};

function policyOf(row: WebhookRow): Policy {
  return row.definition.pullRequestBuildPolicy ?? { requiresCommentApproval: 'DISABLED' };
}

async function isTrusted(platform: Platform, row: WebhookRow, cloneUrl: string | undefined, user: string | undefined): Promise<boolean> {
  if (user === undefined) return false;
  const { remote, credential } = await providerOf(platform, row, cloneUrl);
  const role = await roleOf(remote, credential, user);
  return role !== undefined && (policyOf(row).approverRoles?.includes(role) ?? false);
}

async function askForPullRequest(platform: Platform, row: WebhookRow, { pullRequest, payload }: Approval, cloneUrl: string | undefined) {
  const { remote, credential } = await providerOf(platform, row, cloneUrl);
  const { body } = await callProvider(remote, credential, { method: 'GET', path: `${repositoryPath(remote)}/pulls/${pullRequest}` });
  if (body?.state !== 'open') return undefined;
  const delivery = githubDelivery('pull_request', { ...payload, action: 'synchronize', number: pullRequest, pull_request: body });
  return 'events' in delivery ? delivery.events[0] : undefined;
}

/** The repository that the event is about, and the project's credential for it. */
export async function providerOf(
  platform: Platform,
  row: WebhookRow,
  cloneUrl: string | undefined,
): Promise<{ remote: RemoteRepository; credential: Credential | undefined }> {
  const source = row.definition.scopeConfiguration ? { ...row.source, location: cloneUrl } : row.source;
  const remote = remoteRepository(platform.config, source);
  return { remote, credential: await findCredential(platform, askerOf(row), row.source, remote) };
}
