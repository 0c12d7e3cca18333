/**
 * What of inputs and outputs is never written down: values that a model marks as sensitive, those whose names say so, and contents of files.
 * Found out once for each shape, so that a call of an operation without any costs no look at its values.
 */
import type { ServiceModel, Shape, ShapeRef } from '../../platform/model.ts';

/** AWS's own word in place of a secret. */
export const HIDDEN = 'HIDDEN_DUE_TO_SECURITY_REASONS';

export type Mask =
  | { kind: 'hide' }
  | { kind: 'omit' }
  | { kind: 'structure'; members: Map<string, Mask> }
  | { kind: 'list'; item: Mask }
  | { kind: 'map'; value: Mask | undefined; secretKeys: boolean };

const hide: Mask = { kind: 'hide' };
const omit: Mask = { kind: 'omit' };

/** Left out altogether, as AWS does. */
const OMITTED = /^secretaccesskey$/i;
/** Names of strings that are secrets in whichever service; models do not mark all of them. */
const SECRET =
  /^(secret|(old|new)?password|sessiontoken|secrettoken|oauthtoken|webidentitytoken|samlassertion|secretstring|plaintext|privatekey\w*|(access|refresh|bearer)token|clientsecret|tokencode|authenticationcode\d?|granttokens?|rotationtoken|contextassertion)$/i;
/** Strings of one service that are secrets or contents of messages, by the model's `serviceId`. */
const SECRET_IN: Record<string, RegExp> = {
  SNS: /^(token|message|messageattributes)$/i,
  SQS: /^(messagebody|messageattributes)$/i,
  CodeBuild: /^token$/i,
  CodePipeline: /^clienttoken$/i,
  CodeDeploy: /^diagnostics$/i,
};
/** Maps of free keys in which people put secrets. */
const MAPS_WITH_SECRETS = /ConfigurationMap$/;

const known = new WeakMap<ServiceModel, Masks>();

/** The mask of a shape; undefined when there is nothing to hide in it. */
export function maskOf(model: ServiceModel, shape: string | undefined): Mask | undefined {
  if (shape === undefined) return undefined;
  let masks = known.get(model);
  if (!masks) {
    masks = new Masks(model);
    known.set(model, masks);
  }
  return masks.of(shape);
}

/** Shapes may hold themselves, so it is found first which of them hold something to hide, until no more are found. */
class Masks {
  readonly #model: ServiceModel;
  readonly #holding = new Set<string>();
  readonly #made = new Map<string, Mask>();

  constructor(model: ServiceModel) {
    this.#model = model;
    for (let before = -1; before < this.#holding.size; ) {
      before = this.#holding.size;
      for (const [name, shape] of Object.entries(model.shapes)) if (this.#holds(name, shape)) this.#holding.add(name);
    }
  }

  of(name: string): Mask | undefined {
    if (!this.#holding.has(name)) return undefined;
    const made = this.#made.get(name);
    if (made) return made;
    const shape = this.#model.shapes[name]!;
    if (isBytes(shape)) return omit;
    if (shape.sensitive) return hide;
    if (shape.type === 'structure') {
      const mask: Mask = { kind: 'structure', members: new Map() };
      this.#made.set(name, mask);
      for (const [member, ref] of Object.entries(shape.members ?? {})) {
        const found = this.#ofMember(member, ref);
        if (found) mask.members.set(member, found);
      }
      return mask;
    }
    if (shape.type === 'map') {
      const mask: Mask = { kind: 'map', value: undefined, secretKeys: MAPS_WITH_SECRETS.test(name) };
      this.#made.set(name, mask);
      mask.value = this.of(shape.value!.shape);
      return mask;
    }
    const mask: Mask = { kind: 'list', item: hide };
    this.#made.set(name, mask);
    mask.item = this.of(shape.member!.shape)!;
    return mask;
  }

  #holds(name: string, shape: Shape): boolean {
    if (shape.sensitive || isBytes(shape)) return true;
    if (shape.type === 'map') return MAPS_WITH_SECRETS.test(name) || this.#holding.has(shape.value!.shape);
    if (shape.type === 'list') return this.#holding.has(shape.member!.shape);
    return Object.entries(shape.members ?? {}).some(([member, ref]) => this.#isSecret(member, ref) || this.#holding.has(ref.shape));
  }

  #ofMember(name: string, ref: ShapeRef): Mask | undefined {
    if (isBytes(this.#model.shapes[ref.shape]!) || ref.streaming) return omit;
    if (OMITTED.test(name)) return omit;
    return this.#isSecret(name, ref) ? hide : this.of(ref.shape);
  }

  #isSecret(name: string, ref: ShapeRef): boolean {
    const { type } = this.#model.shapes[ref.shape]!;
    if (type === 'boolean' || type === 'integer' || type === 'long' || type === 'timestamp') return false;
    if (SECRET_IN[this.#model.metadata.serviceId]?.test(name)) return true;
    return type !== 'structure' && (OMITTED.test(name) || SECRET.test(name));
  }
}

function isBytes(shape: Shape): boolean {
  return shape.type === 'blob' || shape.streaming === true;
}

/** A copy of `value` without what the mask hides; what has nothing to hide is not copied. */
export function masked(mask: Mask | undefined, value: unknown): unknown {
  if (mask === undefined || value === undefined || value === null) return value;
  if (mask.kind === 'hide') return HIDDEN;
  if (mask.kind === 'omit') return undefined;
  if (mask.kind === 'list') return Array.isArray(value) ? value.map((item) => masked(mask.item, item)) : HIDDEN;
  // Whatever is not what the model says may be anything, a secret among it.
  if (typeof value !== 'object' || Array.isArray(value)) return HIDDEN;
  const copy: Record<string, unknown> = {};
  for (const [name, item] of Object.entries(value)) {
    if (mask.kind === 'structure') copy[name] = masked(mask.members.get(name), item);
    else copy[name] = mask.secretKeys && SECRET.test(name) ? HIDDEN : masked(mask.value, item);
  }
  return copy;
}
