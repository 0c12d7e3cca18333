/** S3's virtual-host style: the bucket in front of the host name. */

const IP_ADDRESS = /^(\d{1,3}\.){3}\d{1,3}$|^\[/;
/** Names under which clients know an S3 endpoint: `BUCKET.localhost`, `BUCKET.s3.REGION.amazonaws.com`, `BUCKET.s3.amazonaws.com`. */
const VIRTUAL = /^(?<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])\.(?:localhost|s3(?:[.-][a-z0-9-]+)?\.(?:amazonaws\.com|localhost))$/;

export function virtualHostBucket(host: string | undefined): string | undefined {
  const name = host?.replace(/:\d+$/, '').toLowerCase();
  if (!name || IP_ADDRESS.test(name)) return undefined;
  const bucket = VIRTUAL.exec(name)?.groups?.bucket;
  // `s3.localhost` itself is the endpoint, not a bucket of the name "s3".
  return bucket === 's3' || bucket?.startsWith('git-codecommit.') ? undefined : bucket;
}
