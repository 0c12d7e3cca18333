/** DeleteParameter and DeleteParameters: with all versions, at once. */
import { operation, type RequestContext } from '../../platform/service.ts';
import { parameterEvent } from './events.ts';
import { onParameter, parameterNotFound, readSelector } from './names.ts';
import { lockParameter } from './parameter-rows.ts';

export const deleteParameter = operation('ssm', 'DeleteParameter', {
  authorize: ({ Name }, ctx) => onParameter(ctx, Name),
  async handle(ctx, { Name }) {
    if ((await deleteAll(ctx, [Name])).length === 0) throw parameterNotFound('');
    return {};
  },
});

export const deleteParameters = operation('ssm', 'DeleteParameters', {
  authorize: ({ Names }, ctx) => Names.map((name) => onParameter(ctx, name)),
  async handle(ctx, { Names }) {
    const DeletedParameters = await deleteAll(ctx, [...new Set(Names)]);
    return { DeletedParameters, InvalidParameters: Names.filter((name) => !DeletedParameters.includes(name)) };
  },
});

/** The names, as they were given, of those that were there. Locked in one order, so that two requests cannot wait for each other. */
function deleteAll(ctx: RequestContext, names: string[]): Promise<string[]> {
  return ctx.transaction(async (tx) => {
    const deleted: string[] = [];
    for (const given of [...names].sort()) {
      const row = await lockParameter(tx, ctx, readSelector(ctx, given).name);
      if (!row) continue;
      await tx.sql.deleteFrom('ssm.parameters').where('id', '=', row.id).execute();
      await tx.emit(parameterEvent(row, 'Delete'));
      deleted.push(given);
    }
    return deleted;
  });
}
