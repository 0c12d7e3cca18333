/** The older forms of services that moved on to another protocol, and whose older clients did not: SQS from query, CloudWatch from query and JSON. */
import type { ServiceModel, Shape, ShapeRef } from '../../platform/model.ts';

/** The JSON form of a service whose newest clients speak CBOR. */
export function jsonVariant(model: ServiceModel): ServiceModel {
  return { ...model, metadata: { ...model.metadata, protocol: 'json' } };
}

/**
 * The query form (`awsQueryCompatible`). What it needs beyond the model is in its patch where the model was made of a JSON service:
 * `queryName` of members, and `queryError` of errors.
 */
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
