/** One build of a batch, as every kind of batch section describes it. */
import type { ShapeOf } from '../../../platform/service.ts';
import { flagAt, has, lineAt, stringMapAt, textAt } from './reader.ts';
import { BuildspecError, type YamlMap } from './yaml-tree.ts';

export interface BatchBuild {
  identifier: string;
  dependsOn: string[];
  ignoreFailure: boolean;
  /** A path in the source, or a whole buildspec; undefined: the file that the batch section stands in. */
  buildspec: string | undefined;
  env: BatchEnv;
  /** Of build-fanout: this is build `index` (from 0) of `total`. */
  shard: { index: number; total: number } | undefined;
}

export interface BatchEnv {
  computeType: ShapeOf<'codebuild', 'ProjectEnvironment'>['computeType'] | undefined;
  /** Name or ARN. */
  fleet: string | undefined;
  image: string | undefined;
  type: ShapeOf<'codebuild', 'ProjectEnvironment'>['type'] | undefined;
  privilegedMode: boolean | undefined;
  variables: Map<string, string>;
}

/** CodeBuild API reference, BatchRestrictions: what maximumBuildsAllowed may be at most. */
export const MAX_BATCH_BUILDS = 100;
const COMPUTE_TYPE = /^(BUILD_(GENERAL1|LAMBDA)_\w+|ATTRIBUTE_BASED_COMPUTE|CUSTOM_INSTANCE_TYPE)$/;
const ENVIRONMENT_TYPE = /^(LINUX|ARM|WINDOWS|MAC)_[A-Z0-9_]+$/;
const VARIABLE_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

export function readBatchEnv(env: YamlMap): BatchEnv {
  if (has(env, 'compute-type') && has(env, 'fleet'))
    throw new BuildspecError(`compute-type and fleet cannot both be given at line ${lineAt(env, 'fleet')}`);
  const variables = stringMapAt(env, 'variables');
  for (const name of variables.keys()) checkVariable(name, lineAt(env, 'variables'));
  return {
    computeType: checkedType(textAt(env, 'compute-type'), 'compute-type', COMPUTE_TYPE, lineAt(env, 'compute-type')),
    fleet: textAt(env, 'fleet'),
    image: textAt(env, 'image'),
    type: checkedType(textAt(env, 'type'), 'type', ENVIRONMENT_TYPE, lineAt(env, 'type')),
    privilegedMode: has(env, 'privileged-mode') ? flagAt(env, 'privileged-mode') : undefined,
    variables,
  };
}

export function checkVariable(name: string, line: number): void {
  if (!VARIABLE_NAME.test(name) || name.startsWith('CODEBUILD_'))
    throw new BuildspecError(`invalid environment variable name '${name}' at line ${line}`);
}

function checkedType<T extends string>(text: string | undefined, key: string, pattern: RegExp, line: number): T | undefined {
  if (text === undefined || pattern.test(text)) return text as T | undefined;
  throw new BuildspecError(`invalid ${key} '${text}' at line ${line}`);
}

/** A compute type of a matrix, which lists several. */
export function checkedComputeType(text: string, line: number): BatchEnv['computeType'] {
  return checkedType(text, 'compute-type', COMPUTE_TYPE, line);
}

export function refuseDebugging(map: YamlMap): void {
  if (flagAt(map, 'debug-session'))
    throw new BuildspecError(`debug-session is not available in this installation, at line ${lineAt(map, 'debug-session')}`);
}

export function checkCount(count: number, key: string, line: number): void {
  if (count === 0) throw new BuildspecError(`${key} has no builds at line ${line}`);
  if (count > MAX_BATCH_BUILDS)
    throw new BuildspecError(`${key} has ${count} builds at line ${line}, the most that a batch may have is ${MAX_BATCH_BUILDS}`);
}
