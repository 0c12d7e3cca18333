/** What a comment is on: checked against the two commits that are compared, and kept once for all comments of one place. */
import type { Selectable } from 'kysely';
import type { TreeEntry } from '../../git/objects.ts';
import { isObjectId, isSubmodule, isTree } from '../../git/objects.ts';
import { entryAt } from '../../git/trees.ts';
import { AwsError } from '../../platform/errors.ts';
import type { Transaction } from '../../platform/platform.ts';
import type { RequestContext, ShapeOf } from '../../platform/service.ts';
import { hashRequest } from './client-tokens.ts';
import { fromTreePath, toFilePath } from './paths.ts';
import type { OpenRepository, Repository } from './repository.ts';
import { openRepository } from './repository.ts';
import { readCommit } from './specifiers.ts';
import type { CommentPlacesTable } from './tables.ts';

export type CommentPlace = Selectable<CommentPlacesTable>;
type NewPlace = Omit<CommentPlace, 'id'>;
type Location = ShapeOf<'codecommit', 'Location'>;

/** Beyond that lines cannot be counted here; it is also the limit of one file in this API. */
const MAX_COUNTED = 6 * 1024 * 1024;

export interface Comparison {
  pullRequestId?: number;
  /** Undefined: nothing, for the first commit. */
  beforeCommitId: string | undefined;
  afterCommitId: string;
  location?: Location;
}

/** Both commits must be there and differ, the file in one of them, the line in the version of the file that is meant. */
export async function checkPlace(ctx: RequestContext, repository: Repository, compared: Comparison): Promise<NewPlace> {
  const { beforeCommitId, afterCommitId, location } = compared;
  checkCommitIds(beforeCommitId, afterCommitId);
  const open = await openRepository(ctx, repository);
  const after = await treeOf(open, afterCommitId);
  const before = beforeCommitId === undefined ? undefined : await treeOf(open, beforeCommitId);
  const file = location && (await findFile(open, before, after, location));
  const place = {
    repository_id: repository.id,
    account: repository.account,
    region: repository.region,
    pull_request_id: compared.pullRequestId ?? null,
    before_commit: beforeCommitId ?? null,
    after_commit: afterCommitId,
    file_path: file?.path ?? null,
    file_position: location?.filePosition ?? null,
    file_version: location?.relativeFileVersion ?? null,
    before_blob: file?.before?.id ?? null,
    after_blob: file?.after?.id ?? null,
  };
  const { pull_request_id, before_commit, after_commit, file_path, file_position, file_version } = place;
  return { ...place, key: hashRequest([pull_request_id, before_commit, after_commit, file_path, file_position, file_version]) };
}

/** `InvalidCommitIdException`, or `BeforeCommitIdAndAfterCommitIdAreSameException`. */
function checkCommitIds(before: string | undefined, after: string): void {
  for (const id of [before, after]) if (id !== undefined) checkCommitId(id);
  if (before !== after) return;
  throw new AwsError('BeforeCommitIdAndAfterCommitIdAreSameException', 'The before commit ID and the after commit ID must be different.');
}

function checkCommitId(id: string): void {
  if (isObjectId(id)) return;
  throw new AwsError('InvalidCommitIdException', `The commit ID is not valid, or not a full one: ${id.slice(0, 100)}`);
}

/** For lists: ids of commits that are in the repository. */
export async function requireCommits(ctx: RequestContext, repository: Repository, ids: string[]): Promise<void> {
  for (const id of ids) checkCommitId(id);
  const open = await openRepository(ctx, repository);
  for (const id of ids) await treeOf(open, id);
}

async function treeOf(open: OpenRepository, id: string): Promise<string> {
  const found = await readCommit(open, id);
  if (found?.id !== id) throw new AwsError('CommitDoesNotExistException', `Could not find commit ${id}`);
  return found.commit.tree;
}

async function findFile(open: OpenRepository, beforeTree: string | undefined, afterTree: string, location: Location) {
  const { filePath, filePosition, relativeFileVersion } = location;
  if (!filePath) throw new AwsError('PathRequiredException', 'The file path of a location is required.');
  const path = toFilePath(filePath);
  const before = beforeTree === undefined ? undefined : await entryAt(open.read, beforeTree, path);
  const after = await entryAt(open.read, afterTree, path);
  if (!before && !after) throw new AwsError('PathDoesNotExistException', `The path exists in neither of the two commits: ${filePath}`);
  if ([before, after].every((entry) => !entry || isTree(entry) || isSubmodule(entry))) {
    throw new AwsError('InvalidFileLocationException', `The location is not that of a file: ${filePath}`);
  }
  const meant = relativeFileVersion === 'BEFORE' ? before : after;
  if (relativeFileVersion !== undefined && !meant) {
    throw new AwsError('InvalidRelativeFileVersionEnumException', `The file ${filePath} does not exist ${relativeFileVersion} the change.`);
  }
  if (filePosition !== undefined) {
    if (relativeFileVersion === undefined) {
      throw new AwsError(
        'InvalidRelativeFileVersionEnumException',
        'A position needs the version of the file that it is in: BEFORE or AFTER.',
      );
    }
    await checkPosition(open, meant!, filePosition);
  }
  const blob = (entry: TreeEntry | undefined) => (entry && !isTree(entry) ? entry : undefined);
  return { path: fromTreePath(path), before: blob(before), after: blob(after) };
}

async function checkPosition(open: OpenRepository, entry: TreeEntry, position: number): Promise<void> {
  const info = isTree(entry) || isSubmodule(entry) ? undefined : await open.info(entry.id);
  const lines = info && info.size <= MAX_COUNTED ? countLines((await open.read(entry.id))!.data) : 0;
  if (position >= 1 && position <= lines) return;
  throw new AwsError(
    'InvalidFilePositionException',
    `The position is not valid: ${position}. This version of the file has ${lines} lines.`,
  );
}

/** A last line without a line feed is one, too. */
function countLines(data: Buffer): number {
  let lines = 0;
  for (let at = data.indexOf(10); at >= 0; at = data.indexOf(10, at + 1)) lines++;
  return data.length === 0 || data.at(-1) === 10 ? lines : lines + 1;
}

/** The row of the place, made when this is the first comment there. */
export async function keepPlace(tx: Transaction, place: NewPlace): Promise<CommentPlace> {
  const made = await tx.sql
    .insertInto('codecommit.comment_places')
    .values(place)
    .onConflict((conflict) => conflict.columns(['repository_id', 'key']).doNothing())
    .returningAll()
    .executeTakeFirst();
  if (made) return made;
  return tx.sql
    .selectFrom('codecommit.comment_places')
    .selectAll()
    .where('repository_id', '=', place.repository_id)
    .where('key', '=', place.key)
    .executeTakeFirstOrThrow();
}

/** What the API tells of a place, beside its comments. */
export function describePlace(repositoryName: string, place: CommentPlace) {
  return {
    repositoryName,
    beforeCommitId: place.before_commit ?? undefined,
    afterCommitId: place.after_commit,
    beforeBlobId: place.before_blob ?? undefined,
    afterBlobId: place.after_blob ?? undefined,
    location:
      place.file_path === null
        ? undefined
        : {
            filePath: place.file_path,
            filePosition: place.file_position ?? undefined,
            relativeFileVersion: place.file_version ?? undefined,
          },
  };
}
