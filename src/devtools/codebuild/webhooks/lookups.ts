/** What a payload leaves out is asked of the provider, once, with the project's credential. */
import type { Platform } from '../../../platform/platform.ts';
import { changedFiles, commitMessage } from '../providers/changes.ts';
import { providerOf } from './approval.ts';
import type { WebhookEvent } from './event.ts';
import type { Lookups } from './filters.ts';
import type { WebhookRow } from './tables.ts';

/** They throw ProviderError, CredentialError, BadLocation. */
export function lookupsFor(platform: Platform, row: WebhookRow, event: WebhookEvent): Lookups {
  let files: Promise<string[]> | undefined;
  let message: Promise<string> | undefined;
  const ask = () => providerOf(platform, row, event.cloneUrl);
  return {
    files() {
      files ??= event.files
        ? Promise.resolve(event.files)
        : ask().then(({ remote, credential }) => changedFiles(remote, credential, event));
      return files;
    },
    message() {
      const { commit } = event;
      message ??=
        event.message !== undefined || !commit
          ? Promise.resolve(event.message ?? '')
          : ask().then(({ remote, credential }) => commitMessage(remote, credential, commit));
      return message;
    },
  };
}
