/** Branches: references below refs/heads/, and which of them is the default. */
import { sql } from 'kysely';
import { isObjectId } from '../../git/objects.ts';
import { branchRef, isWellFormed } from '../../git/ref-names.ts';
import { asRecords, batchedRead } from '../../platform/database/batch.ts';
import { AwsError } from '../../platform/errors.ts';
import type { Platform } from '../../platform/platform.ts';
import { operation } from '../../platform/service.ts';
import { changeReferences, nextGeneration } from './references.ts';
import type { Repository } from './repository.ts';
import { findRepository, onRepository, openRepository, repositoryMissing } from './repository.ts';

const PAGE = 1000;

export const createBranch = operation('codecommit', 'CreateBranch', {
  authorize: ({ repositoryName, branchName }, ctx) => onRepository(ctx, repositoryName, branchRef(branchName)),
  async handle(ctx, { repositoryName, branchName, commitId }) {
    checkNewBranchName(branchName);
    if (!isObjectId(commitId)) throw ctx.error('InvalidCommitIdException', `The commit ID is not valid: ${commitId.slice(0, 100)}`);
    const repository = await findRepository(ctx, repositoryName);
    const open = await openRepository(ctx, repository);
    if ((await open.info(commitId))?.type !== 'commit') {
      throw ctx.error('CommitDoesNotExistException', `Could not find commit ${commitId}`);
    }
    const change = { name: branchRef(branchName), oldId: undefined, newId: commitId };
    const [result] = await changeReferences(ctx, repository, [change], { caller: ctx.principal.arn });
    if (result?.error === 'reference already exists') {
      throw ctx.error('BranchNameExistsException', `Branch ${branchName} already exists`);
    }
    if (result?.error) throw ctx.error('InvalidBranchNameException', `The branch name ${branchName} conflicts with another branch.`);
    return {};
  },
});

export const getBranch = operation('codecommit', 'GetBranch', {
  authorize: ({ repositoryName }, ctx) => onRepository(ctx, repositoryName),
  async handle(ctx, { repositoryName, branchName }) {
    if (repositoryName === undefined) throw ctx.error('RepositoryNameRequiredException', 'A repository name is required.');
    if (branchName === undefined) throw ctx.error('BranchNameRequiredException', 'A branch name is required.');
    checkBranchName(branchName);
    const repository = await findRepository(ctx, repositoryName);
    const commitId = await branchTip(ctx, repository, branchName);
    if (commitId === undefined) throw branchMissing(branchName);
    return { branch: { branchName, commitId } };
  },
});

export const listBranches = operation('codecommit', 'ListBranches', {
  authorize: ({ repositoryName }, ctx) => onRepository(ctx, repositoryName),
  async handle(ctx, { repositoryName, nextToken }) {
    const repository = await findRepository(ctx, repositoryName);
    const scope = `codecommit:ListBranches:${repository.id}`;
    const after = nextToken === undefined ? branchRef('') : ctx.paging.open<string>(scope, nextToken);
    if (after === undefined) throw ctx.error('InvalidContinuationTokenException', 'The specified continuation token is not valid.');
    const rows = await ctx.read
      .selectFrom('codecommit.refs')
      .select('name')
      .where('repository_id', '=', repository.id)
      .where('name', '>', after)
      // The first name that no branch can have.
      .where('name', '<', 'refs/heads0')
      .orderBy('name')
      .limit(PAGE + 1)
      .execute();
    const page = rows.slice(0, PAGE);
    return {
      branches: page.map(({ name }) => name.slice(branchRef('').length)),
      nextToken: rows.length > PAGE ? ctx.paging.seal(scope, page.at(-1)!.name) : undefined,
    };
  },
});

export const deleteBranch = operation('codecommit', 'DeleteBranch', {
  authorize: ({ repositoryName, branchName }, ctx) => onRepository(ctx, repositoryName, branchRef(branchName)),
  async handle(ctx, { repositoryName, branchName }) {
    checkBranchName(branchName);
    const repository = await findRepository(ctx, repositoryName);
    for (;;) {
      const commitId = await branchTip(ctx, repository, branchName);
      // Deleting what is not there is no error.
      if (commitId === undefined) return {};
      const change = { name: branchRef(branchName), oldId: commitId, newId: undefined };
      const [result] = await changeReferences(ctx, repository, [change], { caller: ctx.principal.arn });
      if (result?.error === undefined) return { deletedBranch: { branchName, commitId } };
      if (result.error.startsWith('deletion of the current branch')) {
        throw ctx.error('DefaultBranchCannotBeDeletedException', `Branch ${branchName} is the default branch and cannot be deleted.`);
      }
      // It moved meanwhile: look again.
    }
  },
});

export const updateDefaultBranch = operation('codecommit', 'UpdateDefaultBranch', {
  authorize: ({ repositoryName }, ctx) => onRepository(ctx, repositoryName),
  async handle(ctx, { repositoryName, defaultBranchName }) {
    checkBranchName(defaultBranchName);
    const repository = await findRepository(ctx, repositoryName);
    await ctx.transaction(async (tx) => {
      const row = await tx.sql
        .selectFrom('codecommit.repositories')
        .select('generation')
        .where('id', '=', repository.id)
        .forUpdate()
        .executeTakeFirst();
      if (!row) throw repositoryMissing(repositoryName);
      const branch = await tx.sql
        .selectFrom('codecommit.refs')
        .select('name')
        .where('repository_id', '=', repository.id)
        .where('name', '=', branchRef(defaultBranchName))
        .executeTakeFirst();
      if (!branch) throw branchMissing(defaultBranchName);
      await tx.sql
        .updateTable('codecommit.repositories')
        .set({ default_branch: defaultBranchName, generation: nextGeneration(row, ctx.now()), updated_at: ctx.now() })
        .where('id', '=', repository.id)
        .execute();
    });
    return {};
  },
});

const tipBatch = batchedRead<{ id: string; name: string }, string | undefined>({
  key: ({ id, name }) => `${id}/${name}`,
  async run(read, wanted) {
    const { rows } = await sql<{ id: string; name: string; object_id: string }>`
      select wanted.id, wanted.name, ref.object_id from json_to_recordset(${asRecords(wanted)}) as wanted (id uuid, name text)
      join codecommit.refs ref on ref.repository_id = wanted.id and ref.name = wanted.name`.execute(read);
    const byKey = new Map(rows.map((row) => [`${row.id}/${row.name}`, row.object_id]));
    return wanted.map(({ id, name }) => byKey.get(`${id}/${name}`));
  },
});

/** The commit at the tip; undefined when there is no such branch. */
export function branchTip(
  platform: Pick<Platform, 'read'>,
  repository: Pick<Repository, 'id'>,
  branch: string,
): Promise<string | undefined> {
  return tipBatch(platform, { id: repository.id, name: branchRef(branch) });
}

export function branchMissing(branch: string): AwsError {
  return new AwsError('BranchDoesNotExistException', `Branch ${branch} does not exist`);
}

/** `InvalidBranchNameException` for what git would not take as a branch. */
export function checkBranchName(branch: string): void {
  if (isWellFormed(branchRef(branch)) && !branch.startsWith('-') && branch !== 'HEAD') return;
  throw new AwsError('InvalidBranchNameException', `The branch name is not valid: ${branch}`);
}

/** A new branch must not look like a commit's id. */
export function checkNewBranchName(branch: string): void {
  checkBranchName(branch);
  if (/^[0-9a-f]{40}$/i.test(branch)) {
    throw new AwsError('InvalidBranchNameException', `The branch name is not valid: ${branch} looks like a commit ID.`);
  }
}
