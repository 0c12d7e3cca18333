/** A trail by the name or ARN under which a caller speaks of it. */
import type { Selectable } from 'kysely';
import { AwsError } from '../../platform/errors.ts';
import type { RequestContext, ShapeOf } from '../../platform/service.ts';
import type { TrailsTable } from './tables.ts';

export type Trail = Selectable<TrailsTable>;
type Where = Pick<RequestContext, 'account' | 'region'>;

const ARN = /^arn:aws:cloudtrail:([a-z0-9-]+):(\d{12}):trail\/(.+)$/;

export function trailArn({ account, region }: Where, name: string): string {
  return `arn:aws:cloudtrail:${region}:${account}:trail/${name}`;
}

/** The ARN that is meant; throws what AWS says of names and ARNs that cannot be any. */
export function arnOf(where: Where, nameOrArn: string): string {
  if (!nameOrArn.startsWith('arn:')) return trailArn(where, validName(nameOrArn));
  const found = ARN.exec(nameOrArn);
  if (!found) {
    const form = 'arn:aws:cloudtrail:us-east-2:123456789012:trail/MyTrail';
    throw new AwsError('CloudTrailARNInvalidException', `CloudTrail ARN is not valid: ${nameOrArn}. It must look like ${form}.`, {
      status: 400,
    });
  }
  validName(found[3]!);
  return nameOrArn;
}

/** AWS's rules for names, each with its own words. */
export function validName(name: string): string {
  const complaint = complaintOf(name);
  if (complaint) throw new AwsError('InvalidTrailNameException', complaint, { status: 400 });
  return name;
}

function complaintOf(name: string): string | undefined {
  if (name.length < 3) return 'Trail name too short. Minimum allowed length: 3 characters.';
  if (name.length > 128) return 'Trail name too long. Maximum allowed length: 128 characters.';
  if (!/^[a-zA-Z0-9._-]+$/.test(name)) {
    return 'Trail name or ARN can only contain uppercase letters, lowercase letters, numbers, periods (.), hyphens (-), and underscores (_).';
  }
  if (!/^[a-zA-Z0-9]/.test(name)) return 'Trail name must starts with a letter or number.';
  if (!/[a-zA-Z0-9]$/.test(name)) return 'Trail name must ends with a letter or number.';
  if (/[._-]{2}/.test(name)) return 'Trail name cannot have adjacent periods, underscores or hyphens.';
  return /^\d+\.\d+\.\d+\.\d+$/.test(name) ? 'Trail name must not be formatted as an IP address.' : undefined;
}

/** TrailNotFoundException when there is none that this caller may see here. */
export async function findTrail(ctx: RequestContext, nameOrArn: string): Promise<Trail> {
  const arn = arnOf(ctx, nameOrArn);
  const trail = await ctx.read.selectFrom('cloudtrail.trails').selectAll().where('arn', '=', arn).executeTakeFirst();
  if (trail && trail.account === ctx.account) return trail;
  // A trail of all regions may be named in each of them.
  const shadow = nameOrArn.startsWith('arn:') ? undefined : (await trailsHere(ctx, true)).find(({ name }) => name === nameOrArn);
  if (shadow) return shadow;
  throw unknownTrail(ctx, nameOrArn);
}

export function unknownTrail(ctx: RequestContext, nameOrArn: string): AwsError {
  return new AwsError('TrailNotFoundException', `Unknown trail: ${nameOrArn} for the user: ${ctx.account}`, { status: 400 });
}

/** For changes, which only its home region takes. */
export async function findTrailAtHome(ctx: RequestContext, nameOrArn: string): Promise<Trail> {
  const trail = await findTrail(ctx, nameOrArn);
  if (trail.region === ctx.region) return trail;
  throw new AwsError('InvalidHomeRegionException', `Trail ${trail.arn} can only be changed in its home region, ${trail.region}.`, {
    status: 400,
  });
}

/** Those of this region, and with `shadows` those of other regions that record all. */
export async function trailsHere(ctx: RequestContext, shadows: boolean): Promise<Trail[]> {
  const trails = await ctx.read.selectFrom('cloudtrail.trails').selectAll().where('account', '=', ctx.account).orderBy('name').execute();
  return trails.filter(({ region, settings }) => region === ctx.region || (shadows && settings.IsMultiRegionTrail));
}

/** What all answers about a trail share. */
export function settingsOf(trail: Pick<Trail, 'name' | 'arn' | 'settings'>) {
  const { validatedSince: _, ...settings } = trail.settings;
  return { Name: trail.name, TrailARN: trail.arn, IsOrganizationTrail: false, ...settings };
}

export function described(trail: Trail): ShapeOf<'cloudtrail', 'Trail'> {
  return {
    ...settingsOf(trail),
    HomeRegion: trail.region,
    HasCustomEventSelectors: trail.selectors !== null,
    HasInsightSelectors: false,
  };
}
