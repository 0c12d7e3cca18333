/** Single files: putting, deleting and getting one. */
import { fromEntryName, isSubmodule, isTree, objectId } from '../../git/objects.ts';
import { branchRef } from '../../git/ref-names.ts';
import { entryAt } from '../../git/trees.ts';
import { operation } from '../../platform/service.ts';
import { makeCommit } from './commit-writer.ts';
import { fileAt, fileTooLarge, MAX_FILE, modeFor } from './create-commit.ts';
import { fromGitMode } from './file-modes.ts';
import { toFilePath, toNewFilePath } from './paths.ts';
import { findRepository, onRepository, openRepository } from './repository.ts';
import { resolveCommit } from './specifiers.ts';

export const putFile = operation('codecommit', 'PutFile', {
  authorize: ({ repositoryName, branchName }, ctx) => onRepository(ctx, repositoryName, branchRef(branchName)),
  async handle(ctx, input) {
    const { filePath, fileContent, fileMode, commitMessage } = input;
    const path = toNewFilePath(filePath);
    if (fileContent.length > MAX_FILE) throw fileTooLarge(filePath);
    const blobId = objectId('blob', fileContent);
    const request = { ...input, parentCommitId: input.parentCommitId, name: input.name, email: input.email, message: commitMessage };
    const { commitId, treeId } = await makeCommit(ctx, request, async (base) => {
      const old = base.tree && (await entryAt(base.read, base.tree, path));
      base.writer.add('blob', fileContent);
      return {
        edits: new Map([[path, { id: blobId, mode: await modeFor(base, path, fileMode) }]]),
        defaultMessage: `${old ? 'Edited' : 'Added'} ${fromEntryName(path)}`,
        unchanged: ctx.error(
          'SameFileContentException',
          `The file ${filePath} was not added: its content is the same as that of the file in the branch.`,
        ),
      };
    });
    return { commitId, blobId, treeId };
  },
});

export const deleteFile = operation('codecommit', 'DeleteFile', {
  authorize: ({ repositoryName, branchName }, ctx) => onRepository(ctx, repositoryName, branchRef(branchName)),
  async handle(ctx, input) {
    const { filePath, commitMessage } = input;
    const path = toFilePath(filePath);
    let blobId = '';
    const request = { ...input, name: input.name, email: input.email, message: commitMessage };
    const { commitId, treeId } = await makeCommit(ctx, request, async (base) => {
      blobId = (await fileAt(base, path, filePath)).id;
      return {
        edits: new Map([[path, 'delete']]),
        defaultMessage: `Deleted ${fromEntryName(path)}`,
        // Only a lone .gitkeep that keepEmptyFolders puts back at once.
        unchanged: ctx.error('FileDoesNotExistException', `Deleting ${filePath} would leave everything as it is.`),
      };
    });
    return { commitId, blobId, treeId, filePath };
  },
});

export const getFile = operation('codecommit', 'GetFile', {
  authorize: ({ repositoryName }, ctx) => onRepository(ctx, repositoryName),
  async handle(ctx, { repositoryName, commitSpecifier, filePath }) {
    const path = toFilePath(filePath);
    const repository = await findRepository(ctx, repositoryName);
    const open = await openRepository(ctx, repository);
    const { id, commit } = await resolveCommit(ctx, repository, open, commitSpecifier);
    const entry = await entryAt(open.read, commit.tree, path);
    if (!entry || isTree(entry) || isSubmodule(entry)) {
      throw ctx.error('FileDoesNotExistException', `Could not find path ${filePath}`);
    }
    const { size } = (await open.info(entry.id))!;
    if (size > MAX_FILE) {
      throw ctx.error('FileTooLargeException', 'The specified file exceeds the file size limit of 6 MB. Use git to get it.');
    }
    const { data } = (await open.read(entry.id))!;
    return { commitId: id, blobId: entry.id, filePath, fileMode: fromGitMode(entry.mode), fileSize: size, fileContent: data };
  },
});

export const getBlob = operation('codecommit', 'GetBlob', {
  authorize: ({ repositoryName }, ctx) => onRepository(ctx, repositoryName),
  async handle(ctx, { repositoryName, blobId }) {
    if (!/^[0-9a-f]{40}$/.test(blobId))
      throw ctx.error('InvalidBlobIdException', `The specified blob is not valid: ${blobId.slice(0, 100)}`);
    const repository = await findRepository(ctx, repositoryName);
    const open = await openRepository(ctx, repository);
    const info = await open.info(blobId);
    if (info?.type !== 'blob') throw ctx.error('BlobIdDoesNotExistException', `The specified blob does not exist: ${blobId}`);
    if (info.size > MAX_FILE) {
      throw ctx.error('FileTooLargeException', 'The specified file exceeds the file size limit of 6 MB. Use git to get it.');
    }
    return { content: (await open.read(blobId))!.data };
  },
});
