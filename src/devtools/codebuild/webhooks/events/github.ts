/** Deliveries of GitHub and GitHub Enterprise Server ("Webhook events and payloads" in GitHub's documentation). */
import type { Delivery, EventType, WebhookEvent } from '../event.ts';
import { approvedCommit, commitId, filesOf, flag, list, NO_APPROVAL, NOTHING, object, type Payload, text, triggerOf } from './fields.ts';

const PULL_REQUEST_ACTIONS: Record<string, EventType> = {
  opened: 'PULL_REQUEST_CREATED',
  synchronize: 'PULL_REQUEST_UPDATED',
  reopened: 'PULL_REQUEST_REOPENED',
};
const RELEASE_ACTIONS: Record<string, EventType> = { released: 'RELEASED', prereleased: 'PRERELEASED' };

export function githubDelivery(kind: string, body: Payload): Delivery {
  switch (kind) {
    case 'ping':
      return { ignored: 'pong' };
    case 'push':
      return push(body);
    case 'pull_request':
      return pullRequest(body);
    case 'release':
      return release(body);
    case 'issue_comment':
      return comment(body);
    default:
      return { ignored: `Events of type ${kind.slice(0, 50)} start no builds.` };
  }
}

function common(body: Payload): Pick<WebhookEvent, 'actor' | 'repository' | 'cloneUrl'> {
  return {
    actor: text(body, 'sender', 'id'),
    repository: text(body, 'repository', 'full_name') ?? '',
    cloneUrl: text(body, 'repository', 'clone_url'),
  };
}

function push(body: Payload): Delivery {
  const headRef = text(body, 'ref');
  const commit = commitId(body, 'after');
  if (!headRef || !commit || flag(body, 'deleted')) return { ignored: 'Deleting a reference starts no build.' };
  const event: WebhookEvent = {
    ...NOTHING,
    ...common(body),
    type: 'PUSH',
    headRef,
    // A tag of its own right has an id that is no commit's.
    commit: commitId(body, 'head_commit', 'id') ?? commit,
    previous: commitId(body, 'before'),
    trigger: triggerOf(headRef),
    sourceVersion: headRef.startsWith('refs/tags/') ? headRef : commit,
    files: filesOf(list(body, 'commits')),
    message: text(body, 'head_commit', 'message') ?? '',
  };
  return { events: [event] };
}

function pullRequest(body: Payload): Delivery {
  const action = text(body, 'action') ?? '';
  const pull = object(body, 'pull_request');
  const number = Number(text(body, 'number') ?? text(pull, 'number'));
  const merged = flag(pull, 'merged');
  const type = action === 'closed' ? (merged ? 'PULL_REQUEST_MERGED' : 'PULL_REQUEST_CLOSED') : PULL_REQUEST_ACTIONS[action];
  if (!type || !pull || !Number.isInteger(number)) return { ignored: `The action ${action.slice(0, 50)} starts no build.` };
  const headRepository = text(pull, 'head', 'repo', 'full_name');
  const { repository, ...rest } = common(body);
  const event: WebhookEvent = {
    ...NOTHING,
    ...rest,
    repository,
    type,
    author: text(pull, 'user', 'login'),
    headRef: `refs/heads/${text(pull, 'head', 'ref') ?? ''}`,
    baseRef: `refs/heads/${text(pull, 'base', 'ref') ?? ''}`,
    commit: commitId(pull, 'head', 'sha'),
    mergeCommit: merged ? commitId(pull, 'merge_commit_sha') : undefined,
    trigger: `pr/${number}`,
    sourceVersion: `pr/${number}`,
    pullRequest: number,
    fork: headRepository !== repository,
  };
  return { events: [event] };
}

/** Of the pull request the payload tells little: it is asked for, and read as if its commits had just come. */
function comment(body: Payload): Delivery {
  const commit = approvedCommit(text(body, 'comment', 'body'));
  const by = text(body, 'comment', 'user', 'login');
  const pullRequest = Number(text(body, 'issue', 'number'));
  if (text(body, 'action') !== 'created' || !object(body, 'issue', 'pull_request') || !commit || !by) return NO_APPROVAL;
  return { approval: { pullRequest, commit, by, event: undefined, payload: body } };
}

function release(body: Payload): Delivery {
  const action = text(body, 'action') ?? '';
  const type = RELEASE_ACTIONS[action];
  const tag = text(body, 'release', 'tag_name');
  if (!type || !tag) return { ignored: `The action ${action.slice(0, 50)} of a release starts no build.` };
  const headRef = `refs/tags/${tag}`;
  const release = text(body, 'release', 'name');
  return { events: [{ ...NOTHING, ...common(body), type, headRef, trigger: `tag/${tag}`, sourceVersion: headRef, tag, release }] };
}
