/** The API's names of git's file modes. */
import { modes } from '../../git/objects.ts';
import type { ShapeOf } from '../../platform/service.ts';

export type FileMode = NonNullable<ShapeOf<'codecommit', 'File'>['fileMode']>;

const gitModes: Record<FileMode, string> = { NORMAL: modes.file, EXECUTABLE: modes.executable, SYMLINK: modes.symlink };

export function toGitMode(mode: FileMode): string {
  return gitModes[mode];
}

/** Any regular file that is not executable is NORMAL: old histories have 100664. */
export function fromGitMode(mode: string): FileMode {
  if (mode === modes.symlink) return 'SYMLINK';
  return mode === modes.executable ? 'EXECUTABLE' : 'NORMAL';
}
