/** Valid values of any shape of a model, for round trips and for the negative tests that break one constraint at a time. */
import type { ServiceModel, ShapeRef } from '../../../src/platform/model.ts';

const MOMENT = new Date('2026-11-22T10:20:30Z');
const DEEPEST = 5;

/** Text that satisfies the patterns that the models use; the first that fits is taken. */
const TEXTS = [
  'abc',
  '123456789012',
  '/path/',
  '/',
  'v1',
  'arn:aws:codepipeline:us-east-1:123456789012:abc',
  'arn:aws:iam::123456789012:role/abc',
  'arn:aws:lambda:us-east-1:123456789012:function:abc',
  'arn:aws:secretsmanager:us-east-1:123456789012:secret:abc',
  'aws.partner/a/b',
  'events:PutEvents',
  'a.b',
  'a/b/c/d',
  'arn:aws:events:us-east-1:123456789012:rule/abc',
  'arn:aws:codestar-connections:us-east-1:123456789012:host/abc',
  'arn:aws:codestar-connections:us-east-1:123456789012:repository-link/abc',
  'arn:aws:kms:us-east-1:123456789012:key/abc',
  '01234567-89ab-cdef-0123-456789abcdef',
  'AWS',
  'arn:aws:s3:us-east-1:123456789012:abc',
  '123456',
  'service.region.example.com',
  'vpc-0123456789abcdef0',
  'subnet-0123456789abcdef0',
  'sg-0123456789abcdef0',
  'us-east-1',
  '24h',
  'Name',
];

function textFor(min: number, max: number, pattern: string | undefined): string {
  const fits = (text: string) =>
    text.length >= min && text.length <= max && (!pattern || new RegExp(`^(?:${forEngine(pattern)})$`, 'u').test(text));
  const candidates = [...TEXTS, 'a'.repeat(min), '1'.repeat(min), `arn:aws:iam::123456789012:role/${'a'.repeat(min)}`];
  return candidates.find(fits) ?? 'a'.repeat(Math.max(min, 1));
}

/** The models' patterns are Java's; only what JavaScript's unicode mode refuses is rewritten here. */
function forEngine(pattern: string): string {
  return pattern
    .replace(/\\u1(\d{4})/g, '\\u{1$1}')
    .replace(/\\u10FFFF/g, '\\u{10FFFF}')
    .replace(/\\([-_@#=:,%!])/g, (_, char: string) => (char === '-' ? '\\x2d' : char))
    .replace(/(\\[wd])-/g, '$1\\x2d')
    .replace('[\\w_\\x2d]', '[\\w_\\x2d]');
}

/** A value of the shape, with all members (`whole`) or only the required ones. */
export function sample(model: ServiceModel, shapeName: string, whole: boolean, depth = 0): any {
  const shape = model.shapes[shapeName]!;
  switch (shape.type) {
    case 'structure': {
      const names = Object.keys(shape.members ?? {}).filter((name) => shape.required?.includes(name) || (whole && depth < DEEPEST));
      // Of a union just one.
      if (shape.union) names.splice(1);
      return Object.fromEntries(names.map((name) => [name, sample(model, shape.members![name]!.shape, whole, depth + 1)]));
    }
    case 'list': {
      const count = Math.min(Math.max(shape.min ?? 0, whole ? 2 : 1), shape.max ?? 2);
      return Array.from({ length: count }, () => sample(model, shape.member!.shape, whole, depth + 1));
    }
    case 'map': {
      const keys =
        model.shapes[shape.key!.shape]!.enum ?? [0, 1, 2].map((index) => `${sample(model, shape.key!.shape, whole)}${index || ''}`);
      const entries = keys.slice(0, Math.max(shape.min ?? 1, 1)).map((key) => [key, sample(model, shape.value!.shape, whole, depth + 1)]);
      return Object.fromEntries(entries);
    }
    case 'blob':
      return Buffer.from('bytes\u0000\u00ff', 'latin1');
    case 'timestamp':
      return MOMENT;
    case 'boolean':
      return true;
    case 'string':
      return shape.enum ? shape.enum[0] : textFor(shape.min ?? 0, shape.max ?? 1e9, shape.pattern);
    case 'integer':
    case 'long':
      return Math.min(Math.max(shape.min ?? 0, 7), shape.max ?? 7);
    default:
      return Math.min(Math.max(shape.min ?? 0, 1.5), shape.max ?? 1.5);
  }
}

export function sampleInput(model: ServiceModel, operationName: string, whole: boolean): Record<string, any> {
  const input: ShapeRef | undefined = model.operations[operationName]!.input;
  return input ? sample(model, input.shape, whole) : {};
}

/** Operations that are answered by a stream of events, which is no value that a codec writes whole. Those have tests of their own. */
export function wholeOperations(model: ServiceModel): string[] {
  const streams = ({ shape }: ShapeRef) => model.shapes[shape]!.eventstream === true;
  return Object.entries(model.operations)
    .filter(([, { output }]) => !output || !Object.values(model.shapes[output.shape]!.members ?? {}).some(streams))
    .map(([name]) => name);
}
