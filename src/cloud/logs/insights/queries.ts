/** StartQuery and what is asked of queries afterwards. */
import { randomUUID } from 'node:crypto';
import { AwsError } from '../../../platform/errors.ts';
import { type Check, type Input, operation, type RequestContext } from '../../../platform/service.ts';
import { findGroup, groupName, onGroup } from '../group.ts';
import type { QueryRow } from '../tables.ts';
import { parseQuery } from './parse.ts';
import { compileQuery } from './pipeline.ts';
import { openResults, QUERY_KIND } from './run-query.ts';
import { QueryError } from './syntax.ts';

const MAX_GROUPS = 50;
/** In an account and region at once (service quotas). */
const MAX_ACTIVE = 30;
const PAGE = 10_000;
const DESCRIBED = 50;

type Start = Input<'logs', 'StartQuery'>;

function groupsOf(ctx: RequestContext, { logGroupName, logGroupNames, logGroupIdentifiers }: Start): string[] {
  const given = [logGroupName, logGroupNames, logGroupIdentifiers].filter((item) => item !== undefined);
  if (given.length !== 1) {
    const message = 'Exactly one of logGroupName, logGroupNames and logGroupIdentifiers must be specified.';
    throw new AwsError('InvalidParameterException', message);
  }
  const names = logGroupName !== undefined ? [logGroupName] : (logGroupNames ?? logGroupIdentifiers!.map((id) => groupName(ctx, id)));
  if (names.length === 0 || names.length > MAX_GROUPS) {
    throw new AwsError('InvalidParameterException', `A query can be of 1 to ${MAX_GROUPS} log groups.`);
  }
  return [...new Set(names)];
}

export const startQuery = operation('logs', 'StartQuery', {
  authorize: async (input, ctx): Promise<Check[]> => Promise.all(groupsOf(ctx, input).map((name) => onGroup(ctx, name))),
  partial:
    'the language CWLI with fields, display, filter, parse, stats, sort, limit and dedup; no SOURCE, pattern, diff, unnest, PPL or SQL',
  async handle(ctx, input) {
    const { queryString, startTime, endTime, limit, queryLanguage = 'CWLI' } = input;
    if (queryLanguage !== 'CWLI')
      throw ctx.error('InvalidParameterException', `Penstock does not have the query language ${queryLanguage}.`);
    if (startTime >= endTime) throw ctx.error('InvalidParameterException', 'End time should be greater than start time.');
    if (queryString.includes('\0')) throw malformed(new QueryError('the query holds characters that are not allowed'));
    check(queryString, limit);
    const groups = await Promise.all(groupsOf(ctx, input).map((name) => findGroup(ctx, name)));
    const row = {
      ...{ id: randomUUID(), account: ctx.account, region: ctx.region, principal: ctx.principal.arn },
      ...{ groups: groups.map(({ id }) => id), group_names: groups.map(({ name }) => name), query: queryString },
      ...{ start_at: milliseconds(startTime), end_at: milliseconds(endTime, 999), row_limit: limit ?? null },
      ...({ status: 'Scheduled', created_at: ctx.now().getTime() } as const),
    };
    await ctx.transaction(async (tx) => {
      const { active } = await tx.sql
        .selectFrom('logs.queries')
        .select((eb) => eb.fn.countAll<number>().as('active'))
        .where('status', 'in', ['Scheduled', 'Running'])
        .where('account', '=', ctx.account)
        .where('region', '=', ctx.region)
        .executeTakeFirstOrThrow();
      if (active >= MAX_ACTIVE) throw ctx.error('LimitExceededException', `There are ${MAX_ACTIVE} queries already.`);
      await tx.sql.insertInto('logs.queries').values(row).execute();
      await tx.reconcile(QUERY_KIND, row.id);
    });
    return { queryId: row.id };
  },
});

/** Times are seconds, or milliseconds, which are told apart by their size. The second of the end belongs to what is asked for. */
function milliseconds(time: number, rest = 0): number {
  return time < 1e11 ? time * 1000 + rest : Math.min(time, Number.MAX_SAFE_INTEGER - 1);
}

function check(query: string, limit: number | undefined): void {
  try {
    compileQuery(parseQuery(query), limit, true);
  } catch (error) {
    throw error instanceof QueryError ? malformed(error) : error;
  }
}

function malformed({ message, start, end }: QueryError): AwsError {
  return new AwsError('MalformedQueryException', `Unable to parse the query: ${message}`, {
    status: 400,
    fields: { queryCompileError: { location: { startCharOffset: start, endCharOffset: end }, message } },
  });
}

async function findQuery(ctx: RequestContext, id: string): Promise<QueryRow> {
  const known = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(id)
    ? await ctx.read
        .selectFrom('logs.queries')
        .selectAll()
        .where('id', '=', id)
        .where('account', '=', ctx.account)
        .where('region', '=', ctx.region)
        .executeTakeFirst()
    : undefined;
  if (!known) throw new AwsError('ResourceNotFoundException', `The query ${id} does not exist.`);
  return known;
}

export const getQueryResults = operation('logs', 'GetQueryResults', {
  authorize: () => '*',
  partial: 'rows come when the query is complete',
  async handle(ctx, { queryId, nextToken, maxItems }) {
    const query = await findQuery(ctx, queryId);
    const scope = `logs:GetQueryResults:${query.id}`;
    const from = nextToken === undefined ? 0 : ctx.paging.open<number>(scope, nextToken);
    if (from === undefined) throw ctx.error('InvalidParameterException', 'The specified nextToken is invalid.');
    const all = await openResults(ctx.keyring, query);
    const results = all.slice(from, from + (maxItems || PAGE));
    const end = from + results.length;
    return {
      queryLanguage: 'CWLI' as const,
      results,
      statistics: { recordsMatched: 0, recordsScanned: 0, bytesScanned: 0, ...query.statistics },
      status: query.status,
      nextToken: end < all.length ? ctx.paging.seal(scope, end) : undefined,
    };
  },
});

export const stopQuery = operation('logs', 'StopQuery', {
  authorize: () => '*',
  async handle(ctx, { queryId }) {
    const query = await findQuery(ctx, queryId);
    const stopped = await ctx.transaction((tx) =>
      tx.sql
        .updateTable('logs.queries')
        .set({ status: 'Cancelled', ended_at: ctx.now().getTime() })
        .where('id', '=', query.id)
        .where('status', 'in', ['Scheduled', 'Running'])
        .returning('id')
        .executeTakeFirst(),
    );
    if (!stopped) throw ctx.error('InvalidParameterException', `The query ${queryId} is not running: it is ${query.status}.`);
    return { success: true };
  },
});

interface Position {
  at: number;
  id: string;
}

export const describeQueries = operation('logs', 'DescribeQueries', {
  authorize: () => '*',
  async handle(ctx, { logGroupName, status, maxResults = DESCRIBED, nextToken, queryLanguage }) {
    const scope = `logs:DescribeQueries:${ctx.account}:${ctx.region}`;
    const after = nextToken === undefined ? undefined : ctx.paging.open<Position>(scope, nextToken);
    if (nextToken !== undefined && !after) throw ctx.error('InvalidParameterException', 'The specified nextToken is invalid.');
    if (queryLanguage !== undefined && queryLanguage !== 'CWLI') return { queries: [] };
    let rows = ctx.read
      .selectFrom('logs.queries')
      .select(['id', 'query', 'status', 'created_at', 'ended_at', 'group_names', 'statistics', 'principal'])
      .where('account', '=', ctx.account)
      .where('region', '=', ctx.region);
    if (status !== undefined) rows = rows.where('status', '=', status as QueryRow['status']);
    if (logGroupName !== undefined) rows = rows.where((eb) => eb(eb.val(logGroupName), '=', eb.fn.any('group_names')));
    if (after) rows = rows.where((eb) => eb(eb.refTuple('created_at', 'id'), '<', eb.tuple(after.at, after.id)));
    const found = await rows
      .orderBy('created_at', 'desc')
      .orderBy('id', 'desc')
      .limit(maxResults + 1)
      .execute();
    const page = found.slice(0, maxResults);
    const last = page.at(-1);
    return {
      queries: page.map((query) => ({
        queryLanguage: 'CWLI' as const,
        queryId: query.id,
        queryString: query.query,
        status: query.status,
        createTime: query.created_at,
        logGroupName: query.group_names.join(','),
        queryDuration: query.ended_at === null ? undefined : query.ended_at - query.created_at,
        bytesScanned: query.statistics.bytesScanned,
        userIdentity: query.principal,
      })),
      nextToken:
        found.length > maxResults && last ? ctx.paging.seal(scope, { at: last.created_at, id: last.id } satisfies Position) : undefined,
    };
  },
});
