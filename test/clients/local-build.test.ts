/** `penstock build`, as a person runs it in a folder. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { cleanEnvironment } from '../support/server.ts';

let home: string;
let source: string;
let temporary: string;

beforeEach(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'penstock-local-'));
  source = path.join(home, 'app');
  temporary = path.join(home, 'tmp');
  await mkdir(source);
  await mkdir(temporary);
});
afterEach(() => rm(home, { recursive: true, force: true }));

function start(...args: string[]) {
  const main = path.join(import.meta.dirname, '../../src/main.ts');
  const child = spawn(process.execPath, [main, 'build', source, '--machines', 'process', ...args], {
    env: { ...cleanEnvironment(), TMPDIR: temporary },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk));
  const ended = once(child, 'exit').then(([code]) => ({ code: code as number, output: output }));
  return { child, ended };
}

const buildspec = (text: string) => writeFile(path.join(source, 'buildspec.yml'), text);

test('a build shows its log and phases, and leaves its artifacts and nothing else', async () => {
  await buildspec(`version: 0.2
env: {variables: {WHO: nobody, STAGE: none}}
phases:
  build:
    commands: ['echo "$WHO in $STAGE"', 'mkdir -p out/deep && echo built > out/deep/app.txt', 'cp input.txt out/copy.txt']
artifacts:
  base-directory: out
  files: ['**/*']
  secondary-artifacts: {sources: {files: [input.txt]}}
`);
  await writeFile(path.join(source, 'input.txt'), 'given');
  const artifacts = path.join(home, 'artifacts');
  const { code, output } = await start('-e', 'WHO=we', '--env', 'STAGE=test', '--artifacts', artifacts).ended;
  assert.equal(code, 0, output);
  assert.match(output, /^we in test$/m);
  assert.match(output, /^BUILD +SUCCEEDED +\d+\.\d s$/m);
  assert.match(output, /^Build SUCCEEDED$/m);
  assert.doesNotMatch(output, /\x1b/);
  assert.equal(await readFile(path.join(artifacts, 'deep/app.txt'), 'utf8'), 'built\n');
  assert.equal(await readFile(path.join(artifacts, 'copy.txt'), 'utf8'), 'given');
  assert.equal(await readFile(path.join(artifacts, 'sources/input.txt'), 'utf8'), 'given');
  assert.deepEqual((await readdir(source)).sort(), ['buildspec.yml', 'input.txt']);
  assert.deepEqual(await readdir(temporary), []);
});

test('the exit status is that of the build, and the reason is told', async () => {
  await buildspec("version: 0.2\nphases: {build: {commands: ['exit 3', echo never]}}\n");
  const failed = await start().ended;
  assert.equal(failed.code, 1);
  assert.match(failed.output, /^BUILD +FAILED .*Error while executing command: exit 3\. Reason: exit status 3$/m);
  assert.doesNotMatch(failed.output, /^never$/m);
  const other = await start('--buildspec', 'missing.yml').ended;
  assert.equal(other.code, 1);
  assert.match(other.output, /^DOWNLOAD_SOURCE +FAILED .*YAML_FILE_ERROR/m);
  await buildspec('version: 0.2\nenv: {parameter-store: {TOKEN: /app/token}}\nphases: {build: {commands: [echo "$TOKEN"]}}\n');
  assert.match((await start().ended).output, /the parameters \/app\/token cannot be read without a server; give the values with -e/);
  assert.match((await start('-e', 'TOKEN=mine').ended).output, /^mine$/m);
  const wrong = await start('-e', 'no variable').ended;
  assert.notEqual(wrong.code, 0);
  assert.match(wrong.output, /A variable is written NAME=VALUE/);
});

test('an interrupted build ends its commands and cleans up', async () => {
  const pidFile = path.join(home, 'pid');
  await buildspec(`version: 0.2\nphases: {build: {commands: ['echo $$ > ${pidFile}; echo begun; sleep 600']}}\n`);
  const { child, ended } = start();
  let seen = '';
  await new Promise<void>((resolve) => {
    child.stdout.on('data', (chunk) => {
      seen += chunk;
      if (/^begun$/m.test(seen)) resolve();
    });
  });
  child.kill('SIGINT');
  const { code } = await ended;
  assert.equal(code, 130);
  const pid = (await readFile(pidFile, 'utf8')).trim();
  // A zombie is gone too: process 1 may be slow to take note.
  if (existsSync(`/proc/${pid}`)) assert.match(await readFile(`/proc/${pid}/stat`, 'utf8'), /\) Z /);
  assert.deepEqual(await readdir(temporary), []);
});

test('artifacts do not lead out of their folder through links', async () => {
  const outside = path.join(home, 'outside');
  await mkdir(outside);
  const artifacts = path.join(home, 'artifacts');
  await buildspec(`version: 0.2
phases: {build: {commands: ['ln -s ${outside} trap']}}
artifacts: {files: [trap], enable-symlinks: yes}
`);
  assert.equal((await start('--artifacts', artifacts).ended).code, 0);
  await buildspec(`version: 0.2
phases: {build: {commands: ['mkdir trap && echo x > trap/file']}}
artifacts: {files: [trap/file]}
`);
  const second = await start('--artifacts', artifacts).ended;
  assert.equal(second.code, 1);
  assert.match(second.output, /an artifact must not lead out of its folder/);
  assert.deepEqual(await readdir(outside), []);
});

test('reports are summed up, with the tests that failed', async () => {
  await buildspec(`version: 0.2
phases:
  build:
    commands:
      - printf '<testsuite><testcase classname="cart" name="adds"/><testcase classname="cart" name="pays"><failure message="too much"/></testcase></testsuite>' >unit.xml
      - printf '{"t":{"coverage":{"a.rb":[1,0,null]}}}' >.resultset.json
reports:
  unit: {files: [unit.xml]}
  coverage: {files: [.resultset.json], file-format: SIMPLECOV}
`);
  const { code, output } = await start().ended;
  assert.equal(code, 0, 'what tests came to is for the commands to tell');
  assert.match(
    output,
    /^unit: 1 succeeded, 1 failed\n {2}cart pays {2}too much\ncoverage: 1 of 2 lines covered in 1 files\nBuild SUCCEEDED$/m,
  );
  assert.deepEqual(await readdir(temporary), []);
});

test('on a terminal there are colours, unless the user wants none', async () => {
  await buildspec("version: 0.2\nphases: {build: {commands: ['echo said', 'exit 3']}}\n");
  const main = path.join(import.meta.dirname, '../../src/main.ts');
  const command = [process.execPath, main, 'build', source, '--machines', 'process'].map((word) => `'${word}'`).join(' ');
  const onTerminal = async (env: Record<string, string>) => {
    // util-linux's script gives its command a terminal.
    const child = spawn('script', ['--quiet', '--return', '--command', command, '/dev/null'], {
      env: { ...cleanEnvironment(), TMPDIR: temporary, ...env },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let output = '';
    child.stdout.on('data', (chunk) => (output += chunk));
    const [code] = await once(child, 'close');
    assert.equal(code, 1, output);
    return output.replaceAll('\r', '');
  };
  const coloured = await onTerminal({});
  assert.match(coloured, /^\x1b\[2m\[Container\] .*Running command echo said\x1b\[0m$/m);
  assert.match(coloured, /^said$/m);
  assert.match(coloured, /^BUILD +\x1b\[31mFAILED +\x1b\[0m +\d+\.\d s /m);
  assert.match(coloured, /^INSTALL +\x1b\[32mSUCCEEDED/m);
  assert.match(coloured, /\x1b\[31mBuild FAILED\x1b\[0m$/m);
  assert.doesNotMatch(await onTerminal({ NO_COLOR: '1' }), /\x1b/);
});
