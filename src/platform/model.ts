/** The AWS service models in `models/`, as they are on disk, and the few questions that everything asks of them. */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

export type Protocol = 'smithy-rpc-v2-cbor' | 'json' | 'rest-json' | 'rest-xml' | 'query' | 'ec2';

export interface ShapeRef {
  shape: string;
  location?: 'header' | 'headers' | 'uri' | 'querystring' | 'statusCode';
  locationName?: string;
  streaming?: boolean;
  xmlAttribute?: boolean;
  xmlNamespace?: { uri: string; prefix?: string };
  flattened?: boolean;
  idempotencyToken?: boolean;
  deprecated?: boolean;
  queryName?: string;
}

export interface Shape {
  type: 'structure' | 'list' | 'map' | 'string' | 'blob' | 'timestamp' | 'boolean' | 'integer' | 'long' | 'float' | 'double';
  members?: Record<string, ShapeRef>;
  member?: ShapeRef;
  key?: ShapeRef;
  value?: ShapeRef;
  required?: string[];
  enum?: string[];
  min?: number;
  max?: number;
  pattern?: string;
  payload?: string;
  flattened?: boolean;
  streaming?: boolean;
  /** A union whose values come one after the other, as messages of a stream. */
  eventstream?: boolean;
  union?: boolean;
  sensitive?: boolean;
  exception?: boolean;
  fault?: boolean;
  error?: { code?: string; httpStatusCode?: number; senderFault?: boolean };
  /** What the query form of a service that now speaks JSON calls this error. */
  queryError?: { code: string; httpStatusCode: number };
  timestampFormat?: 'iso8601' | 'rfc822' | 'unixTimestamp';
  xmlNamespace?: { uri: string; prefix?: string };
  locationName?: string;
}

export interface OperationModel {
  name: string;
  http: { method: string; requestUri: string; responseCode?: number };
  input?: ShapeRef;
  output?: ShapeRef & { resultWrapper?: string };
  errors?: ShapeRef[];
  /** `none`: called without a signature. */
  authtype?: 'none' | string;
  /** Not in AWS's public model: services call it inside the process; over the wire it does not exist. */
  internal?: boolean;
  /** Clients may send the body compressed so, and say it in `content-encoding`. */
  requestcompression?: { encodings: string[] };
  httpChecksum?: { requestAlgorithmMember?: string; requestChecksumRequired?: boolean; requestValidationModeMember?: string };
}

export interface ServiceModel {
  metadata: {
    apiVersion: string;
    endpointPrefix: string;
    protocol: Protocol;
    jsonVersion?: '1.0' | '1.1';
    targetPrefix?: string;
    signingName?: string;
    serviceId: string;
    xmlNamespace?: string;
    /** Present where a JSON service also answers in the query form that it spoke once. */
    awsQueryCompatible?: object;
  };
  operations: Record<string, OperationModel>;
  /** Names that real AWS knows and this model does not describe: answered 501. */
  otherOperations: string[];
  shapes: Record<string, Shape>;
}

const modelsDir = path.join(import.meta.dirname, '..', '..', 'models');
const loaded = new Map<string, ServiceModel>();

/** Names of all services that have a model, such as `codecommit`. */
export function modelNames(): string[] {
  return readdirSync(modelsDir)
    .filter((file) => file.endsWith('.json') && !file.endsWith('.patch.json'))
    .map((file) => file.slice(0, -'.json'.length))
    .sort();
}

/** Reads and keeps one model; about 3 ms for the largest. */
export function loadModel(service: string): ServiceModel {
  let model = loaded.get(service);
  if (!model) {
    model = JSON.parse(readFileSync(path.join(modelsDir, `${service}.json`), 'utf8')) as ServiceModel;
    // Looked up by what requests name: "constructor" is no operation.
    Object.setPrototypeOf(model.operations, null);
    loaded.set(service, model);
  }
  return model;
}

/** The name that clients put in the credential scope. */
export function signingName(model: ServiceModel): string {
  return model.metadata.signingName ?? model.metadata.endpointPrefix;
}
