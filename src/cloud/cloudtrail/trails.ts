/** Trails: made, changed, removed and told of. */
import { AwsError } from '../../platform/errors.ts';
import type { Input, RequestContext } from '../../platform/service.ts';
import { operation } from '../../platform/service.ts';
import { checkDestinations } from './destinations.ts';
import { TRAILS_CHANGED } from './recorder.ts';
import type { TrailSettings } from './tables.ts';
import { tagMap } from './tags.ts';
import { described, findTrail, findTrailAtHome, settingsOf, type Trail, trailArn, trailsHere, validName } from './trail.ts';

const MAX_TRAILS = 5;
const MAX_PREFIX = 200;
const BUCKET_NAME = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;

const ofTrail = ({ Name }: { Name: string }, ctx: RequestContext): string => (Name.startsWith('arn:') ? Name : trailArn(ctx, Name));

export const createTrail = operation('cloudtrail', 'CreateTrail', {
  authorize: (input, ctx) => ({ resource: trailArn(ctx, input.Name), requestTags: tagMap(input.TagsList ?? []) }),
  async handle(ctx, input) {
    const name = validName(input.Name);
    const tags = tagMap(input.TagsList ?? []);
    const arn = trailArn(ctx, name);
    const settings = newSettings(ctx, input);
    await requireRoom(ctx, name);
    const trail = { arn, account: ctx.account, region: ctx.region, name, settings };
    await checkDestinations(ctx, trail);
    await ctx.transaction(async (tx) => {
      const made = await tx.sql
        .insertInto('cloudtrail.trails')
        .values({ ...trail, settings: JSON.stringify(settings), tags: JSON.stringify(tags) } as never)
        .onConflict((conflict) => conflict.doNothing())
        .returning('arn')
        .executeTakeFirst();
      if (!made) throw alreadyThere(ctx, name);
      await tx.signal(TRAILS_CHANGED);
    });
    return settingsOf(trail);
  },
});

async function requireRoom(ctx: RequestContext, name: string): Promise<void> {
  const here = await trailsHere(ctx, false);
  if (here.some((trail) => trail.name === name)) throw alreadyThere(ctx, name);
  if (here.length < MAX_TRAILS) return;
  const message = `User: ${ctx.account} already has ${MAX_TRAILS} trails in ${ctx.region}.`;
  throw new AwsError('MaximumNumberOfTrailsExceededException', message, { status: 403 });
}

function alreadyThere(ctx: RequestContext, name: string): AwsError {
  return new AwsError('TrailAlreadyExistsException', `Trail ${name} already exists for customer: ${ctx.account}`, { status: 400 });
}

function newSettings(ctx: RequestContext, input: Input<'cloudtrail', 'CreateTrail'>): TrailSettings {
  const usual: TrailSettings = {
    S3BucketName: '',
    IncludeGlobalServiceEvents: true,
    IsMultiRegionTrail: false,
    LogFileValidationEnabled: false,
  };
  return changedSettings(ctx, usual, input);
}

/** An empty text takes a setting away, as the API has it. */
function changedSettings(ctx: RequestContext, before: TrailSettings, input: Partial<Input<'cloudtrail', 'UpdateTrail'>>): TrailSettings {
  if (input.IsOrganizationTrail) throw invalid('OrganizationsNotInUseException', 'Your account is not a member of an organization.');
  if (input.RecursiveLogging) throw invalid('UnsupportedOperationException', 'Penstock does not record the deliveries of its own trails.');
  const text = (given: string | undefined, kept: string | undefined): string | undefined =>
    given === undefined ? kept : given || undefined;
  const settings: TrailSettings = {
    S3BucketName: input.S3BucketName ?? before.S3BucketName,
    S3KeyPrefix: text(input.S3KeyPrefix, before.S3KeyPrefix),
    SnsTopicName: text(input.SnsTopicName, before.SnsTopicName),
    IncludeGlobalServiceEvents: input.IncludeGlobalServiceEvents ?? before.IncludeGlobalServiceEvents,
    IsMultiRegionTrail: input.IsMultiRegionTrail ?? before.IsMultiRegionTrail,
    LogFileValidationEnabled: input.EnableLogFileValidation ?? before.LogFileValidationEnabled,
    CloudWatchLogsLogGroupArn: text(input.CloudWatchLogsLogGroupArn, before.CloudWatchLogsLogGroupArn),
    CloudWatchLogsRoleArn: text(input.CloudWatchLogsRoleArn, before.CloudWatchLogsRoleArn),
    KmsKeyId: text(input.KmsKeyId, before.KmsKeyId),
  };
  if (settings.IsMultiRegionTrail && !settings.IncludeGlobalServiceEvents) {
    throw invalid('InvalidParameterCombinationException', 'Multi-Region trail must include global service events.');
  }
  if (!BUCKET_NAME.test(settings.S3BucketName)) {
    throw invalid('InvalidS3BucketNameException', `Bucket name is not valid: ${settings.S3BucketName}`);
  }
  if ((settings.S3KeyPrefix?.length ?? 0) > MAX_PREFIX) {
    throw invalid('InvalidS3PrefixException', `S3 prefix is longer than ${MAX_PREFIX} characters.`);
  }
  // Digests begin anew when they were off.
  if (settings.LogFileValidationEnabled) settings.validatedSince = before.validatedSince ?? ctx.now().toISOString();
  return settings;
}

function invalid(code: string, message: string): AwsError {
  return new AwsError(code, message, { status: 400 });
}

export const updateTrail = operation('cloudtrail', 'UpdateTrail', {
  authorize: ofTrail,
  async handle(ctx, input) {
    const trail = await findTrailAtHome(ctx, input.Name);
    const settings = changedSettings(ctx, trail.settings, input);
    await checkDestinations(ctx, { ...trail, settings });
    await ctx.transaction(async (tx) => {
      await tx.sql
        .updateTable('cloudtrail.trails')
        .set({ settings: JSON.stringify(settings) })
        .where('arn', '=', trail.arn)
        .execute();
      await tx.signal(TRAILS_CHANGED);
    });
    return settingsOf({ ...trail, settings });
  },
});

export const deleteTrail = operation('cloudtrail', 'DeleteTrail', {
  authorize: ofTrail,
  async handle(ctx, { Name }) {
    const { arn } = await findTrailAtHome(ctx, Name);
    await ctx.transaction(async (tx) => {
      await tx.sql.deleteFrom('cloudtrail.trails').where('arn', '=', arn).execute();
      await tx.signal(TRAILS_CHANGED);
    });
    return {};
  },
});

export const getTrail = operation('cloudtrail', 'GetTrail', {
  authorize: ofTrail,
  handle: async (ctx, { Name }) => ({ Trail: described(await findTrail(ctx, Name)) }),
});

export const describeTrails = operation('cloudtrail', 'DescribeTrails', {
  authorize: () => '*',
  async handle(ctx, { trailNameList = [], includeShadowTrails = true }) {
    if (trailNameList.length === 0) return { trailList: (await trailsHere(ctx, includeShadowTrails)).map(described) };
    const found = await Promise.all(trailNameList.map((name) => findTrail(ctx, name).catch(ifUnknown)));
    return { trailList: found.filter((trail) => trail !== undefined).map(described) };
  },
});

function ifUnknown(error: unknown): undefined {
  if (error instanceof AwsError && error.code === 'TrailNotFoundException') return undefined;
  throw error;
}

export const listTrails = operation('cloudtrail', 'ListTrails', {
  authorize: () => '*',
  async handle(ctx, { NextToken }) {
    // All trails of an account, of whichever region, fit into one answer.
    if (NextToken !== undefined) throw new AwsError('InvalidNextTokenException', 'The token is not valid.', { status: 400 });
    const trails = await ctx.read.selectFrom('cloudtrail.trails').selectAll().where('account', '=', ctx.account).orderBy('arn').execute();
    return { Trails: trails.map(({ arn, name, region }) => ({ TrailARN: arn, Name: name, HomeRegion: region })) };
  },
});

async function setLogging(ctx: RequestContext, { Name }: { Name: string }, logging: boolean): Promise<{}> {
  const trail = await findTrailAtHome(ctx, Name);
  if (trail.logging === logging) return {};
  const now = ctx.now();
  await ctx.transaction(async (tx) => {
    const change = logging ? { logging, started_at: now } : { logging, stopped_at: now };
    await tx.sql.updateTable('cloudtrail.trails').set(change).where('arn', '=', trail.arn).execute();
    await tx.reconcile('cloudtrail.digest', trail.arn);
    await tx.signal(TRAILS_CHANGED);
  });
  return {};
}

export const startLogging = operation('cloudtrail', 'StartLogging', {
  authorize: ofTrail,
  handle: (ctx, input) => setLogging(ctx, input, true),
});

export const stopLogging = operation('cloudtrail', 'StopLogging', {
  authorize: ofTrail,
  handle: (ctx, input) => setLogging(ctx, input, false),
});

export const getTrailStatus = operation('cloudtrail', 'GetTrailStatus', {
  authorize: ofTrail,
  handle: async (ctx, { Name }) => statusOf(await findTrail(ctx, Name)),
});

function statusOf({ logging, started_at, stopped_at, status }: Trail) {
  const date = (text: string | undefined): Date | undefined => (text === undefined ? undefined : new Date(text));
  const short = (time: string | undefined): string => (time === undefined ? '' : `${time.slice(0, 19)}Z`);
  return {
    IsLogging: logging,
    LatestDeliveryError: status.deliveryError,
    LatestNotificationError: status.notificationError,
    LatestDeliveryTime: date(status.deliveredAt),
    LatestNotificationTime: date(status.notifiedAt),
    StartLoggingTime: started_at ?? undefined,
    StopLoggingTime: stopped_at ?? undefined,
    LatestCloudWatchLogsDeliveryError: status.logsError,
    LatestCloudWatchLogsDeliveryTime: date(status.logsDeliveredAt),
    LatestDigestDeliveryTime: date(status.digestDeliveredAt),
    LatestDigestDeliveryError: status.digestError,
    LatestDeliveryAttemptTime: short(status.attemptedAt),
    LatestDeliveryAttemptSucceeded: short(status.deliveredAt),
    LatestNotificationAttemptTime: short(status.notifiedAt),
    LatestNotificationAttemptSucceeded: status.notificationError === undefined ? short(status.notifiedAt) : '',
    TimeLoggingStarted: short(started_at?.toISOString()),
    TimeLoggingStopped: short(stopped_at?.toISOString()),
  };
}
