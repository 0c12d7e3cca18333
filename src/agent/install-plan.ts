import { lstat, readdir, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { formatAce } from './acl.ts';
import { type AppSpec, insideArchive } from './appspec.ts';
import { appliesTo, checkFileAcl, checkForFile, type Permission } from './appspec-permissions.ts';
import type { Destinations } from './destinations.ts';
import { AppSpecError } from './failure.ts';
import { statOf } from './files.ts';

/** One step of an installation, in the form of `deployment-instructions/…-install.json`. */
export type Instruction =
  | { type: 'mkdir'; directory: string }
  | { type: 'copy'; source: string; destination: string }
  | { type: 'chown'; owner?: string; group?: string; file: string }
  | { type: 'chmod'; mode: string; file: string }
  | { type: 'setfacl'; acl: string[]; file: string }
  | { type: 'semanage'; context: { user?: string; role: null; type: string; range?: string }; file: string };

/** What an appspec says about files and permissions, as steps on this host's paths. Nothing is changed; conflicts are found here. */
export async function planInstall(archive: string, appSpec: AppSpec, behavior: string, destinations: Destinations): Promise<Instruction[]> {
  const plan = new Plan(behavior, destinations);
  for (const { source, destination } of appSpec.files) {
    const path = await insideArchive(archive, source);
    if (path === undefined)
      throw new AppSpecError(`The deployment failed because the source ${source} of the files section is not in the revision.`);
    await plan.install(path, destinations.resolve(destination));
  }
  for (const permission of appSpec.permissions) await plan.permit(permission, destinations.resolve(permission.object));
  return plan.instructions;
}

/** The steps so far, and what they make. */
class Plan {
  readonly instructions: Instruction[] = [];
  readonly #behavior: string;
  readonly #destinations: Destinations;
  /** Sources by the destination they are copied to. */
  readonly #copies = new Map<string, string>();
  readonly #directories = new Set<string>();
  readonly #permitted = new Set<string>();

  constructor(behavior: string, destinations: Destinations) {
    this.#behavior = behavior;
    this.#destinations = destinations;
  }

  /** The content of a directory goes into the destination; a file goes into it by its own name. */
  async install(source: string, destination: string): Promise<void> {
    if ((await lstat(source)).isDirectory()) {
      await this.#makeAncestors(destination);
      await this.#copyDirectory(source, destination);
    } else {
      const file = join(destination, basename(source));
      await this.#makeAncestors(file);
      await this.#copyFile(source, file);
    }
  }

  async permit(permission: Permission, object: string): Promise<void> {
    if (this.#copies.has(object)) {
      if (!permission.types.includes('file')) return;
      checkForFile(permission);
      checkFileAcl(permission);
      this.#setPermissions(permission, object);
      return;
    }
    if (!this.#directories.has(object) && !(await isDirectory(object))) return;
    if (permission.types.includes('file')) {
      for (const file of this.#copies.keys()) {
        if (!appliesTo(permission, object, file)) continue;
        checkFileAcl(permission);
        this.#setPermissions(permission, file);
      }
    }
    if (permission.types.includes('directory')) {
      for (const directory of this.#directories) if (appliesTo(permission, object, directory)) this.#setPermissions(permission, directory);
    }
  }

  async #copyDirectory(source: string, destination: string): Promise<void> {
    if (!(await isDirectory(destination))) this.#makeDirectory(destination);
    const entries = await readdir(source, { withFileTypes: true });
    entries.sort((a, b) => (a.name < b.name ? -1 : 1));
    for (const entry of entries) {
      const [from, to] = [join(source, entry.name), this.#named(destination, entry.name)];
      if (entry.isDirectory()) await this.#copyDirectory(from, to);
      else await this.#copyFile(from, to);
    }
  }

  /** Line breaks would tear the lines of the cleanup file, which says what may be deleted. */
  #named(directory: string, name: string): string {
    if (/[\r\n]/.test(name)) {
      throw new AppSpecError(`The deployment failed because a file of the revision has a line break in its name: ${JSON.stringify(name)}`);
    }
    return join(directory, name);
  }

  async #copyFile(source: string, destination: string): Promise<void> {
    await this.#destinations.check(destination);
    if (await statOf(destination)) {
      if (this.#behavior === 'RETAIN') return;
      if (this.#behavior === 'DISALLOW') throw alreadyExists(destination);
      if (this.#behavior !== 'OVERWRITE') {
        throw new AppSpecError(
          `The deployment failed because an invalid option was specified for fileExistsBehavior: ${this.#behavior}. ` +
            'Valid options include OVERWRITE, RETAIN, and DISALLOW.',
        );
      }
    }
    const other = this.#copies.get(destination);
    if (other !== undefined) {
      throw new AppSpecError(
        `The deployment failed because the application specification file specifies two source files named ${source} and ${other} for the same ` +
          `destination (${destination}). Remove one of the source file paths from the AppSpec file, and then try again.`,
      );
    }
    if (this.#directories.has(destination)) {
      throw new AppSpecError(
        `The deployment failed because the application specification file calls for installing the file ${source}, but a file with that name ` +
          `already exists at the location (${destination}). Update your AppSpec file or directory structure, and then try again.`,
      );
    }
    this.instructions.push({ type: 'copy', source, destination });
    this.#copies.set(destination, source);
  }

  async #makeAncestors(path: string): Promise<void> {
    const missing: string[] = [];
    for (let parent = dirname(path); !(await statOf(parent)) && parent !== dirname(parent); parent = dirname(parent))
      missing.unshift(parent);
    for (const directory of missing) this.#makeDirectory(directory);
  }

  #makeDirectory(directory: string): void {
    if (this.#copies.has(directory)) {
      throw new AppSpecError(
        'The deployment failed because the application specification file includes an mkdir command more than once for the same destination path ' +
          `(${directory}) from (${this.#copies.get(directory)}). Update the files section of the AppSpec file, and then try again.`,
      );
    }
    if (this.#directories.has(directory)) return;
    this.#directories.add(directory);
    this.instructions.push({ type: 'mkdir', directory });
  }

  #setPermissions({ owner, group, mode, acls, context }: Permission, file: string): void {
    if (this.#permitted.has(file)) {
      throw new AppSpecError(
        `The deployment failed because the permissions setting for (${file}) is specified more than once in the application specification file. ` +
          'Update the files section of the AppSpec file, and then try again.',
      );
    }
    this.#permitted.add(file);
    // The owner first: changing it takes set-user-id bits away.
    if (owner !== undefined || group !== undefined) this.instructions.push({ type: 'chown', owner, group, file });
    if (mode !== undefined) this.instructions.push({ type: 'chmod', mode, file });
    if (acls !== undefined) this.instructions.push({ type: 'setfacl', acl: acls.map(formatAce), file });
    if (context !== undefined) this.instructions.push({ type: 'semanage', context: { ...context, role: null }, file });
  }
}

/** The error for a file in the way of the revision's. */
export function alreadyExists(path: string): AppSpecError {
  return new AppSpecError(`The deployment failed because a specified file already exists at this location: ${path}`);
}

async function isDirectory(path: string): Promise<boolean> {
  return (await statOf(path)) !== undefined && (await stat(path).catch(() => undefined))?.isDirectory() === true;
}
