/** A delivery of a provider: who sent it, what it says, and the builds that it starts. An answer of 2xx means that they are queued. */
import { isUnstorable } from '../../../platform/database/unstorable.ts';
import { AwsError } from '../../../platform/errors.ts';
import type { Platform, Transaction } from '../../../platform/platform.ts';
import { queueBatch } from '../batches/queue-batch.ts';
import { checkProjectLimit, checkQueue } from '../engine/queue.ts';
import { requireFleet } from '../fleets/find.ts';
import { buildId } from '../names.ts';
import { mergeOverrides } from '../overrides.ts';
import { ProviderError } from '../providers/api.ts';
import { BadLocation, isServerType, type ServerType } from '../providers/provider.ts';
import { CredentialError } from '../sources/find-credential.ts';
import { lockProject, queueBuild } from '../start-build.ts';
import type { ProjectRow } from '../tables.ts';
import { APPROVAL_REQUIRED, approvedEvent, askForApproval, needsApproval } from './approval.ts';
import { BadPayload, type Headers, header, readDelivery, type WebhookEvent } from './event.ts';
import { passesFilters } from './filters.ts';
import { lookupsFor } from './lookups.ts';
import { remoteOf, secretsOf } from './rows.ts';
import { deliveryId, isAuthentic } from './signature.ts';
import type { WebhookOrigin, WebhookRow } from './tables.ts';

/** So long a provider may send the same delivery again. */
const REMEMBERED_MS = 7 * 86_400_000;
/** Characters. */
const MAX_VARIABLE = 4096;

export interface DeliveryAnswer {
  status: number;
  message: string;
}

export async function receiveDelivery(platform: Platform, row: WebhookRow, headers: Headers, body: Buffer): Promise<DeliveryAnswer> {
  const { type } = row.source;
  if (!isServerType(type)) return { status: 404, message: 'There is no such webhook.' };
  if (!secretsOf(platform, row).some((secret) => isAuthentic(type, headers, body, secret)))
    return { status: 403, message: 'The signature is not right.' };
  try {
    const delivery = readDelivery(type, headers, JSON.parse(payloadText(headers, body)));
    if ('ignored' in delivery) return { status: 200, message: delivery.ignored };
    const id = deliveryId(type, headers, body);
    if ('events' in delivery) return await startBuilds(platform, row, headers, id, delivery.events);
    const approved = await approvedEvent(platform, row, delivery.approval);
    if (typeof approved === 'string') return { status: 200, message: approved };
    return await startBuilds(platform, row, headers, id, [approved], true);
  } catch (error) {
    return refusal(error);
  }
}

function refusal(error: unknown): DeliveryAnswer {
  if (error instanceof SyntaxError) return { status: 400, message: 'The payload is not JSON.' };
  if (isUnstorable(error)) return { status: 400, message: 'The payload contains a character that is not supported.' };
  if (error instanceof BadPayload || error instanceof BadLocation) return { status: 400, message: error.message };
  // The provider shows it to its users, who may send the delivery again.
  if (error instanceof ProviderError || error instanceof CredentialError) return { status: 502, message: error.message };
  if (error instanceof AwsError) return { status: error.code === 'AccountLimitExceededException' ? 429 : 400, message: error.message };
  throw error;
}

/** GitHub's hooks that were made by hand may send a form. */
function payloadText(headers: Headers, body: Buffer): string {
  const text = body.toString('utf8');
  if (!header(headers, 'content-type').startsWith('application/x-www-form-urlencoded')) return text;
  return new URLSearchParams(text).get('payload') ?? '';
}

async function startBuilds(
  platform: Platform,
  row: WebhookRow,
  headers: Headers,
  delivery: string,
  events: WebhookEvent[],
  approved = false,
): Promise<DeliveryAnswer> {
  const known = await findAnswer(platform.read, row, delivery);
  if (known !== undefined) return { status: 200, message: known };
  const wanted: WebhookEvent[] = [];
  const unapproved: WebhookEvent[] = [];
  for (const event of events) {
    if (!isOurs(platform, row, event) || !(await passes(platform, row, event, approved))) continue;
    if (!approved && (await needsApproval(platform, row, event))) unapproved.push(event);
    else wanted.push(event);
  }
  const message = await platform.transaction(async (tx) => {
    const now = platform.now();
    await tx.sql
      .deleteFrom('codebuild.webhook_deliveries')
      .where('received_at', '<', new Date(now.getTime() - REMEMBERED_MS))
      .execute();
    // Locked, so that of the same delivery sent twice at once the second finds the answer to the first.
    const project = await lockProject(tx, row, row.project);
    const before = await findAnswer(tx.sql, row, delivery);
    if (before !== undefined) return before;
    const ids: string[] = [];
    for (const event of wanted)
      ids.push(await startOne(tx, platform, project, row, initiatorOf(row.source.type as ServerType, headers), event));
    for (const event of unapproved) await askForApproval(tx, row, event);
    const none = unapproved.length > 0 ? `${APPROVAL_REQUIRED}.` : 'The filters of the webhook let none of its events through.';
    const answer = ids.length > 0 ? `Started ${ids.join(', ')}` : none;
    await tx.sql.insertInto('codebuild.webhook_deliveries').values({ webhook: row.id, delivery, answer, received_at: now }).execute();
    return answer;
  });
  return { status: 200, message };
}

/** What was approved may have been waiting since the pull request was made. */
async function passes(platform: Platform, row: WebhookRow, event: WebhookEvent, approved: boolean): Promise<boolean> {
  const lookups = lookupsFor(platform, row, event);
  const types = approved ? (['PULL_REQUEST_UPDATED', 'PULL_REQUEST_CREATED', 'PULL_REQUEST_REOPENED'] as const) : [event.type];
  for (const type of types) if (await passesFilters(row.definition, { ...event, type }, lookups)) return true;
  return false;
}

async function findAnswer(read: Platform['read'] | Transaction['sql'], row: WebhookRow, delivery: string): Promise<string | undefined> {
  const found = await read
    .selectFrom('codebuild.webhook_deliveries')
    .select('answer')
    .where('webhook', '=', row.id)
    .where('delivery', '=', delivery)
    .executeTakeFirst();
  return found?.answer;
}

async function startOne(
  tx: Transaction,
  platform: Platform,
  project: ProjectRow,
  row: WebhookRow,
  initiator: string,
  event: WebhookEvent,
): Promise<string> {
  const request = {
    projectName: project.name,
    sourceVersion: event.sourceVersion,
    ...(row.definition.scopeConfiguration ? { sourceLocationOverride: event.cloneUrl } : {}),
  };
  await checkQueue(tx, platform, project.account);
  if (row.definition.buildType === 'BUILD_BATCH')
    return buildId(await queueBatch(tx, platform, project, { request, initiator, webhook: originOf(event) }));
  await checkProjectLimit(tx, project);
  const definition = mergeOverrides(project, request);
  await requireFleet(tx.sql, project, definition.environment);
  return buildId(await queueBuild(tx, platform, project, { definition, request, initiator, webhook: originOf(event) }));
}

/** Of the repository that the webhook is for; case does not count at any of the providers. */
function isOurs(platform: Platform, row: WebhookRow, event: WebhookEvent): boolean {
  const { scopeConfiguration: scope } = row.definition;
  const remote = remoteOf(platform, row);
  if (scope)
    return event.cloneUrl?.startsWith(remote.base) === true && event.repository.toLowerCase().startsWith(`${scope.name.toLowerCase()}/`);
  return event.repository.toLowerCase() === remote.path.toLowerCase();
}

function originOf(event: WebhookEvent): WebhookOrigin {
  const variables: Record<string, string | undefined> = {
    CODEBUILD_WEBHOOK_EVENT: event.type,
    CODEBUILD_WEBHOOK_TRIGGER: event.trigger,
    CODEBUILD_WEBHOOK_ACTOR_ACCOUNT_ID: event.actor,
    CODEBUILD_WEBHOOK_HEAD_REF: event.headRef,
    CODEBUILD_WEBHOOK_BASE_REF: event.baseRef,
    CODEBUILD_WEBHOOK_PREV_COMMIT: event.previous,
    CODEBUILD_WEBHOOK_MERGE_COMMIT: event.mergeCommit,
  };
  const told = Object.entries(variables).filter((entry): entry is [string, string] => isVariable(entry[1]));
  return { variables: Object.fromEntries(told), commit: event.commit };
}

/** What no environment could hold is left out; no reference is that long. */
function isVariable(value: string | undefined): boolean {
  return value !== undefined && value.length <= MAX_VARIABLE && !value.includes('\0');
}

const SENDERS: Record<ServerType, string> = {
  GITHUB: 'GitHub-Hookshot',
  GITHUB_ENTERPRISE: 'GitHub-Hookshot',
  GITLAB: 'GitLab',
  GITLAB_SELF_MANAGED: 'GitLab',
  BITBUCKET: 'Bitbucket-Webhooks',
};

/** What the provider calls itself, such as `GitHub-Hookshot/044aadd`. */
function initiatorOf(type: ServerType, headers: Headers): string {
  const told = header(headers, 'user-agent');
  return /^[\w./-]{1,64}$/.test(told) ? told : SENDERS[type];
}
