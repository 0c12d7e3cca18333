/** From the text of a buildspec to what it says. Source of the keys: CodeBuild user guide, "Build specification reference". */
import { type ArtifactSet, type Artifacts, type Buildspec, type Cache, PHASE_NAMES, type Phase, type PhaseName } from './buildspec.ts';
import { parseOnFailure } from './on-failure.ts';
import { readEnv } from './read-env.ts';
import { flagAt, has, lineAt, mapAt, stringMapAt, textAt, textsAt } from './reader.ts';
import { readReports } from './reports.ts';
import { unknownKeys } from './unknown-keys.ts';
import { BuildspecError, parseYaml, type YamlMap } from './yaml-tree.ts';

export { BuildspecError } from './yaml-tree.ts';

const MAX_FALLBACK_KEYS = 5;

/** Throws BuildspecError, whose message is what CodeBuild shows after `YAML_FILE_ERROR: `. */
export function parseBuildspec(source: string): Buildspec {
  const root = parseYaml(source.replace(/^\uFEFF/, ''));
  if (root.kind !== 'map') throw new BuildspecError('wrong number of container tags, expected 1');
  const version = readVersion(root);
  const phases = readPhases(root);
  const warnings = unknownKeys(root);
  return {
    version,
    runAs: readUser(root),
    env: readEnv(root, version, warnings),
    phases,
    reports: readReports(mapAt(root, 'reports')),
    artifacts: has(root, 'artifacts') ? readArtifacts(mapAt(root, 'artifacts')) : undefined,
    cache: has(root, 'cache') ? readCache(mapAt(root, 'cache'), warnings) : undefined,
    proxy: readProxy(mapAt(root, 'proxy')),
    hasBatch: has(root, 'batch'),
    warnings,
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

function readCache(map: YamlMap, warnings: string[]): Cache {
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
  if (fallbackKeys.length > 0 && !has(map, 'key')) {
    warnings.push(`Ignoring fallback-keys on line ${lineAt(map, 'fallback-keys')} of the buildspec: there is no key`);
  }
  return { key: textAt(map, 'key'), fallbackKeys, action, paths: textsAt(map, 'paths') };
}

function readProxy(map: YamlMap): Buildspec['proxy'] {
  return { uploadArtifacts: flagAt(map, 'upload-artifacts'), logs: flagAt(map, 'logs') };
}
