/** Roles that a service defines for itself. */
import { operation } from '../../platform/service.ts';
import { describeRole } from './describe.ts';
import { createEntity, entityArn } from './entities.ts';
import { invalidInput } from './errors.ts';

/** The part of the role's name that the service chose; others are made from the service's own name. */
const NAMES: Record<string, string> = {
  'autoscaling.amazonaws.com': 'AutoScaling',
  'cloud9.amazonaws.com': 'AWSCloud9',
  'codeguru-profiler.amazonaws.com': 'CodeGuruProfiler',
  'codeguru-reviewer.amazonaws.com': 'AmazonCodeGuruReviewer',
  'codestar-notifications.amazonaws.com': 'CodeStarNotifications',
  'ecs.amazonaws.com': 'ECS',
  'elasticbeanstalk.amazonaws.com': 'ElasticBeanstalk',
  'elasticloadbalancing.amazonaws.com': 'ElasticLoadBalancing',
};

/** Services that let one account have several. */
const TAKES_SUFFIX = new Set(['autoscaling.amazonaws.com']);

const createServiceLinkedRole = operation('iam', 'CreateServiceLinkedRole', {
  authorize: ({ AWSServiceName, CustomSuffix }, ctx) => ({
    resource: entityArn(ctx.account, 'role', roleName(AWSServiceName, CustomSuffix), rolePath(AWSServiceName)),
    conditions: { 'iam:AWSServiceName': AWSServiceName },
  }),
  async handle(ctx, { AWSServiceName, Description, CustomSuffix }) {
    if (!/^[a-z0-9-]+(\.[a-z0-9-]+)*\.amazonaws\.com$/.test(AWSServiceName)) {
      throw invalidInput(`Service role ${AWSServiceName} is not a valid service principal.`);
    }
    if (CustomSuffix !== undefined && !TAKES_SUFFIX.has(AWSServiceName))
      throw invalidInput(`Custom suffix is not allowed for ${AWSServiceName}`);
    const name = roleName(AWSServiceName, CustomSuffix);
    const trust = { Effect: 'Allow', Principal: { Service: [AWSServiceName] }, Action: ['sts:AssumeRole'] };
    const role = await ctx.transaction(async (tx) => {
      const existing = await tx.sql
        .selectFrom('iam.entities')
        .select('id')
        .where('account', '=', ctx.account)
        .where('kind', '=', 'role')
        .where('name', '=', name)
        .executeTakeFirst();
      if (existing) throw invalidInput(`Service role name ${name} has been taken in this account, please try a different suffix.`);
      return createEntity(tx, ctx, 'role', {
        name,
        path: rolePath(AWSServiceName),
        trust_policy: JSON.stringify({ Version: '2012-10-17', Statement: [trust] }),
        description: Description,
        max_session_seconds: 3600,
        linked_service: AWSServiceName,
      });
    });
    return { Role: describeRole(role, true) };
  },
});

function roleName(service: string, suffix: string | undefined): string {
  const pascal = service
    .replace(/\.amazonaws\.com$/, '')
    .split(/[-.]/)
    .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
    .join('');
  return `AWSServiceRoleFor${NAMES[service] ?? pascal}${suffix === undefined ? '' : `_${suffix}`}`;
}

function rolePath(service: string): string {
  return `/aws-service-role/${service}/`;
}

export const serviceLinkedRoles = { createServiceLinkedRole };
