/** Names and ARNs of buses and rules. */
interface Place {
  account: string;
  region: string;
}

export const DEFAULT_BUS = 'default';

export function busArn({ account, region }: Place, bus: string): string {
  return `arn:aws:events:${region}:${account}:event-bus/${bus}`;
}

/** Rules of the default bus have no bus in their ARN. */
export function ruleArn({ account, region }: Place, bus: string, rule: string): string {
  return `arn:aws:events:${region}:${account}:rule/${bus === DEFAULT_BUS ? '' : `${bus}/`}${rule}`;
}

/** The bus's name from `EventBusName`, which may be an ARN. */
export function busName(nameOrArn: string | undefined): string {
  if (nameOrArn === undefined) return DEFAULT_BUS;
  return nameOrArn.startsWith('arn:') ? nameOrArn.slice(nameOrArn.indexOf('event-bus/') + 'event-bus/'.length) : nameOrArn;
}
