/** The action providers that exist here: what they take and give. Facts: CodePipeline user guide, "Action structure reference". */
import { operation, type ShapeOf } from '../../platform/service.ts';

type ActionType = ShapeOf<'codepipeline', 'ActionType'>;
type Category = ActionType['id']['category'];

export interface ActionProvider {
  category: Category;
  provider: string;
  /** Keys of the configuration; `!` marks the required ones. */
  keys: string[];
  inputs: [min: number, max: number];
  outputs: [min: number, max: number];
  /** How long an action may take unless it says so itself. Facts: "Quotas in CodePipeline". */
  timeoutMinutes: number;
}

const HOUR = 60;
const DAY = 24 * HOUR;
const CODEBUILD_KEYS = ['ProjectName!', 'PrimarySource', 'BatchEnabled', 'CombineArtifacts', 'EnvironmentVariables'];

export const providers: ActionProvider[] = [
  {
    category: 'Source',
    provider: 'CodeCommit',
    keys: ['RepositoryName!', 'BranchName!', 'PollForSourceChanges', 'OutputArtifactFormat'],
    inputs: [0, 0],
    outputs: [1, 1],
    timeoutMinutes: HOUR,
  },
  {
    category: 'Source',
    provider: 'S3',
    keys: ['S3Bucket!', 'S3ObjectKey!', 'PollForSourceChanges', 'AllowOverrideForS3ObjectKey'],
    inputs: [0, 0],
    outputs: [1, 1],
    timeoutMinutes: HOUR,
  },
  { category: 'Build', provider: 'CodeBuild', keys: CODEBUILD_KEYS, inputs: [1, 5], outputs: [0, 5], timeoutMinutes: 36 * HOUR },
  { category: 'Test', provider: 'CodeBuild', keys: CODEBUILD_KEYS, inputs: [1, 5], outputs: [0, 5], timeoutMinutes: 36 * HOUR },
  {
    category: 'Deploy',
    provider: 'CodeDeploy',
    keys: ['ApplicationName!', 'DeploymentGroupName!'],
    inputs: [1, 1],
    outputs: [0, 0],
    timeoutMinutes: 5 * DAY,
  },
  {
    category: 'Deploy',
    provider: 'S3',
    keys: ['BucketName!', 'Extract!', 'ObjectKey', 'KMSEncryptionKeyARN', 'CannedACL', 'CacheControl'],
    inputs: [1, 1],
    outputs: [0, 0],
    timeoutMinutes: 90,
  },
  {
    category: 'Approval',
    provider: 'Manual',
    keys: ['NotificationArn', 'ExternalEntityLink', 'CustomData'],
    inputs: [0, 0],
    outputs: [0, 0],
    timeoutMinutes: 7 * DAY,
  },
];

export function findProvider(id: ActionType['id']): ActionProvider | undefined {
  if (id.owner !== 'AWS' || id.version !== '1') return undefined;
  return providers.find(({ category, provider }) => category === id.category && provider === id.provider);
}

export const listActionTypes = operation('codepipeline', 'ListActionTypes', {
  authorize: (_input, ctx) => `arn:aws:codepipeline:${ctx.region}:${ctx.account}:actiontype:*`,
  async handle(ctx, { actionOwnerFilter, nextToken }) {
    if (nextToken !== undefined) throw ctx.error('InvalidNextTokenException', 'The next token is not valid.');
    return { actionTypes: actionOwnerFilter === undefined || actionOwnerFilter === 'AWS' ? providers.map(describe) : [] };
  },
});

function describe({ category, provider, keys, inputs, outputs }: ActionProvider): ActionType {
  return {
    id: { category, owner: 'AWS', provider, version: '1' },
    settings: {},
    actionConfigurationProperties: keys.map((key) => ({
      name: key.replace('!', ''),
      required: key.endsWith('!'),
      key: key.endsWith('!'),
      secret: false,
      queryable: false,
    })),
    inputArtifactDetails: { minimumCount: inputs[0], maximumCount: inputs[1] },
    outputArtifactDetails: { minimumCount: outputs[0], maximumCount: outputs[1] },
  };
}
