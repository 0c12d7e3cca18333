/** What stands in the way of a merge: which files, and which of their lines. */

import type { Hunk, HunkSide } from '../../git/merge-text.ts';
import type { TreeEntry } from '../../git/objects.ts';
import { isSubmodule, isTree, parseCommit } from '../../git/objects.ts';
import { entryAt } from '../../git/trees.ts';
import { AwsError } from '../../platform/errors.ts';
import type { RequestContext, ShapeOf } from '../../platform/service.ts';
import { operation } from '../../platform/service.ts';
import { fromGitMode } from './file-modes.ts';
import { isMergeable, judgeAll } from './merge-commit.ts';
import type { Judged } from './merge-conflicts.ts';
import { Judge, typeOf } from './merge-conflicts.ts';
import type { ConflictRules, MergeOption, RelatedTips, TipsRequest } from './merge-tips.ts';
import { canFastForward, compareTips, findRelatedTips, isMerged } from './merge-tips.ts';
import { fromTreePath, toFilePath } from './paths.ts';
import { onRepository } from './repository.ts';
import { canNameCommit } from './specifiers.ts';

const DEFAULT_FILES = 100;
const DEFAULT_HUNKS = 100;
const MAX_PAGE = 1000;

type Question = TipsRequest & ConflictRules & { mergeOption: MergeOption };

export const getMergeConflicts = operation('codecommit', 'GetMergeConflicts', {
  authorize: ({ repositoryName }, ctx) => onRepository(ctx, repositoryName),
  async handle(ctx, input) {
    const limit = pageSize(input.maxConflictFiles, DEFAULT_FILES, 'InvalidMaxConflictFilesException');
    checkSpecifiers(input);
    const tips = await findRelatedTips(ctx, input);
    const judged = await conflictsOf(tips, input);
    const { page, nextToken } = pageOf(ctx, scopeOf('GetMergeConflicts', tips, input), judged, limit, input.nextToken);
    return {
      mergeable: mergeable(tips, input, judged),
      ...commitIds(tips),
      conflictMetadataList: page.map(describeConflict),
      nextToken,
    };
  },
});

export const describeMergeConflicts = operation('codecommit', 'DescribeMergeConflicts', {
  authorize: ({ repositoryName }, ctx) => onRepository(ctx, repositoryName),
  async handle(ctx, input) {
    const limit = pageSize(input.maxMergeHunks, DEFAULT_HUNKS, 'InvalidMaxMergeHunksException');
    const path = toFilePath(input.filePath);
    const tips = await findRelatedTips(ctx, input);
    const judged = await judgeFile(tips, input, path);
    if (!judged) throw fileMissing(input.filePath);
    const hunks = hunksOf(judged);
    const { page, nextToken } = pageOf(ctx, `${scopeOf('DescribeMergeConflicts', tips, input)}:${path}`, hunks, limit, input.nextToken);
    return { conflictMetadata: describeConflict(judged), mergeHunks: page, nextToken, ...commitIds(tips) };
  },
});

export const batchDescribeMergeConflicts = operation('codecommit', 'BatchDescribeMergeConflicts', {
  authorize: ({ repositoryName }, ctx) => onRepository(ctx, repositoryName),
  async handle(ctx, input) {
    const files = pageSize(input.maxConflictFiles, DEFAULT_FILES, 'InvalidMaxConflictFilesException');
    const hunks = pageSize(input.maxMergeHunks, DEFAULT_HUNKS, 'InvalidMaxMergeHunksException');
    const tips = await findRelatedTips(ctx, input);
    const judged = await conflictsOf(tips, input);
    const { wanted, errors } = await selectFiles(tips, judged, input.filePaths ?? []);
    const scope = `${scopeOf('BatchDescribeMergeConflicts', tips, input)}:${JSON.stringify(input.filePaths ?? [])}`;
    const { page, nextToken } = pageOf(ctx, scope, wanted, files, input.nextToken);
    const conflicts = page.map((each) => ({ conflictMetadata: describeConflict(each), mergeHunks: hunksOf(each).slice(0, hunks) }));
    return { conflicts, errors, nextToken, ...commitIds(tips) };
  },
});

/** GetMergeConflicts alone has an error of its own for each of the two. */
function checkSpecifiers({ sourceCommitSpecifier, destinationCommitSpecifier }: TipsRequest): void {
  const message = (side: string, name: string) => `The ${side} commit specifier is not valid: ${name.slice(0, 300)}`;
  if (!canNameCommit(sourceCommitSpecifier)) {
    throw new AwsError('InvalidSourceCommitSpecifierException', message('source', sourceCommitSpecifier));
  }
  if (!canNameCommit(destinationCommitSpecifier)) {
    throw new AwsError('InvalidDestinationCommitSpecifierException', message('destination', destinationCommitSpecifier));
  }
}

/** A branch that can be fast-forwarded, or has everything already, has no conflict with the other. */
async function conflictsOf(tips: RelatedTips, question: Question): Promise<Judged[]> {
  if (canFastForward(tips) || isMerged(tips)) return [];
  return (await judgeAll(tips, question)).filter(({ conflicts }) => conflicts > 0);
}

function mergeable(tips: RelatedTips, question: Question, judged: Judged[]): boolean {
  if (question.mergeOption === 'FAST_FORWARD_MERGE') return canFastForward(tips) || isMerged(tips);
  return isMergeable(judged, question);
}

function commitIds({ source, destination, base }: RelatedTips) {
  return { sourceCommitId: source.id, destinationCommitId: destination.id, baseCommitId: base };
}

/** Undefined when no version has such a file. */
async function judgeFile(tips: RelatedTips, question: Question, path: string): Promise<Judged | undefined> {
  const { contested } = await compareTips(tips);
  const found = contested.find((each) => each.path === path);
  const judge = new Judge(tips, question);
  if (found) return judge.judge(found);
  const [base, source, destination] = await filesAt(tips, path);
  return base || source || destination ? judge.judge({ path, base, source, destination }) : undefined;
}

async function filesAt({ open, base, source, destination }: RelatedTips, path: string): Promise<(TreeEntry | undefined)[]> {
  const baseTree = parseCommit((await open.read(base))!.data).tree;
  const entries = await Promise.all([baseTree, source.commit.tree, destination.commit.tree].map((tree) => entryAt(open.read, tree, path)));
  return entries.map((entry) => (entry && isTree(entry) ? undefined : entry));
}

async function selectFiles(tips: RelatedTips, judged: Judged[], filePaths: string[]) {
  if (filePaths.length === 0) return { wanted: judged, errors: [] };
  const wanted: Judged[] = [];
  const errors: ShapeOf<'codecommit', 'BatchDescribeMergeConflictsError'>[] = [];
  for (const filePath of new Set(filePaths)) {
    try {
      const path = toFilePath(filePath);
      const found = judged.find(({ contested }) => contested.path === path);
      if (found) wanted.push(found);
      else if ((await filesAt(tips, path)).every((entry) => entry === undefined)) throw fileMissing(filePath);
    } catch (error) {
      if (!(error instanceof AwsError)) throw error;
      errors.push({ filePath, exceptionName: error.code, message: error.message });
    }
  }
  return { wanted, errors };
}

function describeConflict({ contested, sizes, binary, ...judged }: Judged): ShapeOf<'codecommit', 'ConflictMetadata'> {
  const { base, source, destination } = contested;
  const each = <T>(of: (entry: TreeEntry) => T) => ({
    source: source && of(source),
    destination: destination && of(destination),
    base: base && of(base),
  });
  return {
    filePath: fromTreePath(contested.path),
    fileSizes: sizes,
    fileModes: each((entry) => (isTree(entry) || isSubmodule(entry) ? undefined : fromGitMode(entry.mode))),
    objectTypes: each(typeOf),
    numberOfConflicts: judged.conflicts,
    isBinaryFile: binary,
    contentConflict: judged.contentConflict,
    fileModeConflict: judged.modeConflict,
    objectTypeConflict: judged.typeConflict,
    mergeOperations: { source: operationOf(base, source), destination: operationOf(base, destination) },
  };
}

function operationOf(before: TreeEntry | undefined, after: TreeEntry | undefined): 'A' | 'M' | 'D' | undefined {
  if (before?.id === after?.id && before?.mode === after?.mode) return undefined;
  return before && after ? 'M' : after ? 'A' : 'D';
}

function hunksOf({ text }: Judged): ShapeOf<'codecommit', 'MergeHunk'>[] {
  return (text?.hunks ?? []).map((hunk: Hunk) => ({
    isConflict: hunk.conflict,
    source: describeSide(hunk.source),
    destination: describeSide(hunk.destination),
    base: describeSide(hunk.base),
  }));
}

/** Lines counted from 1, both ends included; without lines the end is before the start. */
function describeSide({ start, lines }: HunkSide): ShapeOf<'codecommit', 'MergeHunkDetail'> {
  const hunkContent = Buffer.from(lines.join(''), 'latin1').toString('base64');
  return { startLine: start + 1, endLine: start + lines.length, hunkContent };
}

function pageSize(wanted: number | undefined, fallback: number, code: string): number {
  if (wanted !== undefined && wanted < 1) throw new AwsError(code, `The specified maximum is not valid: ${wanted}`);
  return Math.min(wanted ?? fallback, MAX_PAGE);
}

/** Ties a token to one question about two commits. */
function scopeOf(name: string, { repository, source, destination }: RelatedTips, question: Question): string {
  const { mergeOption, conflictDetailLevel, conflictResolutionStrategy } = question;
  return ['codecommit', name, repository.id, source.id, destination.id, mergeOption, conflictDetailLevel, conflictResolutionStrategy].join(
    ':',
  );
}

function pageOf<T>(ctx: RequestContext, scope: string, all: T[], limit: number, token: string | undefined) {
  const from = token === undefined ? 0 : ctx.paging.open<number>(scope, token);
  if (from === undefined) throw new AwsError('InvalidContinuationTokenException', 'The specified continuation token is not valid.');
  const end = from + limit;
  return { page: all.slice(from, end), nextToken: end < all.length ? ctx.paging.seal(scope, end) : undefined };
}

function fileMissing(filePath: string): AwsError {
  return new AwsError('FileDoesNotExistException', `Could not find path ${filePath}`);
}
