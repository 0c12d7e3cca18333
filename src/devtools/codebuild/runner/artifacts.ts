/** UPLOAD_ARTIFACTS: which files each artifact has, in the words of CodeBuild's log. */

import type { Machine } from '../../../ports/machines/port.ts';
import type { ArtifactSet, Buildspec } from '../buildspec/buildspec.ts';
import { listDirectories, type Selection, selectFiles } from './collect.ts';
import { expand } from './expand.ts';
import { globMatcher, isGlob } from './glob.ts';
import type { BuildLog } from './log.ts';
import { BuildFailure } from './outcome.ts';
import type { BuildShell } from './shell.ts';
import type { BuildRequest, World } from './world.ts';

export interface UploadOptions {
  machine: Machine;
  request: BuildRequest;
  world: World;
  log: BuildLog;
  signal: AbortSignal;
  spec: Buildspec;
  shell: BuildShell;
  sourceDirectory: string;
}

/** Primary and secondary artifacts that project or start request ask for; throws BuildFailure when one of them has no files. */
export async function uploadArtifacts(options: UploadOptions): Promise<void> {
  const { spec, request, log } = options;
  if (request.primaryArtifact && spec.artifacts && spec.artifacts.files.length > 0) await upload(options, undefined, spec.artifacts);
  const secondary = request.secondaryArtifacts === 'all' ? [...(spec.artifacts?.secondary.keys() ?? [])] : request.secondaryArtifacts;
  if (secondary.length === 0) return;
  log.agent('Preparing to copy secondary artifacts');
  for (const identifier of secondary) {
    const set = spec.artifacts?.secondary.get(identifier);
    if (!set) throw new BuildFailure('CLIENT_ERROR', `no definition for secondary artifact ${identifier} in buildspec`);
    await upload(options, identifier, set);
  }
}

async function upload(options: UploadOptions, identifier: string | undefined, set: ArtifactSet): Promise<void> {
  const { machine, world, log, signal, shell } = options;
  const selections = await select(options, set);
  await world.uploadArtifact(
    machine,
    {
      identifier,
      selections,
      name: set.name === undefined ? undefined : await expand(shell, set.name),
      discardPaths: set.discardPaths,
      keepLinks: set.enableSymlinks,
      s3Prefix: set.s3Prefix,
    },
    log,
    signal,
  );
}

async function select(options: UploadOptions, set: ArtifactSet): Promise<Selection[]> {
  const { base, selections } = await assembleFiles(options, set);
  if (selections.length === 0) throw noBaseDirectory(base);
  if (selections.every((selection) => selection.files.length === 0))
    throw new BuildFailure('CLIENT_ERROR', 'no matching artifact paths found');
  return selections;
}

/** The files that match, for each base directory that is there. Globs and variables mean the same to artifacts and reports. */
export async function assembleFiles(
  options: UploadOptions,
  set: Pick<ArtifactSet, 'files' | 'baseDirectory' | 'excludePaths' | 'enableSymlinks'>,
): Promise<{ base: string; selections: Selection[] }> {
  const { machine, log, signal, shell, sourceDirectory } = options;
  const base = set.baseDirectory === undefined ? '.' : await expand(shell, set.baseDirectory);
  log.agent(`Expanding base directory path: ${base}`);
  const bases = await baseDirectories(machine, base, sourceDirectory, signal);
  const files = await Promise.all(set.files.map((file) => expand(shell, file)));
  const selections: Selection[] = [];
  for (const [name, baseDirectory] of bases) {
    log.agent(`Expanding file paths for base directory ${name}`);
    log.agent('Assembling file list');
    const selection = await selectFiles(machine, baseDirectory, {
      files,
      exclude: set.excludePaths,
      keepLinks: set.enableSymlinks,
      sourceDirectory,
      signal,
    });
    if (!selection) continue;
    logSelection(log, files, selection);
    selections.push(selection);
  }
  return { base, selections };
}

function noBaseDirectory(base: string): BuildFailure {
  return new BuildFailure('CLIENT_ERROR', `no matching base directory path found for ${base}`);
}

function logSelection(log: BuildLog, patterns: string[], selection: Selection): void {
  for (const pattern of patterns) {
    log.agent(`Expanding ${pattern}`);
    if (selection.unmatched.includes(pattern)) log.agent(`Skipping invalid file path ${pattern}`);
  }
  for (const link of selection.skippedLinks) log.agent(`Skipping symbolic link ${link}: it does not lead to a file of the source`);
  for (const name of selection.skippedNames) log.agent(`Skipping file ${name}: its name is not UTF-8 or holds a backslash`);
  if (selection.files.length > 0) log.agent(`Found ${selection.files.length} file(s)`);
}

/** Name as logged → absolute path. A glob stands for all top directories that match; they are not part of the artifact's paths. */
async function baseDirectories(machine: Machine, base: string, source: string, signal: AbortSignal): Promise<Map<string, string>> {
  const clean = base.replace(/\/+$/, '') || '/';
  if (clean.startsWith('/')) return new Map([[base, clean]]);
  if (!isGlob(clean)) {
    if (clean.split('/').includes('..')) throw noBaseDirectory(base);
    return new Map([[base, clean === '.' ? source : `${source}/${clean.replace(/^\.\//, '')}`]]);
  }
  const matches = globMatcher(clean);
  const found = (await listDirectories(machine, source, signal)).filter((name) => matches(name));
  return new Map(found.map((name) => [name, `${source}/${name}`]));
}
