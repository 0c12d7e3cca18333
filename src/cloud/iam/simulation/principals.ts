/** Whose policies are simulated, and who is said to call. */
import type { Principal } from '../../../platform/principal.ts';
import type { Check, RequestContext } from '../../../platform/service.ts';
import { type Entity, findEntity } from '../entities.ts';
import { invalidInput, noSuchEntity } from '../errors.ts';

const ENTITY_ARN = /^arn:aws[\w-]*:iam::(\d{12}):(user|group|role)\/(?:[\x21-\x7e]+\/)?([\w+=,.@-]+)$/;

/** The user, group or role; throws InvalidInput or NoSuchEntity. */
export async function requireSource(ctx: RequestContext, arn: string): Promise<Entity> {
  const [, account, kind, name] = ENTITY_ARN.exec(arn) ?? [];
  if (account === undefined) throw invalidInput(`Invalid Entity Arn: ${arn} does not clearly define entity type and name.`);
  const entity = account === ctx.account ? await findEntity(ctx.read, account, kind as 'user' | 'group' | 'role', name!) : undefined;
  if (entity?.arn !== arn) throw noSuchEntity(kind as 'user' | 'group' | 'role', name!);
  return entity;
}

export function onSource({ PolicySourceArn }: { PolicySourceArn: string }): Check {
  return { resource: PolicySourceArn };
}

/** A user, or a session of a role, as the principal of a simulated request. */
export function principalOf(entity: Pick<Entity, 'kind' | 'account' | 'arn' | 'id' | 'name'>): Principal | undefined {
  const { account, arn, id, name } = entity;
  if (entity.kind === 'user') return { type: 'User', account, arn, id, name };
  if (entity.kind !== 'role') return undefined;
  const sessionName = 'simulated-session';
  return {
    type: 'AssumedRole',
    account,
    arn: `arn:aws:sts::${account}:assumed-role/${name}/${sessionName}`,
    id: `${id}:${sessionName}`,
    roleArn: arn,
    roleName: name,
    sessionName,
  };
}

/** `CallerArn` may only name a user, known here or not. */
export async function callerOf(ctx: RequestContext, arn: string): Promise<Principal> {
  const [, account, kind, name] = ENTITY_ARN.exec(arn) ?? [];
  if (account === undefined || kind !== 'user') throw invalidInput(`CallerArn ${arn} must be the ARN of an IAM user.`);
  const known = account === ctx.account ? await findEntity(ctx.read, account, 'user', name!) : undefined;
  return principalOf(known ?? { kind: 'user', account, arn, id: arn, name: name! })!;
}
