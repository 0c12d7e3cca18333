/** The start of a deployment: may it run, and where. */
import { randomUUID } from 'node:crypto';
import { AwsError } from '../../../platform/errors.ts';
import type { Platform, Transaction } from '../../../platform/platform.ts';
import type { Deployment } from '../deployment-rows.ts';
import { canStart } from '../health.ts';
import { LIFECYCLE_EVENTS } from '../lifecycle.ts';
import { hostKey, instanceArn } from '../names.ts';
import { type Instance, identityOf } from '../on-premises.ts';
import { selects } from '../tag-filters.ts';
import type { Problem } from './ending.ts';
import { tellDeployment } from './notifications.ts';

/** AWS's limit of instances in one deployment. */
const MAX_INSTANCES = 1000;
/** PostgreSQL takes 65,535 parameters in a statement; an event has 7. */
const ROWS_AT_ONCE = 5_000;

/** What the deployment asks for from outside, looked at before it is touched: its role, its revision. */
export async function outsideProblem(platform: Platform, deployment: Deployment): Promise<Problem | undefined> {
  const role = deployment.service_role_arn;
  try {
    const clients = await platform.aws.as({ role, service: 'codedeploy', sessionName: deployment.id, region: deployment.region });
    return await revisionProblem(clients.s3.headObject, deployment);
  } catch (error) {
    if (!(error instanceof AwsError)) throw error;
    return { code: 'IAM_ROLE_MISSING', message: `The service role ${role} cannot be accessed: ${error.message}` };
  }
}

type Head = Awaited<ReturnType<Platform['aws']['as']>>['s3']['headObject'];

/** What S3 answers when the object, its bucket or its version is not there. */
const GONE = ['NotFound', 'NoSuchKey', 'NoSuchBucket', 'NoSuchVersion', 'MethodNotAllowed'];

/**
 * Whether the revision is known to be gone. A role that may not look at it is no problem: hosts fetch revisions with their own credentials.
 * Nor is it one for a restart, which hosts may do with what they kept.
 */
async function revisionProblem(headObject: Head, { revision, restart_of }: Deployment): Promise<Problem | undefined> {
  if (revision.revisionType !== 'S3' || restart_of !== null) return undefined;
  const { bucket, key, version, eTag } = revision.s3Location!;
  const place = `s3://${bucket}/${key}${version ? ` (version ${version})` : ''}`;
  try {
    const found = await headObject({ Bucket: bucket!, Key: key!, ...(version && { VersionId: version }) });
    const actual = found.ETag?.replaceAll('"', '');
    if (!eTag || !actual || actual === eTag) return undefined;
    return { code: 'REVISION_MISSING', message: `The revision at ${place} is another one now: its ETag is ${actual}, not ${eTag}.` };
  } catch (error) {
    if (!(error instanceof AwsError)) throw error;
    if (!GONE.includes(error.code)) return undefined;
    return { code: 'REVISION_MISSING', message: `The revision was not found at ${place}.` };
  }
}

const NO_INSTANCES: Problem = {
  code: 'NO_INSTANCES',
  message:
    'The deployment failed because no instances were found for your deployment group. Check your deployment group settings to make sure the ' +
    'tags for your Amazon EC2 instances or Auto Scaling groups correctly identify the instances you want to deploy to, and then try again.',
};

/** Chooses the targets and puts the deployment in progress, or tells why it cannot be. */
export async function startDeployment(tx: Transaction, deployment: Deployment, now: Date): Promise<Problem | undefined> {
  const group = await tx.sql.selectFrom('codedeploy.groups').selectAll().where('id', '=', deployment.group_id).executeTakeFirst();
  if (!group) return undefined;
  const registered = await tx.sql
    .selectFrom('codedeploy.instances as instance')
    .leftJoin('codedeploy.installed as installed', (join) =>
      join.onRef('installed.instance', '=', 'instance.name').on('installed.group_id', '=', deployment.group_id),
    )
    .selectAll('instance')
    .select(['installed.healthy', 'installed.revision_digest'])
    .where('instance.account', '=', deployment.account)
    .where('instance.region', '=', deployment.region)
    .where('instance.deregistered_at', 'is', null)
    .orderBy('instance.name')
    .execute();
  const current = (one: (typeof registered)[number]): boolean => one.healthy === true && one.revision_digest === deployment.revision_digest;
  const selected = registered.filter(({ tags }) => selects(group.settings, tags));
  const chosen = deployment.options.updateOutdatedInstancesOnly ? selected.filter((one) => !current(one)) : selected;
  if (chosen.length === 0) return NO_INSTANCES;
  if (chosen.length > MAX_INSTANCES) {
    return {
      code: 'OVER_MAX_INSTANCES',
      message: `The deployment would go to ${chosen.length} instances; a deployment can have up to ${MAX_INSTANCES}.`,
    };
  }
  if (!canStart(deployment.minimum_healthy_hosts, chosen.length)) {
    return {
      code: 'HEALTH_CONSTRAINTS_INVALID',
      message:
        'The deployment can’t start because a minimum number of healthy instances, as defined by your deployment configuration, are not ' +
        `available: ${deployment.minimum_healthy_hosts.value} must stay healthy, and there are ${chosen.length}.`,
    };
  }
  // Whoever is broken first, then whoever was never deployed to, then whoever has another revision.
  const rank = (one: (typeof registered)[number]): number => (one.healthy === false ? 0 : one.healthy === null ? 1 : current(one) ? 3 : 2);
  await insertTargets(
    tx,
    deployment,
    chosen.sort((a, b) => rank(a) - rank(b)),
    now,
  );
  await tx.sql
    .updateTable('codedeploy.deployments')
    .set({ status: 'InProgress', started_at: now })
    .where('id', '=', deployment.id)
    .execute();
  await tellDeployment(tx, deployment, 'START', now);
  return undefined;
}

async function insertTargets(tx: Transaction, deployment: Deployment, instances: Instance[], now: Date): Promise<void> {
  const targets = instances.map((instance, position) => ({
    deployment_id: deployment.id,
    position,
    name: instance.name,
    arn: instanceArn(instance, instance.name, instance.suffix),
    host: hostKey(instance, identityOf(instance)),
    status: 'Pending' as const,
    updated_at: now,
  }));
  await tx.sql.insertInto('codedeploy.targets').values(targets).execute();
  const events = targets.flatMap(({ deployment_id, position: target, host }) =>
    LIFECYCLE_EVENTS.map((name, position) => ({
      deployment_id,
      target,
      position,
      name,
      status: 'Pending' as const,
      command_id: randomUUID(),
      host,
    })),
  );
  for (let from = 0; from < events.length; from += ROWS_AT_ONCE) {
    await tx.sql
      .insertInto('codedeploy.events')
      .values(events.slice(from, from + ROWS_AT_ONCE))
      .execute();
  }
}
