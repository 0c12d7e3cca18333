/** What events are found by: a hash of each attribute's value, so that one index serves all of them. */
import { createHash } from 'node:crypto';
import type { ShapeOf } from '../../platform/service.ts';
import type { Rendered } from './render.ts';

export type AttributeKey = ShapeOf<'cloudtrail', 'LookupAttribute'>['AttributeKey'];

/** The values of an event, as LookupEvents compares them. */
export function attributeValues(key: AttributeKey, event: Pick<Rendered, 'record' | 'resources' | 'userName'>): string[] {
  const { record, resources, userName } = event;
  switch (key) {
    case 'EventId':
      return [record.eventID];
    case 'EventName':
      return [record.eventName];
    case 'ReadOnly':
      return [String(record.readOnly)];
    case 'Username':
      return userName === undefined ? [] : [userName];
    case 'EventSource':
      return [record.eventSource];
    case 'AccessKeyId':
      return record.userIdentity.accessKeyId === undefined ? [] : [record.userIdentity.accessKeyId];
    case 'ResourceType':
      return resources.map(({ type }) => type);
    case 'ResourceName':
      return resources.flatMap(({ name, arn }) => (arn === undefined || arn === name ? [name] : [name, arn]));
  }
}

/** Those with an index. Half of all events are reads, or are not: for that the newest are looked through. */
const INDEXED: AttributeKey[] = ['EventId', 'EventName', 'Username', 'EventSource', 'AccessKeyId', 'ResourceType', 'ResourceName'];

/** Undefined for an attribute without an index. */
export function attributeHash(place: { account: string; region: string }, key: AttributeKey, value: string): string | undefined {
  if (!INDEXED.includes(key)) return undefined;
  // An event's id is random already, and there is one for each event.
  const uuid = key === 'EventId' ? /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$/.exec(value) : null;
  if (uuid) return Buffer.from(value.replaceAll('-', ''), 'hex').readBigInt64BE().toString();
  return createHash('sha1').update(`${place.account}\n${place.region}\n${key}\n${value}`).digest().readBigInt64BE().toString();
}

/** The hashes of all values of some events of one account and region. */
export function attributeHashes(place: { account: string; region: string }, events: Rendered[]): string[] {
  const hashes = new Set<string>();
  for (const key of INDEXED) {
    const values = new Set(events.flatMap((event) => attributeValues(key, event)));
    for (const value of values) hashes.add(attributeHash(place, key, value)!);
  }
  return [...hashes];
}
