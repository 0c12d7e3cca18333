/** CreateCommit: many changes of files in one commit, checked against each other and against what is there. */
import type { TreeEntry } from '../../git/objects.ts';
import { isSubmodule, isTree } from '../../git/objects.ts';
import { branchRef } from '../../git/ref-names.ts';
import type { Edit } from '../../git/tree-edit.ts';
import { differences, entryAt } from '../../git/trees.ts';
import { AwsError } from '../../platform/errors.ts';
import type { Input, ShapeOf } from '../../platform/service.ts';
import { operation } from '../../platform/service.ts';
import type { Base } from './commit-writer.ts';
import { makeCommit } from './commit-writer.ts';
import { fromGitMode, toGitMode } from './file-modes.ts';
import { fromTreePath, toFilePath, toNewFilePath } from './paths.ts';
import { onRepository } from './repository.ts';

/** "The number of files you can add, change or delete in a single commit." */
const MAX_ENTRIES = 100;
export const MAX_FILE = 6 * 1024 * 1024;
/** Of all new contents of one folder. */
const MAX_FOLDER = 6 * 1024 * 1024;

type CreateCommitInput = Input<'codecommit', 'CreateCommit'>;
type PutFileEntry = ShapeOf<'codecommit', 'PutFileEntry'>;

export const createCommit = operation('codecommit', 'CreateCommit', {
  authorize: ({ repositoryName, branchName }, ctx) => onRepository(ctx, repositoryName, branchRef(branchName)),
  async handle(ctx, input) {
    checkRequest(input);
    const request = { ...input, parentCommitId: input.parentCommitId, name: input.authorName, message: input.commitMessage };
    const { commitId, treeId, base } = await makeCommit(ctx, { ...request, email: input.email }, async (current) => ({
      edits: await planEdits(current, input),
      defaultMessage: describeChanges(input),
      unchanged: ctx.error('NoChangeException', 'The commit cannot be created because no changes will be made to the repository.'),
    }));
    return { commitId, treeId, ...(await changedFiles(base, treeId)) };
  },
});

/** What is wrong whatever the repository holds. */
function checkRequest({ putFiles = [], deleteFiles = [], setFileModes = [] }: CreateCommitInput): void {
  const count = putFiles.length + deleteFiles.length + setFileModes.length;
  if (count === 0) {
    throw new AwsError(
      'FileEntryRequiredException',
      'The commit cannot be created because no files were specified to be put, deleted or changed in mode.',
    );
  }
  if (count > MAX_ENTRIES) {
    throw new AwsError(
      'MaximumFileEntriesExceededException',
      `The number of specified files exceeds the limit of ${MAX_ENTRIES} in one commit.`,
    );
  }
  for (const put of putFiles) {
    toNewFilePath(put.filePath);
    checkPut(put);
  }
  checkFolderSizes(putFiles);
  checkPaths(putFiles, [...deleteFiles, ...setFileModes]);
  checkSources(putFiles, deleteFiles);
}

function checkPut({ filePath, fileContent, sourceFile }: PutFileEntry): void {
  if (fileContent !== undefined && sourceFile !== undefined) {
    throw new AwsError(
      'FileContentAndSourceFileSpecifiedException',
      `Either a source file or file content can be specified for ${filePath}, not both.`,
    );
  }
  if (fileContent === undefined && sourceFile === undefined) {
    throw new AwsError('SourceFileOrContentRequiredException', `A source file or file content is required for ${filePath}.`);
  }
  if (fileContent && fileContent.length > MAX_FILE) throw fileTooLarge(filePath);
}

export function fileTooLarge(path: string): AwsError {
  return new AwsError('FileContentSizeLimitExceededException', `The file ${path} cannot be added because it is larger than 6 MB.`);
}

/** `FolderContentSizeLimitExceededException`. */
export function checkFolderSizes(puts: { filePath: string; fileContent?: Uint8Array }[]): void {
  const sizes = new Map<string, number>();
  for (const { filePath, fileContent } of puts) {
    const path = toFilePath(filePath);
    const folder = path.slice(0, Math.max(0, path.lastIndexOf('/')));
    const size = (sizes.get(folder) ?? 0) + (fileContent?.length ?? 0);
    sizes.set(folder, size);
    if (size <= MAX_FOLDER) continue;
    throw new AwsError('FolderContentSizeLimitExceededException', `The changes of the folder /${fromTreePath(folder)} exceed 6 MB.`);
  }
}

/** Each path at most once, and no file that is also a folder of another. */
function checkPaths(puts: PutFileEntry[], others: { filePath: string }[]): void {
  const seen = new Set<string>();
  for (const { filePath } of [...puts, ...others]) {
    const path = toFilePath(filePath);
    if (seen.has(path)) {
      throw new AwsError('SamePathRequestException', `The commit cannot be created because more than one change names ${filePath}.`);
    }
    seen.add(path);
  }
  const putPaths = new Set(puts.map(({ filePath }) => toFilePath(filePath)));
  for (const path of putPaths) {
    const folders = path.split('/').map((_, index, parts) => parts.slice(0, index).join('/'));
    if (!folders.some((folder) => putPaths.has(folder))) continue;
    throw new AwsError(
      'PutFileEntryConflictException',
      `The commit cannot be created because ${fromTreePath(path)} is put below a file that is put too.`,
    );
  }
}

/** A source may neither be deleted in the same commit nor be moved more than once. */
function checkSources(puts: PutFileEntry[], deletes: { filePath: string }[]): void {
  const deleted = new Set(deletes.map(({ filePath }) => toFilePath(filePath)));
  const sources = puts.flatMap(({ sourceFile }) => sourceFile ?? []);
  for (const { filePath, isMove } of sources) {
    const path = toFilePath(filePath);
    const uses = sources.filter((other) => toFilePath(other.filePath) === path).length;
    if (!deleted.has(path) && !(isMove && uses > 1)) continue;
    throw new AwsError('RestrictedSourceFileException', `The source file ${filePath} is also deleted or moved by this commit.`);
  }
}

async function planEdits(
  base: Base,
  { putFiles = [], deleteFiles = [], setFileModes = [] }: CreateCommitInput,
): Promise<Map<string, Edit>> {
  const edits = new Map<string, Edit>();
  const written = new Set(putFiles.map(({ filePath }) => toFilePath(filePath)));
  for (const put of putFiles) {
    const path = toFilePath(put.filePath);
    if (put.sourceFile) {
      const source = toFilePath(put.sourceFile.filePath);
      const entry = await fileAt(base, source, put.sourceFile.filePath);
      edits.set(path, { id: entry.id, mode: put.fileMode ? toGitMode(put.fileMode) : entry.mode });
      if (put.sourceFile.isMove && !written.has(source)) edits.set(source, 'delete');
    } else {
      edits.set(path, { id: base.writer.add('blob', put.fileContent!), mode: await modeFor(base, path, put.fileMode) });
    }
  }
  for (const { filePath } of deleteFiles) {
    const path = toFilePath(filePath);
    await fileAt(base, path, filePath);
    edits.set(path, 'delete');
  }
  for (const { filePath, fileMode } of setFileModes) {
    const path = toFilePath(filePath);
    edits.set(path, { id: (await fileAt(base, path, filePath)).id, mode: toGitMode(fileMode) });
  }
  return edits;
}

/** The file (or link) there; a folder or submodule is none. */
export async function fileAt(base: Base, path: string, asWritten: string): Promise<TreeEntry> {
  const entry = base.tree === undefined ? undefined : await entryAt(base.read, base.tree, path);
  if (entry && !isTree(entry) && !isSubmodule(entry)) return entry;
  throw new AwsError('FileDoesNotExistException', `Could not find path ${asWritten}`);
}

/** A file that is there keeps its mode when the caller does not say. */
export async function modeFor(base: Base, path: string, wanted: ShapeOf<'codecommit', 'PutFileEntry'>['fileMode']): Promise<string> {
  if (wanted) return toGitMode(wanted);
  const old = base.tree === undefined ? undefined : await entryAt(base.read, base.tree, path);
  return toGitMode(old && !isTree(old) && !isSubmodule(old) ? fromGitMode(old.mode) : 'NORMAL');
}

/** What really changed, found by comparing the trees: also `.gitkeep` files that were added. */
async function changedFiles(base: Base, treeId: string) {
  const root = (id: string | undefined) => (id === undefined ? undefined : { mode: '40000', name: '', id });
  const filesAdded: ShapeOf<'codecommit', 'FileMetadata'>[] = [];
  const filesUpdated: typeof filesAdded = [];
  const filesDeleted: typeof filesAdded = [];
  for await (const { path, before, after } of differences(base.read, root(base.tree), root(treeId))) {
    const entry = (after ?? before)!;
    const file = { absolutePath: fromTreePath(path), blobId: entry.id, fileMode: fromGitMode(entry.mode) };
    (before && after ? filesUpdated : after ? filesAdded : filesDeleted).push(file);
  }
  return { filesAdded, filesUpdated, filesDeleted };
}

function describeChanges({ putFiles = [], deleteFiles = [], setFileModes = [] }: CreateCommitInput): string {
  const paths = [...putFiles, ...deleteFiles, ...setFileModes].map(({ filePath }) => filePath);
  return paths.length === 1 ? `Changed ${paths[0]}` : `Changed ${paths.length} files`;
}
