/** The rules of a pipeline's structure that its shape cannot say. Facts: user guide, "Pipeline structure reference" and "Quotas". */
import { type ActionProvider, findProvider } from './action-types.ts';
import type { ActionDeclaration, Declaration, StageDeclaration } from './tables.ts';
import { namespacesIn, variablesIn } from './variables.ts';

export type StructureCode = 'InvalidStructureException' | 'InvalidStageDeclarationException' | 'InvalidActionDeclarationException';

export class StructureError extends Error {
  override readonly name = 'StructureError';
  readonly code: StructureCode;
  constructor(code: StructureCode, message: string) {
    super(message);
    this.code = code;
  }
}

const MAX_STAGES = 50;
const MAX_ACTIONS = 500;
const MAX_ACTIONS_IN_STAGE = 50;

const structure = (message: string) => new StructureError('InvalidStructureException', message);
const inStage = (message: string) => new StructureError('InvalidStageDeclarationException', message);
const inAction = (message: string) => new StructureError('InvalidActionDeclarationException', message);

/** Throws StructureError with what is wrong. `region` is the pipeline's own. */
export function checkStructure(pipeline: Declaration, region: string): void {
  checkFeatures(pipeline);
  checkStores(pipeline, region);
  const { stages } = pipeline;
  if (stages.length < 2) throw structure('Pipeline has only 1 stage(s). There should be a minimum of 2 stages in a pipeline');
  if (stages.length > MAX_STAGES)
    throw structure(`Pipeline has ${stages.length} stages. There should be a maximum of ${MAX_STAGES} stages in a pipeline`);
  const actions = stages.flatMap((stage) => stage.actions);
  if (actions.length > MAX_ACTIONS) throw structure(`Pipeline has more than ${MAX_ACTIONS} actions`);
  unique(
    stages.map((stage) => stage.name),
    (name) => structure(`Stage names are not unique: ${name}`),
  );
  checkVariables(pipeline);
  const produced = new Map<string, number>();
  const namespaces = new Set<string>(['codepipeline', 'variables']);
  for (const [index, stage] of stages.entries()) checkStage(stage, index, produced, namespaces, pipeline);
}

function unique(names: string[], complaint: (name: string) => Error): void {
  const twice = names.find((name, at) => names.indexOf(name) !== at);
  if (twice !== undefined) throw complaint(twice);
}

/** What AWS has and Penstock has not: refused, never ignored. */
function checkFeatures(pipeline: Declaration): void {
  if (pipeline.triggers?.length) throw structure('Penstock has no connections to git providers yet, so triggers cannot be declared.');
  for (const stage of pipeline.stages) {
    if (stage.blockers?.length) throw inStage(`Stage ${stage.name}: blockers are reserved by AWS and cannot be declared.`);
    if (stage.beforeEntry || stage.onSuccess || stage.onFailure) {
      throw inStage(`Stage ${stage.name}: Penstock does not have stage conditions (beforeEntry, onSuccess, onFailure) yet.`);
    }
  }
}

function checkStores({ artifactStore, artifactStores, stages }: Declaration, region: string): void {
  if (artifactStore && artifactStores) throw structure('You can specify either an artifact store or artifact stores, but not both');
  if (!artifactStore && !artifactStores) throw structure('Pipeline must have an artifact store');
  const regions = [region, ...stages.flatMap((stage) => stage.actions).flatMap((action) => action.region ?? [])];
  const other = regions.find((name) => name !== region);
  if (artifactStore && other) {
    throw structure(`An action is in the region ${other}: a pipeline with actions in several regions must use artifactStores.`);
  }
  const missing = artifactStores && regions.find((name) => !artifactStores[name]);
  if (missing) throw structure(`The artifactStores of the pipeline have none for the region ${missing}, which it uses.`);
}

function checkVariables({ variables, pipelineType, executionMode }: Declaration): void {
  if (pipelineType !== 'V2' && variables?.length) throw structure('Variables are only supported for pipelines of type V2');
  if (pipelineType !== 'V2' && executionMode && executionMode !== 'SUPERSEDED') {
    throw structure(`Execution mode ${executionMode} is only supported for pipelines of type V2`);
  }
  unique(
    (variables ?? []).map(({ name }) => name),
    (name) => structure(`Pipeline variable names are not unique: ${name}`),
  );
}

function checkStage(
  stage: StageDeclaration,
  index: number,
  produced: Map<string, number>,
  namespaces: Set<string>,
  pipeline: Declaration,
): void {
  const { actions } = stage;
  if (actions.length === 0) throw inStage(`Stage ${stage.name} has no actions`);
  if (actions.length > MAX_ACTIONS_IN_STAGE) throw inStage(`Stage ${stage.name} has more than ${MAX_ACTIONS_IN_STAGE} actions`);
  unique(
    actions.map((action) => action.name),
    (name) => inStage(`Action names in stage ${stage.name} are not unique: ${name}`),
  );
  const isSource = (action: ActionDeclaration): boolean => action.actionTypeId.category === 'Source';
  if (index === 0 && !actions.every(isSource)) throw structure('The first stage in the pipeline must contain only source actions');
  if (index > 0 && actions.some(isSource))
    throw structure(`Source actions can only be in the first stage, but stage ${stage.name} has one`);
  const inOrder = [...actions].sort((a, b) => (a.runOrder ?? 1) - (b.runOrder ?? 1));
  for (const action of inOrder) checkAction(action, pipeline);
  for (const action of inOrder) {
    for (const { name } of action.outputArtifacts ?? []) {
      if (produced.has(name)) throw structure(`Output artifact names must be unique within a pipeline: ${name}`);
      produced.set(name, index * 1000 + (action.runOrder ?? 1));
    }
    if (action.namespace) {
      if (namespaces.has(action.namespace)) throw inAction(`Action namespaces must be unique within a pipeline: ${action.namespace}`);
      namespaces.add(action.namespace);
    }
  }
  // Only now: an action may use what an earlier run order of its own stage makes.
  for (const action of inOrder) {
    const missing = (action.inputArtifacts ?? []).find(({ name }) => !inputsReady(produced, index, action)(name));
    if (missing)
      throw structure(
        `Input Artifact Bundle ${missing.name} in action ${action.name} is not declared as Output Artifact Bundle in any of the preceding actions`,
      );
  }
}

function inputsReady(produced: Map<string, number>, stage: number, action: ActionDeclaration): (name: string) => boolean {
  const now = stage * 1000 + (action.runOrder ?? 1);
  return (name) => (produced.get(name) ?? Number.POSITIVE_INFINITY) < now;
}

function checkAction(action: ActionDeclaration, pipeline: Declaration): void {
  const { category, owner, provider, version } = action.actionTypeId;
  const type = findProvider(action.actionTypeId);
  if (!type) {
    throw inAction(
      `ActionType (Category: '${category}', Provider: '${provider}', Owner: '${owner}', Version: '${version}') in action '${action.name}' is not available.`,
    );
  }
  checkCounts(action, type);
  checkConfiguration(action, type);
  checkNotYet(action);
  checkBatch(action);
  checkTopic(action);
  for (const expression of Object.values(action.configuration ?? {}).flatMap(variablesIn)) {
    const [namespace, name] = expression.split('.') as [string, string];
    if (namespace === 'variables' && !pipeline.variables?.some((variable) => variable.name === name)) {
      throw inAction(`Action '${action.name}' uses the variable ${expression}, which is not declared in the pipeline.`);
    }
    if (!namespacesIn(pipeline).has(namespace)) {
      throw inAction(
        `Valid format for a pipeline execution variable reference is a namespace and a key separated by a period (.). The namespace ${namespace} of action '${action.name}' is not declared.`,
      );
    }
  }
}

function checkNotYet(action: ActionDeclaration): void {
  if (action.commands?.length || action.outputVariables?.length || action.environmentVariables?.length) {
    throw inAction(
      `Action '${action.name}': commands, output variables and environment variables belong to the Commands action, which Penstock does not have yet.`,
    );
  }
  const { configuration = {} } = action;
  if (configuration.OutputArtifactFormat && !['CODE_ZIP', 'CODEBUILD_CLONE_REF'].includes(configuration.OutputArtifactFormat)) {
    throw inAction(`Action '${action.name}': OutputArtifactFormat must be CODE_ZIP or CODEBUILD_CLONE_REF.`);
  }
  if (configuration.OutputArtifactFormat === 'CODEBUILD_CLONE_REF') {
    throw inAction(`Action '${action.name}': Penstock does not have full clones (CODEBUILD_CLONE_REF) yet; use CODE_ZIP.`);
  }
}

function checkBatch(action: ActionDeclaration): void {
  const { configuration = {} } = action;
  if (configuration.BatchEnabled === 'true' && configuration.CombineArtifacts === 'true' && (action.outputArtifacts?.length ?? 0) > 1) {
    throw inAction(`Action '${action.name}': a batch that combines its artifacts has one output artifact at most.`);
  }
}

function checkTopic({ name, configuration }: ActionDeclaration): void {
  const topic = configuration?.NotificationArn;
  // A variable is looked at when the action runs.
  if (topic === undefined || topic.includes('#{')) return;
  if (!/^arn:aws[\w-]*:sns:[a-z0-9-]+:\d{12}:[\w-]{1,256}$/.test(topic))
    throw inAction(`Action '${name}': NotificationArn must be the ARN of an SNS topic.`);
}

function checkCounts(action: ActionDeclaration, { inputs, outputs, provider }: ActionProvider): void {
  const check = (what: string, count: number, [min, max]: [number, number]): void => {
    if (count < min) throw inAction(`Action '${action.name}' (${provider}) has ${count} ${what} artifacts, at least ${min} are needed.`);
    if (count > max) throw inAction(`Action '${action.name}' (${provider}) has ${count} ${what} artifacts, at most ${max} are allowed.`);
  };
  check('input', action.inputArtifacts?.length ?? 0, inputs);
  check('output', action.outputArtifacts?.length ?? 0, outputs);
}

function checkConfiguration(action: ActionDeclaration, { keys }: ActionProvider): void {
  const configuration = action.configuration ?? {};
  const known = keys.map((key) => key.replace('!', ''));
  const unknown = Object.keys(configuration).find((key) => !known.includes(key));
  if (unknown) throw inAction(`Action configuration for action '${action.name}' contains unknown configuration '${unknown}'`);
  const missing = keys.find((key) => key.endsWith('!') && !configuration[key.slice(0, -1)]);
  if (missing)
    throw inAction(`Action configuration for action '${action.name}' is missing required configuration '${missing.slice(0, -1)}'`);
  const primary = configuration.PrimarySource;
  if (action.actionTypeId.provider === 'CodeBuild') {
    if ((action.inputArtifacts?.length ?? 0) > 1 && !primary) {
      throw inAction(`Action '${action.name}' has several input artifacts: PrimarySource must say which one is the primary source.`);
    }
    if (primary && !primary.includes('#{') && !action.inputArtifacts?.some(({ name }) => name === primary)) {
      throw inAction(`Action '${action.name}': PrimarySource '${primary}' is not one of its input artifacts.`);
    }
  }
  if (action.actionTypeId.provider === 'S3' && action.actionTypeId.category === 'Deploy') {
    if (configuration.Extract === 'false' && !configuration.ObjectKey) {
      throw inAction(`Action configuration for action '${action.name}' is missing required configuration 'ObjectKey'`);
    }
  }
}
