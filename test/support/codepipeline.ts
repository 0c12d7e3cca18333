/** What tests and benches of CodePipeline share: roles and a bucket, pipelines in few words, and waiting for what executions do. */
import { setTimeout as delay } from 'node:timers/promises';
import { CodeBuild, type CreateProjectCommandInput } from '@aws-sdk/client-codebuild';
import { CodeCommit } from '@aws-sdk/client-codecommit';
import {
  type ActionDeclaration,
  type ActionExecutionDetail,
  type ActionState,
  CodePipeline,
  type PipelineDeclaration,
  type PipelineExecution,
  type StageDeclaration,
  type StageState,
} from '@aws-sdk/client-codepipeline';
import { IAM } from '@aws-sdk/client-iam';
import { S3 } from '@aws-sdk/client-s3';
import { allow, trust } from './codebuild.ts';
import type { TestServer } from './server.ts';

const DEADLINE_MS = 60_000;
const ENDED = ['Succeeded', 'Failed', 'Stopped', 'Superseded', 'Cancelled'];

/** `Category/Provider`, configuration, and the rest of the declaration. */
export function action(
  name: string,
  type: string,
  configuration: Record<string, string>,
  more: Partial<ActionDeclaration> = {},
): ActionDeclaration {
  const [category, provider] = type.split('/') as ['Source', string];
  return { name, actionTypeId: { category, owner: 'AWS', provider, version: '1' }, configuration, ...more };
}

export function stage(name: string, ...actions: ActionDeclaration[]): StageDeclaration {
  return { name, actions };
}

export const approval = (name: string, more: Partial<ActionDeclaration> = {}): ActionDeclaration =>
  action(name, 'Approval/Manual', {}, more);

export class Pipelines {
  readonly codepipeline: CodePipeline;
  readonly codecommit: CodeCommit;
  readonly codebuild: CodeBuild;
  readonly s3: S3;
  readonly iam: IAM;
  /** Versioned; the artifact store, and the source of S3 sources. */
  readonly bucket = 'pipeline-artifacts';
  /** May do everything; CodePipeline, CodeBuild, CodeDeploy and EventBridge may assume it. */
  role = '';
  readonly #region: string;

  private constructor(server: TestServer) {
    this.codepipeline = new CodePipeline(server.client);
    this.codecommit = new CodeCommit(server.client);
    this.codebuild = new CodeBuild(server.client);
    this.s3 = new S3(server.client);
    this.iam = new IAM(server.client);
    this.#region = server.region;
  }

  static async open(server: TestServer): Promise<Pipelines> {
    const pipelines = new Pipelines(server);
    pipelines.role = await pipelines.makeRole('pipelines', allow('*'), ['codepipeline', 'codebuild', 'codedeploy', 'events']);
    const elsewhere = { CreateBucketConfiguration: { LocationConstraint: pipelines.#region as 'eu-west-1' } };
    await pipelines.s3.createBucket({ Bucket: pipelines.bucket, ...(pipelines.#region === 'us-east-1' ? {} : elsewhere) });
    await pipelines.s3.putBucketVersioning({ Bucket: pipelines.bucket, VersioningConfiguration: { Status: 'Enabled' } });
    return pipelines;
  }

  async makeRole(name: string, policy: string, services: string[]): Promise<string> {
    const statements = services.flatMap((service) => JSON.parse(trust(`${service}.amazonaws.com`)).Statement);
    const AssumeRolePolicyDocument = JSON.stringify({ Version: '2012-10-17', Statement: statements });
    const { Role } = await this.iam.createRole({ RoleName: name, AssumeRolePolicyDocument });
    await this.iam.putRolePolicy({ RoleName: name, PolicyName: 'allowed', PolicyDocument: policy });
    return Role!.Arn!;
  }

  /** A repository with one commit on main. */
  async repository(repositoryName: string, files: Record<string, string> = { 'a.txt': 'one' }): Promise<void> {
    await this.codecommit.createRepository({ repositoryName });
    await this.commit(repositoryName, files);
  }

  async commit(repositoryName: string, files: Record<string, string>): Promise<string> {
    const parent = await this.codecommit.getBranch({ repositoryName, branchName: 'main' }).catch(() => undefined);
    const { commitId } = await this.codecommit.createCommit({
      repositoryName,
      branchName: 'main',
      parentCommitId: parent?.branch?.commitId,
      commitMessage: 'Change',
      putFiles: Object.entries(files).map(([filePath, text]) => ({ filePath, fileContent: Buffer.from(text) })),
    });
    return commitId!;
  }

  /** A project that builds what its pipeline gives it by this buildspec. */
  async project(name: string, buildspec: string, more: Partial<CreateProjectCommandInput> = {}): Promise<void> {
    await this.codebuild.createProject({
      name,
      source: { type: 'CODEPIPELINE', buildspec },
      artifacts: { type: 'CODEPIPELINE' },
      environment: { type: 'LINUX_CONTAINER', image: 'aws/codebuild/standard:7.0', computeType: 'BUILD_GENERAL1_SMALL' },
      serviceRole: this.role,
      ...more,
    });
  }

  source(repository: string, more: Record<string, string> = {}): ActionDeclaration {
    const configuration = { RepositoryName: repository, BranchName: 'main', ...more };
    return action('Repository', 'Source/CodeCommit', configuration, { namespace: 'Source', outputArtifacts: [{ name: 'Source' }] });
  }

  s3Source(S3ObjectKey: string, more: Record<string, string> = {}): ActionDeclaration {
    const configuration = { S3Bucket: this.bucket, S3ObjectKey, ...more };
    return action('Object', 'Source/S3', configuration, { namespace: 'Source', outputArtifacts: [{ name: 'Source' }] });
  }

  declaration(name: string, stages: StageDeclaration[], more: Partial<PipelineDeclaration> = {}): PipelineDeclaration {
    return { name, roleArn: this.role, pipelineType: 'V2', artifactStore: { type: 'S3', location: this.bucket }, stages, ...more };
  }

  /** Makes it; the id of the execution that this starts. */
  async create(name: string, stages: StageDeclaration[], more: Partial<PipelineDeclaration> = {}): Promise<string> {
    await this.codepipeline.createPipeline({ pipeline: this.declaration(name, stages, more) });
    return (await this.executions(name))[0]!;
  }

  /** Ids, the newest first. */
  async executions(pipelineName: string): Promise<string[]> {
    const { pipelineExecutionSummaries = [] } = await this.codepipeline.listPipelineExecutions({ pipelineName });
    return pipelineExecutionSummaries.map(({ pipelineExecutionId }) => pipelineExecutionId!);
  }

  async start(name: string, more: object = {}): Promise<string> {
    return (await this.codepipeline.startPipelineExecution({ name, ...more })).pipelineExecutionId!;
  }

  async execution(pipelineName: string, pipelineExecutionId: string): Promise<PipelineExecution> {
    return (await this.codepipeline.getPipelineExecution({ pipelineName, pipelineExecutionId })).pipelineExecution!;
  }

  /** Waits for the end of an execution; fails when it is another than `wanted`. */
  async ended(pipelineName: string, id: string, wanted = 'Succeeded'): Promise<PipelineExecution> {
    const execution = await this.until(
      async () => {
        const now = await this.execution(pipelineName, id);
        return ENDED.includes(now.status!) ? now : undefined;
      },
      () => this.story(pipelineName, id),
    );
    if (execution.status !== wanted) throw new Error(`${id} ended as ${execution.status}:\n${await this.story(pipelineName, id)}`);
    return execution;
  }

  /** Waits until another execution than these is there. */
  newExecution(pipelineName: string, known: string[]): Promise<string> {
    return this.until(async () => (await this.executions(pipelineName)).find((id) => !known.includes(id)));
  }

  async stageState(name: string, stageName: string): Promise<StageState> {
    const { stageStates = [] } = await this.codepipeline.getPipelineState({ name });
    return stageStates.find((state) => state.stageName === stageName)!;
  }

  /** Waits until the approval of this stage waits for an answer in this execution. */
  waiting(name: string, stageName: string, id: string): Promise<ActionState> {
    return this.until(
      async () => {
        const state = await this.stageState(name, stageName);
        if (state.latestExecution?.pipelineExecutionId !== id) return undefined;
        return state.actionStates?.find(({ latestExecution }) => latestExecution?.token);
      },
      () => this.story(name, id),
    );
  }

  async answer(
    pipelineName: string,
    stageName: string,
    id: string,
    status: 'Approved' | 'Rejected' = 'Approved',
    summary = 'so be it',
  ): Promise<void> {
    const state = await this.waiting(pipelineName, stageName, id);
    const token = state.latestExecution!.token!;
    await this.codepipeline.putApprovalResult({
      pipelineName,
      stageName,
      actionName: state.actionName!,
      token,
      result: { status, summary },
    });
  }

  /** Every action run of an execution, the oldest first. */
  async runs(pipelineName: string, pipelineExecutionId?: string): Promise<ActionExecutionDetail[]> {
    const filter = pipelineExecutionId ? { pipelineExecutionId } : undefined;
    const { actionExecutionDetails = [] } = await this.codepipeline.listActionExecutions({ pipelineName, filter });
    return actionExecutionDetails.reverse();
  }

  async runOf(pipelineName: string, pipelineExecutionId: string, actionName: string): Promise<ActionExecutionDetail> {
    return (await this.runs(pipelineName, pipelineExecutionId)).findLast((run) => run.actionName === actionName)!;
  }

  /** `Build Succeeded`, one line a run. */
  async story(pipelineName: string, id: string): Promise<string> {
    const runs = await this.runs(pipelineName, id);
    return runs
      .map((run) => [run.actionName, run.status, run.output?.executionResult?.errorDetails?.message].filter(Boolean).join(' '))
      .join('\n');
  }

  async until<T>(look: () => Promise<T | undefined | false>, tell: () => Promise<string> = async () => ''): Promise<T> {
    const deadline = Date.now() + DEADLINE_MS;
    for (let pause = 10; Date.now() < deadline; pause = Math.min(pause * 1.3, 150)) {
      const found = await look();
      if (found) return found;
      await delay(pause);
    }
    throw new Error(`It did not happen within ${DEADLINE_MS / 1000} s.\n${await tell()}`);
  }
}
