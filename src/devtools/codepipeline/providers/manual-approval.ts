/** Approval: waits for PutApprovalResult, which writes the answer itself. */
import type { Provider } from './provider.ts';

export const manualApproval: Provider = {
  // An external id of its own lets the engine set the time-out once.
  advance: async ({ run }) => ({ state: 'InProgress', externalId: run.id }),
};
