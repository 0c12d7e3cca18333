/** The `batch` section of a buildspec: which builds make up a batch. Source of the keys: CodeBuild user guide, "Batch build buildspec reference". */
import { type BatchBuild, checkCount, readBatchEnv, refuseDebugging } from './batch-build.ts';
import { BATCH_KINDS, unknownBatchKeys } from './batch-keys.ts';
import { expandMatrix } from './batch-matrix.ts';
import { flagAt, has, lineAt, mapAt, textAt, textsAt } from './reader.ts';

import { BuildspecError, parseYaml, type YamlMap } from './yaml-tree.ts';

export interface BatchSpec {
  /** The first build that fails stops all others. */
  fastFail: boolean;
  /** In the order of the file, at most MAX_BATCH_BUILDS; every identifier once, dependencies without circles. */
  builds: BatchBuild[];
  /** Things that the reader let pass but the author should know of; one plain line each. */
  warnings: string[];
}

/** The build that fetches the source for the batch. */
const RESERVED = 'DOWNLOAD_SOURCE';
const IDENTIFIER = /^[A-Za-z0-9_]{1,127}$/;

/** Reads only what is said of the batch: phases may be missing, since each build may name a buildspec of its own. Throws BuildspecError. */
export function parseBatch(source: string): BatchSpec {
  const root = parseYaml(source.replace(/^\uFEFF/, ''));
  if (root.kind !== 'map') throw new BuildspecError('wrong number of container tags, expected 1');
  if (textAt(root, 'version') !== '0.2') {
    throw new BuildspecError(`batch builds need buildspec version 0.2, found ${textAt(root, 'version') ?? 'none'} at line ${root.line}`);
  }
  if (!has(root, 'batch')) throw new BuildspecError('the buildspec has no batch section');
  const batch = mapAt(root, 'batch');
  const kinds = BATCH_KINDS.filter((kind) => has(batch, kind));
  const [kind] = kinds;
  if (!kind || kinds.length > 1) {
    throw new BuildspecError(`batch must have exactly one of ${BATCH_KINDS.join(', ')} at line ${lineAt(root, 'batch')}`);
  }
  const builds = readBuilds(batch, kind);
  checkDependencies(builds, lineAt(batch, kind));
  return { fastFail: flagAt(batch, 'fast-fail'), builds, warnings: unknownBatchKeys(batch) };
}

function readBuilds(batch: YamlMap, kind: (typeof BATCH_KINDS)[number]): BatchBuild[] {
  switch (kind) {
    case 'build-graph':
      return listedAt(batch, kind).map((entry) => readBuild(entry, kind));
    case 'build-list':
      return listedAt(batch, kind).map((entry, index) => readBuild(entry, kind, `build_${index + 1}`));
    case 'build-matrix':
      return expandMatrix(mapAt(batch, kind), lineAt(batch, kind));
    case 'build-fanout':
      return readFanout(mapAt(batch, kind), lineAt(batch, kind));
  }
}

function listedAt(batch: YamlMap, key: string): YamlMap[] {
  const entry = batch.entries.get(key);
  if (entry?.node.kind !== 'list') throw new BuildspecError(`expected ${key} to be a sequence at line ${entry?.line}`);
  const { items } = entry.node;
  checkCount(items.length, key, entry.line);
  return items.map((item) => {
    if (item.kind !== 'map') throw new BuildspecError(`expected each item of ${key} to be a map at line ${item.line}`);
    return item;
  });
}

/** `unnamed`: its identifier if it says none; build-graph must say one. */
function readBuild(map: YamlMap, kind: string, unnamed?: string): BatchBuild {
  const identifier = textAt(map, 'identifier') ?? unnamed;
  if (identifier === undefined) throw new BuildspecError(`identifier is missing in ${kind} at line ${map.line}`);
  if (!IDENTIFIER.test(identifier)) {
    throw new BuildspecError(
      `invalid identifier '${identifier}' in ${kind} at line ${lineAt(map, 'identifier')}: ` +
        'it must contain only alphanumeric characters and underscores and be less than 128 characters in length',
    );
  }
  if (identifier === RESERVED)
    throw new BuildspecError(`invalid identifier '${RESERVED}' in ${kind} at line ${lineAt(map, 'identifier')}: it is reserved`);
  refuseDebugging(map);
  if (kind !== 'build-graph' && has(map, 'depend-on')) {
    throw new BuildspecError(`depend-on is only allowed in build-graph, found in ${kind} at line ${lineAt(map, 'depend-on')}`);
  }
  return {
    identifier,
    dependsOn: [...new Set(textsAt(map, 'depend-on'))],
    ignoreFailure: flagAt(map, 'ignore-failure'),
    buildspec: textAt(map, 'buildspec'),
    env: readBatchEnv(mapAt(map, 'env')),
    shard: undefined,
  };
}

function readFanout(map: YamlMap, line: number): BatchBuild[] {
  const text = textAt(map, 'parallelism') ?? '';
  const total = Number(text);
  if (!/^\d{1,6}$/.test(text) || total < 1)
    throw new BuildspecError(`parallelism must be a whole number above 0, found '${text}' at line ${lineAt(map, 'parallelism')}`);
  checkCount(total, 'build-fanout', line);
  refuseDebugging(map);
  const env = readBatchEnv(mapAt(map, 'env'));
  return Array.from({ length: total }, (_, index) => ({
    identifier: `build_${index + 1}`,
    dependsOn: [],
    ignoreFailure: flagAt(map, 'ignore-failure'),
    buildspec: textAt(map, 'buildspec'),
    env,
    shard: { index, total },
  }));
}

function checkDependencies(builds: BatchBuild[], line: number): void {
  const byName = new Map<string, BatchBuild>();
  for (const build of builds) {
    if (byName.has(build.identifier)) throw new BuildspecError(`duplicate identifier '${build.identifier}' in batch at line ${line}`);
    byName.set(build.identifier, build);
  }
  for (const { identifier, dependsOn } of builds) {
    const unknown = dependsOn.find((name) => !byName.has(name));
    if (unknown !== undefined)
      throw new BuildspecError(`'${identifier}' depends on '${unknown}', which is not in the batch, at line ${line}`);
  }
  // Whoever waits for nobody that is left can go; if nobody can, the rest wait for each other.
  const left = new Set(builds);
  for (let before = -1; left.size > 0 && left.size !== before; ) {
    before = left.size;
    for (const build of left) if (!build.dependsOn.some((name) => left.has(byName.get(name)!))) left.delete(build);
  }
  if (left.size > 0) {
    const names = [...left].map(({ identifier }) => identifier).join(', ');
    throw new BuildspecError(`the builds ${names} depend on each other in a circle, at line ${line}`);
  }
}
