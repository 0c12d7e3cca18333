/** Which operation of a REST service a request means: by method, path, query and, where only those tell, required headers. */
import { AwsError } from '../../platform/errors.ts';
import type { OperationModel, ServiceModel } from '../../platform/model.ts';
import { s3Subresource } from './s3-dialect.ts';

export interface RestOperation {
  /** May be one of the model's `otherOperations`: known to AWS, not to us. */
  name: string;
  labels: Record<string, string>;
}

interface Route {
  name: string;
  segments: { literal?: string; label?: string; greedy?: boolean }[];
  /** Written in the URI of the model: must be there, with that value if one is given. */
  query: { key: string; value: string }[];
  /** Bound and required: they tell operations of one path apart (UploadPart from PutObject). */
  requiredQuery: string[];
  requiredHeaders: string[];
}

interface Tables {
  byMethod: Map<string, Route[]>;
  byName: Map<string, Route>;
}

function compileRoute(model: ServiceModel, operation: OperationModel): Route {
  const [path, query = ''] = operation.http.requestUri.split('?') as [string, string?];
  const segments = splitPath(path).map((segment) => {
    const label = /^\{([^+}]+)(\+?)\}$/.exec(segment);
    return label ? { label: label[1]!, greedy: label[2] === '+' } : { literal: segment };
  });
  const input = operation.input ? model.shapes[operation.input.shape] : undefined;
  const required = (location: string) =>
    (input?.required ?? [])
      .filter((name) => input!.members![name]?.location === location)
      .map((name) => input!.members![name]!.locationName ?? name);
  return {
    name: operation.name,
    segments,
    query: [...new URLSearchParams(query)].map(([key, value]) => ({ key, value })),
    requiredQuery: required('querystring'),
    requiredHeaders: required('header').map((name) => name.toLowerCase()),
  };
}

const compiled = new WeakMap<ServiceModel, Tables>();

function tablesOf(model: ServiceModel): Tables {
  let tables = compiled.get(model);
  if (!tables) {
    tables = { byMethod: new Map(), byName: new Map() };
    for (const operation of Object.values(model.operations)) {
      const route = compileRoute(model, operation);
      const { method } = operation.http;
      tables.byName.set(route.name, route);
      tables.byMethod.set(method, [...(tables.byMethod.get(method) ?? []), route]);
    }
    compiled.set(model, tables);
  }
  return tables;
}

/** Segments without the leading slash; one trailing slash says nothing, except in a greedy label, which sees it as an empty last segment. */
function splitPath(path: string): string[] {
  const inner = path.startsWith('/') ? path.slice(1) : path;
  return inner === '' ? [] : inner.split('/');
}

function matchSegments(route: Route, parts: string[]): Record<string, string> | undefined {
  const labels: Record<string, string> = {};
  let index = 0;
  for (const { literal, label, greedy } of route.segments) {
    const part = greedy ? parts.slice(index).join('/') : parts[index];
    if (!part) return undefined;
    if (label !== undefined) labels[label] = part;
    else if (part !== literal) return undefined;
    index = greedy ? parts.length : index + 1;
  }
  const rest = parts.length - index;
  return rest === 0 || (rest === 1 && parts[index] === '') ? labels : undefined;
}

function queryFits(route: Route, query: URLSearchParams): boolean {
  return route.query.every(({ key, value }) => query.has(key) && (value === '' || query.get(key) === value));
}

/** More literal path, then more of the query and headers that the operation needs, then fewer that it misses. */
function rank(route: Route, query: URLSearchParams, headers: Record<string, string | undefined>): number {
  const literals = route.segments.filter((segment) => segment.literal !== undefined).length;
  const greedy = route.segments.some((segment) => segment.greedy) ? 1 : 0;
  const present =
    route.query.length +
    route.requiredQuery.filter((key) => query.has(key)).length +
    route.requiredHeaders.filter((name) => headers[name] !== undefined).length;
  const missing = route.query.length + route.requiredQuery.length + route.requiredHeaders.length - present;
  return literals * 10_000 + (1 - greedy) * 1000 + present * 20 - missing;
}

function decodeLabels(model: ServiceModel, labels: Record<string, string>): Record<string, string> {
  try {
    return Object.fromEntries(Object.entries(labels).map(([name, raw]) => [name, decodeURIComponent(raw)]));
  } catch {
    if (model.metadata.serviceId === 'S3') throw new AwsError('InvalidURI', "Couldn't parse the specified URI.", { status: 400 });
    throw new AwsError('ValidationException', 'The request URI is not valid.', { status: 400 });
  }
}

/** Undefined when the service has nothing at that place. Labels come decoded. Throws AwsError for a path that is no UTF-8. */
export function findRestOperation(
  model: ServiceModel,
  method: string,
  path: string,
  query: URLSearchParams,
  headers: Record<string, string | undefined>,
): RestOperation | undefined {
  const parts = splitPath(path);
  let best: { route: Route; labels: Record<string, string>; rank: number } | undefined;
  for (const route of tablesOf(model).byMethod.get(method) ?? []) {
    const labels = queryFits(route, query) ? matchSegments(route, parts) : undefined;
    if (!labels) continue;
    const score = rank(route, query, headers);
    if (!best || score > best.rank) best = { route, labels, rank: score };
  }
  if (model.metadata.serviceId === 'S3') {
    const subresource = s3Subresource(method, parts, query);
    // `GET /bucket?cors` must not be taken for a listing only because this model does not hold GetBucketCors.
    if (subresource && subresource.name !== best?.route.name && !best?.route.query.some(({ key }) => key === subresource.key)) {
      return model.otherOperations.includes(subresource.name) ? { name: subresource.name, labels: {} } : undefined;
    }
  }
  return best && { name: best.route.name, labels: decodeLabels(model, best.labels) };
}

/** The decoded labels of a request that is known to mean this operation. */
export function pathLabels(model: ServiceModel, operationName: string, path: string): Record<string, string> {
  const route = tablesOf(model).byName.get(operationName)!;
  return decodeLabels(model, matchSegments(route, splitPath(path)) ?? {});
}
