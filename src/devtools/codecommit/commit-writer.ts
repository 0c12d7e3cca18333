/** One commit made by the API: on the tip of its branch, in through quarantine as a push is, and visible whole or not at all. */
import { formatCommit, fromEntryName, isObjectId, parseCommit, rawDate } from '../../git/objects.ts';
import { PackWriter } from '../../git/pack-writer.ts';
import { Quarantine } from '../../git/quarantine.ts';
import { branchRef } from '../../git/ref-names.ts';
import { gitStore } from '../../git/store.ts';
import type { Edit } from '../../git/tree-edit.ts';
import { editTree, TreeConflictError } from '../../git/tree-edit.ts';
import type { ReadById } from '../../git/trees.ts';
import { AwsError } from '../../platform/errors.ts';
import type { RequestContext } from '../../platform/service.ts';
import { branchMissing, branchTip, checkBranchName, checkNewBranchName } from './branches.ts';
import type { StoredPack } from './packs.ts';
import { announcePack } from './packs.ts';
import { changeReferences } from './references.ts';
import type { OpenRepository, Repository } from './repository.ts';
import { findRepository, openRepository } from './repository.ts';

const MAX_NAME = 1000;
const MAX_EMAIL = 320;
/** "Metadata for a commit: maximum of 20 MB", of which the message is nearly all. */
const MAX_MESSAGE = 20 * 1024 * 1024;

export interface NewCommit {
  repositoryName: string;
  branchName: string;
  parentCommitId: string | undefined;
  name: string | undefined;
  email: string | undefined;
  message: string | undefined;
  keepEmptyFolders?: boolean;
}

/** What the changes are made on. */
export interface Base {
  repository: Repository;
  open: OpenRepository;
  /** The parent's root tree; undefined for the first commit of a repository. */
  tree: string | undefined;
  read: ReadById;
  writer: PackWriter;
}

export interface Changes {
  edits: Map<string, Edit>;
  /** The message when the caller gave none. */
  defaultMessage: string;
  /** Thrown when the new tree is the old one. */
  unchanged: AwsError;
}

/** Makes the commit that `plan` asks for. Of several made at once on one branch exactly one wins; the others get ParentCommitIdOutdatedException. */
export async function makeCommit(
  ctx: RequestContext,
  request: NewCommit,
  plan: (base: Base) => Promise<Changes>,
): Promise<{ commitId: string; treeId: string; base: Base }> {
  checkAuthor(request);
  checkBranchName(request.branchName);
  const repository = await findRepository(ctx, request.repositoryName);
  const open = await openRepository(ctx, repository);
  const parent = await findParent(ctx, repository, open, request);
  const writer = new PackWriter();
  const tree = parent && parseCommit((await open.read(parent))!.data).tree;
  const base: Base = { repository, open, tree, writer, read: async (id) => (writer.get(id)?.data ? toRead(writer, id) : open.read(id)) };
  const changes = await plan(base);
  const options = { read: base.read, writer, keepEmptyFolders: request.keepEmptyFolders ?? false };
  const treeId = await editTree(options, tree, changes.edits).catch(explainConflict);
  if (treeId === tree) throw changes.unchanged;

  const person = { name: request.name || callerName(ctx), email: request.email ?? '', date: rawDate(ctx.now()) };
  const message = request.message || changes.defaultMessage;
  const parents = parent === undefined ? [] : [parent];
  const commitId = writer.add('commit', formatCommit({ tree: treeId, parents, author: person, committer: person, message }));
  const change = { name: branchRef(request.branchName), oldId: parent, newId: commitId };
  const [result] = await withPack(ctx, repository, writer, (pack, install) =>
    changeReferences(ctx, repository, [change], { caller: ctx.principal.arn, pack, install }),
  );
  if (result?.error !== undefined) throw parent === undefined ? parentRequired() : outdated(parent);
  return { commitId, treeId, base };
}

/**
 * Stores what the writer holds as one pack; `use` makes it part of the repository. Until then, and when `use` fails, it is nobody's and
 * is deleted one day.
 */
export async function withPack<T>(
  ctx: RequestContext,
  repository: Repository,
  writer: PackWriter,
  use: (pack: StoredPack, install: () => Promise<void>) => Promise<T>,
): Promise<T> {
  const store = gitStore(ctx);
  await using quarantine = await Quarantine.open(store, repository.id);
  const key = announcePack(ctx, repository);
  key.catch(() => {});
  const keeping = { blobs: store.blobs, key, asItArrives: true };
  const indexed = await quarantine.index(await writer.toBuffer(), { keeping });
  await quarantine.keep(keeping);
  return await use({ ...indexed, blobKey: await key }, () => quarantine.install());
}

/** The commit to build on, when the caller knows it rightly. Undefined in a repository without branches. */
async function findParent(
  ctx: RequestContext,
  repository: Repository,
  open: OpenRepository,
  request: NewCommit,
): Promise<string | undefined> {
  const { branchName, parentCommitId } = request;
  if (parentCommitId !== undefined && !isObjectId(parentCommitId)) {
    throw new AwsError('InvalidParentCommitIdException', `The parent commit ID is not valid: ${parentCommitId.slice(0, 100)}`);
  }
  const tip = await branchTip(ctx, repository, branchName);
  if (tip === undefined) {
    if (await isTag(ctx, repository, branchName)) {
      throw new AwsError('BranchNameIsTagNameException', `The branch name ${branchName} is not valid because it is a tag name.`);
    }
    if (repository.default_branch !== null) throw branchMissing(branchName);
    if (parentCommitId !== undefined) throw parentMissing(parentCommitId);
    checkNewBranchName(branchName);
    return undefined;
  }
  if (parentCommitId === undefined) throw parentRequired();
  if (parentCommitId === tip) return tip;
  if ((await open.info(parentCommitId))?.type !== 'commit') throw parentMissing(parentCommitId);
  throw outdated(parentCommitId);
}

export async function isTag(ctx: RequestContext, repository: Repository, name: string): Promise<boolean> {
  const row = await ctx.read
    .selectFrom('codecommit.refs')
    .select('name')
    .where('repository_id', '=', repository.id)
    .where('name', '=', `refs/tags/${name}`)
    .executeTakeFirst();
  return row !== undefined;
}

/** Who made it and what for, checked against the service's limits. */
export function checkAuthor({ name, email, message }: Pick<NewCommit, 'name' | 'email' | 'message'>): void {
  if (name !== undefined && name.length > MAX_NAME) {
    throw new AwsError('NameLengthExceededException', `The user name is not valid because it is longer than ${MAX_NAME} characters.`);
  }
  if (email !== undefined && (email.length > MAX_EMAIL || /[<>\x00-\x1f\x7f]/.test(email))) {
    throw new AwsError(
      'InvalidEmailException',
      `The specified email address contains characters that are not allowed, or is too long: ${email.slice(0, 100)}`,
    );
  }
  if (message !== undefined && Buffer.byteLength(message) > MAX_MESSAGE) {
    throw new AwsError('CommitMessageLengthExceededException', `The commit message is longer than ${MAX_MESSAGE} bytes.`);
  }
}

/** Who commits when the caller does not say: the user, or the session of a role. */
export function callerName(ctx: RequestContext): string {
  const { principal } = ctx;
  if (principal.type === 'User') return principal.name;
  if (principal.type === 'AssumedRole') return principal.sessionName;
  return principal.type === 'Root' ? 'root' : principal.id;
}

/** A conflict of names in a tree, in the API's words. */
export function explainConflict(error: unknown): never {
  if (!(error instanceof TreeConflictError)) throw error;
  const path = fromEntryName(error.path);
  if (error.kind === 'submodule') {
    throw new AwsError('FilePathConflictsWithSubmodulePathException', `The path ${path} is that of a submodule.`);
  }
  if (error.kind === 'directory-is-file') {
    throw new AwsError('DirectoryNameConflictsWithFileNameException', `The folder ${path} cannot be made: a file has this name.`);
  }
  throw new AwsError('FileNameConflictsWithDirectoryNameException', `The file ${path} cannot be made: a folder has this name.`);
}

async function toRead(writer: PackWriter, id: string) {
  const { type, data } = writer.get(id)!;
  return { type, data: Buffer.from(data) };
}

function parentRequired(): AwsError {
  return new AwsError('ParentCommitIdRequiredException', 'A parent commit ID is required: the branch has commits.');
}

function parentMissing(id: string): AwsError {
  return new AwsError('ParentCommitDoesNotExistException', `The parent commit ID does not exist: ${id}`);
}

function outdated(id: string): AwsError {
  return new AwsError(
    'ParentCommitIdOutdatedException',
    `The parent commit ${id} is not the latest commit of the branch. Get the latest commit and try again.`,
  );
}
