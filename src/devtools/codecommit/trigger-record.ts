/** What a trigger tells: the record that Lambda functions and SNS topics get, as the guides of CodeCommit and Lambda show it. */
import { randomUUID } from 'node:crypto';
import { ZERO_ID } from '../../git/objects.ts';
import { branchRef, describeRef } from '../../git/ref-names.ts';
import type { ReferenceChange } from './references.ts';
import type { Repository } from './repository.ts';
import { repositoryArn } from './repository.ts';
import type { TriggersTable } from './tables.ts';

export type Trigger = TriggersTable['triggers']['__select__'][number];

/** One message for one destination. */
export interface TriggerMessage {
  account: string;
  region: string;
  repository: string;
  repositoryArn: string;
  trigger: string;
  destinationArn: string;
  /** Of the notification of a topic. */
  subject: string;
  /** JSON text. */
  payload: string;
}

interface RecordedReference {
  commit: string;
  created?: true;
  deleted?: true;
  ref: string;
}

/** SNS and Lambda take 256 kB; the rest is for what is around the references. */
const MAX_REFERENCES_BYTES = 192 * 1024;
/** Characters of a notification’s subject: SNS takes "less than 100". */
const MAX_SUBJECT = 99;

interface Occasion {
  repository: Repository;
  configurationId: string;
  caller: string;
  time: Date;
}

/** The messages of one trigger about one push: none when it is not concerned, several when the references do not fit one. */
export function triggerMessages(trigger: Trigger, changes: ReferenceChange[], occasion: Occasion): TriggerMessage[] {
  const concerned = changes.filter((change) => isConcerned(trigger, change));
  const verbs = new Set(concerned.map(verbOf));
  const verb = verbs.size === 1 ? [...verbs][0]! : 'UPDATE';
  return messagesOf(trigger, occasion, { eventName: 'ReferenceChanges', verb }, partsOf(concerned.map(recordReference)));
}

/** What TestRepositoryTriggers sends: data of the repository, with zeros for a commit where it has none. */
export function testMessage(trigger: Trigger, tip: { branch: string; commit: string } | undefined, occasion: Occasion): TriggerMessage {
  const ref = branchRef(tip?.branch ?? trigger.branches?.[0] ?? 'main');
  const references = [[{ commit: tip?.commit ?? ZERO_ID, ref }]];
  return messagesOf(trigger, occasion, { eventName: 'TriggerEventTest', verb: 'TEST' }, references)[0]!;
}

function isConcerned({ branches = [], events }: Trigger, change: ReferenceChange): boolean {
  const { type, shortName } = describeRef(change.name);
  if (branches.length > 0 && !(type === 'branch' && branches.includes(shortName))) return false;
  const kind = { CREATE: 'createReference', DELETE: 'deleteReference', UPDATE: 'updateReference' }[verbOf(change)];
  return events.some((event) => event === 'all' || event === kind);
}

function verbOf({ oldId, newId }: ReferenceChange): 'CREATE' | 'DELETE' | 'UPDATE' {
  return oldId === undefined ? 'CREATE' : newId === undefined ? 'DELETE' : 'UPDATE';
}

/** A deleted reference is told with the commit that it had. */
function recordReference({ name, oldId, newId, peeledId, oldPeeledId }: ReferenceChange): RecordedReference {
  return {
    commit: peeledId ?? newId ?? oldPeeledId ?? oldId!,
    ...(oldId === undefined ? { created: true } : {}),
    ...(newId === undefined ? { deleted: true } : {}),
    ref: name,
  };
}

function partsOf(references: RecordedReference[]): RecordedReference[][] {
  const parts: RecordedReference[][] = [];
  let bytes = 0;
  for (const reference of references) {
    const size = Buffer.byteLength(JSON.stringify(reference)) + 1;
    if (parts.length === 0 || bytes + size > MAX_REFERENCES_BYTES) {
      parts.push([]);
      bytes = 0;
    }
    parts.at(-1)!.push(reference);
    bytes += size;
  }
  return parts;
}

function messagesOf(
  trigger: Trigger,
  { repository, configurationId, caller, time }: Occasion,
  { eventName, verb }: { eventName: string; verb: string },
  parts: RecordedReference[][],
): TriggerMessage[] {
  const { region, account } = repository;
  const arn = repositoryArn(repository, repository.name);
  const eventId = randomUUID();
  return parts.map((references, index) => ({
    account,
    region,
    repository: repository.name,
    repositoryArn: arn,
    trigger: trigger.name,
    destinationArn: trigger.destinationArn,
    subject: `${verb}: AWS CodeCommit ${region} push: ${repository.name}`.slice(0, MAX_SUBJECT),
    payload: JSON.stringify({
      Records: [
        {
          awsRegion: region,
          codecommit: { references },
          customData: trigger.customData ?? null,
          eventId,
          eventName,
          eventPartNumber: index + 1,
          eventSource: 'aws:codecommit',
          eventSourceARN: arn,
          eventTime: time.toISOString().replace('Z', '+0000'),
          eventTotalParts: parts.length,
          eventTriggerConfigId: configurationId,
          eventTriggerName: trigger.name,
          eventVersion: '1.0',
          userIdentityARN: caller,
        },
      ],
    }),
  }));
}
