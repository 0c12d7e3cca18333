/** From a line of the journal to a record as AWS's CloudTrail writes it. */
import { loadModel, type ServiceModel } from '../../platform/model.ts';
import { type Identity, userIdentity } from './identity.ts';
import type { Fact, GitAccess } from './journal/facts.ts';
import { eventSource, isRead, type Traits, traitsOf } from './operations.ts';
import { parametersOf } from './parameters.ts';
import { type ResourceRef, resourcesOf } from './resources.ts';

const EVENT_VERSION = '1.11';
/** AWS's bound of a whole event. */
const MAX_EVENT = 256 * 1024;

/** One record, its members in AWS's order. */
export interface TrailRecord {
  eventVersion: string;
  userIdentity: Identity;
  /** To the second. */
  eventTime: string;
  eventSource: string;
  eventName: string;
  awsRegion: string;
  sourceIPAddress: string;
  userAgent: string;
  errorCode?: string;
  errorMessage?: string;
  requestParameters: unknown;
  responseElements: unknown;
  additionalEventData?: unknown;
  requestID: string;
  eventID: string;
  readOnly: boolean;
  resources?: { accountId: string; type: string; ARN: string }[];
  eventType: 'AwsApiCall';
  apiVersion?: string;
  managementEvent: boolean;
  recipientAccountId: string;
  sharedEventID?: string;
  eventCategory: 'Management' | 'Data';
  tlsDetails?: { tlsVersion: string; cipherSuite: string; clientProvidedHostHeader: string };
}

/** A record and what it is found by. */
export interface Rendered {
  account: string;
  region: string;
  /** Milliseconds since 1970. */
  time: number;
  /** The `resources.type` of a data event. */
  dataType: string | undefined;
  record: TrailRecord;
  resources: ResourceRef[];
  userName: string | undefined;
  text: string;
}

type RecordTraits = Pick<Traits, 'eventName' | 'eventSource' | 'readOnly' | 'dataType'>;

/** Undefined for a line that tells of no operation that is known here (any more). */
export function render(fact: Fact, eventId: string): Rendered | undefined {
  const model = loadModel(fact.service);
  const traits = fact.git ? gitTraits(fact, fact.git, model) : traitsOf(fact.service, model, fact.operation);
  if (!traits) return undefined;
  const { caller } = fact;
  const resources = resourcesOf(fact);
  const arns = resources.filter(({ arn }) => arn !== undefined);
  const identity = userIdentity(caller);
  const record: TrailRecord = {
    eventVersion: EVENT_VERSION,
    userIdentity: identity,
    eventTime: `${new Date(fact.time).toISOString().slice(0, 19)}Z`,
    eventSource: traits.eventSource,
    eventName: traits.eventName,
    awsRegion: caller.region,
    sourceIPAddress: caller.sourceIp,
    userAgent: caller.userAgent,
    ...(fact.error ? { errorCode: fact.error.code, errorMessage: fact.error.message } : {}),
    ...payloads(fact),
    requestID: fact.requestId,
    eventID: eventId,
    readOnly: traits.readOnly,
    ...(arns.length > 0
      ? { resources: arns.map(({ type, arn }) => ({ accountId: arn!.split(':')[4] || caller.account, type, ARN: arn! })) }
      : {}),
    eventType: 'AwsApiCall',
    ...(fact.git ? {} : { apiVersion: model.metadata.apiVersion }),
    managementEvent: traits.dataType === undefined,
    recipientAccountId: caller.account,
    eventCategory: traits.dataType === undefined ? 'Management' : 'Data',
    ...(fact.tls
      ? { tlsDetails: { tlsVersion: fact.tls.version, cipherSuite: fact.tls.cipher, clientProvidedHostHeader: fact.tls.host } }
      : {}),
  };
  return {
    account: caller.account,
    region: caller.region,
    time: fact.time,
    dataType: traits.dataType,
    record,
    resources,
    userName: userNameOf(identity),
    text: textOf(record),
  };
}

type Payloads = Pick<TrailRecord, 'requestParameters' | 'responseElements' | 'additionalEventData'>;

function payloads({ service, operation, input, output, git }: Fact): Payloads {
  if (!git) {
    return {
      requestParameters: parametersOf(service, operation, 'input', input),
      responseElements: parametersOf(service, operation, 'output', output),
    };
  }
  const { references, ...more } = git;
  return { requestParameters: references ? { references } : null, responseElements: null, additionalEventData: more };
}

/** As AWS records them: the first request of a push, which only asks for the references, is a read. */
function gitTraits({ service, operation }: Fact, { dataTransferred }: GitAccess, model: ServiceModel): RecordTraits {
  const readOnly = isRead(service, operation) || !dataTransferred;
  return { eventName: operation, eventSource: eventSource(model), readOnly, dataType: undefined };
}

export function textOf(record: TrailRecord): string {
  const text = JSON.stringify(record);
  if (text.length <= MAX_EVENT) return text;
  const omitted = { omitted: true, originalSize: text.length, reason: 'event too large' };
  record.requestParameters = record.requestParameters === null ? null : omitted;
  record.responseElements = record.responseElements === null ? null : omitted;
  return JSON.stringify(record);
}

/** The name that LookupEvents shows: a user's, or that of a role's session. */
function userNameOf({ type, userName, principalId, accountId }: Identity): string | undefined {
  if (type === 'AssumedRole') return principalId?.slice(principalId.indexOf(':') + 1);
  return type === 'Root' ? (userName ?? 'root') : (userName ?? (type === 'AWSAccount' ? accountId : undefined));
}
