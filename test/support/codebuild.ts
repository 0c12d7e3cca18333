/** What the CodeBuild tests share: a role and a bucket, projects, and builds run to their end. */
import { setTimeout as delay } from 'node:timers/promises';
import { CloudWatchLogs } from '@aws-sdk/client-cloudwatch-logs';
import { type Build, CodeBuild, type CreateProjectCommandInput, type StartBuildCommandInput } from '@aws-sdk/client-codebuild';
import { IAM } from '@aws-sdk/client-iam';
import { S3 } from '@aws-sdk/client-s3';
import { ZipFile } from 'yazl';
import type { TestServer } from './server.ts';

export interface BuildBench {
  codebuild: CodeBuild;
  s3: S3;
  logs: CloudWatchLogs;
  iam: IAM;
  /** May do everything, and CodeBuild may assume it. */
  role: string;
  bucket: string;
  /** A project without source; `commands` are its build phase. */
  project(name: string, buildspec: string, more?: Partial<CreateProjectCommandInput>): Promise<string>;
  /** Starts a build and waits for its end. */
  build(projectName: string, more?: Omit<StartBuildCommandInput, 'projectName'>): Promise<Build>;
  wait(id: string, until?: (build: Build) => boolean): Promise<Build>;
  log(build: Build): Promise<string>;
}

export function trust(service: string): string {
  const statement = { Effect: 'Allow', Principal: { Service: service }, Action: 'sts:AssumeRole' };
  return JSON.stringify({ Version: '2012-10-17', Statement: [statement] });
}

export function allow(action: string | string[], resource = '*'): string {
  return JSON.stringify({ Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action: action, Resource: resource }] });
}

export async function buildBench(server: TestServer): Promise<BuildBench> {
  const codebuild = new CodeBuild(server.client);
  const s3 = new S3(server.client);
  const logs = new CloudWatchLogs(server.client);
  const iam = new IAM(server.client);
  const { Role } = await iam.createRole({ RoleName: 'builds', AssumeRolePolicyDocument: trust('codebuild.amazonaws.com') });
  await iam.putRolePolicy({ RoleName: 'builds', PolicyName: 'all', PolicyDocument: allow('*') });
  const role = Role!.Arn!;
  const bucket = 'build-bucket';
  await s3.createBucket({ Bucket: bucket });
  const bench: BuildBench = {
    codebuild,
    s3,
    logs,
    iam,
    role,
    bucket,
    async project(name, buildspec, more = {}) {
      await codebuild.createProject({
        name,
        source: { type: 'NO_SOURCE', buildspec },
        artifacts: { type: 'NO_ARTIFACTS' },
        environment: { type: 'LINUX_CONTAINER', image: 'aws/codebuild/standard:7.0', computeType: 'BUILD_GENERAL1_SMALL' },
        serviceRole: role,
        ...more,
      });
      return name;
    },
    async build(projectName, more = {}) {
      const { build } = await codebuild.startBuild({ projectName, ...more });
      return bench.wait(build!.id!);
    },
    async wait(id, until = (build) => build.buildComplete === true) {
      for (let pause = 10; ; pause = Math.min(pause * 1.5, 200)) {
        const { builds } = await codebuild.batchGetBuilds({ ids: [id] });
        if (builds?.[0] && until(builds[0])) return builds[0];
        await delay(pause);
      }
    },
    async log(build) {
      const { events } = await logs.getLogEvents({
        logGroupName: build.logs!.groupName!,
        logStreamName: build.logs!.streamName!,
        startFromHead: true,
      });
      return events!.map((event) => event.message).join('');
    },
  };
  return bench;
}

/** `version: 0.2` with these commands in the build phase. */
export function commands(...list: string[]): string {
  return `version: 0.2\nphases:\n  build:\n    commands:\n${list.map((text) => `      - ${JSON.stringify(text)}\n`).join('')}`;
}

/** Status and first context of each phase: `BUILD FAILED COMMAND_EXECUTION_ERROR: …`. */
export function phaseLines(build: Build): string[] {
  return (build.phases ?? []).map((phase) => {
    const context = phase.contexts?.[0];
    return [phase.phaseType, phase.phaseStatus, context?.statusCode && `${context.statusCode}: ${context.message}`]
      .filter(Boolean)
      .join(' ');
  });
}

/** Entries by name; a value that begins with `-> ` is a symbolic link. Names are written as they are, however hostile. */
export async function zipOf(entries: Record<string, string>): Promise<Buffer> {
  const zip = new ZipFile();
  const standIns = new Map<string, string>();
  for (const [name, text] of Object.entries(entries)) {
    // yazl refuses names that a zip should not have; a name of the same length takes their place until the end.
    const hostile = name.startsWith('/') || name.includes('..');
    const written = hostile ? name.replace(/[./]/g, '_') : name;
    if (hostile) standIns.set(written, name);
    const link = text.startsWith('-> ');
    zip.addBuffer(Buffer.from(link ? text.slice(3) : text), written, { mode: link ? 0o120777 : 0o100755 });
  }
  zip.end();
  const chunks: Buffer[] = [];
  for await (const chunk of zip.outputStream) chunks.push(chunk as Buffer);
  let bytes = Buffer.concat(chunks).toString('latin1');
  for (const [written, name] of standIns) bytes = bytes.replaceAll(written, name);
  return Buffer.from(bytes, 'latin1');
}
