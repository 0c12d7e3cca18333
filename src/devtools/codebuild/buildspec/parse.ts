/** From the text of a buildspec to what it says. Source of the keys: CodeBuild user guide, "Build specification reference". */
import {
  type ArtifactSet,
  type Artifacts,
  type Buildspec,
  type BuildspecEnv,
  type Cache,
  PHASE_NAMES,
  type Phase,
  type PhaseName,
  type Report,
  type SecretReference,
  type Shell,
} from './buildspec.ts';
import { parseOnFailure } from './on-failure.ts';
import { flagAt, has, lineAt, mapAt, stringMapAt, textAt, textsAt } from './reader.ts';
import { BuildspecError, parseYaml, type YamlMap } from './yaml-tree.ts';

export { BuildspecError } from './yaml-tree.ts';

const TOP_LEVEL = new Set([
  'version',
  'run-as',
  'env',
  'proxy',
  'batch',
  'phases',
  'reports',
  'artifacts',
  'cache',
  'environment_variables',
]);
const MAX_FALLBACK_KEYS = 5;
const VARIABLE_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** Throws BuildspecError, whose message is what CodeBuild shows after `YAML_FILE_ERROR: `. */
export function parseBuildspec(source: string): Buildspec {
  const root = parseYaml(source.replace(/^\uFEFF/, ''));
  if (root.kind !== 'map') throw new BuildspecError('wrong number of container tags, expected 1');
  const version = readVersion(root);
  const phases = readPhases(root);
  return {
    version,
    runAs: readUser(root),
    env: readEnv(mapAt(root, 'env'), version === '0.1' ? mapAt(root, 'environment_variables') : undefined),
    phases,
    reports: readReports(mapAt(root, 'reports')),
    artifacts: has(root, 'artifacts') ? readArtifacts(mapAt(root, 'artifacts')) : undefined,
    cache: has(root, 'cache') ? readCache(mapAt(root, 'cache')) : undefined,
    proxy: readProxy(mapAt(root, 'proxy')),
    hasBatch: has(root, 'batch'),
    warnings: unknownKeys(root),
  };
}

function readUser(map: YamlMap): string | undefined {
  const user = textAt(map, 'run-as');
  if (user === undefined || /^[A-Za-z_][A-Za-z0-9_.-]{0,31}$/.test(user)) return user;
  throw new BuildspecError(`invalid run-as user '${user}' at line ${lineAt(map, 'run-as')}`);
}

function readVersion(root: YamlMap): '0.1' | '0.2' {
  const version = textAt(root, 'version') ?? '';
  if (version === '0.1' || version === '0.2') return version;
  throw new BuildspecError(`invalid buildspec \`version\` specified: ${version}, see documentation`);
}

/** `old`: version 0.1's `environment_variables`, which called the plain ones `plaintext`. */
function readEnv(env: YamlMap, old: YamlMap | undefined): BuildspecEnv {
  const exportedVariables = textsAt(env, 'exported-variables');
  for (const name of exportedVariables) checkVariableName(name, lineAt(env, 'exported-variables'));
  const variables = new Map([...(old ? stringMapAt(old, 'plaintext') : []), ...stringMapAt(env, 'variables')]);
  const parameterStore = stringMapAt(env, 'parameter-store');
  const secretsManager = readSecrets(env);
  for (const section of [variables, parameterStore, secretsManager]) {
    for (const name of section.keys()) checkVariableName(name, env.line);
  }
  return {
    shell: readShell(env),
    variables,
    parameterStore,
    secretsManager,
    exportedVariables,
    gitCredentialHelper: flagAt(env, 'git-credential-helper'),
  };
}

function checkVariableName(name: string, line: number): void {
  if (!VARIABLE_NAME.test(name)) throw new BuildspecError(`invalid environment variable name '${name}' at line ${line}`);
}

function readShell(env: YamlMap): Shell {
  const text = textAt(env, 'shell');
  switch (text) {
    case undefined:
    case '/bin/sh':
    case 'sh':
      return 'sh';
    case 'bash':
    case '/bin/bash':
      return 'bash';
    case 'powershell.exe':
    case 'cmd.exe':
      throw new BuildspecError(`shell ${text} is only available in Windows build environments, at line ${lineAt(env, 'shell')}`);
    default:
      throw new BuildspecError(`invalid shell '${text}' at line ${lineAt(env, 'shell')}. Expecting: /bin/sh,bash`);
  }
}

function readSecrets(env: YamlMap): Map<string, SecretReference> {
  const secrets = new Map<string, SecretReference>();
  for (const [name, reference] of stringMapAt(env, 'secrets-manager')) secrets.set(name, parseSecretReference(reference));
  return secrets;
}

/** `id[:json-key[:version-stage[:version-id]]]`, where the id may be an ARN, which itself has seven fields. */
export function parseSecretReference(reference: string): SecretReference {
  const fields = reference.split(':');
  const idFields = reference.startsWith('arn:') ? 7 : 1;
  const [jsonKey, versionStage, versionId] = fields.slice(idFields).map((field) => field || undefined);
  return { id: fields.slice(0, idFields).join(':'), jsonKey, versionStage, versionId };
}

function readPhases(root: YamlMap): Buildspec['phases'] {
  const map = mapAt(root, 'phases');
  const phases: Buildspec['phases'] = {};
  for (const [name, entry] of map.entries) {
    if (!isPhaseName(name)) {
      throw new BuildspecError(`Invalid buildspec phase name: ${name}. Expecting: ${[...PHASE_NAMES].sort().join(',')}`);
    }
    if (entry.node.kind === 'list') throw new BuildspecError(`expected ${name} to be a map at line ${entry.line}`);
    phases[name] = readPhase(mapAt(map, name), name);
  }
  if (Object.keys(phases).length === 0)
    throw new BuildspecError('no phases found in YAML. Expecting at least one of: build,install,post_build,pre_build');
  return phases;
}

function isPhaseName(name: string): name is PhaseName {
  return (PHASE_NAMES as readonly string[]).includes(name);
}

function readPhase(map: YamlMap, name: PhaseName): Phase {
  if (name !== 'install' && has(map, 'runtime-versions')) {
    throw new BuildspecError(
      `runtime-versions is only allowed in the install phase, found in ${name} at line ${lineAt(map, 'runtime-versions')}`,
    );
  }
  const onFailure = textAt(map, 'on-failure');
  return {
    runAs: readUser(map),
    onFailure: onFailure === undefined ? undefined : parseOnFailure(onFailure, lineAt(map, 'on-failure')),
    commands: textsAt(map, 'commands'),
    finally: textsAt(map, 'finally'),
    runtimeVersions: stringMapAt(map, 'runtime-versions'),
  };
}

function readReports(map: YamlMap): Map<string, Report> {
  const reports = new Map<string, Report>();
  for (const name of map.entries.keys()) reports.set(name, { files: textsAt(mapAt(map, name), 'files') });
  return reports;
}

function readArtifacts(map: YamlMap): Artifacts {
  const secondary = new Map<string, ArtifactSet>();
  const listed = mapAt(map, 'secondary-artifacts');
  for (const name of listed.entries.keys()) secondary.set(name, readArtifactSet(mapAt(listed, name), `secondary artifact ${name}`));
  if (secondary.size > 0 && !has(map, 'files')) return { ...emptySet(), secondary };
  return { ...readArtifactSet(map, 'artifacts'), secondary };
}

function emptySet(): ArtifactSet {
  return {
    files: [],
    name: undefined,
    discardPaths: false,
    baseDirectory: undefined,
    excludePaths: [],
    enableSymlinks: false,
    s3Prefix: undefined,
  };
}

function readArtifactSet(map: YamlMap, label: string): ArtifactSet {
  const files = textsAt(map, 'files');
  if (files.length === 0) throw new BuildspecError(`${label}: files is missing or empty at line ${map.line}`);
  return {
    files,
    name: textAt(map, 'name'),
    discardPaths: flagAt(map, 'discard-paths'),
    baseDirectory: textAt(map, 'base-directory'),
    excludePaths: textsAt(map, 'exclude-paths'),
    enableSymlinks: flagAt(map, 'enable-symlinks'),
    s3Prefix: textAt(map, 's3-prefix'),
  };
}

function readCache(map: YamlMap): Cache {
  const action = textAt(map, 'action');
  if (action !== undefined && action !== 'restore' && action !== 'save') {
    throw new BuildspecError(`invalid cache action '${action}' at line ${lineAt(map, 'action')}. Expecting: restore,save`);
  }
  const fallbackKeys = textsAt(map, 'fallback-keys');
  if (fallbackKeys.length > MAX_FALLBACK_KEYS) {
    throw new BuildspecError(
      `fallback-keys has ${fallbackKeys.length} keys at line ${lineAt(map, 'fallback-keys')}, the most is ${MAX_FALLBACK_KEYS}`,
    );
  }
  return { key: textAt(map, 'key'), fallbackKeys, action, paths: textsAt(map, 'paths') };
}

function readProxy(map: YamlMap): Buildspec['proxy'] {
  return { uploadArtifacts: flagAt(map, 'upload-artifacts'), logs: flagAt(map, 'logs') };
}

/** CodeBuild passes over keys that it does not know; so do we, but the log says so. */
function unknownKeys(root: YamlMap): string[] {
  return [...root.entries]
    .filter(([key]) => !TOP_LEVEL.has(key))
    .map(([key, { line }]) => `Ignoring unknown key '${key}' on line ${line} of the buildspec`);
}
