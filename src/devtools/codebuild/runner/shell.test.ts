// biome-ignore-all lint/suspicious/noTemplateCurlyInString: shell, not JavaScript
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newMachine } from '../../../../test/support/machine.ts';
import type { Shell } from '../buildspec/buildspec.ts';
import { BuildShell, type CommandResult } from './shell.ts';

async function session(commands: string[], options: { shell?: Shell; keepState?: boolean } = {}) {
  const machine = await newMachine();
  let output = '';
  const abort = new AbortController();
  const shell = await BuildShell.open(
    {
      machine,
      directory: `${machine.workdir}/tmp`,
      source: machine.workdir,
      env: { GIVEN: 'from project' },
      shell: options.shell ?? 'bash',
      keepState: options.keepState ?? true,
      onOutput: (chunk) => {
        output += chunk.toString();
      },
      signal: abort.signal,
      graceMs: 100,
    },
    new Map(commands.map((text, index) => [`c${index}`, text])),
  );
  return { machine, shell, abort, output: () => output };
}

async function runAll(commands: string[], options: { shell?: Shell; keepState?: boolean } = {}) {
  const started = await session(commands, options);
  const results: (number | string)[] = [];
  for (const [index] of commands.entries()) results.push(brief(await started.shell.run(`c${index}`)));
  await started.shell.close();
  await started.machine.remove();
  return { results, output: started.output() };
}

function brief(result: CommandResult): number | string {
  return result.kind === 'exited' ? result.status : result.reason;
}

for (const shell of ['sh', 'bash'] as const) {
  test(`${shell}: variables, directory, unset and functions go from command to command`, async () => {
    const { results, output } = await runAll(
      [
        'A=1; export B="two\nlines \'q\' $x"',
        'mkdir -p sub && cd sub',
        'greet() { echo "hi $1"; }',
        'unset GIVEN',
        'echo "$A|$B|${PWD##*/}|${GIVEN-gone}"; greet you',
      ],
      { shell },
    );
    assert.deepEqual(results, [0, 0, 0, 0, 0]);
    assert.equal(output, "1|two\nlines 'q' |sub|gone\nhi you\n");
  });
}

test('version 0.1: every command starts anew', async () => {
  const { results, output } = await runAll(['A=1; export A; mkdir -p sub; cd sub', 'echo "${A-none} $GIVEN"; test -d sub'], {
    keepState: false,
  });
  assert.deepEqual(results, [0, 0]);
  assert.equal(output, 'none from project\n');
});

test('exit, exec, set -e, syntax errors, traps and reading of input end only their own command', async () => {
  const { results, output } = await runAll([
    'X=kept; exit 3',
    'echo $X; exec sh -c "exit 4"',
    'set -e; Y=early; false; echo never',
    'echo $Y',
    'echo "unclosed',
    'if true; then',
    'trap "echo trapped" EXIT; Z=z',
    'echo $Z; cat; read line; echo "read:$line"',
    'cat <<END\nhere $Z\nEND',
    'no-such-program-here',
    'set -u; echo "$undefined_thing"',
    'set -x\ntrue',
    'return 7',
    'echo last',
  ]);
  // A shell's status for a syntax error is its own affair, as long as it is not 0.
  const [unclosed, unfinished] = results.splice(4, 2);
  assert.ok(unclosed !== 0 && unfinished !== 0);
  assert.deepEqual(results, [3, 4, 1, 0, 0, 0, 0, 127, 1, 0, 7, 0]);
  assert.match(output, /^kept\nearly\n/);
  assert.match(output, /trapped\nz\nread:\nhere z\n/);
  assert.match(output, /\n\+\+? true\nlast\n$/, 'no trace of our own script');
  assert.doesNotMatch(output, /never/);
});

test('background jobs live on between commands and end with the build', async () => {
  const { machine, shell } = await session(['sleep 300 & echo $! >pid', 'kill -0 "$(cat pid)"']);
  assert.equal(brief(await shell.run('c0')), 0);
  assert.equal(brief(await shell.run('c1')), 0, 'the job still runs');
  await shell.close();
  await machine.remove();
});

test('a command that kills the shell fails, and the next one gets a new shell', async () => {
  const { results, output } = await runAll(['K=1', 'kill -9 $PPID; sleep 1', 'echo "$K $GIVEN"']);
  assert.equal(results[0], 0);
  assert.equal(results[1], 'signal: killed');
  assert.equal(results[2], 0);
  assert.match(output, /1 from project\n$/);
});

test('aborting ends the running command', async () => {
  const { machine, shell, abort } = await session(['echo started; sleep 300']);
  const running = shell.run('c0');
  abort.abort();
  assert.equal((await running).kind, 'lost');
  await shell.close();
  await machine.remove();
});

test('capture reads the state and leaves it alone, beside a noisy background job', async () => {
  const { machine, shell } = await session(['NAME=app-7; (while :; do echo noise; sleep 0.01; done) &', 'echo "[$LEAK]"']);
  await shell.run('c0');
  assert.equal(await shell.capture('LEAK=1; printf %s "$NAME-$(echo x)"'), 'app-7-x');
  assert.equal(await shell.capture('exit 1'), undefined);
  await shell.close();
  await machine.remove();
});

test('what is asked for at once is done one after the other', async () => {
  const { machine, shell } = await session(['A=1']);
  await shell.run('c0');
  const values = await Promise.all([1, 2, 3, 4].map((number) => shell.capture(`sleep 0.0$((5 - ${number})); echo $A-${number}`)));
  assert.deepEqual(values, ['1-1\n', '1-2\n', '1-3\n', '1-4\n']);
  await shell.close();
  await machine.remove();
});

test('a command cannot forge the end of itself', async () => {
  const { results } = await runAll(["printf '\\036aaaaaaaaaaaaaaaaaaaaaaaa 0\\036'; exit 9"]);
  assert.deepEqual(results, [9]);
});

test('large output and long scripts come through whole', async () => {
  const script = Array.from({ length: 2000 }, (_, index) => `echo line-${index}`).join('\n');
  const { results, output } = await runAll([script, 'head -c 3000000 /dev/zero | tr "\\0" x']);
  assert.deepEqual(results, [0, 0]);
  assert.equal(output.length, script.replaceAll('echo ', '').length + 1 + 3_000_000);
});
