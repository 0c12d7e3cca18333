/** The status of a build, or of a batch of builds, told to the git provider that its commit is from: what the row says when the job runs, so that none overtakes a later one. */
import type { Platform, Transaction } from '../../../platform/platform.ts';
import type { JobHandler } from '../../../platform/service.ts';
import type { BatchRow } from '../batches/tables.ts';
import { buildVariables, type ToldOf } from '../engine/environment.ts';
import { ProviderError } from '../providers/api.ts';
import { BadLocation, isServerType, remoteRepository } from '../providers/provider.ts';
import { postStatus } from '../providers/statuses.ts';
import { CredentialError, findCredential } from '../sources/find-credential.ts';
import { askerOf } from '../sources/git-provider.ts';
import type { BuildRow } from '../tables.ts';

export const REPORT_STATUS = 'codebuild.report-status';

/** GitHub's limit, in characters, of descriptions; also of what others show. */
const MAX_DESCRIPTION = 140;
const MAX_CONTEXT = 255;

/** A build, or a batch as a whole. */
type Reported = ToldOf & Pick<BuildRow, 'status' | 'resolved_source_version'>;

/** In the transaction that changes the status. */
export async function reportStatus(tx: Transaction, row: BuildRow): Promise<void> {
  if (!isReported(row)) return;
  const key = `${REPORT_STATUS}:${row.id}`;
  await tx.enqueue(REPORT_STATUS, { build: row.id }, { key, queue: key });
}

/** The same for a batch. Of REPORT_INDIVIDUAL_BUILDS its builds are told instead. */
export async function reportBatchStatus(tx: Transaction, row: BatchRow): Promise<void> {
  if (row.config.batchReportMode === 'REPORT_INDIVIDUAL_BUILDS' || !isWanted(row)) return;
  const key = `${REPORT_STATUS}:${row.id}`;
  await tx.enqueue(REPORT_STATUS, { batch: row.id }, { key, queue: key });
}

/** Builds of a batch are parts of it, and what is reported is the batch unless its mode says otherwise. */
function isReported(row: BuildRow): boolean {
  return isWanted(row) && (row.batch === null || row.batch_build?.reported === true);
}

/** What a webhook started is always reported. */
function isWanted({ definition, webhook }: Pick<BuildRow, 'definition' | 'webhook'>): boolean {
  return isServerType(definition.source?.type) && (definition.source?.reportBuildStatus === true || webhook !== null);
}

async function find(platform: Platform, { build, batch }: { build?: string; batch?: string }): Promise<Reported | undefined> {
  if (build !== undefined) return platform.read.selectFrom('codebuild.builds').selectAll().where('id', '=', build).executeTakeFirst();
  const row = await platform.read
    .selectFrom('codebuild.build_batches')
    .selectAll()
    .where('id', '=', batch ?? '')
    .executeTakeFirst();
  return row && { ...row, machine: null, batch_build: null };
}

export const reportStatusJob: JobHandler = async (platform, told: { build?: string; batch?: string }) => {
  const row = await find(platform, told);
  const commit = row && commitOf(row);
  const source = row?.definition.source;
  // Of a branch it is known only once it is fetched; then there is another job.
  if (!commit || !source) return;
  try {
    const remote = remoteRepository(platform.config, source);
    const credential = await findCredential(platform, askerOf(row), source, remote);
    if (!credential) throw new CredentialError('there is no credential');
    await postStatus(remote, credential, commit, {
      status: row.status,
      key: [row.account, row.region, row.project, row.batch_build?.identifier].filter(Boolean).join(':'),
      ...namesOf(platform, row),
      description: `${told.batch === undefined ? 'Build' : 'Build batch'} ${VERBS[row.status]} for project ${row.project}`.slice(
        0,
        MAX_DESCRIPTION,
      ),
    });
  } catch (error) {
    if (error instanceof ProviderError && error.transient) throw error;
    if (!(error instanceof ProviderError || error instanceof BadLocation || error instanceof CredentialError)) throw error;
    platform.log.warn({ ...told, reason: error.message }, 'the status of a build could not be reported to its git provider');
  }
};

const VERBS: Record<BuildRow['status'], string> = {
  IN_PROGRESS: 'started',
  SUCCEEDED: 'succeeded',
  FAILED: 'failed',
  FAULT: 'failed',
  TIMED_OUT: 'timed out',
  STOPPED: 'was stopped',
};

function commitOf(row: Reported): string | undefined {
  const told = row.resolved_source_version ?? row.webhook?.commit ?? row.definition.sourceVersion ?? '';
  return /(?:^|\^\{)([0-9a-f]{40}|[0-9a-f]{64})\}?$/.exec(told)?.[1];
}

/** Both may have variables of the build and of the project in them. */
function namesOf(platform: Platform, row: Reported): { context: string; targetUrl: string | undefined } {
  const { source, environment } = row.definition;
  const own = (environment?.environmentVariables ?? []).filter(({ type }) => type === undefined || type === 'PLAINTEXT');
  const values: Record<string, string> = {
    ...Object.fromEntries(own.map(({ name, value }) => [name, value])),
    AWS_REGION: row.region,
    AWS_DEFAULT_REGION: row.region,
    ...buildVariables(platform, row),
    CODEBUILD_RESOLVED_SOURCE_VERSION: row.resolved_source_version ?? '',
  };
  const { context, targetUrl } = source?.buildStatusConfig ?? {};
  const part = row.batch_build ? ` ${row.batch_build.identifier}` : '';
  const usual = `AWS CodeBuild ${row.region} (${row.project})${part}`;
  const url = targetUrl && filledIn(targetUrl, values);
  return {
    context: (context ? filledIn(context, values) : usual).slice(0, MAX_CONTEXT),
    targetUrl: url && /^https?:$/.test(URL.parse(url)?.protocol ?? '') ? url : undefined,
  };
}

function filledIn(text: string, values: Record<string, string>): string {
  return text.replace(/\$(?:\{(\w+)\}|(\w+))/g, (whole, braced, plain) => {
    const name = braced ?? plain;
    return Object.hasOwn(values, name) ? (values[name] ?? whole) : whole;
  });
}
