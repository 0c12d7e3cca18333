/** Facts about an error that the model or AWS's common list knows: its shape, its status, whose fault it is. */
import type { ServiceModel, Shape } from '../../platform/model.ts';

/** The codes that every service shares, where their status is not 400: docs "Common Errors". */
const COMMON: Record<string, number> = {
  AccessDenied: 403,
  AuthFailure: 403,
  ExpiredToken: 403,
  IncompleteSignature: 403,
  InternalError: 500,
  InternalFailure: 500,
  InternalServerError: 500,
  InvalidAccessKeyId: 403,
  InvalidClientTokenId: 403,
  MissingAuthenticationToken: 403,
  NotAuthorized: 403,
  NotImplementedException: 501,
  OptInRequired: 403,
  RequestEntityTooLarge: 413,
  RequestExpired: 400,
  ServiceUnavailable: 503,
  ServiceUnavailableException: 503,
  SignatureDoesNotMatch: 403,
};

/** The shape of an error by its wire code: the operation's own first, then any of the service. */
export function errorShape(model: ServiceModel, operationName: string | undefined, code: string): Shape | undefined {
  const own = operationName ? model.operations[operationName]?.errors : undefined;
  for (const { shape } of own ?? []) {
    if (shape === code || model.shapes[shape]?.error?.code === code) return model.shapes[shape];
  }
  const named = model.shapes[code];
  if (named?.exception) return named;
  return Object.values(model.shapes).find((shape) => shape.exception && shape.error?.code === code);
}

/** What the newer protocols of a service that spoke query first call an error: its shape, where query has a code of its own. */
export function errorName(model: ServiceModel, operationName: string | undefined, code: string): string {
  if (!model.metadata.awsQueryCompatible) return code;
  const shape = errorShape(model, operationName, code);
  return Object.keys(model.shapes).find((name) => model.shapes[name] === shape) ?? code;
}

/** Codes that the rest of Penstock shares, as query services write them. */
const QUERY_CODES: Record<string, string> = {
  AccessDeniedException: 'AccessDenied',
  InvalidParameterValueException: 'InvalidParameterValue',
  MissingRequiredParameterException: 'MissingParameter',
  ValidationException: 'ValidationError',
};

/** What the query protocol calls an error: as its shape says, where it has one. */
export function queryCode(model: ServiceModel, operationName: string | undefined, code: string): string {
  if (code === 'AccessDeniedException' && 'AuthorizationErrorException' in model.shapes) return 'AuthorizationError';
  const shape = errorShape(model, operationName, code);
  return shape?.error?.code ?? shape?.queryError?.code ?? QUERY_CODES[code] ?? code;
}

/** 500 for a fault, 400 for a client's error that says nothing else. */
export function errorStatus(shape: Shape | undefined, code: string, explicit: number | undefined): number {
  if (explicit !== undefined) return explicit;
  if (shape?.error?.httpStatusCode !== undefined) return shape.error.httpStatusCode;
  if (shape?.queryError) return shape.queryError.httpStatusCode;
  if (shape?.fault) return 500;
  return COMMON[code] ?? 400;
}

/** Programs written for the query form look for the codes that it had: this header carries them. */
export function queryErrorHeader(
  model: ServiceModel,
  operationName: string | undefined,
  code: string,
  status: number,
): Record<string, string> {
  if (!model.metadata.awsQueryCompatible) return {};
  return { 'x-amzn-query-error': `${queryCode(model, operationName, code)};${status >= 500 ? 'Receiver' : 'Sender'}` };
}
