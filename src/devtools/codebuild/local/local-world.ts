/** The world of a build that runs without a server: sources from a folder, artifacts into another. */
import { createWriteStream } from 'node:fs';
import { lstat, mkdir, mkdtemp, rm, symlink } from 'node:fs/promises';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { AwsError } from '../../../platform/errors.ts';
import type { Machine } from '../../../ports/machines/port.ts';
import type { ParsedReport } from '../reports/parsed-report.ts';
import { type CollectedReport, readReport } from '../reports/read-report.ts';
import { packSelected } from '../runner/collect.ts';
import type { BuildLog } from '../runner/log.ts';
import { BuildFailure, type PhaseOutcome, type PhaseType } from '../runner/outcome.ts';
import type { CollectedArtifact, FetchedSources, PhaseStep, World } from '../runner/world.ts';
import { drain, forEachEntry } from '../runner/zip.ts';
import { packFolder } from './pack-folder.ts';

/** A phase that is over. */
export interface EndedPhase {
  phase: PhaseType;
  outcome: PhaseOutcome;
  /** ms */
  duration: number;
}

export interface LocalFolders {
  source: string;
  /** Where artifacts go: the primary one as it is, others in folders of their identifiers. Undefined: nowhere. */
  artifacts: string | undefined;
  /** For what is on its way; somebody else removes it. */
  temporary: string;
}

/** Who runs the build is told of these. */
export interface LocalListener {
  onPhase(ended: EndedPhase): void;
  /** `group`: as the buildspec names it. */
  onReport(group: string, report: ParsedReport): void;
}

export class LocalWorld implements World {
  readonly #folders: LocalFolders;
  readonly #listener: LocalListener;
  #phase: PhaseType = 'DOWNLOAD_SOURCE';
  #began = performance.now();

  constructor(folders: LocalFolders, listener: LocalListener) {
    this.#folders = folders;
    this.#listener = listener;
  }

  async enterPhases(steps: PhaseStep[]): Promise<void> {
    for (const { outcome, phase } of steps) {
      const now = performance.now();
      this.#listener.onPhase({ phase: this.#phase, outcome, duration: now - this.#began });
      this.#phase = phase;
      this.#began = now;
    }
  }

  async fetchSources(machine: Machine, root: string): Promise<FetchedSources> {
    const directory = `${root}/src`;
    await machine.put(directory, packFolder(this.#folders.source));
    return { directory, env: { CODEBUILD_RESOLVED_SOURCE_VERSION: '' } };
  }

  async fetchBuildspec(arn: string): Promise<string> {
    throw new BuildFailure('YAML_FILE_ERROR', `${arn} cannot be read without a server`);
  }

  async fetchParameters(names: string[]): Promise<Map<string, string>> {
    throw notHere(`the parameters ${names.join(', ')}`);
  }

  async gitCredentialHelper(log: BuildLog): Promise<Record<string, string>> {
    log.agent('git-credential-helper has no effect without a server');
    return {};
  }

  async fetchSecret({ id }: { id: string }): Promise<string> {
    throw notHere(`the secret ${id}`);
  }

  /** A cache is for builds that begin empty; here the folder itself keeps what it has. */
  async restoreCache(): Promise<void> {}

  async saveCache(): Promise<void> {}

  async storeReport(machine: Machine, report: CollectedReport, log: BuildLog, signal: AbortSignal): Promise<void> {
    const directory = await mkdtemp(path.join(this.#folders.temporary, 'report-'));
    const { parsed } = await readReport(machine, report, directory, log, signal);
    this.#listener.onReport(report.group, parsed);
  }

  async uploadArtifact(machine: Machine, artifact: CollectedArtifact, _log: unknown, signal: AbortSignal): Promise<void> {
    const { artifacts } = this.#folders;
    if (artifacts === undefined) return;
    const target = path.join(artifacts, artifact.identifier ?? '');
    for (const selection of artifact.selections) {
      if (selection.files.length === 0) continue;
      const tar = packSelected(machine, selection, { keepLinks: artifact.keepLinks, signal });
      await forEachEntry(tar, (header, stream) => place(target, header, stream, artifact.discardPaths));
    }
  }
}

function notHere(what: string): AwsError {
  return new AwsError('ResourceNotFoundException', `${what} cannot be read without a server; give the values with -e NAME=VALUE`);
}

async function place(
  target: string,
  { name, type, mode, linkname }: { name: string; type?: string | null; mode?: number; linkname?: string | null },
  stream: Readable,
  discardPaths: boolean,
): Promise<void> {
  const names = name.split('/').filter((one) => one !== '' && one !== '.');
  if (names.length === 0 || (type !== 'file' && type !== 'symlink')) return drain(stream);
  const shown = discardPaths ? names.slice(-1) : names;
  const file = path.join(await realFolder(target, shown.slice(0, -1)), shown.at(-1)!);
  // Neither written through a link that was there before, nor with the rights of an older file.
  await rm(file, { force: true });
  if (type === 'file') return pipeline(stream, createWriteStream(file, { mode: (mode ?? 0o644) & 0o777, flags: 'wx' }));
  await drain(stream);
  await symlink(linkname ?? '', file);
}

/** A folder below `target`, made if need be. The names come out of the machine, where anybody's code ran: none may lead out of it. */
async function realFolder(target: string, names: string[]): Promise<string> {
  await mkdir(target, { recursive: true });
  let folder = target;
  for (const name of names) {
    folder = path.join(folder, name);
    await mkdir(folder).catch((error) => {
      if (error.code !== 'EEXIST') throw error;
    });
    if (name === '..' || !(await lstat(folder)).isDirectory()) {
      throw new BuildFailure('CLIENT_ERROR', `an artifact must not lead out of its folder: ${names.join('/')}`);
    }
  }
  return folder;
}
