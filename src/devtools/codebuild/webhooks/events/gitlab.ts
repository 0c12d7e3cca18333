/** Deliveries of GitLab ("Webhook events" in GitLab's documentation). */
import type { Delivery, EventType, WebhookEvent } from '../event.ts';
import { approvedCommit, commitId, filesOf, list, NO_APPROVAL, NOTHING, object, type Payload, text, triggerOf } from './fields.ts';

const MERGE_REQUEST_ACTIONS: Record<string, EventType> = {
  open: 'PULL_REQUEST_CREATED',
  reopen: 'PULL_REQUEST_REOPENED',
  merge: 'PULL_REQUEST_MERGED',
  close: 'PULL_REQUEST_CLOSED',
};

export function gitlabDelivery(kind: string, body: Payload): Delivery {
  switch (kind) {
    case 'Push Hook':
    case 'Tag Push Hook':
      return push(body);
    case 'Merge Request Hook':
      return mergeRequest(body);
    case 'Release Hook':
      return release(body);
    case 'Note Hook':
      return comment(body);
    default:
      return { ignored: `Events of type ${kind.slice(0, 50)} start no builds.` };
  }
}

function common(body: Payload): Pick<WebhookEvent, 'repository' | 'cloneUrl'> {
  return { repository: text(body, 'project', 'path_with_namespace') ?? '', cloneUrl: text(body, 'project', 'git_http_url') };
}

function push(body: Payload): Delivery {
  const headRef = text(body, 'ref');
  const commit = commitId(body, 'checkout_sha') ?? commitId(body, 'after');
  if (!headRef || !commit || !commitId(body, 'after')) return { ignored: 'Deleting a reference starts no build.' };
  const commits = list(body, 'commits');
  const complete = Number(text(body, 'total_commits_count') ?? 0) <= commits.length;
  const event: WebhookEvent = {
    ...NOTHING,
    ...common(body),
    type: 'PUSH',
    actor: text(body, 'user_id'),
    headRef,
    commit,
    previous: commitId(body, 'before'),
    trigger: triggerOf(headRef),
    sourceVersion: commit,
    files: complete ? filesOf(commits) : undefined,
    message: text(
      commits.find((one) => text(one, 'id') === commit),
      'message',
    ),
  };
  return { events: [event] };
}

function mergeRequest(body: Payload): Delivery {
  const request = object(body, 'object_attributes');
  const action = text(request, 'action') ?? '';
  // A request whose title was changed is updated too; only one with an older revision has new commits.
  const type = action === 'update' && commitId(request, 'oldrev') ? 'PULL_REQUEST_UPDATED' : MERGE_REQUEST_ACTIONS[action];
  const number = Number(text(request, 'iid'));
  if (!type || !request || !Number.isInteger(number)) return { ignored: `The action ${action.slice(0, 50)} starts no build.` };
  return { events: [mergeRequestEvent(body, request, type)] };
}

function comment(body: Payload): Delivery {
  const request = object(body, 'merge_request');
  const commit = approvedCommit(text(body, 'object_attributes', 'note'));
  const by = text(body, 'user', 'id');
  const pullRequest = Number(text(request, 'iid'));
  const action = text(body, 'object_attributes', 'action') ?? 'create';
  if (action !== 'create' || text(request, 'state') !== 'opened' || !request || !commit || !by || !Number.isInteger(pullRequest))
    return NO_APPROVAL;
  const event = mergeRequestEvent(body, request, 'PULL_REQUEST_UPDATED');
  return { approval: { pullRequest, commit, by, event, payload: body } };
}

function mergeRequestEvent(body: Payload, request: Payload, type: EventType): WebhookEvent {
  const number = Number(text(request, 'iid'));
  const commit = commitId(request, 'last_commit', 'id');
  const reference = `refs/merge-requests/${number}/head`;
  return {
    ...NOTHING,
    ...common(body),
    type,
    actor: text(body, 'user', 'id'),
    author: text(request, 'author_id'),
    headRef: `refs/heads/${text(request, 'source_branch') ?? ''}`,
    baseRef: `refs/heads/${text(request, 'target_branch') ?? ''}`,
    commit,
    previous: commitId(request, 'oldrev'),
    mergeCommit: type === 'PULL_REQUEST_MERGED' ? commitId(request, 'merge_commit_sha') : undefined,
    trigger: `pr/${number}`,
    sourceVersion: commit ? `${reference}^{${commit}}` : reference,
    pullRequest: number,
    fork: text(request, 'source_project_id') !== text(request, 'target_project_id'),
    message: text(request, 'last_commit', 'message'),
  };
}

function release(body: Payload): Delivery {
  const tag = text(body, 'tag');
  const action = text(body, 'action') ?? '';
  if (!tag || (action !== 'create' && action !== 'update'))
    return { ignored: `The action ${action.slice(0, 50)} of a release starts no build.` };
  const headRef = `refs/tags/${tag}`;
  const event: WebhookEvent = {
    ...NOTHING,
    ...common(body),
    type: 'RELEASED',
    headRef,
    commit: commitId(body, 'commit', 'id'),
    trigger: `tag/${tag}`,
    sourceVersion: headRef,
    tag,
    release: text(body, 'name'),
    message: text(body, 'commit', 'message'),
  };
  return { events: [event] };
}
