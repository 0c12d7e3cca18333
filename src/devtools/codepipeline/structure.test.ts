import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkStructure, StructureError } from './structure.ts';
import type { ActionDeclaration, Declaration, StageDeclaration } from './tables.ts';

type Change = (pipeline: Declaration) => void;

const artifacts = (...names: string[]) => names.map((name) => ({ name }));

function action(
  name: string,
  type: string,
  configuration: Record<string, string>,
  more: Partial<ActionDeclaration> = {},
): ActionDeclaration {
  const [category, provider] = type.split('/') as ['Build', string];
  return { name, actionTypeId: { category, owner: 'AWS', provider, version: '1' }, configuration, ...more };
}

const source = (name = 'Repository', output = 'Code'): ActionDeclaration =>
  action(
    name,
    'Source/CodeCommit',
    { RepositoryName: 'web', BranchName: 'main' },
    { outputArtifacts: artifacts(output), namespace: `of${name}` },
  );
const build = (more: Partial<ActionDeclaration> = {}, configuration: Record<string, string> = {}): ActionDeclaration =>
  action('Build', 'Build/CodeBuild', { ProjectName: 'web', ...configuration }, { inputArtifacts: artifacts('Code'), ...more });
const approve = (name: string): ActionDeclaration => action(name, 'Approval/Manual', {});

/** Source, Build, Approval: valid. */
function valid(): Declaration {
  return {
    name: 'web',
    roleArn: 'arn:aws:iam::123456789012:role/pipeline',
    pipelineType: 'V2',
    artifactStore: { type: 'S3', location: 'artifacts' },
    stages: [
      { name: 'Source', actions: [source()] },
      { name: 'Build', actions: [build({ outputArtifacts: artifacts('Built') })] },
      { name: 'Approval', actions: [approve('Release')] },
    ],
  };
}

const stages =
  (list: StageDeclaration[]): Change =>
  (pipeline) =>
    Object.assign(pipeline, { stages: list });
const secondStage = (...actions: ActionDeclaration[]): Change =>
  stages([
    { name: 'Source', actions: [source()] },
    { name: 'Next', actions },
  ]);
const many = (count: number): ActionDeclaration[] => Array.from({ length: count }, (_, index) => approve(`a${index}`));

const REGION = 'us-east-1';
const STRUCTURE = 'InvalidStructureException';
const STAGE = 'InvalidStageDeclarationException';
const ACTION = 'InvalidActionDeclarationException';

const refusedCases: [what: string, change: Change, code: string, message: RegExp][] = [
  ['one stage', (pipeline) => pipeline.stages.splice(1), STRUCTURE, /only 1 stage\(s\)\. There should be a minimum of 2/],
  [
    '51 stages',
    stages([{ name: 'Source', actions: [source()] }, ...many(50).map((one, index) => ({ name: `s${index}`, actions: [one] }))]),
    STRUCTURE,
    /maximum of 50 stages/,
  ],
  ['51 actions in a stage', secondStage(...many(51)), STAGE, /more than 50 actions/],
  ['a stage without actions', secondStage(), STAGE, /has no actions/],
  ['two stages of a name', (pipeline) => pipeline.stages.push({ ...pipeline.stages[1]! }), STRUCTURE, /Stage names are not unique: Build/],
  ['two actions of a name', secondStage(approve('a'), approve('a')), STAGE, /not unique: a/],
  [
    'a first stage that builds',
    stages([
      { name: 'One', actions: [source(), build()] },
      { name: 'Two', actions: [approve('a')] },
    ]),
    STRUCTURE,
    /must contain only source actions/,
  ],
  ['a source later on', secondStage(source('Second', 'Other')), STRUCTURE, /Source actions can only be in the first stage/],
  [
    'two outputs of a name',
    stages([
      { name: 'S', actions: [source('A'), source('B')] },
      { name: 'N', actions: [build()] },
    ]),
    STRUCTURE,
    /Output artifact names must be unique within a pipeline: Code/,
  ],
  [
    'an input that nobody makes',
    secondStage(build({ inputArtifacts: artifacts('Nothing') })),
    STRUCTURE,
    /Input Artifact Bundle Nothing in action Build is not declared/,
  ],
  [
    'an input made by a parallel action',
    secondStage(build({ outputArtifacts: artifacts('Built') }), { ...build({ inputArtifacts: artifacts('Built') }), name: 'Test' }),
    STRUCTURE,
    /Input Artifact Bundle Built in action Test/,
  ],
  [
    'a namespace twice',
    secondStage(build({ namespace: 'ofRepository' })),
    ACTION,
    /namespaces must be unique within a pipeline: ofRepository/,
  ],
  ['a reserved namespace', secondStage(build({ namespace: 'variables' })), ACTION, /namespaces must be unique/],
  [
    'an unknown provider',
    secondStage(action('x', 'Deploy/Nowhere', {})),
    ACTION,
    /ActionType \(Category: 'Deploy', Provider: 'Nowhere', Owner: 'AWS', Version: '1'\) in action 'x' is not available/,
  ],
  ['an unknown configuration key', secondStage(build({}, { Colour: 'red' })), ACTION, /unknown configuration 'Colour'/],
  [
    'a missing configuration key',
    secondStage(action('x', 'Build/CodeBuild', {}, { inputArtifacts: artifacts('Code') })),
    ACTION,
    /missing required configuration 'ProjectName'/,
  ],
  ['a build without input', secondStage(build({ inputArtifacts: [] })), ACTION, /has 0 input artifacts, at least 1/],
  ['an approval with input', secondStage({ ...approve('a'), inputArtifacts: artifacts('Code') }), ACTION, /at most 0 are allowed/],
  [
    'several inputs without PrimarySource',
    stages([
      { name: 'S', actions: [source('A', 'One'), source('B', 'Two')] },
      { name: 'N', actions: [build({ inputArtifacts: artifacts('One', 'Two') })] },
    ]),
    ACTION,
    /PrimarySource must say/,
  ],
  [
    'a PrimarySource that is no input',
    secondStage(build({}, { PrimarySource: 'Other' })),
    ACTION,
    /PrimarySource 'Other' is not one of its input artifacts/,
  ],
  ['an undeclared namespace in a variable', secondStage(build({}, { EnvironmentVariables: '#{Nobody.Id}' })), ACTION, /namespace Nobody/],
  [
    'an undeclared pipeline variable',
    secondStage(build({}, { ProjectName: '#{variables.project}' })),
    ACTION,
    /variables\.project, which is not declared/,
  ],
  [
    'variables of a V1 pipeline',
    (pipeline) => Object.assign(pipeline, { pipelineType: 'V1', variables: [{ name: 'a' }] }),
    STRUCTURE,
    /only supported for pipelines of type V2/,
  ],
  [
    'a V1 pipeline that queues',
    (pipeline) => Object.assign(pipeline, { pipelineType: 'V1', executionMode: 'QUEUED' }),
    STRUCTURE,
    /mode QUEUED is only supported for pipelines of type V2/,
  ],
  [
    'a variable twice',
    (pipeline) => Object.assign(pipeline, { variables: [{ name: 'a' }, { name: 'a' }] }),
    STRUCTURE,
    /variable names are not unique: a/,
  ],
  ['no artifact store', (pipeline) => Object.assign(pipeline, { artifactStore: undefined }), STRUCTURE, /must have an artifact store/],
  [
    'both kinds of artifact store',
    (pipeline) => Object.assign(pipeline, { artifactStores: { 'us-east-1': pipeline.artifactStore } }),
    STRUCTURE,
    /not both/,
  ],
  [
    'an action elsewhere with one artifact store',
    secondStage({ ...approve('a'), region: 'eu-west-1' }),
    STRUCTURE,
    /must use artifactStores/,
  ],
  [
    'artifact stores without that of the own region',
    (pipeline) => Object.assign(pipeline, { artifactStore: undefined, artifactStores: { 'eu-west-1': pipeline.artifactStore } }),
    STRUCTURE,
    /none for the region us-east-1/,
  ],
  [
    'an S3 deployment without a key',
    secondStage(action('x', 'Deploy/S3', { BucketName: 'b', Extract: 'false' }, { inputArtifacts: artifacts('Code') })),
    ACTION,
    /missing required configuration 'ObjectKey'/,
  ],
  [
    'what is not there yet: triggers',
    (pipeline) => Object.assign(pipeline, { triggers: [{ providerType: 'CodeStarSourceConnection' }] }),
    STRUCTURE,
    /triggers cannot be declared/,
  ],
  [
    'what is not there yet: conditions',
    (pipeline) => Object.assign(pipeline.stages[1]!, { onFailure: { result: 'ROLLBACK' } }),
    STAGE,
    /does not have stage conditions/,
  ],
  [
    'what is not there yet: full clones',
    (pipeline) => Object.assign(pipeline.stages[0]!.actions[0]!.configuration!, { OutputArtifactFormat: 'CODEBUILD_CLONE_REF' }),
    ACTION,
    /full clones/,
  ],
];

for (const [what, change, code, message] of refusedCases) {
  test(`refused: ${what}`, () => {
    const pipeline = valid();
    change(pipeline);
    assert.throws(
      () => checkStructure(pipeline, REGION),
      (error: StructureError) => {
        assert.ok(error instanceof StructureError);
        assert.match(error.message, message);
        assert.equal(error.code, code);
        return true;
      },
    );
  });
}

test('accepted: a whole pipeline, and what an earlier run order of the same stage makes', () => {
  checkStructure(valid(), REGION);
  const pipeline = valid();
  secondStage(build({ outputArtifacts: artifacts('Built'), runOrder: 1, namespace: 'Made' }), {
    ...build(
      { inputArtifacts: artifacts('Built'), runOrder: 2 },
      { EnvironmentVariables: '[{"name":"ID","value":"#{Made.ID}-#{ofRepository.CommitId}-#{codepipeline.PipelineExecutionId}"}]' },
    ),
    name: 'Test',
  })(pipeline);
  checkStructure(pipeline, REGION);
});
