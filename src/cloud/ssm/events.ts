/** "Parameter Store Change" events. */
import type { AwsEvent } from '../../platform/platform.ts';
import { parameterArn } from './names.ts';
import type { ParameterRow } from './tables.ts';

export function parameterEvent(row: ParameterRow, operation: 'Create' | 'Update' | 'Delete' | 'LabelParameterVersion'): AwsEvent {
  return {
    account: row.account,
    region: row.region,
    source: 'aws.ssm',
    detailType: 'Parameter Store Change',
    resources: [parameterArn(row, row.name)],
    detail: { operation, name: row.name, type: row.type, ...(row.description !== null && { description: row.description }) },
  };
}
