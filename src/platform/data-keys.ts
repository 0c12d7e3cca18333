/** What services that encrypt under KMS keys share. */

/** Signalled by KMS whenever a key, its policy, its grants or an alias changes. */
export const KMS_CHANGED = 'kms.changed';
