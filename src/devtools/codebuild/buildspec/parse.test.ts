import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseOnFailure } from './on-failure.ts';
import { parseBuildspec } from './parse.ts';
import { parseSecretReference } from './secret-reference.ts';

const FULL = `
version: 0.2
run-as: builder
env:
  shell: bash
  variables: { NODE_ENV: production, RATE: 1.10, ON: true, EMPTY: }
  parameter-store: { TOKEN: /app/token }
  secrets-manager: { PASSWORD: "db:password:AWSCURRENT" }
  exported-variables: [IMAGE_TAG]
  git-credential-helper: yes
proxy: { upload-artifacts: yes, logs: no }
batch: { fast-fail: true }
phases:
  install:
    runtime-versions: { nodejs: 20, python: 3.11 }
    commands: [npm ci]
  build:
    run-as: root
    on-failure: RETRY-2-.*connect.*
    commands:
      - npm test
      - |
        for x in a b; do
          echo $x
        done
    finally: [echo done]
reports: { tests: { files: ['**/*.xml'] } }
artifacts:
  files: ['**/*']
  name: app-$(date +%s)
  base-directory: dist*
  discard-paths: no
  exclude-paths: ['**/*.map']
  enable-symlinks: yes
  s3-prefix: prefix
  secondary-artifacts:
    docs: { files: [docs/**/*], base-directory: docs }
cache: { key: npm-$(sha256sum package-lock.json), fallback-keys: [npm-], action: save, paths: [node_modules/**/*] }
`;

test('every key of the reference is read', () => {
  const spec = parseBuildspec(FULL);
  assert.equal(spec.runAs, 'builder');
  assert.equal(spec.env.shell, 'bash');
  assert.deepEqual(
    [...spec.env.variables],
    [
      ['NODE_ENV', 'production'],
      ['RATE', '1.10'],
      ['ON', 'true'],
      ['EMPTY', ''],
    ],
  );
  assert.equal(spec.env.parameterStore.get('TOKEN'), '/app/token');
  assert.deepEqual(spec.env.secretsManager.get('PASSWORD'), {
    id: 'db',
    jsonKey: 'password',
    versionStage: 'AWSCURRENT',
    versionId: undefined,
  });
  assert.deepEqual(spec.env.exportedVariables, ['IMAGE_TAG']);
  assert.equal(spec.env.gitCredentialHelper, true);
  assert.deepEqual(spec.proxy, { uploadArtifacts: true, logs: false });
  assert.equal(spec.hasBatch, true);
  assert.deepEqual(
    [...spec.phases.install!.runtimeVersions],
    [
      ['nodejs', '20'],
      ['python', '3.11'],
    ],
  );
  assert.equal(spec.phases.build!.runAs, 'root');
  assert.deepEqual(spec.phases.build!.onFailure, { action: 'RETRY', count: 2, pattern: '.*connect.*' });
  assert.equal(spec.phases.build!.commands[1], 'for x in a b; do\n  echo $x\ndone\n');
  assert.deepEqual(spec.phases.build!.finally, ['echo done']);
  assert.deepEqual(spec.reports.get('tests'), { files: ['**/*.xml'], format: 'JUNITXML', baseDirectory: undefined, discardPaths: false });
  assert.deepEqual(spec.artifacts!.secondary.get('docs')!.files, ['docs/**/*']);
  assert.equal(spec.artifacts!.enableSymlinks, true);
  assert.equal(spec.artifacts!.s3Prefix, 'prefix');
  assert.deepEqual(spec.cache!.fallbackKeys, ['npm-']);
  assert.deepEqual(spec.warnings, []);
});

test('anchors and merge keys work, own keys win', () => {
  const spec = parseBuildspec('version: 0.2\nx: &x {commands: [a], finally: [b]}\nphases:\n  build:\n    commands: [c]\n    <<: *x\n');
  assert.deepEqual(spec.phases.build!.commands, ['c']);
  assert.deepEqual(spec.phases.build!.finally, ['b']);
  assert.deepEqual(spec.warnings, ["Ignoring unknown key 'x' on line 2 of the buildspec"]);
});

test('what is let pass is told with its line', () => {
  const spec = parseBuildspec(`version: 0.2
env: {variables: {CODEBUILD_MINE: x}, var: {}}
phases:
  build:
    command: [a]
    commands: [b]
artifacts: {files: [a], secondary-artifacts: {x: {files: [b], file: c}}}
cache: {fallback-keys: [a], path: [b]}
`);
  assert.deepEqual(spec.warnings, [
    "Ignoring unknown key 'var' in env on line 2 of the buildspec",
    "Ignoring unknown key 'path' in cache on line 8 of the buildspec",
    "Ignoring unknown key 'command' in build on line 5 of the buildspec",
    "Ignoring unknown key 'file' in x on line 7 of the buildspec",
    'The variable CODEBUILD_MINE on line 2 of the buildspec may have no effect: names that begin with CODEBUILD_ are reserved',
    'Ignoring fallback-keys on line 8 of the buildspec: there is no key',
  ]);
});

const bomb = `${'abcdefgh'
  .split('')
  .map(
    (name, index, all) =>
      `${name}: &${name} [${Array(10)
        .fill(index === 0 ? 'x' : `*${all[index - 1]}`)
        .join(',')}]`,
  )
  .join('\n')}\n`;

const phases = 'phases:\n  build:\n    commands: [a]\n';
const bad: [name: string, source: string, message: RegExp][] = [
  ['tab as indentation', 'version: 0.2\nphases:\n\tbuild:\n', /^found character that cannot start any token at line 3$/],
  [
    'nested mapping',
    'version: 0.2\nphases:\n  build:\n    commands:\n      - echo "a": b: c\n',
    /^mapping values are not allowed in this context at line 5$/,
  ],
  ['duplicate keys', 'version: 0.2\nversion: 0.2\n', /^mapping key is already defined at line 2$/],
  ['open quote', 'a: "x\n', /^found unexpected end of stream at line \d$/],
  ['alias bomb', bomb, /^document contains excessive aliasing$/],
  // With what is not linear in their number these two would take many minutes.
  ['many aliases', `b: &b x\na: [${'*b,'.repeat(80_000)}]`, /^document contains excessive aliasing$/],
  [
    'many keys',
    `${Array.from({ length: 25_000 }, (_, index) => `k${index}:`).join('\n')}\nk7:\n`,
    /^mapping key is already defined at line 25001$/,
  ],
  ['alias to itself', 'a: &a\n  b: *a\n', /max depth|unknown anchor/],
  ['too large', `version: 0.2\n#${'x'.repeat(1024 * 1024)}`, /larger than/],
  ['deep nesting', `a: ${'['.repeat(500)}${']'.repeat(500)}`, /max depth/],
  ['a NUL', `version: 0.2\nphases:\n  build:\n    commands:\n      - "a\\0b"\n`, /^control characters are not allowed at line 5$/],
  ['half of a surrogate pair', 'version: 0.2\n"a\\uD800b": x\n', /^control characters are not allowed at line 2$/],
  ['no map', 'hello', /^wrong number of container tags, expected 1$/],
  ['empty file', '', /^wrong number of container tags, expected 1$/],
  ['version', `version: 1.0\n${phases}`, /^invalid buildspec `version` specified: 1.0, see documentation$/],
  ['no version', phases, /^invalid buildspec `version` specified: , see documentation$/],
  [
    'phase name',
    'version: 0.2\nphases:\n  artifacts: {}\n',
    /^Invalid buildspec phase name: artifacts. Expecting: build,install,post_build,pre_build$/,
  ],
  ['no phases', 'version: 0.2\n', /^no phases found in YAML/],
  [
    'map among commands',
    'version: 0.2\nphases:\n  build:\n    commands:\n      - echo a: b\n',
    /^Expected Commands\[0\] to be of string type: found subkeys instead at line 5, value of the key tag on line 4 might be empty$/,
  ],
  ['on-failure', `version: 0.2\nphases:\n  build: {on-failure: MAYBE, commands: [a]}\n`, /^invalid on-failure value 'MAYBE' at line 3/],
  ['retry count', `version: 0.2\nphases:\n  build: {on-failure: RETRY-101, commands: [a]}\n`, /between 0 and 100/],
  [
    'retry pattern',
    'version: 0.2\nphases:\n  build:\n    commands: [a]\n    on-failure: RETRY-2-(\n',
    /^invalid on-failure value 'RETRY-2-\(' at line 5: .*missing/,
  ],
  [
    'retry back reference',
    `version: 0.2\nphases:\n  build: {on-failure: 'RETRY-(a)\\1', commands: [a]}\n`,
    /^invalid on-failure value .* at line 3/,
  ],
  ['runtimes outside install', 'version: 0.2\nphases:\n  build: {runtime-versions: {nodejs: 20}}\n', /only allowed in the install phase/],
  ['shell', `version: 0.2\nenv: {shell: fish}\n${phases}`, /^invalid shell 'fish' at line 2/],
  ['variable name', `version: 0.2\nenv: {variables: {a-b: 1}}\n${phases}`, /^invalid environment variable name 'a-b'/],
  [
    'name of a parameter',
    `version: 0.2\nenv:\n  parameter-store:\n    A: x\n    b-c: y\n${phases}`,
    /^invalid environment variable name 'b-c' at line 5$/,
  ],
  [
    'reference to a secret',
    `version: 0.2\nenv:\n  secrets-manager:\n    A: 'a:b:c:d:e'\n${phases}`,
    /^invalid secrets-manager reference 'a:b:c:d:e' for A at line 4. Expecting: secret-id:json-key:version-stage:version-id$/,
  ],
  [
    'ARN cut off',
    `version: 0.2\nenv: {secrets-manager: {A: 'arn:aws:secretsmanager:us-east-1'}}\n${phases}`,
    /^invalid secrets-manager reference/,
  ],
  ['artifact files', `version: 0.2\n${phases}artifacts: {name: x}\n`, /files is missing or empty/],
  ['cache action', `version: 0.2\n${phases}cache: {action: both, paths: [a]}\n`, /^invalid cache action/],
  ['fallback keys', `version: 0.2\n${phases}cache: {fallback-keys: [a,b,c,d,e,f], paths: [a]}\n`, /the most is 5/],
];
for (const [name, source, message] of bad) {
  test(`refuses: ${name}`, () => assert.throws(() => parseBuildspec(source), { name: 'BuildspecError', message }));
}

test('all forms of on-failure', () => {
  assert.deepEqual(parseOnFailure('ABORT', 1), { action: 'ABORT' });
  assert.deepEqual(parseOnFailure('continue', 1), { action: 'CONTINUE' });
  assert.deepEqual(parseOnFailure('RETRY', 1), { action: 'RETRY', count: 3, pattern: '.*' });
  assert.deepEqual(parseOnFailure('RETRY-0', 1), { action: 'RETRY', count: 0, pattern: '.*' });
  assert.deepEqual(parseOnFailure('RETRY-.*timeout.*', 1), { action: 'RETRY', count: 3, pattern: '.*timeout.*' });
  assert.deepEqual(parseOnFailure('RETRY-5-a-b', 1), { action: 'RETRY', count: 5, pattern: 'a-b' });
});

test('secret references, by name and by ARN', () => {
  assert.deepEqual(parseSecretReference('name'), { id: 'name', jsonKey: undefined, versionStage: undefined, versionId: undefined });
  const arn = 'arn:aws:secretsmanager:us-east-1:111122223333:secret:db-AbCdEf';
  assert.deepEqual(parseSecretReference(`${arn}:key::v1`), { id: arn, jsonKey: 'key', versionStage: undefined, versionId: 'v1' });
});
