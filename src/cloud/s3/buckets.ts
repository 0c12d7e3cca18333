/** Buckets: their names, where they are, whose they are. */
import { operation, type RequestContext } from '../../platform/service.ts';
import { bucketArn, canonicalUser, findBucket, onBucket } from './access.ts';
import { DEFAULT_ENCRYPTION } from './bucket-settings.ts';
import { invalidArgument, s3Error } from './errors.ts';
import { successor } from './keys.ts';
import { bucketTags } from './tags.ts';
import { dropUpload } from './uploads.ts';

const MAIN_REGION = 'us-east-1';
const NAME = /^(?=.{3,63}$)(?!\d+\.\d+\.\d+\.\d+$)(?!.*\.\.)[a-z0-9][a-z0-9.-]*[a-z0-9]$/;
const RESERVED_STARTS = ['xn--', 'sthree-', 'amzn-s3-demo-'];
const RESERVED_ENDS = ['-s3alias', '--ol-s3', '.mrap', '--x-s3', '--table-s3'];
const MAX_BUCKETS = 10_000;
const BLOCK_ALL = { BlockPublicAcls: true, IgnorePublicAcls: true, BlockPublicPolicy: true, RestrictPublicBuckets: true };

export const createBucket = operation('s3', 'CreateBucket', {
  authorize: (input) => bucketArn(input.Bucket),
  async handle(ctx, input) {
    const { Bucket: name } = input;
    checkBucketName(name);
    if (input.ObjectLockEnabledForBucket) throw s3Error('NotImplemented', undefined, { Header: 'x-amz-bucket-object-lock-enabled' });
    if (
      input.CreateBucketConfiguration?.Bucket ||
      input.CreateBucketConfiguration?.Location ||
      input.BucketNamespace === 'account-regional'
    ) {
      throw s3Error('NotImplemented');
    }
    const grants = input.GrantFullControl ?? input.GrantRead ?? input.GrantReadACP ?? input.GrantWrite ?? input.GrantWriteACP;
    if (grants !== undefined || (input.ACL !== undefined && input.ACL !== 'private')) throw s3Error('AccessControlListNotSupported');
    if (input.ObjectOwnership !== undefined && input.ObjectOwnership !== 'BucketOwnerEnforced') {
      throw s3Error('NotImplemented', undefined, { Header: 'x-amz-object-ownership' });
    }
    const region = regionOf(ctx, input.CreateBucketConfiguration?.LocationConstraint);
    const tags = bucketTags(input.CreateBucketConfiguration?.Tags ?? []);
    await ctx.transaction(async (tx) => {
      const made = await tx.sql
        .insertInto('s3.buckets')
        .values({
          name,
          account: ctx.account,
          region,
          created_at: ctx.now(),
          ownership: 'BucketOwnerEnforced',
          public_access_block: JSON.stringify(BLOCK_ALL),
          encryption: JSON.stringify(DEFAULT_ENCRYPTION),
          tags: tags && JSON.stringify(tags),
        })
        .onConflict((conflict) => conflict.column('name').doNothing())
        .returning('name')
        .executeTakeFirst();
      if (made) return;
      const { account, region: where } = await tx.sql
        .selectFrom('s3.buckets')
        .select(['account', 'region'])
        .where('name', '=', name)
        .executeTakeFirstOrThrow();
      if (account !== ctx.account) throw s3Error('BucketAlreadyExists', undefined, { BucketName: name });
      // In us-east-1 making one's own bucket again succeeds, as it always has.
      if (where !== MAIN_REGION || region !== MAIN_REGION) throw s3Error('BucketAlreadyOwnedByYou', undefined, { BucketName: name });
    });
    return { Location: `/${name}`, BucketArn: bucketArn(name) };
  },
});

/** User guide, "General purpose bucket naming rules". */
function checkBucketName(name: string): void {
  const reserved = RESERVED_STARTS.some((start) => name.startsWith(start)) || RESERVED_ENDS.some((end) => name.endsWith(end));
  if (!NAME.test(name) || reserved) throw s3Error('InvalidBucketName', undefined, { BucketName: name });
}

function regionOf(ctx: RequestContext, constraint: string | undefined): string {
  const region = constraint === 'EU' ? 'eu-west-1' : (constraint ?? MAIN_REGION);
  if (region === ctx.region || ctx.region === MAIN_REGION) return region;
  throw s3Error(
    'IllegalLocationConstraintException',
    constraint && `The ${constraint} location constraint is incompatible for the region specific endpoint this request was sent to.`,
  );
}

export const deleteBucket = operation('s3', 'DeleteBucket', {
  authorize: onBucket('s3:DeleteBucket'),
  async handle(ctx, input) {
    await ctx.transaction(async (tx) => {
      // Writers hold the row: when it is ours, what they wrote is here, and none comes after.
      const bucket = await tx.sql.selectFrom('s3.buckets').select('name').where('name', '=', input.Bucket).forUpdate().executeTakeFirst();
      if (!bucket) throw s3Error('NoSuchBucket', undefined, { BucketName: input.Bucket });
      const held = await tx.sql.selectFrom('s3.versions').select('key').where('bucket', '=', bucket.name).limit(1).executeTakeFirst();
      if (held) throw s3Error('BucketNotEmpty', undefined, { BucketName: bucket.name });
      const uploads = await tx.sql.selectFrom('s3.uploads').select('id').where('bucket', '=', bucket.name).forUpdate().execute();
      for (const { id } of uploads) await dropUpload(tx, id, ctx.now());
      await tx.sql.deleteFrom('s3.buckets').where('name', '=', bucket.name).execute();
    });
    return {};
  },
});

export const headBucket = operation('s3', 'HeadBucket', {
  authorize: onBucket('s3:ListBucket'),
  async handle(ctx, input) {
    const bucket = await findBucket(ctx, input);
    return { BucketRegion: bucket.region, BucketArn: bucketArn(bucket.name), AccessPointAlias: false };
  },
});

export const getBucketLocation = operation('s3', 'GetBucketLocation', {
  authorize: onBucket('s3:GetBucketLocation'),
  async handle(ctx, input) {
    const { region } = await findBucket(ctx, input);
    // us-east-1 is told by an empty element.
    return region === MAIN_REGION ? {} : { LocationConstraint: region as 'eu-west-1' };
  },
});

export const listBuckets = operation('s3', 'ListBuckets', {
  authorize: () => ({ action: 's3:ListAllMyBuckets', resource: '*' }),
  async handle(ctx, input) {
    const { Prefix: prefix, MaxBuckets: asked = MAX_BUCKETS, ContinuationToken: token } = input;
    const scope = `s3:buckets:${ctx.account}`;
    const after = token === undefined ? undefined : ctx.paging.open<string>(scope, token);
    if (token !== undefined && after === undefined) {
      throw invalidArgument('continuation-token', token, 'The continuation token provided is incorrect');
    }
    const limit = Math.min(asked, MAX_BUCKETS);
    const rows = await ctx.read
      .selectFrom('s3.buckets')
      .select(['name', 'region', 'created_at'])
      .where('account', '=', ctx.account)
      .$if(after !== undefined, (query) => query.where('name', '>', after!))
      .$if(input.BucketRegion !== undefined, (query) => query.where('region', '=', input.BucketRegion!))
      .$if(!!prefix, (query) => query.where('name', '>=', prefix!).where('name', '<', successor(prefix!) ?? prefix!))
      .orderBy('name')
      .limit(limit + 1)
      .execute();
    const page = rows.slice(0, limit);
    return {
      Owner: canonicalUser(ctx.account),
      Buckets: page.map(({ name, region, created_at }) => ({
        Name: name,
        CreationDate: created_at,
        BucketRegion: region,
        BucketArn: bucketArn(name),
      })),
      Prefix: prefix,
      ContinuationToken: rows.length > limit ? ctx.paging.seal(scope, page.at(-1)!.name) : undefined,
    };
  },
});
