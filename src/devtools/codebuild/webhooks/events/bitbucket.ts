/** Deliveries of Bitbucket Cloud ("Event payloads" in Atlassian's documentation). */
import type { Delivery, EventType, WebhookEvent } from '../event.ts';
import { approvedCommit, commitId, list, NO_APPROVAL, NOTHING, object, type Payload, text } from './fields.ts';

const PULL_REQUEST_EVENTS: Record<string, EventType> = {
  'pullrequest:created': 'PULL_REQUEST_CREATED',
  'pullrequest:updated': 'PULL_REQUEST_UPDATED',
  'pullrequest:fulfilled': 'PULL_REQUEST_MERGED',
  'pullrequest:rejected': 'PULL_REQUEST_CLOSED',
};

export function bitbucketDelivery(kind: string, body: Payload): Delivery {
  if (kind === 'repo:push') return push(body);
  if (kind === 'pullrequest:comment_created') return comment(body);
  const type = PULL_REQUEST_EVENTS[kind];
  return type ? pullRequest(type, body) : { ignored: `Events of type ${kind.slice(0, 50)} start no builds.` };
}

function common(body: Payload): Pick<WebhookEvent, 'actor' | 'repository' | 'cloneUrl'> {
  const page = text(body, 'repository', 'links', 'html', 'href');
  return {
    actor: text(body, 'actor', 'account_id'),
    repository: text(body, 'repository', 'full_name') ?? '',
    cloneUrl: page && `${page}.git`,
  };
}

/** One push may move several branches and tags. */
function push(body: Payload): Delivery {
  const events = list(body, 'push', 'changes').flatMap((change): WebhookEvent[] => {
    const name = text(change, 'new', 'name');
    const commit = shortCommit(change, 'new', 'target', 'hash');
    if (!name || !commit) return [];
    const isTag = text(change, 'new', 'type') === 'tag' || text(change, 'new', 'type') === 'annotated_tag';
    return [
      {
        ...NOTHING,
        ...common(body),
        type: 'PUSH',
        headRef: `${isTag ? 'refs/tags' : 'refs/heads'}/${name}`,
        commit,
        previous: shortCommit(change, 'old', 'target', 'hash'),
        trigger: `${isTag ? 'tag' : 'branch'}/${name}`,
        sourceVersion: commit,
        message: text(change, 'new', 'target', 'message') ?? '',
      },
    ];
  });
  return events.length > 0 ? { events } : { ignored: 'Deleting a reference starts no build.' };
}

function comment(body: Payload): Delivery {
  const commit = approvedCommit(text(body, 'comment', 'content', 'raw'));
  const by = text(body, 'actor', 'account_id');
  const delivery = pullRequest('PULL_REQUEST_UPDATED', body);
  if (text(body, 'pullrequest', 'state') !== 'OPEN' || !commit || !by || !('events' in delivery) || !delivery.events[0]) return NO_APPROVAL;
  const [event] = delivery.events;
  return { approval: { pullRequest: event.pullRequest ?? 0, commit, by, event, payload: body } };
}

function pullRequest(type: EventType, body: Payload): Delivery {
  const pull = object(body, 'pullrequest');
  const number = Number(text(pull, 'id'));
  const commit = shortCommit(pull, 'source', 'commit', 'hash');
  if (!commit || !Number.isInteger(number)) return { ignored: 'The pull request has no commit to build.' };
  const event: WebhookEvent = {
    ...NOTHING,
    ...common(body),
    type,
    author: text(pull, 'author', 'account_id'),
    headRef: `refs/heads/${text(pull, 'source', 'branch', 'name') ?? ''}`,
    baseRef: `refs/heads/${text(pull, 'destination', 'branch', 'name') ?? ''}`,
    commit,
    previous: shortCommit(pull, 'destination', 'commit', 'hash'),
    mergeCommit: type === 'PULL_REQUEST_MERGED' ? shortCommit(pull, 'merge_commit', 'hash') : undefined,
    trigger: `pr/${number}`,
    sourceVersion: commit,
    pullRequest: number,
    fork: text(pull, 'source', 'repository', 'full_name') !== text(body, 'repository', 'full_name'),
  };
  return { events: [event] };
}

/** In pull requests Bitbucket tells the first twelve digits of commits only. */
function shortCommit(body: unknown, ...path: string[]): string | undefined {
  const short = text(body, ...path);
  return commitId(body, ...path) ?? (short && /^[0-9a-f]{12,}$/.test(short) ? short : undefined);
}
