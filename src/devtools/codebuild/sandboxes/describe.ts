/** Ids of sandboxes, and their rows as the API shows them. */
import type { ShapeOf } from '../../../platform/service.ts';
import { describeLogs, describePhase } from '../describe.ts';
import type { Place } from '../names.ts';
import type { Work } from '../tables.ts';
import type { CommandRow, SandboxRow } from './tables.ts';

/** `project:uuid` */
export function sandboxId({ project, id }: Pick<SandboxRow, 'project' | 'id'>): string {
  return `${project}:${id}`;
}

export function sandboxArn(row: Pick<SandboxRow, 'account' | 'region' | 'project' | 'id'>): string {
  return `arn:aws:codebuild:${row.region}:${row.account}:sandbox/${sandboxId(row)}`;
}

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

export function isUuid(text: string): boolean {
  return UUID.test(text);
}

/** The parts of a sandbox's id or ARN; undefined when it is neither, or of another account or region. */
export function parseSandboxId({ account, region }: Place, given: string): { project: string; id: string } | undefined {
  const prefix = `arn:aws:codebuild:${region}:${account}:sandbox/`;
  const [project, id, ...rest] = (given.startsWith(prefix) ? given.slice(prefix.length) : given).split(':');
  return project && id && rest.length === 0 && isUuid(id) ? { project, id } : undefined;
}

/** What its machine, sources and log are made for: logs are those of the session. */
export function workOf(row: SandboxRow): Work {
  const { account, region, project, project_id, session, machine, definition } = row;
  return { id: session, account, region, project, project_id, machine, definition };
}

export function describeSandbox(row: SandboxRow): ShapeOf<'codebuild', 'Sandbox'> {
  const { definition: all } = row;
  const status = statusOf(row);
  return {
    id: sandboxId(row),
    arn: sandboxArn(row),
    projectName: row.project,
    requestTime: row.requested_at,
    startTime: row.started_at ?? undefined,
    endTime: row.ended_at ?? undefined,
    status,
    source: all.source,
    sourceVersion: all.sourceVersion,
    secondarySources: all.secondarySources,
    secondarySourceVersions: all.secondarySourceVersions,
    environment: all.environment,
    timeoutInMinutes: all.timeoutInMinutes,
    queuedTimeoutInMinutes: all.queuedTimeoutInMinutes,
    logConfig: all.logsConfig,
    encryptionKey: all.encryptionKey,
    serviceRole: all.serviceRole,
    currentSession: {
      id: row.session,
      status,
      startTime: row.requested_at,
      endTime: row.ended_at ?? undefined,
      currentPhase: row.phases.at(-1)?.phaseType,
      phases: row.phases.map(describePhase),
      resolvedSourceVersion: row.resolved_source_version ?? undefined,
      logs: describeLogs(workOf(row), all.logsConfig),
    },
  };
}

/** While it lives its phase, as AWS shows it: RUN_SANDBOX is when it takes commands. */
function statusOf(row: SandboxRow): string | undefined {
  return row.end_status ?? (row.stop_requested_at ? 'STOPPING' : row.phases.at(-1)?.phaseType);
}

export function describeCommand(sandbox: SandboxRow, row: CommandRow): ShapeOf<'codebuild', 'CommandExecution'> {
  return {
    id: row.id,
    sandboxId: sandbox.id,
    sandboxArn: sandboxArn(sandbox),
    submitTime: row.submitted_at,
    startTime: row.started_at ?? undefined,
    endTime: row.ended_at ?? undefined,
    status: row.status,
    command: row.command,
    type: 'SHELL',
    exitCode: row.exit_code === null ? undefined : String(row.exit_code),
    standardOutputContent: row.stdout || undefined,
    standardErrContent: row.stderr || undefined,
    logs: describeLogs(workOf(sandbox), sandbox.definition.logsConfig),
  };
}
