/**
 * From StartBuild to the first command of a build, and from a line that a command writes to the line read from CloudWatch Logs. The peer is
 * what cannot be avoided: a plain spawn of the same command.
 *
 *     node_modules/.bin/node bench/codebuild.ts [rounds] [process|sandbox]
 *
 * Both are told by the command's own clock (`date +%s%N`), so they hold the shell's start too. Medians and the slowest of the rounds.
 */
import { execFile } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { buildBench, commands } from '../test/support/codebuild.ts';
import { startServer } from '../test/support/server.ts';
import { median, ms, type Section, toMarkdown, verdict } from './support/section.ts';

const FIRST_COMMAND_BUDGET_MS = 150;
const LOG_BUDGET_MS = 200;
const QUIET_MS = 400;
const run = promisify(execFile);

export async function benchCodeBuild(rounds: number, machines: string): Promise<Section> {
  await using server = await startServer({ args: ['--machines', machines] });
  const bench = await buildBench(server);
  // The second line comes once the first is long written, so that its way to the reader is measured and not the build's start.
  await bench.project('bench', commands('echo "first $(date +%s%N)"', 'sleep 0.5; echo "line $(date +%s%N)"; sleep 1'));
  const first: number[] = [];
  const line: number[] = [];
  const spawned: number[] = [];
  for (let round = 0; round <= rounds; round += 1) {
    const plain = Date.now();
    const { stdout } = await run('sh', ['-c', 'date +%s%N']);
    const started = Date.now();
    const { build } = await bench.codebuild.startBuild({ projectName: 'bench' });
    const [groupName, streamName] = ['/aws/codebuild/bench', build!.id!.split(':')[1]!];
    const seen = new Map<string, { written: number; read: number }>();
    // Reading beside the start would be measured with it.
    await delay(QUIET_MS);
    while (!seen.has('line')) {
      const events = await bench.logs
        .getLogEvents({ logGroupName: groupName, logStreamName: streamName, startFromHead: true })
        .then((page) => page.events ?? [])
        .catch(() => []);
      for (const { message = '' } of events) {
        const found = /^(first|line) (\d+)/.exec(message);
        if (found && !seen.has(found[1]!)) seen.set(found[1]!, { written: Number(BigInt(found[2]!) / 1_000_000n), read: Date.now() });
      }
      await delay(5);
    }
    await bench.wait(build!.id!);
    // The first round warms everything: code, role session, log group.
    if (round === 0) continue;
    spawned.push(Number(BigInt(stdout.trim()) / 1_000_000n) - plain);
    first.push(seen.get('first')!.written - started);
    line.push(seen.get('line')!.read - seen.get('line')!.written);
  }
  return {
    title: 'Builds',
    columns: ['what', 'plain spawn', 'Penstock, median', 'slowest', 'budget', ''],
    rows: [
      row(`StartBuild → first command, ${machines}`, first, FIRST_COMMAND_BUDGET_MS, median(spawned)),
      row('log line written → readable by GetLogEvents', line, LOG_BUDGET_MS, undefined),
    ],
    notes: [
      `${rounds} builds one after the other, by the command's own clock; the shell's start is in both figures. AWS needs 24 to 190 s.`,
      'Limit: a dozen short transactions (queue, claim, phases, log stream), the machine, and the runner in it; for log lines the writer, which gathers output for a moment.',
    ],
  };
}

function row(what: string, values: number[], budgetMs: number, peerMs: number | undefined): string[] {
  const middle = median(values);
  return [
    what,
    peerMs === undefined ? '' : ms(peerMs, 0),
    ms(middle, 0),
    ms(Math.max(...values), 0),
    `< ${budgetMs} ms`,
    verdict(middle < budgetMs),
  ];
}

if (import.meta.main) console.log(toMarkdown(await benchCodeBuild(Number(process.argv[2] ?? 10), process.argv[3] ?? 'sandbox')));
