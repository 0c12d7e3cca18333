/** Reading payloads, which come from outside: a field is what it should be, or it is not there. */
import type { WebhookEvent } from '../event.ts';

export type Payload = Record<string, any>;

/** Deeper than any payload's field goes, `undefined` for what is not text. */
export function text(body: unknown, ...path: string[]): string | undefined {
  const found = at(body, path);
  if (typeof found === 'number') return String(found);
  return typeof found === 'string' && found !== '' ? found : undefined;
}

export function list(body: unknown, ...path: string[]): any[] {
  const found = at(body, path);
  return Array.isArray(found) ? found : [];
}

export function flag(body: unknown, ...path: string[]): boolean {
  return at(body, path) === true;
}

export function object(body: unknown, ...path: string[]): Payload | undefined {
  const found = at(body, path);
  return typeof found === 'object' && found !== null ? found : undefined;
}

function at(body: unknown, path: string[]): unknown {
  let found = body;
  for (const name of path) {
    if (typeof found !== 'object' || found === null || !Object.hasOwn(found, name)) return undefined;
    found = (found as Payload)[name];
  }
  return found;
}

const COMMIT = /^[0-9a-f]{40}([0-9a-f]{24})?$/;

/** A whole commit id; the one of zeros stands for none. */
export function commitId(body: unknown, ...path: string[]): string | undefined {
  const found = text(body, ...path);
  return found && COMMIT.test(found) && !/^0+$/.test(found) ? found : undefined;
}

/** The commit of `/codebuild_run(COMMIT)`, which must be all that a comment says. */
export function approvedCommit(comment: string | undefined): string | undefined {
  return /^\s*\/codebuild_run\(\s*([0-9a-f]{40}|[0-9a-f]{64})\s*\)\s*$/.exec(comment ?? '')?.[1];
}

export const NO_APPROVAL = { ignored: 'The comment approves nothing.' };

/** `branch/x` of `refs/heads/x`, `tag/v1` of `refs/tags/v1`. */
export function triggerOf(reference: string): string {
  return reference.replace(/^refs\/heads\//, 'branch/').replace(/^refs\/tags\//, 'tag/');
}

/** What GitHub and GitLab tell of the files in each commit of a push. */
export function filesOf(commits: any[]): string[] {
  const files = commits.flatMap((commit) => ['added', 'modified', 'removed'].flatMap((kind) => list(commit, kind)));
  return [...new Set(files.filter((file) => typeof file === 'string'))];
}

export const NOTHING: Omit<WebhookEvent, 'type' | 'trigger' | 'sourceVersion' | 'repository'> = {
  actor: undefined,
  author: undefined,
  headRef: undefined,
  baseRef: undefined,
  commit: undefined,
  previous: undefined,
  mergeCommit: undefined,
  cloneUrl: undefined,
  pullRequest: undefined,
  fork: false,
  tag: undefined,
  release: undefined,
  files: undefined,
  message: undefined,
};
