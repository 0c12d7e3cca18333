/** What the demo makes is named alike, so that a user recognises it, and a second demo on the same data finds it again. */
import type { Penstock } from '../../compose.ts';

export const NAME = 'hello-web';
export const GROUP = 'demo';
export const INSTANCES = ['demo-1', 'demo-2'];
export const STAGES = ['Source', 'Build', 'Approval', 'Deploy'];
export const DEVELOPER = 'demo-developer';
/** The tag by which the deployment group finds its instances. */
export const TAG = { Key: 'application', Value: NAME };

export function bucketName({ config }: Penstock): string {
  return `${NAME}-artifacts-${config.account}`;
}

export function roleArn({ config }: Penstock, service: string): string {
  return `arn:aws:iam::${config.account}:role/${NAME}-${service}`;
}
