/**
 * CodePipeline's budgets: from a push to the source action, and three stages that have next to nothing to do.
 *
 *     node_modules/.bin/node bench/codepipeline.ts [rounds]
 */
import { commands } from '../test/support/codebuild.ts';
import { action, Pipelines, stage } from '../test/support/codepipeline.ts';
import { startServer } from '../test/support/server.ts';
import { median, ms, percentile, type Section, toMarkdown, verdict } from './support/section.ts';

const SOURCE_BUDGET_MS = 300;
const STAGES_BUDGET_MS = 2_000;

interface Times {
  /** From before the commit's call to the start of the source action, by the record. */
  toSource: number[];
  /** From the end of the source action to the end of the execution. */
  stages: number[];
}

async function measure(pipelines: Pipelines, name: string, rounds: number): Promise<Times> {
  const times: Times = { toSource: [], stages: [] };
  const known = await pipelines.executions(name);
  for (const id of known) await pipelines.ended(name, id);
  for (let round = 0; round < rounds; round++) {
    const begin = Date.now();
    await pipelines.commit(name, { 'a.txt': `round ${round}` });
    const id = await pipelines.newExecution(name, known);
    known.push(id);
    await pipelines.ended(name, id);
    const [source, ...others] = await pipelines.runs(name, id);
    times.toSource.push(source!.startTime!.getTime() - begin);
    times.stages.push(others.at(-1)!.lastUpdateTime!.getTime() - source!.lastUpdateTime!.getTime());
  }
  return times;
}

/** Wall-clock times with a resolution of one millisecond, as the service records them. */
export async function benchCodePipeline(rounds: number): Promise<Section> {
  await using server = await startServer();
  const pipelines = await Pipelines.open(server);
  const input = { inputArtifacts: [{ name: 'Source' }] };
  const deploy = (number: number) =>
    action('Copy', 'Deploy/S3', { BucketName: pipelines.bucket, Extract: 'false', ObjectKey: `out/${number}` }, input);
  await pipelines.repository('copies');
  await pipelines.create('copies', [stage('Source', pipelines.source('copies')), ...[1, 2, 3].map((n) => stage(`S${n}`, deploy(n)))]);
  const copies = await measure(pipelines, 'copies', rounds);
  await pipelines.repository('builds');
  await pipelines.project('nothing', commands('true'));
  const build = action('Build', 'Build/CodeBuild', { ProjectName: 'nothing' }, input);
  await pipelines.create('builds', [stage('Source', pipelines.source('builds')), ...[1, 2, 3].map((n) => stage(`S${n}`, build))]);
  const builds = await measure(pipelines, 'builds', rounds);
  const toSource = [...copies.toSource, ...builds.toSource];
  return {
    title: 'Pipelines',
    columns: ['what', 'Penstock, median', 'p95', 'budget', ''],
    rows: [
      row('push → source action started', toSource, SOURCE_BUDGET_MS),
      row('three stages, each one S3 object', copies.stages, STAGES_BUDGET_MS),
      row('three stages, each one build of `true`', builds.stages, STAGES_BUDGET_MS),
    ],
    notes: [
      `${rounds} executions of each pipeline, by the times of their record; Tekton needs 5 to 6 s for a step.`,
      'Limit: each step of an action is a job of its own (claim, transaction, wake-up), and artifacts go through S3; a build adds its machine.',
    ],
  };
}

function row(what: string, times: number[], budgetMs: number): string[] {
  const p95 = percentile(times, 0.95);
  return [what, ms(median(times), 0), ms(p95, 0), `< ${budgetMs} ms`, verdict(p95 < budgetMs)];
}

if (import.meta.main) console.log(toMarkdown(await benchCodePipeline(Number(process.argv[2] ?? 15))));
