/** Calls that two accounts have to do with: a role that another account's principal assumed. Its account has a record too, of who that was. */
import type { Fact } from './journal/facts.ts';
import { type Rendered, textOf } from './render.ts';

/** The records for accounts other than the caller's; `event` then tells that it is one of two. */
export function inOtherAccounts(fact: Fact, event: Rendered, newId: () => string): Rendered[] {
  const account = assumedAccount(fact);
  if (account === undefined || account === event.account) return [];
  const { record } = event;
  record.sharedEventID = record.eventID;
  event.text = textOf(record);
  const { principalId, type } = record.userIdentity;
  const userIdentity =
    type === 'AWSService' ? record.userIdentity : { type: 'AWSAccount', ...(principalId && { principalId }), accountId: event.account };
  const shared = { ...record, userIdentity, eventID: newId(), recipientAccountId: account };
  return [{ ...event, account, record: shared, userName: undefined, text: textOf(shared) }];
}

/** Of a successful AssumeRole, the role's account. */
function assumedAccount({ service, operation, error, input }: Fact): string | undefined {
  if (service !== 'sts' || operation !== 'AssumeRole' || error) return undefined;
  const { RoleArn } = (input ?? {}) as { RoleArn?: unknown };
  return typeof RoleArn === 'string' ? /^arn:aws:iam::(\d{12}):role\//.exec(RoleArn)?.[1] : undefined;
}
