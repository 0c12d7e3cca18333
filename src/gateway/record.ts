/** What was asked, by whom, and how it ended: the last step of every call, from outside or from inside, also of those that failed. */
import { AwsError } from '../platform/errors.ts';
import type { Exchange } from './exchange.ts';

export function record(exchange: Exchange): void {
  const { log } = exchange.gateway.platform;
  if (!log.isLevelEnabled('debug')) return;
  const { error } = exchange;
  log.debug(
    {
      requestId: exchange.requestId,
      service: exchange.entry?.name,
      operation: exchange.operationName,
      region: exchange.region,
      principal: exchange.principal?.arn,
      sourceIp: exchange.call.sourceIp,
      userAgent: exchange.call.headers['user-agent'],
      status: exchange.response?.status,
      error: error instanceof AwsError ? error.code : error?.message,
      ms: performance.now() - exchange.startedAt,
    },
    'call',
  );
}
