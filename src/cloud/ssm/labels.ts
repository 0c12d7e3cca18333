/** Labels: names that users give to versions of a parameter. A label names one version; given to another, it moves. */

import { sql } from 'kysely';
import type { Transaction } from '../../platform/platform.ts';
import { operation, type RequestContext } from '../../platform/service.ts';
import { parameterEvent } from './events.ts';
import { onParameter, parameterNotFound, readSelector, versionNotFound } from './names.ts';
import { lockParameter } from './parameter-rows.ts';

const MAX_LABELS = 10;

export const labelParameterVersion = operation('ssm', 'LabelParameterVersion', {
  authorize: ({ Name }, ctx) => onParameter(ctx, Name),
  async handle(ctx, { Name, ParameterVersion, Labels }) {
    const wanted = [...new Set(Labels)];
    const valid = wanted.filter(isLabel);
    return ctx.transaction(async (tx) => {
      const { parameter, version } = await lockVersion(tx, ctx, Name, ParameterVersion);
      const labels = [...new Set([...version.labels, ...valid])];
      if (labels.length > MAX_LABELS) {
        throw ctx.error(
          'ParameterVersionLabelLimitExceeded',
          `A parameter version can have maximum ${MAX_LABELS} labels. Move one or more labels to another version and try again.`,
        );
      }
      if (valid.length > 0) {
        await takeFrom(tx, parameter.id, valid);
        await setLabels(tx, parameter.id, version.version, labels);
        await tx.emit(parameterEvent(parameter, 'LabelParameterVersion'));
      }
      return { InvalidLabels: wanted.filter((label) => !isLabel(label)), ParameterVersion: version.version };
    });
  },
});

export const unlabelParameterVersion = operation('ssm', 'UnlabelParameterVersion', {
  authorize: ({ Name }, ctx) => onParameter(ctx, Name),
  async handle(ctx, { Name, ParameterVersion, Labels }) {
    return ctx.transaction(async (tx) => {
      const { parameter, version } = await lockVersion(tx, ctx, Name, ParameterVersion);
      const RemovedLabels = Labels.filter((label) => version.labels.includes(label));
      const left = version.labels.filter((label) => !Labels.includes(label));
      if (RemovedLabels.length > 0) await setLabels(tx, parameter.id, version.version, left);
      return { RemovedLabels, InvalidLabels: Labels.filter((label) => !version.labels.includes(label)) };
    });
  },
});

function isLabel(label: string): boolean {
  return /^[a-zA-Z_.-][a-zA-Z0-9_.-]*$/.test(label) && !/^(aws|ssm)/i.test(label);
}

/** The parameter, locked, and the version: the current one when none is asked for. */
async function lockVersion(tx: Transaction, ctx: RequestContext, given: string, asked: number | undefined) {
  const { name } = readSelector(ctx, given);
  const parameter = await lockParameter(tx, ctx, name);
  if (!parameter) throw parameterNotFound(name);
  const number = asked ?? parameter.version;
  const version = await tx.sql
    .selectFrom('ssm.versions')
    .select(['version', 'labels'])
    .where('parameter_id', '=', parameter.id)
    .where('version', '=', number)
    .executeTakeFirst();
  if (!version) throw versionNotFound(name, number);
  return { parameter, version };
}

async function takeFrom(tx: Transaction, parameterId: string, labels: string[]): Promise<void> {
  const holders = await tx.sql
    .selectFrom('ssm.versions')
    .select(['version', 'labels'])
    .where('parameter_id', '=', parameterId)
    .where(sql<boolean>`labels && ${labels}::text[]`)
    .execute();
  for (const holder of holders) {
    await setLabels(
      tx,
      parameterId,
      holder.version,
      holder.labels.filter((label) => !labels.includes(label)),
    );
  }
}

async function setLabels(tx: Transaction, parameterId: string, version: number, labels: string[]): Promise<void> {
  await tx.sql.updateTable('ssm.versions').set({ labels }).where('parameter_id', '=', parameterId).where('version', '=', version).execute();
}
