import type { SecretReference } from './buildspec.ts';

export const SECRET_FORM = 'secret-id:json-key:version-stage:version-id';

const ID_FIELDS_OF_AN_ARN = 7;
const MOST_FURTHER_FIELDS = 3;

/** Where the id may be an ARN, which itself has seven fields. Undefined when the text is of another form. */
export function parseSecretReference(reference: string): SecretReference | undefined {
  const fields = reference.split(':');
  const idFields = reference.startsWith('arn:') ? ID_FIELDS_OF_AN_ARN : 1;
  const id = fields.slice(0, idFields);
  const further = fields.slice(idFields).map((field) => field || undefined);
  if (further.length > MOST_FURTHER_FIELDS || id.some((field) => field === '') || id.length < idFields) return undefined;
  const [jsonKey, versionStage, versionId] = further;
  return { id: id.join(':'), jsonKey, versionStage, versionId };
}
