/** Message authentication codes under HMAC keys. */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { operation, type RequestContext } from '../../platform/service.ts';
import { onKey } from './access.ts';
import { endDryRun, invalidUsage, requireUsable } from './errors.ts';
import { findKey, type Key, materialOf } from './keys.ts';
import { algorithmsOf, type MacAlgorithm } from './specs.ts';

async function macKey(ctx: RequestContext, input: { KeyId: string; MacAlgorithm: MacAlgorithm }, operationName: string): Promise<Key> {
  const key = await findKey(ctx, input.KeyId);
  requireUsable(key, 'GENERATE_VERIFY_MAC', operationName);
  if (!algorithmsOf(key).mac.includes(input.MacAlgorithm)) {
    throw invalidUsage(`Algorithm ${input.MacAlgorithm} and key spec ${key.spec} are incompatible.`);
  }
  return key;
}

function macOf(ctx: RequestContext, key: Key, algorithm: MacAlgorithm, message: Uint8Array): Buffer {
  return createHmac(algorithm.replace('HMAC_SHA_', 'sha'), materialOf(ctx, key)!).update(message).digest();
}

const conditions = ({ MacAlgorithm }: { KeyId: string; MacAlgorithm: MacAlgorithm }) => ({ 'kms:MacAlgorithm': MacAlgorithm });

export const generateMac = operation('kms', 'GenerateMac', {
  authorize: onKey('GenerateMac', conditions),
  async handle(ctx, input) {
    const { MacAlgorithm } = input;
    const key = await macKey(ctx, input, 'GenerateMac');
    endDryRun(input.DryRun);
    return { Mac: macOf(ctx, key, MacAlgorithm, input.Message), MacAlgorithm, KeyId: key.arn };
  },
});

export const verifyMac = operation('kms', 'VerifyMac', {
  authorize: onKey('VerifyMac', conditions),
  async handle(ctx, input) {
    const { MacAlgorithm } = input;
    const key = await macKey(ctx, input, 'VerifyMac');
    endDryRun(input.DryRun);
    const mac = macOf(ctx, key, MacAlgorithm, input.Message);
    if (mac.length !== input.Mac.length || !timingSafeEqual(mac, input.Mac)) {
      throw ctx.error('KMSInvalidMacException', 'The HMAC verification failed.');
    }
    return { KeyId: key.arn, MacValid: true, MacAlgorithm };
  },
});
