/** Follows one push through the pipeline, approves it, and says what happens while it happens. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Penstock } from '../../compose.ts';
import type { ShapeOf } from '../../platform/service.ts';
import { type Instance, versionAt } from './instances.ts';
import { NAME } from './names.ts';

type StageState = ShapeOf<'codepipeline', 'StageState'>;

const LOOK_MS = 150;
const START_MS = 30_000;

export class ReleaseError extends Error {
  override readonly name = 'ReleaseError';
}

/** The commit that main is at in the repository; undefined before the first push. */
export async function pushedCommit({ clients }: Penstock): Promise<string | undefined> {
  try {
    return (await clients.codecommit.getBranch({ repositoryName: NAME, branchName: 'main' })).branch!.commitId;
  } catch (error) {
    if ((error as { code?: string }).code === 'BranchDoesNotExistException') return undefined;
    throw error;
  }
}

/** A release of what was pushed before: a push that changes nothing starts nothing. */
export async function releaseAgain({ clients }: Penstock): Promise<string> {
  return (await clients.codepipeline.startPipelineExecution({ name: NAME })).pipelineExecutionId!;
}

/** The execution that the push of this commit started. */
export async function executionOf({ clients }: Penstock, commit: string): Promise<string> {
  const deadline = Date.now() + START_MS;
  while (Date.now() < deadline) {
    const { pipelineExecutionSummaries = [] } = await clients.codepipeline.listPipelineExecutions({ pipelineName: NAME, maxResults: 10 });
    const found = pipelineExecutionSummaries.find((summary) => summary.sourceRevisions?.some(({ revisionId }) => revisionId === commit));
    if (found) return found.pipelineExecutionId!;
    await delay(LOOK_MS);
  }
  throw new ReleaseError(`The push of ${commit.slice(0, 8)} started no execution of the pipeline within ${START_MS / 1000} seconds.`);
}

/** Resolves when the stage has succeeded for this execution; `tell` hears what its action does. */
export async function stageDone(penstock: Penstock, execution: string, stageName: string, tell: (text: string) => void): Promise<void> {
  const { codepipeline } = penstock.clients;
  for (let told = ''; ; await delay(LOOK_MS)) {
    const { stageStates = [] } = await codepipeline.getPipelineState({ name: NAME });
    const stage = stageStates.find((state) => state.stageName === stageName)!;
    const mine = stage.latestExecution?.pipelineExecutionId === execution ? stage : undefined;
    const text = mine ? describe(mine) : 'waiting';
    if (text !== told) tell(text);
    told = text;
    if (mine?.latestExecution?.status === 'Succeeded') return;
    if (mine && mine.latestExecution?.status !== 'InProgress') throw new ReleaseError(await whyFailed(penstock, mine));
    await requireRunning(penstock, execution);
  }
}

async function requireRunning({ clients }: Penstock, pipelineExecutionId: string): Promise<void> {
  const { pipelineExecution } = await clients.codepipeline.getPipelineExecution({ pipelineName: NAME, pipelineExecutionId });
  const { status } = pipelineExecution!;
  if (status === 'Superseded' || status === 'Stopped' || status === 'Cancelled') {
    throw new ReleaseError(`The execution ${pipelineExecutionId} ended as ${status}: ${pipelineExecution!.statusSummary ?? ''}`);
  }
}

function describe({ actionStates = [], latestExecution }: StageState): string {
  const actions = actionStates.map(({ actionName, latestExecution: run }) => {
    const summary = run?.summary?.split('\n')[0];
    return `${actionName} ${run?.status ?? 'waiting'}${summary ? ` (${summary})` : ''}`;
  });
  return actions.join(', ') || (latestExecution?.status ?? '');
}

async function whyFailed({ clients }: Penstock, { stageName, actionStates = [] }: StageState): Promise<string> {
  const failed = actionStates.find(({ latestExecution }) => latestExecution?.status === 'Failed');
  const { externalExecutionId, errorDetails } = failed?.latestExecution ?? {};
  const reason = `Stage ${stageName} failed: ${errorDetails?.message ?? 'no reason was given'}`;
  if (stageName !== 'Build' || !externalExecutionId) return reason;
  return `${reason}\n${await lastLines(clients, externalExecutionId)}`;
}

async function lastLines(clients: Penstock['clients'], build: string): Promise<string> {
  const [project, id] = build.split(':') as [string, string];
  const { events = [] } = await clients.logs.getLogEvents({ logGroupName: `/aws/codebuild/${project}`, logStreamName: id, limit: 25 });
  return events.map(({ message }) => `    ${message?.trimEnd()}`).join('\n');
}

/** Says yes, as a person would by the console or the CLI; until `done`, since somebody else may be faster. */
export async function approve({ clients }: Penstock, execution: string, done: AbortSignal): Promise<void> {
  while (!done.aborted) {
    const { stageStates = [] } = await clients.codepipeline.getPipelineState({ name: NAME });
    const stage = stageStates.find(({ stageName }) => stageName === 'Approval')!;
    const run = stage.actionStates?.[0]?.latestExecution;
    if (stage.latestExecution?.pipelineExecutionId === execution && run?.token) {
      await clients.codepipeline.putApprovalResult({
        pipelineName: NAME,
        stageName: 'Approval',
        actionName: 'Release',
        token: run.token,
        result: { status: 'Approved', summary: 'Approved by penstock demo' },
      });
      return;
    }
    await delay(LOOK_MS);
  }
}

/** Asks the application itself: only what it answers counts. */
export async function requireServing(instance: Instance, commit: string): Promise<string> {
  const answer = await versionAt(instance.url);
  if (!answer) throw new ReleaseError(`Instance ${instance.name} does not answer at ${instance.url}.`);
  if (answer.commit !== commit) {
    throw new ReleaseError(`Instance ${instance.name} serves commit ${answer.commit}, not ${commit} which was pushed.`);
  }
  return `${instance.url} serves version ${answer.version}, commit ${commit.slice(0, 8)}`;
}
