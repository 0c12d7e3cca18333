/** build-matrix: a build for each combination of the values that its dynamic section lists. */
import {
  type BatchBuild,
  type BatchEnv,
  checkCount,
  checkedComputeType,
  checkVariable,
  readBatchEnv,
  refuseDebugging,
} from './batch-build.ts';
import { flagAt, lineAt, mapAt, textAt, textsAt } from './reader.ts';
import { BuildspecError, type YamlMap } from './yaml-tree.ts';

/** What one value of one axis sets in a build. */
type Setting = (build: BatchBuild) => void;

/** The last axis turns fastest: images, then compute types, then variables, as the user guide's example counts them. */
export function expandMatrix(matrix: YamlMap, line: number): BatchBuild[] {
  const fixed = mapAt(matrix, 'static');
  refuseDebugging(fixed);
  const axes = readAxes(mapAt(matrix, 'dynamic'));
  // Counted before anything is made: a few long axes are billions of builds.
  checkCount(
    axes.reduce((product, axis) => product * axis.length, 1),
    'build-matrix',
    line,
  );
  const combinations = axes.reduce<Setting[][]>(
    (all, axis) => all.flatMap((settings) => axis.map((setting) => [...settings, setting])),
    [[]],
  );
  const env = readBatchEnv(mapAt(fixed, 'env'));
  return combinations.map((settings, index) => {
    const build: BatchBuild = {
      identifier: `build_${index + 1}`,
      dependsOn: [],
      ignoreFailure: flagAt(fixed, 'ignore-failure'),
      buildspec: textAt(fixed, 'buildspec'),
      env: { ...env, variables: new Map(env.variables) },
      shard: undefined,
    };
    for (const set of settings) set(build);
    if (build.env.computeType && build.env.fleet) throw new BuildspecError(`compute-type and fleet cannot both be given at line ${line}`);
    return build;
  });
}

function readAxes(dynamic: YamlMap): Setting[][] {
  const env = mapAt(dynamic, 'env');
  const variables = mapAt(env, 'variables');
  const axes: Setting[][] = [
    textsAt(dynamic, 'buildspec').map((value) => (build) => {
      build.buildspec = value;
    }),
    valuesOf(env, 'image', (target, value) => {
      target.image = value;
    }),
    valuesOf(env, 'compute-type', (target, value) => {
      target.computeType = checkedComputeType(value, lineAt(env, 'compute-type'));
    }),
    valuesOf(env, 'fleet', (target, value) => {
      target.fleet = value;
    }),
    ...[...variables.entries].map(([name, { line }]) => {
      checkVariable(name, line);
      return valuesOf(variables, name, (target, value) => {
        target.variables.set(name, value);
      });
    }),
  ];
  return axes.filter((axis) => axis.length > 0);
}

function valuesOf(map: YamlMap, key: string, set: (env: BatchEnv, value: string) => void): Setting[] {
  return textsAt(map, key).map((value) => (build) => set(build.env, value));
}
