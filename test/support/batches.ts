/** What the tests of batches share: projects that build in batches, batches run to their end, and what they say in few words. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Build, BuildBatch, StartBuildBatchCommandInput } from '@aws-sdk/client-codebuild';
import { allow, type BuildBench, commands, trust } from './codebuild.ts';

export interface BatchBench {
  /** Of a role that may start builds and no more. */
  buildBatchConfig: { serviceRole: string };
  /** A project without source, whose batch section and commands these are. */
  project(name: string, section: string, ...list: string[]): Promise<string>;
  /** Starts a batch and waits for its end. */
  run(projectName: string, more?: Omit<StartBuildBatchCommandInput, 'projectName'>): Promise<BuildBatch>;
  wait(id: string, until?: (batch: BuildBatch) => boolean): Promise<BuildBatch>;
  buildOf(batch: BuildBatch, identifier: string): Promise<Build>;
}

export async function batchBench(bench: BuildBench): Promise<BatchBench> {
  const { codebuild, iam } = bench;
  const { Role } = await iam.createRole({ RoleName: 'batches', AssumeRolePolicyDocument: trust('codebuild.amazonaws.com') });
  await iam.putRolePolicy({ RoleName: 'batches', PolicyName: 'start', PolicyDocument: allow('codebuild:StartBuild') });
  const buildBatchConfig = { serviceRole: Role!.Arn! };
  const batches: BatchBench = {
    buildBatchConfig,
    project: (name, section, ...list) => bench.project(name, batchspec(section, ...list), { buildBatchConfig }),
    async run(projectName, more = {}) {
      const { buildBatch } = await codebuild.startBuildBatch({ projectName, ...more });
      return batches.wait(buildBatch!.id!);
    },
    async wait(id, until = (batch) => batch.complete === true) {
      for (;;) {
        const { buildBatches } = await codebuild.batchGetBuildBatches({ ids: [id] });
        if (buildBatches?.[0] && until(buildBatches[0])) return buildBatches[0];
        await delay(20);
      }
    },
    async buildOf(batch, identifier) {
      const { builds } = await codebuild.batchGetBuilds({ ids: [groupOf(batch, identifier).currentBuildSummary!.arn!] });
      return builds![0]!;
    },
  };
  return batches;
}

/** A buildspec with this batch section (YAML without indentation) and these commands. */
export function batchspec(section: string, ...list: string[]): string {
  return commands(...list).replace('phases:', `batch:\n${section.trim().replaceAll(/^/gm, '  ')}\nphases:`);
}

/** `IN_PROGRESS FAILED` */
export function batchPhases(batch: BuildBatch): string[] {
  return batch.phases!.map(({ phaseType, phaseStatus }) => [phaseType, phaseStatus].filter(Boolean).join(' '));
}

/** `identifier STATUS` */
export function groupLines(batch: BuildBatch): string[] {
  return batch.buildGroups!.map((group) => `${group.identifier} ${group.currentBuildSummary!.buildStatus}`);
}

export function groupOf(batch: BuildBatch, identifier: string) {
  return batch.buildGroups!.find((group) => group.identifier === identifier)!;
}
