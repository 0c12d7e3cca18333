/** Folders, as lists of what is in them. */
import { isSubmodule, isTree, modes } from '../../git/objects.ts';
import { entryAt, readTree } from '../../git/trees.ts';
import type { ShapeOf } from '../../platform/service.ts';
import { operation } from '../../platform/service.ts';
import { fromGitMode } from './file-modes.ts';
import { fromTreePath, toTreePath } from './paths.ts';
import { findRepository, onRepository, openRepository } from './repository.ts';
import { resolveCommit } from './specifiers.ts';

export const getFolder = operation('codecommit', 'GetFolder', {
  authorize: ({ repositoryName }, ctx) => onRepository(ctx, repositoryName),
  async handle(ctx, { repositoryName, commitSpecifier, folderPath }) {
    const path = toTreePath(folderPath);
    const repository = await findRepository(ctx, repositoryName);
    const open = await openRepository(ctx, repository);
    const { id, commit } = await resolveCommit(ctx, repository, open, commitSpecifier);
    const folder = await entryAt(open.read, commit.tree, path);
    if (!folder || !isTree(folder)) throw ctx.error('FolderDoesNotExistException', `Could not find folder ${folderPath}`);

    const subFolders: ShapeOf<'codecommit', 'Folder'>[] = [];
    const files: ShapeOf<'codecommit', 'File'>[] = [];
    const symbolicLinks: ShapeOf<'codecommit', 'SymbolicLink'>[] = [];
    const subModules: ShapeOf<'codecommit', 'SubModule'>[] = [];
    for (const entry of await readTree(open.read, folder.id)) {
      const paths = {
        absolutePath: fromTreePath(path === '' ? entry.name : `${path}/${entry.name}`),
        relativePath: fromTreePath(entry.name),
      };
      if (isTree(entry)) subFolders.push({ treeId: entry.id, ...paths });
      else if (isSubmodule(entry)) subModules.push({ commitId: entry.id, ...paths });
      else if (entry.mode === modes.symlink) symbolicLinks.push({ blobId: entry.id, ...paths, fileMode: 'SYMLINK' });
      else files.push({ blobId: entry.id, ...paths, fileMode: fromGitMode(entry.mode) });
    }
    return { commitId: id, folderPath: fromTreePath(path), treeId: folder.id, subFolders, files, symbolicLinks, subModules };
  },
});
