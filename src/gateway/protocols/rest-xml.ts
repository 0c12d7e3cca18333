/** rest-xml: the operation by method, path and query; XML for what is left of the input and output. Spoken by S3. */
import { AwsError } from '../../platform/errors.ts';
import type { ServiceModel, ShapeRef } from '../../platform/model.ts';
import type { Codec, WireError, WireRequest, WireResponse } from './codec.ts';
import { errorShape, errorStatus } from './error-status.ts';
import { type Bindings, bindingsOf, isStreaming, readBindings, successStatus, writeHeaders } from './http-bindings.ts';
import { isS3, S3_NAMESPACE, S3_STATUSES, s3Code, s3ResultName } from './s3-dialect.ts';
import { escapeXml, parseXml, type XmlNode } from './xml.ts';
import { element, namespaceAttribute, writeMembers, XmlValueError, xmlReader, xmlWriter } from './xml-values.ts';

const DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n';

function malformed(): AwsError {
  return new AwsError('MalformedXML', 'The XML you provided was not well-formed or did not validate against our published schema', {
    status: 400,
  });
}

function readDocument(model: ServiceModel, ref: ShapeRef, rootName: string | undefined, body: Buffer): unknown {
  let document: { name: string; root: XmlNode };
  try {
    document = parseXml(body.toString('utf8'));
  } catch {
    throw malformed();
  }
  if (rootName !== undefined && document.name !== rootName) throw malformed();
  try {
    return xmlReader(model, ref.shape)(document.root);
  } catch (error) {
    if (error instanceof XmlValueError) throw malformed();
    throw error;
  }
}

function readBody(model: ServiceModel, inputRef: ShapeRef, bindings: Bindings, request: WireRequest, input: Record<string, unknown>): void {
  const { payload } = bindings;
  if (payload?.shape.type === 'blob') {
    if (isStreaming(payload) && request.stream) input[payload.name] = request.stream;
    else if (request.body.length > 0) input[payload.name] = request.body;
  } else if (payload?.shape.type === 'string') {
    if (request.body.length > 0) input[payload.name] = request.body.toString('utf8');
  } else if (payload) {
    if (request.body.length > 0) input[payload.name] = readDocument(model, payload.ref, payload.wire, request.body);
  } else if (bindings.body.length > 0 && request.body.length > 0) {
    const body = readDocument(model, inputRef, inputRef.locationName, request.body) as Record<string, unknown>;
    for (const { name } of bindings.body) if (name in body) input[name] = body[name];
  }
}

function requestIdHeaders(model: ServiceModel, requestId: string): Record<string, string> {
  return isS3(model) ? { 'x-amz-request-id': requestId, 'x-amz-id-2': hostId(requestId) } : { 'x-amzn-RequestId': requestId };
}

/** S3 gives a second id, for its own support; ours only repeats the first in S3's look. */
function hostId(requestId: string): string {
  return Buffer.from(requestId).toString('base64');
}

function writeBody(model: ServiceModel, operationName: string, bindings: Bindings, output: Record<string, unknown>): string | undefined {
  const namespace = namespaceAttribute(isS3(model) ? { uri: S3_NAMESPACE } : undefined);
  if (isS3(model) && operationName === 'GetBucketLocation') {
    return DECLARATION + element('LocationConstraint', namespace, escapeXml((output.LocationConstraint as string | undefined) ?? ''));
  }
  const { payload } = bindings;
  if (payload) {
    const value = output[payload.name];
    if (value === undefined) return undefined;
    const { attributes, content } = xmlWriter(model, payload.ref.shape)(value);
    return (
      DECLARATION +
      element(isS3(model) && operationName === 'UploadPartCopy' ? 'CopyPartResult' : payload.wire, namespace + attributes, content)
    );
  }
  if (bindings.body.length === 0) return undefined;
  const members = bindings.body.map(({ name, ref }): [string, ShapeRef] => [name, ref]);
  const { attributes, content } = writeMembers(model, members, output);
  const root = model.operations[operationName]!.output!.locationName;
  const rootName = root ?? (isS3(model) ? s3ResultName(operationName) : `${operationName}Response`);
  return DECLARATION + element(rootName, namespace + attributes, content);
}

/** Fields of an error that are named as headers travel as such: `etag` with 304, `x-amz-delete-marker` with 404. */
function isHeaderName(name: string): boolean {
  return name === name.toLowerCase();
}

function headerFields(error: WireError): Record<string, string> {
  const fields = Object.entries(error.fields ?? {}).filter(([name, value]) => isHeaderName(name) && typeof value === 'string');
  return Object.fromEntries(fields) as Record<string, string>;
}

/** S3's error is the bare `<Error>`; others wrap it. */
function errorDocument(model: ServiceModel, code: string, error: WireError, fault: boolean): string {
  const fields = Object.entries(error.fields ?? {})
    .filter(([name]) => !isHeaderName(name))
    .filter(([, value]) => typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean')
    .map(([name, value]) => element(name, '', escapeXml(String(value))))
    .join('');
  const body = element('Code', '', escapeXml(code)) + element('Message', '', escapeXml(error.message)) + fields;
  if (isS3(model)) {
    const resource = error.resource === undefined ? '' : element('Resource', '', escapeXml(error.resource));
    const ids = element('RequestId', '', escapeXml(error.requestId)) + element('HostId', '', hostId(error.requestId));
    return DECLARATION + element('Error', '', body + resource + ids);
  }
  const type = element('Type', '', fault ? 'Receiver' : 'Sender');
  return (
    DECLARATION + element('ErrorResponse', '', element('Error', '', type + body) + element('RequestId', '', escapeXml(error.requestId)))
  );
}

export const restXmlCodec: Codec = {
  async decode(model, operationName, request) {
    const inputRef = model.operations[operationName]!.input;
    if (!inputRef) return {};
    const bindings = bindingsOf(model, inputRef.shape);
    const input = readBindings(model, operationName, bindings, request);
    readBody(model, inputRef, bindings, request, input);
    return input;
  },

  encode(model, operationName, output, requestId): WireResponse {
    const operation = model.operations[operationName]!;
    const bindings = operation.output ? bindingsOf(model, operation.output.shape) : undefined;
    const whole = successStatus(model, operationName, bindings, output);
    // The model has no word for it: part of an object is 206.
    const status = isS3(model) && whole === 200 && output.ContentRange !== undefined ? 206 : whole;
    const headers = requestIdHeaders(model, requestId);
    if (!bindings) return { status, headers, body: undefined };
    Object.assign(headers, writeHeaders(model, bindings, output));
    const { payload } = bindings;
    if (payload && (payload.shape.type === 'blob' || payload.shape.type === 'string')) {
      headers['content-type'] ??= payload.shape.type === 'blob' ? 'binary/octet-stream' : 'application/json';
      return { status, headers, body: output[payload.name] as WireResponse['body'] };
    }
    const body = operation.http.method === 'HEAD' ? undefined : writeBody(model, operationName, bindings, output);
    if (body !== undefined) headers['content-type'] ??= 'application/xml';
    return { status, headers, body };
  },

  encodeError(model, operationName, error): WireResponse {
    const code = isS3(model) ? s3Code(error.code) : error.code;
    const shape = errorShape(model, operationName, code);
    const status = error.status ?? (isS3(model) ? S3_STATUSES[code] : undefined) ?? errorStatus(shape, code, undefined);
    const headers = { ...requestIdHeaders(model, error.requestId), ...headerFields(error) };
    const silent =
      error.method === 'HEAD' || status === 304 || (operationName !== undefined && model.operations[operationName]?.http.method === 'HEAD');
    if (silent) return { status, headers, body: undefined };
    headers['content-type'] = 'application/xml';
    return { status, headers, body: errorDocument(model, code, error, status >= 500) };
  },
};
