import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { sampleInput } from '../../test/clients/protocols/samples.ts';
import { loadModel, modelNames, type ServiceModel, type Shape } from '../platform/model.ts';
import { compileValidator, type ViolationKind, violationError } from './validate.ts';

function messageOf(service: string, operation: string, input: Record<string, unknown>): string {
  const model = loadModel(service);
  return violationError('ValidationException', model, operation, compileValidator(model, operation)(input)).message;
}

describe('messages', () => {
  test('too long', () => {
    const name = 'a'.repeat(101);
    assert.equal(
      messageOf('codecommit', 'GetRepository', { repositoryName: name }),
      `1 validation error detected: Value '${name}' at 'repositoryName' failed to satisfy constraint: Member must have length less than or equal to 100`,
    );
  });

  test('pattern', () => {
    assert.equal(
      messageOf('codecommit', 'GetRepository', { repositoryName: 'a b' }),
      "1 validation error detected: Value 'a b' at 'repositoryName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\w\\.-]+",
    );
  });

  test('missing, with the members named as Java names them, and counted', () => {
    assert.equal(
      messageOf('sts', 'AssumeRole', { Tags: [{ Key: 'a' }] }),
      "3 validation errors detected: Value null at 'roleArn' failed to satisfy constraint: Member must not be null; " +
        "Value null at 'roleSessionName' failed to satisfy constraint: Member must not be null; " +
        "Value null at 'tags.1.member.value' failed to satisfy constraint: Member must not be null",
    );
  });

  test('enum', () => {
    assert.equal(
      messageOf('codecommit', 'ListRepositories', { sortBy: 'x' }),
      "1 validation error detected: Value 'x' at 'sortBy' failed to satisfy constraint: Member must satisfy enum value set: [repositoryName, lastModifiedDate]",
    );
  });

  test('range', () => {
    assert.match(
      messageOf('logs', 'DescribeLogGroups', { limit: 51 }),
      /Value '51' at 'limit' failed to satisfy constraint: Member must have value less than or equal to 50$/,
    );
  });

  test('items of a list of names are told of the list', () => {
    assert.match(
      messageOf('codecommit', 'BatchGetRepositories', { repositoryNames: ['ok', 'a b'] }),
      /^1 validation error detected: Value '\[ok, a b\]' at 'repositoryNames' failed to satisfy constraint: Member must satisfy constraint: \[Member must have length less than or equal to 100, /,
    );
  });

  test('a null in a list is no item', () => {
    assert.match(messageOf('codecommit', 'BatchGetRepositories', { repositoryNames: [null] }), /Member must not be null\]$/);
    assert.match(
      messageOf('sts', 'AssumeRole', { RoleArn: 'a'.repeat(20), RoleSessionName: 'ab', Tags: [null] }),
      /Value null at 'tags.1.member'/,
    );
  });

  test('secrets are not repeated', () => {
    const message = messageOf('codebuild', 'ImportSourceCredentials', { token: '', serverType: 'GITHUB', authType: 'OAUTH' });
    assert.match(message, /: Value at 'token' failed to satisfy constraint: Member must have length greater than or equal to 1$/);
  });

  test('an enormous broken input makes a bounded message', () => {
    const tags = Array.from({ length: 100_000 }, () => ({}));
    assert.ok(messageOf('sts', 'AssumeRole', { RoleArn: 'x'.repeat(1e6), RoleSessionName: 'ab', Tags: tags }).length < 50_000);
  });
});

describe('whose error it is', () => {
  const codeOf = (service: string, operation: string, input: Record<string, unknown>) => {
    const model = loadModel(service);
    return violationError('named', model, operation, compileValidator(model, operation)(input)).code;
  };

  test('CodeCommit and CodeDeploy name the field', () => {
    assert.equal(codeOf('codecommit', 'GetRepository', {}), 'RepositoryNameRequiredException');
    assert.equal(codeOf('codecommit', 'GetRepository', { repositoryName: 'a b' }), 'InvalidRepositoryNameException');
    assert.equal(codeOf('codecommit', 'UpdateRepositoryName', { oldName: 'a b', newName: 'x' }), 'InvalidRepositoryNameException');
    assert.equal(codeOf('codecommit', 'TagResource', { resourceArn: 'arn' }), 'TagsMapRequiredException');
    assert.equal(codeOf('codedeploy', 'CreateApplication', {}), 'ApplicationNameRequiredException');
    assert.equal(codeOf('codedeploy', 'CreateApplication', { applicationName: 'ü' }), 'InvalidApplicationNameException');
    assert.equal(codeOf('codedeploy', 'BatchGetApplications', { applicationNames: ['ü'] }), 'InvalidApplicationNameException');
  });

  test('S3 has its own', () => {
    assert.equal(codeOf('s3', 'ListObjectsV2', { Bucket: 'b', EncodingType: 'x' }), 'InvalidArgument');
    assert.equal(codeOf('s3', 'PutBucketVersioning', { Bucket: 'b', VersioningConfiguration: { Status: 'On' } }), 'MalformedXML');
    assert.equal(codeOf('s3', 'DeleteObjects', { Bucket: 'b' }), 'MissingRequestBodyError');
  });
});

/** One way to break a value of the shape, for each of its constraints. */
function broken(shape: Shape, value: any): [ViolationKind, any][] {
  const ways: [ViolationKind, any][] = [];
  const { type, min, max } = shape;
  if (type === 'string') {
    if (max !== undefined && max < 1e6) ways.push(['length', 'a'.repeat(max + 1)]);
    if (min !== undefined && min > 0) ways.push(['length', 'a'.repeat(min - 1)]);
    if (shape.enum) ways.push(['enum', 'NoSuchValue']);
    // Controls, a line end and a colon: each pattern refuses one of them, but for the one that takes anything.
    if (shape.pattern !== undefined && shape.pattern !== '[\\s\\S]*') ways.push(['pattern', '\u0001\n:']);
  }
  if (type === 'integer' || type === 'long') {
    if (max !== undefined) ways.push(['range', max + 1]);
    if (min !== undefined) ways.push(['range', min - 1]);
  }
  if (type === 'list') {
    if (max !== undefined && max < 1000) ways.push(['length', Array.from({ length: max + 1 }, () => value[0])]);
    if (min !== undefined && min > 0) ways.push(['length', []]);
  }
  return ways;
}

/** Every place of the value that has a constraint, with a function that puts something else there. */
function* places(
  model: ServiceModel,
  shapeName: string,
  value: any,
  set: (other: any) => void,
  path: string,
): Generator<[string, Shape, any, (other: any) => void]> {
  const shape = model.shapes[shapeName]!;
  yield [path, shape, value, set];
  if (shape.type === 'structure') {
    for (const [name, ref] of Object.entries(shape.members ?? {})) {
      if (name in value) yield* places(model, ref.shape, value[name], (other) => (value[name] = other), `${path}.${name}`);
    }
  }
  if (shape.type === 'list' && value.length > 0) {
    yield* places(model, shape.member!.shape, value[0], (other) => (value[0] = other), `${path}[0]`);
  }
}

for (const service of modelNames()) {
  test(`every constraint of every operation of ${service} is checked`, () => {
    const model = loadModel(service);
    for (const [operation, { input: ref }] of Object.entries(model.operations)) {
      if (!ref) continue;
      const validate = compileValidator(model, operation);
      const input = sampleInput(model, operation, true);
      assert.deepEqual(validate(input), [], `${operation} refuses a valid input`);
      for (const [path, shape, value, set] of places(model, ref.shape, input, () => {}, operation)) {
        for (const name of shape.type === 'structure' ? (shape.required ?? []) : []) {
          const kept = value[name];
          delete value[name];
          assert.deepEqual(
            validate(input).map(({ kind }) => kind),
            ['required'],
            `${path} without ${name}`,
          );
          value[name] = kept;
        }
        for (const [kind, other] of broken(shape, value)) {
          set(other);
          // Of a list's items AWS names all constraints at once, so only the first broken one gives the kind.
          assert.ok(
            validate(input).some((violation) => violation.kind === kind || path.endsWith(']')),
            `${path}: ${kind} of ${JSON.stringify(other).slice(0, 80)}`,
          );
          set(value);
        }
      }
    }
  });
}
