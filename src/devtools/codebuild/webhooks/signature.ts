/** Whether a delivery comes from whoever has the webhook's secret. */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { ServerType } from '../providers/provider.ts';
import { type Headers, header } from './event.ts';

/** GitHub and Bitbucket sign the body, GitLab sends the secret along. */
export function isAuthentic(serverType: ServerType, headers: Headers, body: Uint8Array, secret: string): boolean {
  switch (serverType) {
    case 'GITHUB':
    case 'GITHUB_ENTERPRISE':
      return isEqual(header(headers, 'x-hub-signature-256'), signature(body, secret));
    case 'BITBUCKET':
      return isEqual(header(headers, 'x-hub-signature'), signature(body, secret));
    case 'GITLAB':
    case 'GITLAB_SELF_MANAGED':
      return isEqual(header(headers, 'x-gitlab-token'), secret);
  }
}

/** What stays the same when the provider sends the same delivery again. */
export function deliveryId(serverType: ServerType, headers: Headers, body: Uint8Array): string {
  const names = { GITHUB: 'x-github-delivery', GITHUB_ENTERPRISE: 'x-github-delivery', BITBUCKET: 'x-request-uuid', GITLAB: 'x-gitlab-event-uuid', GITLAB_SELF_MANAGED: 'x-gitlab-event-uuid' }; // biome-ignore format: one line
  const told = header(headers, names[serverType]).slice(0, 100);
  // GitLab tells the same id for events that come of each other, older ones tell none.
  if (told && !serverType.startsWith('GITLAB')) return told;
  return `${told}:${createHash('sha256').update(body).digest('base64url')}`;
}

function signature(body: Uint8Array, secret: string): string {
  return `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`;
}

/** In a time that tells nothing, also of the length. */
function isEqual(given: string, expected: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(expected));
}
