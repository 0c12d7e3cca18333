/** PutParameter: a new parameter, or a new version of one. */
import { randomUUID } from 'node:crypto';
import { RE2JS } from 're2js';
import { AwsError } from '../../platform/errors.ts';
import type { Transaction } from '../../platform/platform.ts';
import { type Input, operation, type RequestContext } from '../../platform/service.ts';
import { parameterEvent } from './events.ts';
import { onParameter, parameterArn, requireNewName, validation } from './names.ts';
import { findParameter, lockParameter } from './parameter-rows.ts';
import { DEFAULT_KEY, encryptValue } from './secure-strings.ts';
import type { ParameterRow, Tier } from './tables.ts';
import { checkTags } from './tags.ts';

const MAX_STANDARD = 4096;
const MAX_ADVANCED = 8192;
const MAX_VERSIONS = 100;
const MAX_PARAMETERS: Record<Tier, number> = { Standard: 10_000, Advanced: 100_000 };
const DATA_TYPES = ['text', 'aws:ssm:integration'];

type PutInput = Input<'ssm', 'PutParameter'>;

export const putParameter = operation('ssm', 'PutParameter', {
  authorize({ Name, Tags, Overwrite = false }, ctx) {
    const requestTags = Tags && Object.fromEntries(Tags.map(({ Key, Value }) => [Key, Value]));
    const put = onParameter(ctx, Name, { requestTags, conditions: { 'ssm:Overwrite': String(Overwrite) } });
    return Tags?.length ? [put, { ...put, action: 'ssm:AddTagsToResource' }] : put;
  },
  partial: 'Policies (expiration and its notices) and the data type aws:ec2:image are refused',
  async handle(ctx, input) {
    const { Name, Overwrite = false, Tags = [] } = input;
    requireNewName(ctx, Name);
    checkInput(input);
    const tags = checkTags(Object.fromEntries(Tags.map(({ Key, Value }) => [Key, Value])));
    // Encrypted before the transaction, which must not wait for KMS; so the type must be known first.
    const before = await findParameter(ctx.read, ctx, Name);
    if (before && !Overwrite) throw alreadyExists();
    const type = typeOf(input, before);
    const keyId = type === 'SecureString' ? (input.KeyId ?? before?.key_id ?? DEFAULT_KEY) : null;
    if (input.KeyId !== undefined && keyId === null) throw validation('KeyId is required for SecureString type parameter only.');
    const value = keyId === null ? input.Value : await encryptValue(ctx, parameterArn(ctx, Name), keyId, input.Value);
    const modified_at = ctx.now();
    const described = (known: ParameterRow | undefined): Described => ({
      type,
      tier: tierOf(input, known),
      data_type: input.DataType || known?.data_type || 'text',
      description: input.Description ?? known?.description ?? null,
      allowed_pattern: input.AllowedPattern ?? known?.allowed_pattern ?? null,
      key_id: keyId,
      modified_at,
      modified_by: ctx.principal.arn,
    });
    return ctx.transaction(async (tx) => {
      const known = await lockParameter(tx, ctx, Name);
      if (known && !Overwrite) throw alreadyExists();
      if (known?.type !== before?.type) throw ctx.error('TooManyUpdates', 'The parameter is being changed by another request. Try again.');
      const row = known ? await change(tx, known, described(known)) : await create(tx, ctx, Name, { ...described(undefined), tags });
      await tx.sql
        .insertInto('ssm.versions')
        .values({ ...described(known), parameter_id: row.id, version: row.version, value })
        .execute();
      if (row.version > MAX_VERSIONS) await dropOldest(tx, row);
      await tx.emit(parameterEvent(row, row.version === 1 ? 'Create' : 'Update'));
      return { Version: row.version, Tier: row.tier };
    });
  },
});

function alreadyExists(): AwsError {
  const hint = 'To overwrite this value, set the overwrite option in the request to true.';
  return new AwsError('ParameterAlreadyExists', `The parameter already exists. ${hint}`);
}

/** What is wrong with a request, whatever is there already. */
function checkInput({ Value, Type, Overwrite, Tags, AllowedPattern, Policies, DataType, Tier }: PutInput): void {
  if (Value === '') {
    const constraint = 'Member must have length greater than or equal to 1';
    throw validation(`1 validation error detected: Value '' at 'value' failed to satisfy constraint: ${constraint}`);
  }
  if (Value.includes('{{')) throw validation('Parameter value can\'t nest another parameter. Do not use "{{}}" in the value.');
  if (Overwrite && Tags?.length) {
    throw validation('Tags and Overwrite cannot be used together. Use AddTagsToResource to tag a parameter that exists.');
  }
  if (Policies !== undefined && Policies !== '[]') {
    throw new AwsError('InvalidPolicyTypeException', 'Penstock does not carry out parameter policies yet.');
  }
  if (DataType && !DATA_TYPES.includes(DataType)) {
    throw validation(`The data type ${DataType} is not supported: parameters are ${DATA_TYPES.join(' or ')} here.`);
  }
  const bytes = Buffer.byteLength(Value);
  if (bytes > MAX_ADVANCED) {
    throw validation(`Advanced tier parameters support a maximum parameter value of ${MAX_ADVANCED} characters.`);
  }
  if ((Tier ?? 'Standard') === 'Standard' && bytes > MAX_STANDARD) {
    const hint = 'To create a larger parameter value, upgrade the parameter to use the advanced-parameter tier.';
    throw validation(`Standard tier parameters support a maximum parameter value of ${MAX_STANDARD} characters. ${hint}`);
  }
  if (AllowedPattern) checkPattern(AllowedPattern, Value, Type === 'StringList');
}

/** Each value of a list must fit. In linear time, whatever the pattern. */
function checkPattern(source: string, value: string, isList: boolean): void {
  let pattern: RE2JS;
  try {
    pattern = RE2JS.compile(source);
  } catch {
    throw new AwsError('InvalidAllowedPatternException', `The AllowedPattern ${source} is no valid regular expression.`);
  }
  for (const one of isList ? value.split(',') : [value]) {
    if (pattern.matcher(one).find()) continue;
    throw new AwsError('ParameterPatternMismatchException', `Parameter value, cannot be validated against allowedPattern: ${source}`);
  }
}

function typeOf({ Type }: PutInput, before: ParameterRow | undefined): ParameterRow['type'] {
  if (!before && Type === undefined) throw validation('A parameter type is required when you create a parameter.');
  if (before && Type !== undefined && Type !== before.type && [Type, before.type].includes('SecureString')) {
    throw new AwsError(
      'HierarchyTypeMismatchException',
      `The type of a parameter cannot be changed from ${before.type} to ${Type}: make a new parameter under another name.`,
    );
  }
  return Type ?? before!.type;
}

function tierOf({ Tier, Value }: PutInput, before: ParameterRow | undefined): Tier {
  if (Tier === 'Standard' && before?.tier === 'Advanced') {
    throw validation("This parameter uses the advanced-parameter tier. You can't downgrade a parameter from the advanced-parameter tier.");
  }
  if (Tier === 'Advanced' || before?.tier === 'Advanced') return 'Advanced';
  return Tier === 'Intelligent-Tiering' && Buffer.byteLength(Value) > MAX_STANDARD ? 'Advanced' : 'Standard';
}

type Described = Omit<ParameterRow, 'id' | 'account' | 'region' | 'name' | 'version' | 'tags'>;

async function create(
  tx: Transaction,
  ctx: RequestContext,
  name: string,
  { tags, ...described }: Described & { tags: Record<string, string> },
): Promise<ParameterRow> {
  const { count } = await tx.sql
    .selectFrom('ssm.parameters')
    .select((query) => query.fn.countAll<number>().as('count'))
    .where('account', '=', ctx.account)
    .where('region', '=', ctx.region)
    .where('tier', '=', described.tier)
    .executeTakeFirstOrThrow();
  const limit = MAX_PARAMETERS[described.tier];
  if (count >= limit) {
    throw new AwsError('ParameterLimitExceeded', `You have reached the limit of ${limit} ${described.tier} parameters in this Region.`);
  }
  const { account, region } = ctx;
  const made = await tx.sql
    .insertInto('ssm.parameters')
    .values({ ...described, id: randomUUID(), account, region, name, version: 1, tags: JSON.stringify(tags) })
    .onConflict((conflict) => conflict.columns(['account', 'region', 'name']).doNothing())
    .returningAll()
    .executeTakeFirst();
  if (!made) throw alreadyExists();
  return made;
}

function change(tx: Transaction, { id, version }: ParameterRow, described: Described): Promise<ParameterRow> {
  return tx.sql
    .updateTable('ssm.parameters')
    .set({ ...described, version: version + 1 })
    .where('id', '=', id)
    .returningAll()
    .executeTakeFirstOrThrow();
}

/** A parameter keeps 100 versions. One that has a label is not dropped silently. */
async function dropOldest(tx: Transaction, { id, name }: ParameterRow): Promise<void> {
  const oldest = await tx.sql
    .selectFrom('ssm.versions')
    .select(['version', 'labels'])
    .where('parameter_id', '=', id)
    .orderBy('version')
    .limit(1)
    .executeTakeFirstOrThrow();
  if (oldest.labels.length > 0) {
    throw new AwsError(
      'ParameterMaxVersionLimitExceeded',
      `You attempted to create a new version of ${name} by calling the PutParameter API with the overwrite flag. Version ${oldest.version}, the oldest version, can't be deleted because it has a label associated with it. Move the label to another version of the parameter, and try again.`,
    );
  }
  await tx.sql.deleteFrom('ssm.versions').where('parameter_id', '=', id).where('version', '=', oldest.version).execute();
}
