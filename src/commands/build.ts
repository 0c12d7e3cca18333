/** `penstock build`: runs a folder's buildspec here and now, with no server. */
import { existsSync, statSync } from 'node:fs';
import path from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import type { EndedPhase } from '../devtools/codebuild/local/local-world.ts';
import { runLocalBuild } from '../devtools/codebuild/local/run-local.ts';
import type { ParsedReport } from '../devtools/codebuild/reports/parsed-report.ts';
import type { LogSink } from '../devtools/codebuild/runner/log.ts';
import { BuildInterrupt } from '../devtools/codebuild/runner/outcome.ts';
import { ConfigError } from '../platform/config.ts';
import { createMachines } from '../ports/machines/index.ts';

interface BuildOptions {
  buildspec?: string;
  env: { name: string; value: string }[];
  artifacts?: string;
  image?: string;
  machines?: 'auto' | 'process' | 'sandbox' | 'docker';
}

/** As shells tell of a program that SIGINT ended. */
const INTERRUPTED = 130;

export function buildCommand(): Command {
  return new Command('build')
    .description("run a folder's buildspec, without a server; its exit status is the build's")
    .argument('[dir]', 'the source; the build works on a copy', '.')
    .option('--buildspec <file>', 'relative to the source (default: buildspec.yml)')
    .option('-e, --env <name=value>', "a variable, which stands before the buildspec's; may be repeated", addVariable, [])
    .option('--artifacts <dir>', 'where the artifacts go; without it they are not collected')
    .option('--image <name>', 'build in a container of this image, by Docker or Podman (DOCKER_HOST)')
    .addOption(
      new Option('--machines <kind>', 'what isolates the commands (default: docker with --image, else auto)').choices([
        'auto',
        'process',
        'sandbox',
        'docker',
      ]),
    )
    .addHelpText(
      'after',
      '\nExamples:\n  penstock build\n  penstock build app --buildspec ci/test.yml -e STAGE=dev --artifacts out\n  penstock build --image public.ecr.aws/docker/library/node:24',
    )
    .action((dir: string, options: BuildOptions) => build(dir, options));
}

function addVariable(text: string, before: BuildOptions['env']): BuildOptions['env'] {
  const [, name, value] = /^([A-Za-z_][A-Za-z0-9_]*)=(.*)$/s.exec(text) ?? [];
  if (name === undefined) throw new InvalidArgumentError('A variable is written NAME=VALUE.');
  return [...before, { name, value: value! }];
}

async function build(dir: string, options: BuildOptions): Promise<void> {
  const source = path.resolve(dir);
  if (!existsSync(source) || !statSync(source).isDirectory()) throw new ConfigError(`There is no folder ${source} to build.`);
  const kind = options.machines ?? (options.image === undefined ? 'auto' : 'docker');
  if ((kind === 'docker') !== (options.image !== undefined)) throw new ConfigError('--image and --machines docker belong together.');
  const stopping = new AbortController();
  const stop = () => stopping.abort(new BuildInterrupt('STOPPED'));
  process.once('SIGINT', stop).once('SIGTERM', stop);
  const ended: EndedPhase[] = [];
  const reports: string[] = [];
  const { status } = await runLocalBuild({
    source,
    artifacts: options.artifacts === undefined ? undefined : path.resolve(options.artifacts),
    buildspec: options.buildspec,
    variables: options.env,
    image: options.image,
    imageMap: process.env.PENSTOCK_IMAGE_MAP || '',
    machines: (dataDir) => createMachines({ kind, dataDir, log: { warn: (_, message) => process.stderr.write(`${message}\n`) } }),
    onLog: show,
    onPhase: (phase) => ended.push(phase),
    onReport: (group, report) => reports.push(`${reportLines(group, report)}\n`),
    signal: stopping.signal,
  });
  process.stdout.write(
    `\n${ended.map(phaseLine).join('')}${reports.join('')}${paint(status === 'SUCCEEDED' ? GREEN : RED, `Build ${status}`)}\n`,
  );
  process.exitCode = stopping.signal.aborted ? INTERRUPTED : Number(status !== 'SUCCEEDED');
}

/** On a terminal the runner's own lines step back behind what the commands say; piped, the log is as CodeBuild writes it. */
const show: LogSink = async (events) => {
  const text = events.map(({ message }) => (message.startsWith('[Container] ') ? `${paint(DIM, message.trimEnd())}\n` : message)).join('');
  if (!process.stdout.write(text)) await new Promise((resolve) => process.stdout.once('drain', resolve));
};

function phaseLine({ phase, outcome, duration }: EndedPhase): string {
  const colour = outcome.status === 'SUCCEEDED' ? GREEN : RED;
  const [context] = outcome.contexts;
  const reason = context?.message ? `  ${context.statusCode}: ${context.message}` : '';
  return `${phase.padEnd(18)}${paint(colour, outcome.status.padEnd(11))}${(duration / 1000).toFixed(1).padStart(7)} s${reason}\n`;
}

/** What the tests came to, with those that failed, or how much they covered. */
function reportLines(group: string, { type, cases, statusCounts, coverage }: ParsedReport): string {
  if (type === 'CODE_COVERAGE') {
    const covered = coverage.reduce((sum, file) => sum + file.linesCovered, 0);
    const lines = coverage.reduce((sum, file) => sum + file.linesCovered + file.linesMissed, 0);
    return `${group}: ${covered} of ${lines} lines covered in ${coverage.length} files`;
  }
  const counts = Object.entries(statusCounts).filter(([, count]) => count > 0);
  const told = counts.map(([status, count]) => `${count} ${status.toLowerCase()}`).join(', ') || 'no tests';
  const failed = cases.filter(({ status }) => status === 'FAILED' || status === 'ERROR');
  const shown = failed.slice(0, SHOWN_FAILURES).map(({ prefix, name, message }) => {
    const [first = ''] = message.split('\n', 1);
    return `\n  ${paint(RED, [prefix, name].filter(Boolean).join(' '))}  ${first}`;
  });
  const more = failed.length > shown.length ? `\n  and ${failed.length - shown.length} more` : '';
  return `${group}: ${told}${shown.join('')}${more}`;
}

const SHOWN_FAILURES = 10;
const DIM = 2;
const RED = 31;
const GREEN = 32;

function paint(code: number, text: string): string {
  const coloured = process.stdout.isTTY && !process.env.NO_COLOR;
  return coloured ? `\x1b[${code}m${text}\x1b[0m` : text;
}
