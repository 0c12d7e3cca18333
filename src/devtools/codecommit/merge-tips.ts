/** What every merge and every question about one begins with: the two commits, where they parted, and what each side changed since. */
import { divergence, mergeBase } from '../../git/history.ts';
import type { ComparedTrees } from '../../git/merge.ts';
import { compareTrees, TooManyDifferencesError } from '../../git/merge.ts';
import { parseCommit } from '../../git/objects.ts';
import type { GitPlace } from '../../git/program.ts';
import { gitStore } from '../../git/store.ts';
import { AwsError } from '../../platform/errors.ts';
import type { RequestContext, ShapeOf } from '../../platform/service.ts';
import type { OpenRepository, Repository } from './repository.ts';
import { findRepository, openRepository } from './repository.ts';
import type { ResolvedCommit } from './specifiers.ts';
import { resolveCommit } from './specifiers.ts';

/** Commits that only one of two tips has; beyond that they are too far apart to be merged here. */
const MAX_DIVERGENCE = 1000;
const MAX_ITEMS = 50_000;

export type ConflictLevel = 'FILE_LEVEL' | 'LINE_LEVEL';
export type ConflictStrategy = 'NONE' | 'ACCEPT_SOURCE' | 'ACCEPT_DESTINATION' | 'AUTOMERGE';
export type MergeOption = 'FAST_FORWARD_MERGE' | 'SQUASH_MERGE' | 'THREE_WAY_MERGE';
export type Resolution = ShapeOf<'codecommit', 'ConflictResolution'>;

export interface TipsRequest {
  repositoryName: string;
  sourceCommitSpecifier: string;
  destinationCommitSpecifier: string;
}

/** How conflicts are looked for and settled, as callers say it. */
export interface ConflictRules {
  conflictDetailLevel?: ConflictLevel;
  conflictResolutionStrategy?: ConflictStrategy;
}

export interface Tips {
  repository: Repository;
  open: OpenRepository;
  /** For git's own programs. */
  place: GitPlace;
  source: ResolvedCommit;
  destination: ResolvedCommit;
  /** Where they parted; undefined when their histories have nothing in common. */
  base: string | undefined;
}

export async function findTips(ctx: RequestContext, request: TipsRequest): Promise<Tips> {
  const repository = await findRepository(ctx, request.repositoryName);
  const open = await openRepository(ctx, repository);
  const source = await resolveCommit(ctx, repository, open, request.sourceCommitSpecifier);
  const destination = await resolveCommit(ctx, repository, open, request.destinationCommitSpecifier);
  const place = gitStore(ctx).cache.base(repository.id);
  return { repository, open, place, source, destination, base: await mergeBase(place, source.id, destination.id) };
}

/** Tips that can be compared: `TipsDivergenceExceededException` when their histories are too far apart, or have no common commit. */
export type RelatedTips = Tips & { base: string };

export async function findRelatedTips(ctx: RequestContext, request: TipsRequest): Promise<RelatedTips> {
  const tips = await findTips(ctx, request);
  const { base } = tips;
  if (base === undefined) throw tooFarApart('they have no commit in common');
  if (!canFastForward(tips) && !isMerged(tips)) {
    const commits = await divergence(tips.place, tips.source.id, tips.destination.id, MAX_DIVERGENCE + 1);
    if (commits > MAX_DIVERGENCE) throw tooFarApart(`more than ${MAX_DIVERGENCE} commits lie between them`);
  }
  return { ...tips, base };
}

function tooFarApart(why: string): AwsError {
  return new AwsError(
    'TipsDivergenceExceededException',
    `The divergence between the tips of the provided commit specifiers is too great to determine whether there might be any merge conflicts: ${why}. Locally compare the specifiers using git diff or a diff tool.`,
  );
}

export function canFastForward({ base, destination }: Tips): boolean {
  return base === destination.id;
}

/** The destination has all of the source already. */
export function isMerged({ base, source }: Tips): boolean {
  return base === source.id;
}

/** `MaximumItemsToCompareExceededException` when too much differs. */
export async function compareTips({ open, base, source, destination }: RelatedTips): Promise<ComparedTrees> {
  const baseTree = parseCommit((await open.read(base))!.data).tree;
  const roots = { base: baseTree, source: source.commit.tree, destination: destination.commit.tree };
  return compareTrees(open.read, roots, MAX_ITEMS).catch((error: unknown) => {
    if (!(error instanceof TooManyDifferencesError)) throw error;
    throw new AwsError(
      'MaximumItemsToCompareExceededException',
      `The number of items to compare between the source or destination branch and the merge base exceeds ${MAX_ITEMS}.`,
    );
  });
}
