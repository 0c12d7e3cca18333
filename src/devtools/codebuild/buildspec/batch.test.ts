import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseBatch } from './batch.ts';

const parse = (section: string) => parseBatch(`version: 0.2\nbatch:\n${section.replaceAll(/^/gm, '  ')}\nphases: {}\n`);
const refuses = (section: string, message: RegExp) => assert.throws(() => parse(section), { name: 'BuildspecError', message });

test('build-graph: dependencies, environments and buildspecs of its builds', () => {
  const { fastFail, builds } = parse(`
fast-fail: true
build-graph:
  - identifier: one
    env:
      compute-type: BUILD_GENERAL1_SMALL
      image: node:24
      type: ARM_CONTAINER
      privileged-mode: true
      variables: { A: 1, B: two words }
  - identifier: two
    buildspec: ci/two.yml
    depend-on: [one]
    ignore-failure: true
  - { identifier: three, depend-on: [one, two, one], env: { fleet: mine } }`);
  assert.equal(fastFail, true);
  const none = { computeType: undefined, fleet: undefined, image: undefined, type: undefined, privilegedMode: undefined };
  assert.deepEqual(builds, [
    {
      identifier: 'one',
      dependsOn: [],
      ignoreFailure: false,
      buildspec: undefined,
      env: {
        computeType: 'BUILD_GENERAL1_SMALL',
        fleet: undefined,
        image: 'node:24',
        type: 'ARM_CONTAINER',
        privilegedMode: true,
        variables: new Map([
          ['A', '1'],
          ['B', 'two words'],
        ]),
      },
      shard: undefined,
    },
    {
      identifier: 'two',
      dependsOn: ['one'],
      ignoreFailure: true,
      buildspec: 'ci/two.yml',
      env: { ...none, variables: new Map() },
      shard: undefined,
    },
    {
      identifier: 'three',
      dependsOn: ['one', 'two'],
      ignoreFailure: false,
      buildspec: undefined,
      env: { ...none, fleet: 'mine', variables: new Map() },
      shard: undefined,
    },
  ]);
});

test('build-list numbers the builds that have no identifier', () => {
  const { fastFail, builds } = parse('build-list:\n  - env: { image: a }\n  - identifier: named\n  - ignore-failure: true');
  assert.equal(fastFail, false);
  assert.deepEqual(
    builds.map(({ identifier }) => identifier),
    ['build_1', 'named', 'build_3'],
  );
});

test('build-matrix: every combination, the last variable turning fastest', () => {
  const { builds } = parse(`
build-matrix:
  static:
    ignore-failure: true
    env: { type: LINUX_CONTAINER, privileged-mode: true, variables: { FIXED: yes } }
  dynamic:
    buildspec: [a.yml, b.yml]
    env:
      image: [i1, i2]
      variables: { V: [x, y], W: z }`);
  assert.deepEqual(
    builds.map(
      ({ identifier, buildspec, env }) => `${identifier} ${buildspec} ${env.image} ${env.variables.get('V')}${env.variables.get('W')}`,
    ),
    [
      'build_1 a.yml i1 xz',
      'build_2 a.yml i1 yz',
      'build_3 a.yml i2 xz',
      'build_4 a.yml i2 yz',
      'build_5 b.yml i1 xz',
      'build_6 b.yml i1 yz',
      'build_7 b.yml i2 xz',
      'build_8 b.yml i2 yz',
    ],
  );
  assert.ok(builds.every(({ ignoreFailure, env }) => ignoreFailure && env.privilegedMode && env.variables.get('FIXED') === 'yes'));
  assert.equal(parse('build-matrix: { dynamic: { env: { compute-type: [BUILD_GENERAL1_SMALL] } } }').builds.length, 1);
});

test('build-fanout: as many equal builds as its parallelism', () => {
  const { builds } = parse('build-fanout: { parallelism: 3, ignore-failure: true }');
  assert.deepEqual(
    builds.map(({ identifier, shard, ignoreFailure }) => [identifier, shard, ignoreFailure]),
    [0, 1, 2].map((index) => [`build_${index + 1}`, { index, total: 3 }, true]),
  );
});

test('what may not be is refused with its line', () => {
  assert.throws(() => parseBatch('version: 0.2\nphases: {}\n'), /no batch section/);
  assert.throws(() => parseBatch('version: 0.1\nbatch: {}\n'), /version 0.2, found 0.1/);
  assert.throws(() => parseBatch('- 1'), /container tags/);
  refuses('fast-fail: true', /exactly one of build-fanout, build-graph, build-list, build-matrix at line 2/);
  refuses('build-list: [{}]\nbuild-graph: [{ identifier: a }]', /exactly one of/);
  refuses('build-list: { identifier: a }', /expected build-list to be a sequence at line 3/);
  refuses('build-list: []', /has no builds at line 3/);
  refuses('build-list: [text]', /expected each item of build-list to be a map at line 3/);
  refuses('build-graph: [{}]', /identifier is missing in build-graph at line 3/);
  refuses('build-graph: [{ identifier: a-b }]', /invalid identifier 'a-b'/);
  refuses('build-graph: [{ identifier: DOWNLOAD_SOURCE }]', /DOWNLOAD_SOURCE.*reserved/);
  refuses(`build-graph: [{ identifier: ${'a'.repeat(128)} }]`, /less than 128/);
  refuses('build-graph:\n  - identifier: a\n  - identifier: a', /duplicate identifier 'a'/);
  refuses('build-graph:\n  - identifier: a\n    depend-on: [b]', /'a' depends on 'b', which is not in the batch/);
  refuses('build-graph:\n  - { identifier: a, depend-on: [a] }', /the builds a depend on each other/);
  refuses(
    'build-graph:\n  - { identifier: a, depend-on: [c] }\n  - { identifier: b, depend-on: [a] }\n  - { identifier: c, depend-on: [b] }\n  - identifier: d',
    /the builds a, b, c depend on each other in a circle/,
  );
  refuses('build-list: [{ depend-on: [a] }]', /depend-on is only allowed in build-graph/);
  refuses('build-list: [{ debug-session: true }]', /debug-session is not available/);
  refuses('build-list: [{ env: { compute-type: BUILD_GENERAL1_SMALL, fleet: f } }]', /cannot both be given/);
  refuses('build-list: [{ env: { compute-type: big } }]', /invalid compute-type 'big' at line 3/);
  refuses('build-list: [{ env: { type: TOASTER } }]', /invalid type 'TOASTER'/);
  refuses('build-list: [{ env: { privileged-mode: perhaps } }]', /invalid value 'perhaps' for privileged-mode/);
  refuses('build-list: [{ env: { variables: { a-b: 1 } } }]', /invalid environment variable name 'a-b'/);
  refuses('build-list: [{ env: { variables: { CODEBUILD_BUILD_ID: 1 } } }]', /invalid environment variable name/);
  refuses('build-matrix: { dynamic: { env: { variables: { "x y": [1] } } } }', /invalid environment variable name 'x y'/);
  refuses('build-fanout: { parallelism: 0 }', /parallelism must be a whole number above 0, found '0'/);
  refuses('build-fanout: { parallelism: -1 }', /found '-1'/);
  refuses('build-fanout: { parallelism: 1e9 }', /found '1e9'/);
  refuses('build-fanout: {}', /found ''/);
});

test('keys that mean nothing are named, with their lines', () => {
  const { warnings } = parse(
    'fastfail: true\nbuild-graph:\n  - identifier: a\n  - identifier: b\n    depends-on: [a]\n    env: { compute: big }',
  );
  assert.deepEqual(warnings, [
    "Ignoring unknown key 'fastfail' in batch on line 3 of the buildspec",
    "Ignoring unknown key 'depends-on' in build-graph on line 7 of the buildspec",
    "Ignoring unknown key 'compute' in env of build-graph on line 8 of the buildspec",
  ]);
  const matrix = 'build-matrix: { stattic: {}, static: { envs: {} }, dynamic: { env: { imagges: [] } } }';
  assert.equal(parse(matrix).warnings.length, 3);
  assert.deepEqual(parse('build-fanout: { parallelism: 2, times: 3 }').warnings.length, 1);
});

test('bombs are refused before they cost anything', () => {
  refuses('build-fanout: { parallelism: 101 }', /has 101 builds at line 3, the most that a batch may have is 100/);
  refuses(`build-list: [${'{},'.repeat(101)}]`, /has 101 builds/);
  const axis = `[${Array.from({ length: 100 }, (_, index) => index).join(',')}]`;
  const names = Array.from({ length: 6 }, (_, index) => `V${index}`);
  refuses(
    `build-matrix: { dynamic: { env: { variables: { ${names.map((name) => `${name}: ${axis}`).join(', ')} } } } }`,
    /has 1000000000000 builds/,
  );
  const aliases = Array.from({ length: 9 }, (_, index) => `  a${index + 1}: &a${index + 1} [${`*a${index},`.repeat(10)}]`).join('\n');
  assert.throws(() => parseBatch(`version: 0.2\nx:\n  a0: &a0 [1]\n${aliases}\nbatch: { build-list: [{}] }\n`), /excessive aliasing/);
});
