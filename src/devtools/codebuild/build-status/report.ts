/** The status of a build told to the git provider that its commit is from: what the row says when the job runs, so that none overtakes a later one. */
import type { Platform, Transaction } from '../../../platform/platform.ts';
import type { JobHandler } from '../../../platform/service.ts';
import { buildVariables } from '../engine/environment.ts';
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

/** In the transaction that changes the status. */
export async function reportStatus(tx: Transaction, row: BuildRow): Promise<void> {
  if (!isReported(row)) return;
  const key = `${REPORT_STATUS}:${row.id}`;
  await tx.enqueue(REPORT_STATUS, { build: row.id }, { key, queue: key });
}

/** Builds that a webhook started are always reported. Those of a batch are parts of it, and what is reported is the batch. */
function isReported({ definition, webhook, batch }: BuildRow): boolean {
  return isServerType(definition.source?.type) && batch === null && (definition.source?.reportBuildStatus === true || webhook !== null);
}

export const reportStatusJob: JobHandler = async (platform, { build }: { build: string }) => {
  const row = await platform.read.selectFrom('codebuild.builds').selectAll().where('id', '=', build).executeTakeFirst();
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
      key: `${row.account}:${row.region}:${row.project}`,
      ...namesOf(platform, row),
      description: `Build ${VERBS[row.status]} for project ${row.project}`.slice(0, MAX_DESCRIPTION),
    });
  } catch (error) {
    if (error instanceof ProviderError && error.transient) throw error;
    if (!(error instanceof ProviderError || error instanceof BadLocation || error instanceof CredentialError)) throw error;
    platform.log.warn({ build, reason: error.message }, 'the status of a build could not be reported to its git provider');
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

function commitOf(row: BuildRow): string | undefined {
  const told = row.resolved_source_version ?? row.webhook?.commit ?? row.definition.sourceVersion ?? '';
  return /(?:^|\^\{)([0-9a-f]{40}|[0-9a-f]{64})\}?$/.exec(told)?.[1];
}

/** Both may have variables of the build and of the project in them. */
function namesOf(platform: Platform, row: BuildRow): { context: string; targetUrl: string | undefined } {
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
  const usual = `AWS CodeBuild ${row.region} (${row.project})`;
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
