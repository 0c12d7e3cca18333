/** `requestParameters` and `responseElements`: members by the names of the model, as Java writes them, with a small first letter. */
import { loadModel, type ServiceModel, type ShapeRef } from '../../platform/model.ts';

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** S3 calls its things by other names than its model. */
const S3_MEMBERS: Record<string, string> = { Bucket: 'bucketName', Key: 'key' };

export function parametersOf(service: string, operation: string, side: 'input' | 'output', value: unknown): unknown {
  if (value === undefined || value === null) return null;
  const model = loadModel(service);
  const shape = model.operations[operation]?.[side]?.shape;
  if (shape === undefined || typeof value !== 'object' || 'omitted' in value) return value;
  return named(model, shape, value, service === 's3' ? S3_MEMBERS : {});
}

function named(model: ServiceModel, name: string, value: unknown, names: Record<string, string> = {}): unknown {
  const shape = model.shapes[name];
  if (!shape || value === null || value === undefined) return value;
  if (shape.type === 'timestamp') return javaDate(value);
  if (typeof value !== 'object') return value;
  if (shape.type === 'list') return Array.isArray(value) ? value.map((item) => named(model, shape.member!.shape, item)) : value;
  if (shape.type === 'map') {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, named(model, shape.value!.shape, item)]));
  }
  if (shape.type !== 'structure') return value;
  const members: Record<string, ShapeRef | undefined> = shape.members ?? {};
  const result: Record<string, unknown> = {};
  for (const [member, item] of Object.entries(value)) {
    const ref = members[member];
    result[names[member] ?? member.charAt(0).toLowerCase() + member.slice(1)] = ref ? named(model, ref.shape, item) : item;
  }
  return result;
}

/** `Dec 14, 2016 6:19:14 PM`, the form in which CloudTrail shows times within a call. */
function javaDate(value: unknown): unknown {
  const date = new Date(value as string);
  if (Number.isNaN(date.getTime())) return value;
  const hours = date.getUTCHours();
  const two = (number: number): string => String(number).padStart(2, '0');
  const time = `${hours % 12 || 12}:${two(date.getUTCMinutes())}:${two(date.getUTCSeconds())} ${hours < 12 ? 'AM' : 'PM'}`;
  return `${MONTHS[date.getUTCMonth()]} ${date.getUTCDate()}, ${date.getUTCFullYear()} ${time}`;
}
