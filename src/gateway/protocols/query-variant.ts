/**
 * The query form of a service that moved from query to JSON (`awsQueryCompatible`: SQS). Clients made before 2023 still speak it. What the
 * form needs beyond the model is in its patch: `queryName` of members, and `queryError` of errors.
 */
import type { ServiceModel, Shape, ShapeRef } from '../../platform/model.ts';

export function queryVariant(model: ServiceModel): ServiceModel {
  const operations = Object.values(model.operations).map(
    (operation) =>
      [
        operation.name,
        { ...operation, output: operation.output && { ...operation.output, resultWrapper: `${operation.name}Result` } },
      ] as const,
  );
  return {
    ...model,
    metadata: { ...model.metadata, protocol: 'query' },
    operations: Object.assign(Object.create(null), Object.fromEntries(operations)),
    shapes: Object.fromEntries(Object.entries(model.shapes).map(([name, shape]) => [name, variantOf(shape)])),
  };
}

function variantOf(shape: Shape): Shape {
  return {
    ...shape,
    ...(shape.queryError && { error: shape.queryError }),
    ...(shape.member && { member: renamed(shape.member) }),
    ...(shape.key && { key: renamed(shape.key) }),
    ...(shape.value && { value: renamed(shape.value) }),
    ...(shape.members && { members: Object.fromEntries(Object.entries(shape.members).map(([name, ref]) => [name, renamed(ref)])) }),
  };
}

function renamed(ref: ShapeRef): ShapeRef {
  return ref.queryName === undefined ? ref : { ...ref, locationName: ref.queryName };
}
