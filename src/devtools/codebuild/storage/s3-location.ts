/** `bucket/key`, also as `arn:aws:s3:::bucket/key`. */
export interface S3Location {
  bucket: string;
  key: string;
}

export function parseS3Location(text: string): S3Location {
  const [bucket = '', ...key] = text.replace(/^arn:[^:]+:s3:::/, '').split('/');
  return { bucket, key: key.join('/') };
}

/** Joins what is there, without doubled or leading slashes. */
export function joinKey(...parts: (string | undefined)[]): string {
  return parts
    .flatMap((part) => (part ?? '').split('/'))
    .filter((part) => part !== '')
    .join('/');
}
