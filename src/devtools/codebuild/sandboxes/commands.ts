/** Commands of a sandbox: started, found and listed. */
import { randomUUID } from 'node:crypto';
import { operation } from '../../../platform/service.ts';
import { DIRECTIONS, PAGE, pageOf, startOf } from '../pages.ts';
import { invalid } from '../rules.ts';
import { describeCommand, isUuid, parseSandboxId, sandboxArn } from './describe.ts';
import { findSandbox, onSandboxes, requireSandbox } from './sandboxes.ts';
import { commandTopic } from './tables.ts';

/** characters; a script that is longer belongs to the sources */
const MAX_COMMAND = 64 * 1024;
/** Commands of one sandbox that may wait. */
const MAX_WAITING = 100;

export const startCommandExecution = operation('codebuild', 'StartCommandExecution', {
  authorize: ({ sandboxId }, ctx) => onSandboxes(ctx, [sandboxId]),
  partial: 'the record keeps the first 65,536 characters of standard output and of standard error; the log has all',
  async handle(ctx, { sandboxId, command }) {
    if (command.length > MAX_COMMAND) throw invalid(`Invalid command: it is longer than ${MAX_COMMAND} characters`);
    if (command.includes('\0')) throw invalid('Invalid command: it contains a NUL character');
    const { id } = await requireSandbox(ctx, sandboxId);
    return ctx.transaction(async (tx) => {
      // Held, so that a sandbox that ends meanwhile finds the command.
      const sandbox = await tx.sql.selectFrom('codebuild.sandboxes').selectAll().where('id', '=', id).forUpdate().executeTakeFirstOrThrow();
      if (sandbox.ended_at || sandbox.stop_requested_at) throw invalid(`Sandbox is not running: ${sandboxArn(sandbox)}`);
      const { waiting } = await tx.sql
        .selectFrom('codebuild.command_executions')
        .select((eb) => eb.fn.countAll<string>().as('waiting'))
        .where('sandbox', '=', id)
        .where('status', '=', 'SUBMITTED')
        .executeTakeFirstOrThrow();
      if (Number(waiting) >= MAX_WAITING) throw invalid(`Cannot have more than ${MAX_WAITING} waiting commands in a sandbox`);
      const row = await tx.sql
        .insertInto('codebuild.command_executions')
        .values({ id: randomUUID(), sandbox: id, command, status: 'SUBMITTED', submitted_at: ctx.now() })
        .returningAll()
        .executeTakeFirstOrThrow();
      await tx.signal(commandTopic(id));
      return { commandExecution: describeCommand(sandbox, row) };
    });
  },
});

export const batchGetCommandExecutions = operation('codebuild', 'BatchGetCommandExecutions', {
  authorize: ({ sandboxId }, ctx) => onSandboxes(ctx, [sandboxId]),
  async handle(ctx, { sandboxId, commandExecutionIds }) {
    if (!parseSandboxId(ctx, sandboxId)) throw invalid('Invalid sandbox ID provided');
    const sandbox = await findSandbox(ctx, sandboxId);
    const wanted = [...new Set(commandExecutionIds)];
    const uuids = sandbox ? wanted.filter(isUuid) : [];
    const rows =
      uuids.length === 0
        ? []
        : await ctx.read
            .selectFrom('codebuild.command_executions')
            .selectAll()
            .where('sandbox', '=', sandbox!.id)
            .where('id', 'in', uuids)
            .execute();
    const found = new Map(rows.map((row) => [row.id, row]));
    return {
      commandExecutions: wanted.flatMap((id) => {
        const row = found.get(id);
        return row ? [describeCommand(sandbox!, row)] : [];
      }),
      commandExecutionsNotFound: wanted.filter((id) => !found.has(id)),
    };
  },
});

export const listCommandExecutionsForSandbox = operation('codebuild', 'ListCommandExecutionsForSandbox', {
  authorize: ({ sandboxId }, ctx) => onSandboxes(ctx, [sandboxId]),
  async handle(ctx, { sandboxId, maxResults = PAGE, sortOrder = 'DESCENDING', nextToken }) {
    const sandbox = await requireSandbox(ctx, sandboxId);
    const scope = `codebuild:ListCommandExecutions:${sandbox.id}:${sortOrder}`;
    const after = startOf<{ order: string }>(ctx, scope, nextToken);
    const [direction, behind] = DIRECTIONS[sortOrder];
    let query = ctx.read.selectFrom('codebuild.command_executions').selectAll().where('sandbox', '=', sandbox.id);
    if (after) query = query.where('command_order', behind, after.order);
    const rows = await query
      .orderBy('command_order', direction)
      .limit(maxResults + 1)
      .execute();
    const { page, nextToken: next } = pageOf(ctx, scope, rows, maxResults, (row) => ({ order: String(row.command_order) }));
    return { commandExecutions: page.map((row) => describeCommand(sandbox, row)), nextToken: next };
  },
});
