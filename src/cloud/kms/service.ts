/** KMS: keys that never leave, what they encrypt and sign, and who may use them. */
import { defineService } from '../../platform/service.ts';
import * as aliases from './aliases.ts';
import * as keys from './create-key.ts';
import * as dataKeys from './data-keys.ts';
import { decrypt, encrypt, reEncrypt } from './encrypt.ts';
import * as grants from './grants.ts';
import { generateMac, verifyMac } from './macs.ts';
import * as policies from './policies.ts';
import * as rotation from './rotation.ts';
import { getPublicKey, sign, verify } from './signatures.ts';
import * as states from './states.ts';
import * as tags from './tags.ts';

export const kms = defineService('kms', {
  operations: {
    createKey: keys.createKey,
    describeKey: keys.describeKey,
    listKeys: keys.listKeys,
    updateKeyDescription: keys.updateKeyDescription,
    enableKey: states.enableKey,
    disableKey: states.disableKey,
    scheduleKeyDeletion: states.scheduleKeyDeletion,
    cancelKeyDeletion: states.cancelKeyDeletion,
    createAlias: aliases.createAlias,
    updateAlias: aliases.updateAlias,
    deleteAlias: aliases.deleteAlias,
    listAliases: aliases.listAliases,
    getKeyPolicy: policies.getKeyPolicy,
    putKeyPolicy: policies.putKeyPolicy,
    listKeyPolicies: policies.listKeyPolicies,
    createGrant: grants.createGrant,
    listGrants: grants.listGrants,
    listRetirableGrants: grants.listRetirableGrants,
    retireGrant: grants.retireGrant,
    revokeGrant: grants.revokeGrant,
    encrypt,
    decrypt,
    reEncrypt,
    generateDataKey: dataKeys.generateDataKey,
    generateDataKeyWithoutPlaintext: dataKeys.generateDataKeyWithoutPlaintext,
    generateDataKeyPair: dataKeys.generateDataKeyPair,
    generateDataKeyPairWithoutPlaintext: dataKeys.generateDataKeyPairWithoutPlaintext,
    generateRandom: dataKeys.generateRandom,
    generateMac,
    verifyMac,
    sign,
    verify,
    getPublicKey,
    enableKeyRotation: rotation.enableKeyRotation,
    disableKeyRotation: rotation.disableKeyRotation,
    getKeyRotationStatus: rotation.getKeyRotationStatus,
    rotateKeyOnDemand: rotation.rotateKeyOnDemand,
    listKeyRotations: rotation.listKeyRotations,
    tagResource: tags.tagResource,
    untagResource: tags.untagResource,
    listResourceTags: tags.listResourceTags,
  },
  reconcilers: { [states.KEY_WORK]: rotation.keyWork },
  schema: new URL('./schema/', import.meta.url),
});
