/** CodeBuild passes over keys that it does not know; so do we, but the log says so: most are slips such as `command`. */
import { mapAt } from './reader.ts';
import type { YamlMap } from './yaml-tree.ts';

const ARTIFACT = ['files', 'name', 'discard-paths', 'base-directory', 'exclude-paths', 'enable-symlinks', 's3-prefix'];

/** Section → what it may hold. What batch and reports hold is looked at where they are read. */
const SECTIONS: Record<string, string[]> = {
  env: ['shell', 'variables', 'parameter-store', 'secrets-manager', 'exported-variables', 'git-credential-helper'],
  proxy: ['upload-artifacts', 'logs'],
  artifacts: [...ARTIFACT, 'secondary-artifacts'],
  cache: ['key', 'fallback-keys', 'action', 'paths'],
};
const TOP_LEVEL = ['version', 'run-as', 'phases', 'batch', 'reports', 'environment_variables', ...Object.keys(SECTIONS)];
const PHASE = ['run-as', 'on-failure', 'runtime-versions', 'commands', 'finally'];

/** Its sections have been read, so each is a map. */
export function unknownKeys(root: YamlMap): string[] {
  const warnings = unknownIn(root, TOP_LEVEL, '');
  for (const [section, known] of Object.entries(SECTIONS)) warnings.push(...unknownIn(mapAt(root, section), known, ` in ${section}`));
  const phases = mapAt(root, 'phases');
  for (const name of phases.entries.keys()) warnings.push(...unknownIn(mapAt(phases, name), PHASE, ` in ${name}`));
  const secondary = mapAt(mapAt(root, 'artifacts'), 'secondary-artifacts');
  for (const name of secondary.entries.keys()) warnings.push(...unknownIn(mapAt(secondary, name), ARTIFACT, ` in ${name}`));
  return warnings;
}

export function unknownIn(map: YamlMap, known: string[], where: string): string[] {
  return [...map.entries]
    .filter(([key]) => !known.includes(key))
    .map(([key, { line }]) => `Ignoring unknown key '${key}'${where} on line ${line} of the buildspec`);
}
