/** What a buildspec says, after reading: every key of the reference for versions 0.1 and 0.2. */
import type { FormatName } from '../reports/formats/formats.ts';

export type PhaseName = 'install' | 'pre_build' | 'build' | 'post_build';
export const PHASE_NAMES: readonly PhaseName[] = ['install', 'pre_build', 'build', 'post_build'];

export interface Buildspec {
  version: '0.1' | '0.2';
  runAs: string | undefined;
  env: BuildspecEnv;
  phases: Partial<Record<PhaseName, Phase>>;
  reports: Map<string, Report>;
  artifacts: Artifacts | undefined;
  cache: Cache | undefined;
  proxy: { uploadArtifacts: boolean; logs: boolean };
  /** A batch section stands in the file; a single build takes no notice of it. */
  hasBatch: boolean;
  /** Things that the reader let pass but the author should know of; one plain line each. */
  warnings: string[];
}

export interface BuildspecEnv {
  shell: Shell;
  variables: Map<string, string>;
  /** Variable → parameter name. */
  parameterStore: Map<string, string>;
  secretsManager: Map<string, SecretReference>;
  exportedVariables: string[];
  gitCredentialHelper: boolean;
}

export type Shell = 'sh' | 'bash';

export interface SecretReference {
  /** Name or ARN. */
  id: string;
  jsonKey: string | undefined;
  versionStage: string | undefined;
  versionId: string | undefined;
}

export interface Phase {
  runAs: string | undefined;
  onFailure: OnFailure | undefined;
  commands: string[];
  finally: string[];
  /** install only: runtime name → requested version, unexpanded. */
  runtimeVersions: Map<string, string>;
}

export type OnFailure = { action: 'ABORT' } | { action: 'CONTINUE' } | { action: 'RETRY'; count: number; pattern: string };

export interface Report {
  files: string[];
  format: FormatName;
  /** May be a glob. */
  baseDirectory: string | undefined;
  discardPaths: boolean;
}

export interface ArtifactSet {
  files: string[];
  /** Unexpanded: may hold shell expressions. */
  name: string | undefined;
  discardPaths: boolean;
  /** May be a glob. */
  baseDirectory: string | undefined;
  excludePaths: string[];
  enableSymlinks: boolean;
  s3Prefix: string | undefined;
}

export interface Artifacts extends ArtifactSet {
  secondary: Map<string, ArtifactSet>;
}

export interface Cache {
  /** Unexpanded: may hold shell expressions such as `$(codebuild-hash-files …)`. */
  key: string | undefined;
  fallbackKeys: string[];
  action: 'restore' | 'save' | undefined;
  paths: string[];
}
