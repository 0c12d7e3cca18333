/** From what a caller names a commit by (branch, tag, HEAD, full reference or full id) to the commit. */

import type { Commit } from '../../git/objects.ts';
import { isObjectId, parseCommit, parseTag } from '../../git/objects.ts';
import { branchRef, isWellFormed } from '../../git/ref-names.ts';
import { AwsError } from '../../platform/errors.ts';
import type { Platform } from '../../platform/platform.ts';
import type { OpenRepository, Repository } from './repository.ts';

export interface ResolvedCommit {
  id: string;
  commit: Commit;
}

/** `InvalidCommitException` for what can name no commit, `CommitDoesNotExistException` for what names none here. */
export async function resolveCommit(
  platform: Pick<Platform, 'read'>,
  repository: Repository,
  open: OpenRepository,
  specifier: string | undefined,
): Promise<ResolvedCommit> {
  const name = specifier ?? 'HEAD';
  if (!canNameCommit(name)) {
    throw new AwsError('InvalidCommitException', `The specified commit is not valid: ${name.slice(0, 300)}`);
  }
  const id = isObjectId(name) ? name : await lookUpReference(platform, repository, name);
  const resolved = id && (await readCommit(open, id));
  if (!resolved) throw new AwsError('CommitDoesNotExistException', `Could not find commit ${name}`);
  return resolved;
}

export function canNameCommit(specifier: string): boolean {
  return specifier === 'HEAD' || isObjectId(specifier) || isWellFormed(branchRef(specifier));
}

/** Follows annotated tags; undefined when the id names no commit in this repository. */
export async function readCommit(open: OpenRepository, id: string): Promise<ResolvedCommit | undefined> {
  const info = isObjectId(id) ? await open.info(id) : undefined;
  if (info?.type !== 'commit' && info?.type !== 'tag') return undefined;
  const object = (await open.read(id))!;
  if (object.type === 'tag') return readCommit(open, parseTag(object.data).object);
  return { id, commit: parseCommit(object.data) };
}

async function lookUpReference(platform: Pick<Platform, 'read'>, repository: Repository, name: string): Promise<string | undefined> {
  const candidates =
    name === 'HEAD'
      ? repository.default_branch === null
        ? []
        : [branchRef(repository.default_branch)]
      : [...(name.startsWith('refs/') ? [name] : []), branchRef(name), `refs/tags/${name}`];
  if (candidates.length === 0) return undefined;
  const rows = await platform.read
    .selectFrom('codecommit.refs')
    .select(['name', 'object_id'])
    .where('repository_id', '=', repository.id)
    .where('name', 'in', candidates)
    .execute();
  const byName = new Map(rows.map((row) => [row.name, row.object_id]));
  return candidates.map((candidate) => byName.get(candidate)).find((id) => id !== undefined);
}
