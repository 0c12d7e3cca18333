/** What the runner needs of the world around a build: rows, events, S3 and git behind one interface, so that it can be tried without them. */
import type { Machine } from '../../../ports/machines/port.ts';
import type { SecretReference } from '../buildspec/buildspec.ts';
import type { CollectedReport } from '../reports/read-report.ts';
import type { CacheKeys, CachePath } from './caching.ts';
import type { Selection } from './collect.ts';
import type { BuildLog } from './log.ts';
import type { PhaseOutcome, PhaseType } from './outcome.ts';
import type { EnvironmentVariable } from './secrets.ts';

export type BuildspecLocation =
  | { kind: 'default' }
  | { kind: 'path'; path: string }
  | { kind: 'inline'; text: string }
  | { kind: 's3'; arn: string };

export interface BuildRequest {
  buildspec: BuildspecLocation;
  /** CODEBUILD_… variables, but those that depend on the machine; nobody can change them. */
  env: Record<string, string>;
  /** Region, endpoint and credentials; buildspec and project may set others. */
  defaults: Record<string, string>;
  /** Of project and start request, merged; they win over the buildspec's. */
  variables: EnvironmentVariable[];
  /** The build has artifacts to upload: else the buildspec's artifacts section is passed over, as CodeBuild does for NO_ARTIFACTS. */
  primaryArtifact: boolean;
  /** Identifiers of the secondary artifacts of project or start request, or all that the buildspec has. */
  secondaryArtifacts: string[] | 'all';
  /** The project keeps what the buildspec's cache section names. */
  cache: boolean;
}

export interface FetchedSources {
  /** Absolute, inside: CODEBUILD_SRC_DIR. */
  directory: string;
  /** CODEBUILD_SRC_DIR_<id>, CODEBUILD_RESOLVED_SOURCE_VERSION and the like. */
  env: Record<string, string>;
}

/** One artifact as the buildspec describes it, its texts expanded. */
export interface CollectedArtifact {
  /** Undefined: the primary one. */
  identifier: string | undefined;
  selections: Selection[];
  name: string | undefined;
  discardPaths: boolean;
  keepLinks: boolean;
  s3Prefix: string | undefined;
}

export interface PhaseStep {
  /** How the phase before this one ended. */
  outcome: PhaseOutcome;
  phase: PhaseType;
}

export interface World {
  /**
   * Ends the current phase and begins the next, for each step in turn, durably and with the events of each. `commands`: the users' commands
   * run in the last one, so that from here on the build is not started over after a crash.
   */
  enterPhases(steps: PhaseStep[], commands?: boolean): Promise<void>;
  /** `root`: an empty directory inside, for all sources. */
  fetchSources(machine: Machine, root: string, log: BuildLog, signal: AbortSignal): Promise<FetchedSources>;
  fetchBuildspec(arn: string, signal: AbortSignal): Promise<string>;
  /** Decrypted values of Parameter Store, at most ten; those that are not there are left out. */
  fetchParameters(names: string[]): Promise<Map<string, string>>;
  /** Variables by which git in the build's commands gets at the repositories that the build may read. */
  gitCredentialHelper(log: BuildLog): Promise<Record<string, string>>;
  /** The whole text of a secret. */
  fetchSecret(reference: SecretReference): Promise<string>;
  restoreCache(machine: Machine, keys: CacheKeys, paths: CachePath[], log: BuildLog, signal: AbortSignal): Promise<void>;
  saveCache(machine: Machine, keys: CacheKeys, paths: CachePath[], log: BuildLog, signal: AbortSignal): Promise<void>;
  uploadArtifact(machine: Machine, artifact: CollectedArtifact, log: BuildLog, signal: AbortSignal): Promise<void>;
  /** Throws ReportFailure. */
  storeReport(machine: Machine, report: CollectedReport, log: BuildLog, signal: AbortSignal): Promise<void>;
}
