/** One secret: how requests name it, who may do what with it, and changing it under lock. */
import { AwsError } from '../../platform/errors.ts';
import type { Reader, Transaction } from '../../platform/platform.ts';
import type { Check, RequestContext } from '../../platform/service.ts';
import { markedForDeletion, secretNotFound } from './errors.ts';
import type { Secret } from './tables.ts';

const ARN = /^arn:aws:secretsmanager:([a-z0-9-]+):(\d{12}):secret:(.+)$/;
const SUFFIX = /-[A-Za-z0-9]{6}$/;

type Place = Pick<RequestContext, 'account' | 'region'>;

export function secretArn({ account, region, name, suffix }: Pick<Secret, 'account' | 'region' | 'name' | 'suffix'>): string {
  return `arn:aws:secretsmanager:${region}:${account}:secret:${name}-${suffix}`;
}

/** By name, by ARN, or by an ARN without its last six characters. Other accounts' secrets only by ARN. */
export async function findSecret(read: Pick<Reader, 'selectFrom'>, place: Place, id: string): Promise<Secret | undefined> {
  const [, region = place.region, account = place.account, named = id] = ARN.exec(id) ?? [];
  const query = read.selectFrom('secretsmanager.secrets').selectAll().where('account', '=', account).where('region', '=', region);
  const exact = await query.where('name', '=', named).executeTakeFirst();
  if (exact || named === id || !SUFFIX.test(named)) return exact;
  const found = await query.where('name', '=', named.replace(SUFFIX, '')).executeTakeFirst();
  return found?.suffix === named.slice(-6) ? found : undefined;
}

/** Throws ResourceNotFoundException. */
export async function requireSecret(ctx: RequestContext, id: string): Promise<Secret> {
  const found = await findSecret(ctx.read, ctx, id);
  if (!found) throw secretNotFound();
  return found;
}

/** Changes a secret under lock. One that is marked for deletion cannot be changed. */
export function changeSecret<T>(ctx: RequestContext, id: string, change: (tx: Transaction, secret: Secret) => Promise<T>): Promise<T> {
  return ctx.transaction(async (tx) => {
    const secret = await lockSecret(tx, ctx, id);
    if (!secret) throw secretNotFound();
    if (secret.deleted_at) throw markedForDeletion();
    return change(tx, secret);
  });
}

export async function lockSecret(tx: Transaction, place: Place, id: string): Promise<Secret | undefined> {
  const found = await findSecret(tx.sql, place, id);
  return found && (await tx.sql.selectFrom('secretsmanager.secrets').selectAll().where('id', '=', found.id).forUpdate().executeTakeFirst());
}

/** Asks the caller's policies and the secret's own. A secret that is not there is asked for by the ARN that it could have. */
export async function secretCheck(ctx: RequestContext, id: string, more: Partial<Check> = {}): Promise<Check> {
  const secret = await findSecret(ctx.read, ctx, id);
  if (!secret) return { ...more, resource: ARN.test(id) ? id : `${secretArn({ ...placeOf(ctx), name: id, suffix: '??????' })}` };
  return {
    ...more,
    resource: secretArn(secret),
    resourceAccount: secret.account,
    resourcePolicy: secret.policy ?? undefined,
    resourceTags: secret.tags,
    conditions: { 'secretsmanager:SecretId': secretArn(secret), 'secretsmanager:Name': secret.name, ...more.conditions },
  };
}

function placeOf({ account, region }: Place): Place {
  return { account, region };
}

export const onSecret = ({ SecretId }: { SecretId: string }, ctx: RequestContext): Promise<Check> => secretCheck(ctx, SecretId);

const MAX_TAGS = 50;

export function checkTags(tags: Record<string, string>): Record<string, string> {
  const reserved = Object.keys(tags).find((key) => /^aws:/i.test(key));
  if (reserved !== undefined) throw new AwsError('InvalidParameterException', `Tag keys that begin with aws: are reserved: ${reserved}`);
  if (Object.keys(tags).length > MAX_TAGS) {
    throw new AwsError('InvalidParameterException', `A secret can have at most ${MAX_TAGS} tags.`);
  }
  return tags;
}

export function tagsOf(list: { Key?: string; Value?: string }[] | undefined): Record<string, string> {
  return Object.fromEntries((list ?? []).map(({ Key = '', Value = '' }) => [Key, Value]));
}
