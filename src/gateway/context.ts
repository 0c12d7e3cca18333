/** What a handler gets to know of its request, and the errors it may throw. */
import { AwsError } from '../platform/errors.ts';
import type { OperationContext } from '../platform/service.ts';
import { actionOf, authorizeAll } from './authorize.ts';
import type { Exchange } from './exchange.ts';
import { singleHeaders } from './identify.ts';

export function createContext(exchange: Exchange, inside = false, via?: string): OperationContext<string> {
  const { gateway, call, principal, requestId } = exchange;
  const context: OperationContext<string> = {
    ...gateway.platform,
    account: principal!.account,
    region: exchange.region!,
    principal: principal!,
    requestId,
    sourceIp: call.sourceIp,
    userAgent: String(call.headers['user-agent'] ?? ''),
    via,
    http: inside
      ? undefined
      : {
          headers: singleHeaders(exchange),
          origin: `${call.secure ? 'https' : 'http'}://${call.headers.host ?? ''}`,
          trailers: exchange.trailers,
          onGone: (listener) => call.onGone?.(listener) ?? (() => {}),
        },
    authorize: (checks) => authorizeAll(gateway, context, actionOf(exchange), checks),
    error: (code, message, fields) => new AwsError(code, message, { fields }),
  };
  return context;
}
