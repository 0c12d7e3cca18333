/** The events by which CodeDeploy tells what happens; topics that a group's triggers name hear of the same. */
import type { Transaction } from '../../../platform/platform.ts';
import type { Deployment } from '../deployment-rows.ts';
import { applicationArn, groupArn } from '../names.ts';
import { tellTopicsOfDeployment, tellTopicsOfInstance } from './triggers.ts';

const SOURCE = 'aws.codedeploy';
const DEPLOYMENT_TRIGGERS = {
  START: 'DeploymentStart',
  SUCCESS: 'DeploymentSuccess',
  FAILURE: 'DeploymentFailure',
  STOP: 'DeploymentStop',
} as const;
const INSTANCE_TRIGGERS = { START: 'InstanceStart', SUCCESS: 'InstanceSuccess', FAILURE: 'InstanceFailure' } as const;

function shared(deployment: Deployment, state: string) {
  const {
    account,
    region,
    application_name: application,
    group_name: deploymentGroup,
    group_id: instanceGroupId,
    id: deploymentId,
  } = deployment;
  return {
    where: {
      account,
      region,
      source: SOURCE,
      resources: [applicationArn(deployment, application), groupArn(deployment, application, deploymentGroup)],
    },
    detail: { region, application, deploymentGroup, deploymentId, instanceGroupId, state },
  };
}

export async function tellDeployment(
  tx: Transaction,
  deployment: Deployment,
  state: 'START' | 'SUCCESS' | 'FAILURE' | 'STOP',
  time: Date,
): Promise<void> {
  const { where, detail } = shared(deployment, state);
  await tx.emit({ ...where, detailType: 'CodeDeploy Deployment State-change Notification', detail, time });
  await tellTopicsOfDeployment(tx, deployment, DEPLOYMENT_TRIGGERS[state]);
  const rollback = state === 'START' && deployment.creator === 'codeDeployRollback';
  if (rollback) await tellTopicsOfDeployment(tx, deployment, 'DeploymentRollback');
}

export async function tellInstance(
  tx: Transaction,
  deployment: Deployment,
  instance: string,
  state: 'START' | 'SUCCESS' | 'FAILURE',
  time: Date,
): Promise<void> {
  const { where, detail } = shared(deployment, state);
  await tx.emit({
    ...where,
    detailType: 'CodeDeploy Instance State-change Notification',
    detail: { ...detail, instanceId: instance },
    time,
  });
  await tellTopicsOfInstance(tx, deployment, instance, INSTANCE_TRIGGERS[state]);
}
