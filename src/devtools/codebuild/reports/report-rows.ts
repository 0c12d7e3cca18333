/** ARNs of report groups and reports, their rows, and what IAM is asked about them. IAM knows reports by their groups. */
import type { Check, RequestContext } from '../../../platform/service.ts';
import type { Place } from '../names.ts';
import { invalid } from '../rules.ts';
import { resourcePolicyOf } from '../sharing/shared.ts';
import type { ReportGroupRow, ReportRow } from './tables.ts';

export interface GroupRef extends Place {
  name: string;
}

export interface ReportRef extends Place {
  group: string;
  id: string;
}

const GROUP_ARN = /^arn:aws:codebuild:([\w-]+):(\d{12}):report-group\/([\w-]+)$/;
const REPORT_ARN = /^arn:aws:codebuild:([\w-]+):(\d{12}):report\/([\w-]+):([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;

export function groupArn({ account, region }: Place, name: string): string {
  return `arn:aws:codebuild:${region}:${account}:report-group/${name}`;
}

export function reportArn({ account, region, group_name, id }: Pick<ReportRow, 'account' | 'region' | 'group_name' | 'id'>): string {
  return `arn:aws:codebuild:${region}:${account}:report/${group_name}:${id}`;
}

/** Groups of other accounts may be shared; those of other regions are out of reach. Throws InvalidInputException. */
export function parseGroupArn(ctx: Place, arn: string): GroupRef {
  const [, region, account, name] = GROUP_ARN.exec(arn) ?? [];
  if (region === undefined || account === undefined || name === undefined) throw invalid(`Invalid report group ARN: ${arn}`);
  if (region !== ctx.region) throw invalid(`Invalid report group ARN: ${arn} is not of the region ${ctx.region}`);
  return { account, region, name };
}

export function parseReportArn(ctx: Place, arn: string): ReportRef {
  const [, region, account, group, id] = REPORT_ARN.exec(arn) ?? [];
  if (region === undefined || account === undefined || group === undefined || id === undefined) throw invalid(`Invalid report ARN: ${arn}`);
  if (region !== ctx.region) throw invalid(`Invalid report ARN: ${arn} is not of the region ${ctx.region}`);
  return { account, region, group, id };
}

export function findGroup(ctx: Pick<RequestContext, 'read'>, { account, region, name }: GroupRef): Promise<ReportGroupRow | undefined> {
  return ctx.read
    .selectFrom('codebuild.report_groups')
    .selectAll()
    .where('account', '=', account)
    .where('region', '=', region)
    .where('name', '=', name)
    .executeTakeFirst();
}

/** Expired reports are gone for everybody, even while their rows are still there. */
export async function findReports(ctx: Pick<RequestContext, 'read' | 'now'>, refs: ReportRef[]): Promise<(ReportRow | undefined)[]> {
  const rows = await ctx.read
    .selectFrom('codebuild.reports')
    .selectAll()
    .where(
      'id',
      'in',
      refs.map(({ id }) => id),
    )
    .where('expires_at', '>', ctx.now())
    .execute();
  return refs.map(({ account, region, group, id }) =>
    rows.find((row) => row.id === id && row.account === account && row.region === region && row.group_name === group),
  );
}

export async function onGroup(ctx: RequestContext, ref: GroupRef): Promise<Check> {
  const arn = groupArn(ref, ref.name);
  const [row, resourcePolicy] = await Promise.all([findGroup(ctx, ref), resourcePolicyOf(ctx, ref, arn)]);
  return { resource: arn, resourceTags: row?.tags, resourceAccount: ref.account, resourcePolicy };
}

/** For what changes a group or its reports: whom it is shared with may only look, however much its policy says. */
export async function onOwnGroup(ctx: RequestContext, ref: GroupRef): Promise<Check> {
  const { resourcePolicy: _, ...check } = await onGroup(ctx, ref);
  return check;
}

/** Each group once, however many of its reports are asked for. */
export function onGroupsOf(ctx: RequestContext, refs: ReportRef[], on = onGroup): Promise<Check[]> {
  const groups = new Map(refs.map(({ account, region, group }) => [`${account}/${group}`, { account, region, name: group }]));
  return Promise.all([...groups.values()].map((ref) => on(ctx, ref)));
}
