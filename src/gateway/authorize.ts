/** May this principal do this? Asked for what the operation declares, and for what a handler finds out on its way. */
import type { Check, RequestContext } from '../platform/service.ts';
import type { Exchange, Gateway } from './exchange.ts';

export async function authorize(exchange: Exchange): Promise<void> {
  const { operation, context, input } = exchange;
  if (operation!.authorize === 'none') return;
  const checks = await operation!.authorize(input, context!);
  await authorizeAll(exchange.gateway, context!, actionOf(exchange), checks);
}

/** The IAM action of the operation itself, such as `codecommit:GetRepository`. */
export function actionOf(exchange: Exchange): string {
  return `${exchange.entry!.name}:${exchange.operationName}`;
}

/** Throws the service's access-denied error for the first check that fails. */
export async function authorizeAll(
  gateway: Gateway,
  context: RequestContext,
  defaultAction: string,
  checks: Check | Check[] | string | string[],
): Promise<void> {
  for (const check of Array.isArray(checks) ? checks : [checks]) {
    const full = typeof check === 'string' ? { resource: check } : check;
    await gateway.access.authorize(context, { ...full, action: full.action ?? defaultAction });
  }
}
