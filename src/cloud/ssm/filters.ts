/** `ParameterFilters` of DescribeParameters and GetParametersByPath, and the older `Filters`. */
import { type Expression, type ExpressionBuilder, type SqlBool, sql } from 'kysely';
import { AwsError } from '../../platform/errors.ts';
import type { Tables } from '../../platform/platform.ts';
import type { ShapeOf } from '../../platform/service.ts';

type Filter = ShapeOf<'ssm', 'ParameterStringFilter'>;
type Builder = ExpressionBuilder<Tables & { parameter: Tables['ssm.parameters'] }, 'parameter'>;
type Condition = Expression<SqlBool>;

/** Which options a key knows; the first is meant when none is given. */
const OPTIONS: Record<string, string[]> = {
  Name: ['Equals', 'BeginsWith', 'Contains'],
  Path: ['OneLevel', 'Recursive'],
  Type: ['Equals', 'BeginsWith'],
  KeyId: ['Equals', 'BeginsWith'],
  Tier: ['Equals'],
  DataType: ['Equals', 'BeginsWith'],
  Label: ['Equals'],
  tag: ['Equals'],
};

const COLUMNS: Record<string, 'name' | 'type' | 'key_id' | 'tier' | 'data_type'> = {
  Name: 'name',
  Type: 'type',
  KeyId: 'key_id',
  Tier: 'tier',
  DataType: 'data_type',
};

/** One condition for each filter; all must hold. `keys`: those that the operation allows. Throws InvalidFilterKey, …Option, …Value. */
export function conditionsOf(filters: Filter[], keys: string[], where: Builder): Condition[] {
  const names = filters.map(({ Key }) => Key);
  if (new Set(names).size < names.length) throw new AwsError('InvalidFilterKey', 'The following filter key is given more than once.');
  return filters.map((filter) => conditionOf(filter, keys, where));
}

function conditionOf({ Key, Option, Values = [] }: Filter, keys: string[], where: Builder): Condition {
  const kind = Key.startsWith('tag:') ? 'tag' : Key;
  if (!keys.includes(kind)) {
    throw new AwsError(
      'InvalidFilterKey',
      `The following filter key is not valid: ${Key}. Valid filter keys include: [${keys.join(', ')}].`,
    );
  }
  const options = OPTIONS[kind]!;
  const option = Option ?? options[0]!;
  if (!options.includes(option)) {
    throw new AwsError(
      'InvalidFilterOption',
      `The following filter option is not valid: ${option}. Valid options include: [${options.join(', ')}].`,
    );
  }
  if (Values.length === 0 && kind !== 'tag') {
    throw new AwsError('InvalidFilterValue', `The filter ${Key} has no values.`);
  }
  if (kind === 'tag') return taggedWith(Key.slice('tag:'.length), Values, where);
  if (kind === 'Path') return where.or(Values.map((path) => underPath(path, option === 'Recursive', where)));
  if (kind === 'Label') return hasLabel(Values);
  const column = where.ref(`parameter.${COLUMNS[kind]!}`);
  return where.or(Values.map((value) => compared(kind === 'Name' ? withoutPrefix(value) : value, option, column)));
}

function compared(value: string, option: string, column: Expression<string | null>): Condition {
  if (option === 'BeginsWith') return sql<SqlBool>`starts_with(${column}, ${value})`;
  if (option === 'Contains') return sql<SqlBool>`strpos(${column}, ${value}) > 0`;
  return sql<SqlBool>`${column} = ${value}`;
}

/** Parameters under a path, of the level below it or of all levels. */
export function underPath(path: string, recursive: boolean, where: Builder): Condition {
  if (!path.startsWith('/') || path.includes('//')) {
    throw new AwsError(
      'ValidationException',
      'The parameter doesn\'t meet the parameter name requirements. The parameter name must begin with a forward slash "/".',
    );
  }
  const prefix = path.endsWith('/') ? path : `${path}/`;
  const name = where.ref('parameter.name');
  const under = sql<SqlBool>`starts_with(${name}, ${prefix})`;
  return recursive ? under : where.and([under, sql<SqlBool>`strpos(substr(${name}, ${prefix.length + 1}), '/') = 0`]);
}

function taggedWith(key: string, values: string[], where: Builder): Condition {
  const tags = where.ref('parameter.tags');
  if (values.length === 0) return sql<SqlBool>`jsonb_exists(${tags}, ${key})`;
  return sql<SqlBool>`${tags} ->> ${key} = any(${values})`;
}

function hasLabel(labels: string[]): Condition {
  return sql<SqlBool>`exists (select 1 from ssm.versions as one where one.parameter_id = parameter.id and one.labels && ${labels}::text[])`;
}

/** AWS takes names in filters with `ssm:` or as they are. */
function withoutPrefix(name: string): string {
  return name.replace(/^ssm:/, '');
}
