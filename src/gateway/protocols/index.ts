/** One codec per wire protocol; the model says which a service speaks. */
import type { Protocol, ServiceModel } from '../../platform/model.ts';
import { cborCodec } from './cbor.ts';
import type { Codec } from './codec.ts';
import { jsonCodec } from './json.ts';
import { queryCodec } from './query.ts';
import { restJsonCodec } from './rest-json.ts';
import { restXmlCodec } from './rest-xml.ts';

export type { Codec, WireError, WireResponse } from './codec.ts';
export { takesStream } from './http-bindings.ts';
export { findRestOperation } from './routes.ts';
export { jsonVariant, queryVariant } from './variants.ts';

const CODECS: Partial<Record<Protocol, Codec>> = {
  'smithy-rpc-v2-cbor': cborCodec,
  json: jsonCodec,
  'rest-json': restJsonCodec,
  'rest-xml': restXmlCodec,
  query: queryCodec,
};

export function codecFor(model: ServiceModel): Codec {
  const codec = CODECS[model.metadata.protocol];
  if (!codec) throw new Error(`There is no codec for protocol ${model.metadata.protocol} of ${model.metadata.serviceId}.`);
  return codec;
}
