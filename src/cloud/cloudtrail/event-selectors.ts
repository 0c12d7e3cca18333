/** PutEventSelectors and its like: what a trail takes, checked as AWS does. */
import { AwsError } from '../../platform/errors.ts';
import type { RequestContext, ShapeOf } from '../../platform/service.ts';
import { operation } from '../../platform/service.ts';
import { TRAILS_CHANGED } from './recorder.ts';
import { DEFAULT_SELECTORS, FIELDS } from './selectors.ts';
import type { Selectors } from './tables.ts';
import { findTrail, findTrailAtHome, trailArn } from './trail.ts';

type Advanced = ShapeOf<'cloudtrail', 'AdvancedEventSelector'>;
type Basic = ShapeOf<'cloudtrail', 'EventSelector'>;

const MAX_SELECTORS = 5;
const MAX_RESOURCES = 250;
const MAX_ADVANCED_VALUES = 500;
/** Those that classic selectors take; no functions and tables exist here, so they match nothing. */
const BASIC_TYPES = ['AWS::S3::Object', 'AWS::Lambda::Function', 'AWS::DynamoDB::Table'];
const OPERATORS = ['Equals', 'StartsWith', 'EndsWith', 'NotEquals', 'NotStartsWith', 'NotEndsWith'] as const;

const ofTrail = ({ TrailName = '' }: { TrailName?: string | undefined }, ctx: RequestContext): string =>
  TrailName.startsWith('arn:') ? TrailName : trailArn(ctx, TrailName);

export const putEventSelectors = operation('cloudtrail', 'PutEventSelectors', {
  authorize: ofTrail,
  async handle(ctx, { TrailName, EventSelectors, AdvancedEventSelectors }) {
    const trail = await findTrailAtHome(ctx, TrailName);
    const selectors = checked(EventSelectors, AdvancedEventSelectors);
    await ctx.transaction(async (tx) => {
      await tx.sql
        .updateTable('cloudtrail.trails')
        .set({ selectors: JSON.stringify(selectors) })
        .where('arn', '=', trail.arn)
        .execute();
      await tx.signal(TRAILS_CHANGED);
    });
    return { TrailARN: trail.arn, EventSelectors: selectors.basic, AdvancedEventSelectors: selectors.advanced };
  },
});

function checked(basic: Basic[] | undefined, advanced: Advanced[] | undefined): Selectors {
  if ((basic === undefined) === (advanced === undefined)) throw invalid('Give either event selectors or advanced event selectors.');
  if (basic) return { basic: checkBasic(basic) };
  checkAdvanced(advanced!);
  return { advanced: advanced! };
}

function checkBasic(selectors: Basic[]): Basic[] {
  if (selectors.length === 0 || selectors.length > MAX_SELECTORS) throw invalid(`A trail has 1 to ${MAX_SELECTORS} event selectors.`);
  const resources = selectors.flatMap(({ DataResources = [] }) => DataResources);
  for (const { Type, Values = [] } of resources) {
    if (Type === undefined || !BASIC_TYPES.includes(Type)) throw invalid(`${Type ?? 'A data resource without a type'} is not supported.`);
    const wrong = Values.find((value) => !/^arn:aws:(s3|lambda|dynamodb)/.test(value));
    if (wrong !== undefined) throw invalid(`Value ${wrong} for data resources is not a valid ARN.`);
  }
  if (resources.reduce((sum, { Values = [] }) => sum + Values.length, 0) > MAX_RESOURCES) {
    throw invalid(`A trail has at most ${MAX_RESOURCES} data resources.`);
  }
  return selectors.map((selector) => ({
    ReadWriteType: selector.ReadWriteType ?? 'All',
    IncludeManagementEvents: selector.IncludeManagementEvents ?? true,
    DataResources: selector.DataResources ?? [],
    ExcludeManagementEventSources: selector.ExcludeManagementEventSources ?? [],
  }));
}

function checkAdvanced(selectors: Advanced[]): void {
  if (selectors.length === 0) throw invalid('At least one advanced event selector is required.');
  let values = 0;
  for (const { FieldSelectors } of selectors) {
    const fields = FieldSelectors.map(({ Field }) => Field);
    const unknown = fields.find((field) => !FIELDS.includes(field));
    if (unknown !== undefined) throw invalid(`Field ${unknown} is not supported.`);
    if (new Set(fields).size < fields.length) throw invalid('Each field must stand only once in a selector.');
    const category = FieldSelectors.find(({ Field }) => Field === 'eventCategory')?.Equals;
    if (category?.length !== 1 || !['Management', 'Data'].includes(category[0]!)) {
      throw invalid('eventCategory must equal Management or Data, and nothing else.');
    }
    if (category[0] === 'Data' && FieldSelectors.find(({ Field }) => Field === 'resources.type')?.Equals?.length !== 1) {
      throw invalid('A selector of data events needs exactly one resources.type.');
    }
    for (const field of FieldSelectors) {
      const given = OPERATORS.flatMap((operator) => field[operator] ?? []);
      if (given.length === 0) throw invalid(`Field ${field.Field} has no operator.`);
      values += given.length;
    }
  }
  if (values > MAX_ADVANCED_VALUES) throw invalid(`A trail has at most ${MAX_ADVANCED_VALUES} values in advanced event selectors.`);
}

function invalid(message: string): AwsError {
  return new AwsError('InvalidEventSelectorsException', message, { status: 400 });
}

export const getEventSelectors = operation('cloudtrail', 'GetEventSelectors', {
  authorize: ofTrail,
  async handle(ctx, { TrailName }) {
    const { arn, selectors } = await findTrail(ctx, TrailName);
    if (selectors?.advanced) return { TrailARN: arn, AdvancedEventSelectors: selectors.advanced };
    return { TrailARN: arn, EventSelectors: selectors?.basic ?? DEFAULT_SELECTORS };
  },
});

export const putInsightSelectors = operation('cloudtrail', 'PutInsightSelectors', {
  authorize: ofTrail,
  partial: 'insights can be turned off only: Penstock computes none',
  async handle(ctx, { TrailName, InsightSelectors, EventDataStore }) {
    if (TrailName === undefined || EventDataStore !== undefined) {
      throw ctx.error('InvalidParameterException', 'Give a TrailName; there are no event data stores.');
    }
    const trail = await findTrailAtHome(ctx, TrailName);
    if (InsightSelectors.length > 0) throw ctx.error('UnsupportedOperationException', 'Penstock computes no insights.');
    return { TrailARN: trail.arn, InsightSelectors: [] };
  },
});

export const getInsightSelectors = operation('cloudtrail', 'GetInsightSelectors', {
  authorize: ofTrail,
  async handle(ctx, { TrailName, EventDataStore }) {
    if (TrailName === undefined || EventDataStore !== undefined) {
      throw ctx.error('InvalidParameterException', 'Give a TrailName; there are no event data stores.');
    }
    const { name } = await findTrail(ctx, TrailName);
    throw ctx.error('InsightNotEnabledException', `Trail ${name} does not have Insights enabled.`);
  },
});
