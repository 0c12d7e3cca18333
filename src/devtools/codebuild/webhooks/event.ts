/** One event of a git provider, in CodeBuild's words, whichever provider told it. */
import type { ServerType } from '../providers/provider.ts';
import { bitbucketDelivery } from './events/bitbucket.ts';
import { githubDelivery } from './events/github.ts';
import { gitlabDelivery } from './events/gitlab.ts';

export type EventType =
  | 'PUSH'
  | 'PULL_REQUEST_CREATED'
  | 'PULL_REQUEST_UPDATED'
  | 'PULL_REQUEST_REOPENED'
  | 'PULL_REQUEST_MERGED'
  | 'PULL_REQUEST_CLOSED'
  | 'RELEASED'
  | 'PRERELEASED';

export interface WebhookEvent {
  type: EventType;
  /** The provider's id of the account that acted. */
  actor: string | undefined;
  /** Who proposed a pull request, by the name or id that the provider's API asks for. */
  author: string | undefined;
  /** `refs/heads/…` or `refs/tags/…` */
  headRef: string | undefined;
  /** Of a pull request. */
  baseRef: string | undefined;
  /** The commit at the head. */
  commit: string | undefined;
  /** Of a push: the commit before it. Of a pull request: the one that it would be merged into, where the provider says so. */
  previous: string | undefined;
  /** Of a pull request that was merged. */
  mergeCommit: string | undefined;
  /** `branch/x`, `pr/7`, `tag/v1` */
  trigger: string;
  /** What is built. */
  sourceVersion: string;
  /** `owner/name` */
  repository: string;
  cloneUrl: string | undefined;
  pullRequest: number | undefined;
  /** The pull request comes from another repository. */
  fork: boolean;
  tag: string | undefined;
  release: string | undefined;
  /** Paths that changed; undefined where the payload does not tell all of them and the provider must be asked. */
  files: string[] | undefined;
  /** Of the commit at the head; undefined where the provider must be asked. */
  message: string | undefined;
}

export type Headers = Record<string, string | string[] | undefined>;

/** Somebody's comment `/codebuild_run(COMMIT)` on a pull request. */
export interface Approval {
  pullRequest: number;
  commit: string;
  /** As `author` of an event. */
  by: string;
  /** As if the commit had just been proposed; undefined where the payload does not tell and the provider must be asked. */
  event: WebhookEvent | undefined;
  payload: Record<string, any>;
}

/** What a delivery says: events, an approval, or why there is nothing for us. */
export type Delivery = { events: WebhookEvent[] } | { approval: Approval } | { ignored: string };

/** The payload is not what this provider sends. */
export class BadPayload extends Error {
  override readonly name = 'BadPayload';
}

/** Throws BadPayload. */
export function readDelivery(serverType: ServerType, headers: Headers, payload: unknown): Delivery {
  const body = asObject(payload);
  if (!body) throw new BadPayload('The payload is not a JSON object.');
  switch (serverType) {
    case 'GITHUB':
    case 'GITHUB_ENTERPRISE':
      return githubDelivery(header(headers, 'x-github-event'), body);
    case 'GITLAB':
    case 'GITLAB_SELF_MANAGED':
      return gitlabDelivery(header(headers, 'x-gitlab-event'), body);
    case 'BITBUCKET':
      return bitbucketDelivery(header(headers, 'x-event-key'), body);
  }
}

export function header(headers: Headers, name: string): string {
  const value = headers[name];
  return (Array.isArray(value) ? value[0] : value) ?? '';
}

function asObject(value: unknown): Record<string, any> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined;
}
