/** Keys of a batch section that mean nothing: passed over and named, since most are slips such as `depends-on`. */
import { mapAt } from './reader.ts';
import { unknownIn } from './unknown-keys.ts';
import type { YamlMap } from './yaml-tree.ts';

export const BATCH_KINDS = ['build-fanout', 'build-graph', 'build-list', 'build-matrix'] as const;
const ENV = ['compute-type', 'fleet', 'image', 'privileged-mode', 'type', 'variables'];
const BUILD = ['buildspec', 'debug-session', 'env', 'ignore-failure'];

/** The section has been read, so each part of it is of its kind. */
export function unknownBatchKeys(batch: YamlMap): string[] {
  const warnings = unknownIn(batch, ['fast-fail', ...BATCH_KINDS], ' in batch');
  for (const kind of BATCH_KINDS) {
    const node = batch.entries.get(kind)?.node;
    if (node?.kind === 'list')
      for (const item of node.items) if (item.kind === 'map') warnings.push(...ofBuild(item, ['identifier', 'depend-on'], kind));
  }
  const matrix = mapAt(batch, 'build-matrix');
  warnings.push(...unknownIn(matrix, ['static', 'dynamic'], ' in build-matrix'));
  warnings.push(...ofBuild(mapAt(matrix, 'static'), [], 'static'), ...ofBuild(mapAt(matrix, 'dynamic'), [], 'dynamic'));
  if (batch.entries.has('build-fanout')) warnings.push(...ofBuild(mapAt(batch, 'build-fanout'), ['parallelism'], 'build-fanout'));
  return warnings;
}

function ofBuild(map: YamlMap, more: string[], where: string): string[] {
  return [...unknownIn(map, [...BUILD, ...more], ` in ${where}`), ...unknownIn(mapAt(map, 'env'), ENV, ` in env of ${where}`)];
}
