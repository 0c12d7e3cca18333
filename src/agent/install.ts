import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import {
  chmod,
  copyFile,
  type FileHandle,
  lchown,
  lstat,
  mkdir,
  open,
  readlink,
  realpath,
  rm,
  rmdir,
  symlink,
  utimes,
} from 'node:fs/promises';
import { promisify } from 'node:util';
import { groupId, userId } from './accounts.ts';
import { completeAcl, formatAce, parseAce } from './acl.ts';
import type { Destinations } from './destinations.ts';
import { AppSpecError, messageOf } from './failure.ts';
import { readIfPresent, statOf, writeDurably } from './files.ts';
import { alreadyExists, type Instruction } from './install-plan.ts';

const run = promisify(execFile);

/** Removes what the group's previous installation put on the host, last things first. Directories stay if something is left in them. */
export async function cleanUp(cleanupFile: string, destinations: Destinations): Promise<void> {
  const content = await readIfPresent(cleanupFile);
  if (content === undefined) return;
  // A last line without its end is of a write that was cut off; the thing it names was never made.
  const lines = content
    .slice(0, content.lastIndexOf('\n') + 1)
    .split('\n')
    .filter((line) => line !== '');
  for (const line of lines.reverse()) {
    if (line.startsWith('semanage\0')) await run('semanage', ['fcontext', '-d', line.slice('semanage\0'.length)]).catch(() => undefined);
    else await remove(line, destinations);
  }
  await rm(cleanupFile, { force: true });
}

async function remove(path: string, destinations: Destinations): Promise<void> {
  await destinations.check(path);
  const found = await statOf(path);
  if (!found) return;
  if (!found.isDirectory()) return rm(path, { force: true });
  try {
    await rmdir(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST' && code !== 'EBUSY') throw error;
  }
}

/**
 * Carries out a plan. The plan is written down first, and each path before it is made, so that the next installation can remove
 * everything that this one made, wherever it stopped.
 */
export async function carryOut(
  instructions: Instruction[],
  files: { installFile: string; cleanupFile: string },
  behavior: string,
  destinations: Destinations,
): Promise<void> {
  await writeDurably(files.installFile, JSON.stringify({ instructions }));
  const cleanup = await open(files.cleanupFile, 'w', 0o600);
  try {
    for (const instruction of instructions) await perform(instruction, cleanup, behavior === 'OVERWRITE', destinations);
    await cleanup.sync();
  } finally {
    await cleanup.close();
  }
}

async function perform(instruction: Instruction, cleanup: FileHandle, overwrite: boolean, destinations: Destinations): Promise<void> {
  const record = (line: string) => cleanup.write(`${line}\n`);
  switch (instruction.type) {
    case 'mkdir': {
      const { directory } = instruction;
      await destinations.check(directory);
      if (await statOf(directory)) throw alreadyExists(directory);
      await record(directory);
      return mkdir(directory);
    }
    case 'copy': {
      const { source, destination } = instruction;
      await destinations.check(destination);
      const found = await statOf(destination);
      if (found && (!overwrite || found.isDirectory())) throw alreadyExists(destination);
      await record(destination);
      // A file that is running or open elsewhere keeps its content: the new one takes its name.
      if (found) await rm(destination);
      return copy(source, destination);
    }
    default: {
      await destinations.check(instruction.file);
      if ((await lstat(instruction.file)).isSymbolicLink() && instruction.type !== 'chown') return; // Its target is not the revision's to change.
      if (instruction.type === 'chown') return changeOwner(instruction);
      if (instruction.type === 'chmod') return chmod(instruction.file, Number.parseInt(instruction.mode, 8));
      if (instruction.type === 'setfacl') return setAcl(instruction);
      return setContext(instruction, record);
    }
  }
}

async function copy(source: string, destination: string): Promise<void> {
  const found = await lstat(source);
  if (found.isSymbolicLink()) return symlink(await readlink(source), destination);
  await copyFile(source, destination, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
  await chmod(destination, found.mode & 0o777);
  await utimes(destination, found.atime, found.mtime);
}

async function changeOwner({ owner, group, file }: Extract<Instruction, { type: 'chown' }>): Promise<void> {
  const found = await lstat(file);
  const uid = owner === undefined ? found.uid : await userId(owner);
  const gid = group === undefined ? found.gid : await groupId(group);
  try {
    await lchown(file, uid, gid);
  } catch (error) {
    const wanted = [owner, group].filter((name) => name !== undefined).join(':');
    throw new AppSpecError(`The deployment failed because the owner of ${file} could not be set to ${wanted}: ${messageOf(error)}`);
  }
}

async function setAcl({ acl, file }: Extract<Instruction, { type: 'setfacl' }>): Promise<void> {
  const { mode } = await lstat(file);
  const list = completeAcl(acl.map(parseAce), mode).map(formatAce).join(',');
  const failed = (exit: string) =>
    new AppSpecError(
      'The deployment failed because of a problem with the acls permission settings in the application specification file for this object: ' +
        `${file}. Failed command: setfacl --set ${list} ${file}. Exit code: ${exit}`,
    );
  await run('setfacl', ['--set', list, '--', file]).catch((error) => Promise.reject(failed(exitOf(error))));
}

async function setContext(
  { context, file }: Extract<Instruction, { type: 'semanage' }>,
  record: (line: string) => Promise<unknown>,
): Promise<void> {
  const path = await realpath(file);
  const user = context.user === undefined ? [] : ['-s', context.user];
  const range = context.range === undefined ? [] : ['-r', context.range];
  const failed = (command: string[], exit: string) =>
    new AppSpecError(
      'The deployment failed because the application specification file contains an error in the settings for the context parameter. Update the ' +
        `permissions section of the AppSpec file, and then try again. Failed command: ${command.join(' ')}. Exit code: ${exit}`,
    );
  const commands = [
    ['semanage', 'fcontext', '-a', ...user, '-t', context.type, ...range, path],
    ['restorecon', '-v', path],
  ];
  await record(`semanage\0${path}`);
  for (const command of commands) {
    await run(command[0]!, command.slice(1)).catch((error) => Promise.reject(failed(command, exitOf(error))));
  }
}

function exitOf(error: unknown): string {
  const { code, stderr } = error as { code?: number | string; stderr?: string };
  return code === 'ENOENT'
    ? '127 (the program is not installed)'
    : `${code ?? 'unknown'}${stderr ? ` (${stderr.trim().slice(0, 500)})` : ''}`;
}
