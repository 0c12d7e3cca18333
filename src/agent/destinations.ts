import { mkdir, realpath } from 'node:fs/promises';
import { dirname, join, normalize, sep } from 'node:path';
import { AppSpecError } from './failure.ts';
import { isMissing } from './files.ts';

/** Where the absolute paths of an appspec are on this host. */
export interface Destinations {
  /** The host's path for one of the appspec; throws for one that is not absolute or, below a root, has `..` in it. */
  resolve(path: string): string;
  /** Throws if a host path would be reached through a symbolic link that leads out of the root. To be asked right before each use. */
  check(hostPath: string): Promise<void>;
}

/** The host's own paths, or with `root` the same paths below that directory and nothing else. */
export function destinationsOn(root: string | undefined): Destinations {
  return {
    resolve(path) {
      if (!path.startsWith('/')) {
        throw new AppSpecError(
          `The deployment failed because the application specification file names a path that is not absolute: ${path}`,
        );
      }
      if (/[\0\r\n]/.test(path)) {
        throw new AppSpecError(`The deployment failed because a path has a line break or NUL character in it: ${JSON.stringify(path)}`);
      }
      if (root === undefined) return withoutSlash(normalize(path));
      if (path.split('/').includes('..')) {
        throw new AppSpecError(`The deployment failed because a path leads out of the agent's root directory by "..": ${path}`);
      }
      return withoutSlash(join(root, path));
    },

    async check(hostPath) {
      if (root === undefined || hostPath === root) return;
      await mkdir(root, { recursive: true });
      const top = await realpath(root);
      const real = await realpathOfExisting(dirname(hostPath));
      if (!hostPath.startsWith(root + sep) || (real !== top && !real.startsWith(top + sep))) {
        throw new AppSpecError(`The deployment failed because this location is outside of the agent's root directory ${root}: ${hostPath}`);
      }
    },
  };
}

/** The real path of the nearest ancestor that exists. */
async function realpathOfExisting(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    if (!isMissing(error)) throw error;
    return realpathOfExisting(dirname(path));
  }
}

function withoutSlash(path: string): string {
  return path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path;
}
