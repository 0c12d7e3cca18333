/** The policy simulator. */
import { getContextKeysForCustomPolicy, getContextKeysForPrincipalPolicy } from './context-keys.ts';
import { simulateCustomPolicy, simulatePrincipalPolicy } from './simulate.ts';

export const simulation = {
  simulateCustomPolicy,
  simulatePrincipalPolicy,
  getContextKeysForCustomPolicy,
  getContextKeysForPrincipalPolicy,
};
